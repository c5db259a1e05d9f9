//! `[[hook]]`: who is told of changes.

use std::time::Duration;

use toml::de::DeValue;

use super::reader::Section;
use super::value;
use crate::hooks::Kind;

/// A command or a server that is told of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// Its name in logs and metrics; no two hooks share one.
    pub name: String,
    /// What is done.
    pub action: HookAction,
    /// Of what it is told; at least one.
    pub on: Vec<Kind>,
    /// How long one run may take; 100 ms to 5 min.
    pub timeout: Duration,
    /// The least time between two runs for the same region, path or node; 0 to 1 h.
    pub min_interval: Duration,
}

/// How a hook is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAction {
    /// A program and its arguments. If it fails it is tried again once a minute, until it does not.
    Command(Vec<String>),
    /// A POST to a server.
    Webhook {
        /// `http://host/path`.
        url: String,
        /// How often it is tried again soon, after 1 s, 2 s, 4 s and so on; 0 to 10. Then once a minute, until it succeeds.
        retries: u32,
    },
}

impl HookAction {
    /// How often it is tried again soon, before that is once a minute.
    #[must_use]
    pub const fn retries(&self) -> u32 {
        match self {
            Self::Command(_) => 0,
            Self::Webhook { retries, .. } => *retries,
        }
    }
}

/// The defaults, for the schema too.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(1);
pub(super) const RETRIES: u32 = 3;
pub(super) const MAX_RETRIES: u32 = 10;

const COMMAND: &str = "[\"/usr/local/bin/drain\", \"--now\"]";
const WEBHOOK: &str = "\"http://192.0.2.1:8080/hook\"";

/// Reads one `[[hook]]`. `None` where anything is wrong with it.
pub(super) fn read(section: &mut Section<'_, '_>) -> Option<HookConfig> {
    let name = section.required("name", "\"drain\"", value::name);
    let command = section.optional("command", command);
    let webhook = section.optional("webhook", webhook);
    let on = section.optional("on", kinds);
    let timeout = section.optional("timeout", |value| {
        let range = Duration::from_millis(100)..=Duration::from_secs(300);
        value::duration(value, range, "10s")
    });
    let min_interval = section.optional("min_interval", |value| {
        value::duration(value, Duration::ZERO..=Duration::from_secs(3_600), "1s")
    });
    let retries = section.optional("retries", |value| value::integer(value, 0..=MAX_RETRIES));
    let given = ["command", "webhook"].map(|key| section.has(key));
    match given {
        [false, false] => {
            let message = format!(
                "says neither command nor webhook; write command = {COMMAND} or webhook = {WEBHOOK}"
            );
            section.reader.report(section.offset, "hook", &message);
        }
        [true, true] => {
            let message = "stands beside command; take one of them out, or write two hooks";
            section.report(section.place("webhook"), "webhook", message);
        }
        [true, false] if section.has("retries") => {
            let message = "is for webhooks only: a command that fails is tried again once a minute; take it out";
            section.report(section.place("retries"), "retries", message);
        }
        _ => {}
    }
    let retries = retries.map_or(RETRIES, |retries| retries.value);
    let webhook = webhook.map(|url| HookAction::Webhook { url: url.value, retries });
    Some(HookConfig {
        name: name?.value,
        action: command.map(|command| HookAction::Command(command.value)).or(webhook)?,
        on: on.map_or_else(|| vec![Kind::Region], |on| on.value),
        timeout: timeout.map_or(TIMEOUT, |timeout| timeout.value),
        min_interval: min_interval.map_or(MIN_INTERVAL, |interval| interval.value),
    })
}

/// A program by its whole path, and its arguments. No shell comes in between.
fn command(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let right = format!("write the program and its arguments as a list such as {COMMAND}");
    let list = value.as_array();
    let list = list.ok_or_else(|| format!("{} does not do; {right}", value::describe(value)))?;
    let words = list.iter().map(|word| value::string(word.get_ref(), "\"--now\""));
    let words: Vec<String> = words.map(|word| word.map(str::to_owned)).collect::<Result<_, _>>()?;
    match words.first() {
        None => Err(format!("is empty; {right}")),
        Some(program) if !program.starts_with('/') => Err(format!(
            "{program:?} is not the whole path of a program; write one such as \"/usr/local/bin/drain\""
        )),
        _ if words.iter().any(|word| word.contains('\0')) => {
            Err(format!("has a zero byte in it, which no program can be given; {right}"))
        }
        _ => Ok(words),
    }
}

/// A URL of plain HTTP.
fn webhook(value: &DeValue<'_>) -> Result<String, String> {
    let url = value::string(value, WEBHOOK)?;
    if url.starts_with("https://") {
        return Err(format!(
            "{url:?} is HTTPS, which linkprobe does not speak; write an http:// URL, such as that of a proxy on this host, \
             or let a command do it: command = [\"/usr/bin/curl\", \"--data\", \"@-\", \"{url}\"]"
        ));
    }
    let parsed = url.parse::<ureq::http::Uri>().ok();
    let is_good = parsed.is_some_and(|parsed| {
        parsed.scheme_str() == Some("http") && parsed.host().is_some_and(|host| !host.is_empty())
    });
    match is_good {
        true => Ok(url.to_owned()),
        false => Err(format!("{url:?} is not the URL of a server; write one such as {WEBHOOK}")),
    }
}

/// Some of the words for what can change.
fn kinds(value: &DeValue<'_>) -> Result<Vec<Kind>, String> {
    let words = Kind::ALL.map(|kind| (kind.label(), kind));
    let right = "write a list of \"region\", \"path\", \"isolated\" and \"route\", or some of them";
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| match value.as_array() {
        Some(_) => format!("is empty, so the hook would never be run; {right}"),
        None => format!("{} is not a list; {right}", value::describe(value)),
    })?;
    let mut kinds = Vec::new();
    for word in list {
        let kind = value::word(word.get_ref(), &words)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}
