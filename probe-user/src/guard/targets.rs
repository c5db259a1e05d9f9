//! The file of targets: whom the command can be started against, the preferred first.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::Path};

use axum::http::Uri;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    client,
    config::{
        ConfigError, read_text,
        reader::{Reader, Section, suggestion},
        value,
    },
};

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    /// The URL of the agent of this host.
    pub(crate) agent: Option<String>,
    /// The targets in the order of preference; at least one.
    pub(crate) list: Vec<Target>,
}

/// Something that the command can be started against, such as a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its name; no two targets share one.
    pub(crate) name: String,
    /// What the command is given for it: any text.
    pub(crate) address: String,
    /// The region (data center) that it is in.
    pub(crate) region: String,
    /// The URL of an agent in that region, which is asked whether the region is cut off from the others.
    pub(crate) agent: Option<String>,
}

impl Target {
    /// Whether a command that was started with the other need not be started again for this one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.address, &self.region) == (&other.name, &other.address, &other.region)
    }
}

impl Targets {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, or anything in it is wrong.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_text(path, "targets")?, &path.display().to_string())
    }

    /// Checks the text of a file, whose name is for the errors.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub(crate) fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let reader = Reader::new(text);
        let targets = reader.document().map(|document| read(&reader, &document));
        match targets {
            Some(targets) if reader.count() == 0 => Ok(targets),
            _ => {
                let problems = reader.into_problems();
                Err(ConfigError::Invalid { file: file.to_owned(), problems })
            }
        }
    }
}

/// What may stand outside of all targets.
const KEYS: [&str; 2] = ["agent", "target"];

fn read(reader: &Reader<'_>, document: &DeTable<'_>) -> Targets {
    for key in document.keys().filter(|key| !KEYS.contains(&key.get_ref().as_ref())) {
        let name = key.get_ref();
        let message = format!(
            "is not known here; {}a file of targets has agent = \"{}\" and [[target]]",
            suggestion(name, &KEYS, ""),
            client::DEFAULT_URL,
        );
        reader.report(key.span().start, name, &message);
    }
    let agent = document.get("agent").and_then(|value| {
        let url = url(value.get_ref());
        url.map_err(|message| reader.report(value.span().start, "agent", &message)).ok()
    });
    Targets { agent, list: list(reader, document) }
}

fn list<'i>(reader: &Reader<'i>, document: &DeTable<'i>) -> Vec<Target> {
    let missing = "there is none; write [[target]] with name, address and region below it";
    let Some(value) = document.get("target") else {
        reader.report(0, "target", missing);
        return Vec::new();
    };
    let items: Option<Vec<&Spanned<DeValue<'i>>>> = match value.get_ref() {
        DeValue::Array(items) => Some(items.iter().collect()),
        _ => None,
    };
    let items = items.filter(|items| items.iter().all(|item| item.get_ref().is_table()));
    let Some(items) = items else {
        let message = "is not a list of tables; write [[target]], with double brackets, above each";
        reader.report(value.span().start, "target", message);
        return Vec::new();
    };
    if items.is_empty() {
        reader.report(value.span().start, "target", missing);
    }
    let mut names = HashMap::new();
    items.into_iter().filter_map(|item| target(reader, item, &mut names)).collect()
}

/// Reads one `[[target]]`; `None` where anything is wrong with it. `names` has the place of each name so far.
fn target<'i>(
    reader: &Reader<'i>,
    item: &Spanned<DeValue<'i>>,
    names: &mut HashMap<String, usize>,
) -> Option<Target> {
    let mut section = Section::new(reader, "target", item);
    let name = section.required("name", "\"nyc\"", value::name);
    let address = section.required("address", "\"controller.nyc:7000\"", address);
    let region = section.required("region", "\"nyc\"", value::name);
    let agent = section.optional("agent", url);
    if let Some(name) = &name
        && let Some(first) = names.insert(name.value.clone(), name.offset)
    {
        let line = reader.line(first);
        let message = format!("{:?} is taken by line {line}; names must differ", name.value);
        section.report(name.offset, "name", &message);
    }
    section.finish();
    Some(Target {
        name: name?.value,
        address: address?.value,
        region: region?.value,
        agent: agent.map(|agent| agent.value),
    })
}

/// Any text that can be an argument.
fn address(value: &DeValue<'_>) -> Result<String, String> {
    let text = value::string(value, "\"controller.nyc:7000\"")?;
    match text {
        "" => {
            Err("is empty; write what the command is to be given, \"controller.nyc:7000\""
                .to_owned())
        }
        text if text.contains('\0') => {
            Err("has a NUL character, which no argument can have; take it out".to_owned())
        }
        text => Ok(text.to_owned()),
    }
}

/// The URL of an agent.
fn url(value: &DeValue<'_>) -> Result<String, String> {
    let example = format!("{:?}", client::DEFAULT_URL);
    check_url(value::string(value, &example)?)
}

/// The URL of an agent in full.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(crate) fn check_url(text: &str) -> Result<String, String> {
    let base = client::base(text).map_err(|error| error.to_string())?;
    let host = base.parse::<Uri>().ok().and_then(|uri| Some(uri.authority()?.host().to_owned()));
    match host {
        Some(host) if !host.is_empty() => Ok(base),
        _ => Err(format!("{text:?} is not a URL; write one such as {}", client::DEFAULT_URL)),
    }
}
