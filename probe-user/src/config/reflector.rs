//! `[reflector]`: whom the Session-Reflector answers, and how.

use toml::de::DeValue;

use super::reader::Section;
use super::value;
use crate::{datapath::ReflectorOptions, prefix::Prefix};

/// Requests per second that one source may send unless the config says otherwise.
pub const DEFAULT_RATE: u32 = 10_000;

/// The largest rate. Beyond it, it would say nothing that 0 does not.
pub const MAX_RATE: u32 = 100_000_000;

/// `[reflector]`: whom the Session-Reflector answers, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReflectorConfig {
    /// Requests per second that it answers to one source address; 0 for no limit, at most [`MAX_RATE`].
    pub rate: u32,
    /// The prefixes that it answers to, besides peers.
    pub allow: Vec<Prefix>,
    /// It copies Sequence Numbers and does not count by itself (RFC 8762, section 4.3).
    pub stateless: bool,
}

impl Default for ReflectorConfig {
    fn default() -> Self {
        let everybody = [Prefix::ALL_IPV4, Prefix::ALL_IPV6];
        Self { rate: DEFAULT_RATE, allow: everybody.to_vec(), stateless: false }
    }
}

impl ReflectorConfig {
    /// What the datapath is told of it.
    #[must_use]
    pub fn options(&self, authenticated_only: bool) -> ReflectorOptions {
        let everybody = Self::default().allow;
        let is_open = everybody.iter().all(|prefix| self.allow.contains(prefix));
        ReflectorOptions {
            stateless: self.stateless,
            authenticated_only,
            rate: Some(self.rate).filter(|rate| *rate > 0),
            allow: Some(self.allow.clone()).filter(|_| !is_open),
            defer: false,
        }
    }
}

/// Reads the section.
pub(super) fn read(mut section: Section<'_, '_>) -> ReflectorConfig {
    let default = ReflectorConfig::default();
    let rate = section.optional("rate", |value| value::integer(value, 0..=MAX_RATE));
    let allow = section.optional("allow", Ok);
    let allow = allow.map(|list| prefixes(&section, list.value, list.offset));
    let stateless = section.optional("stateless", value::boolean);
    section.finish();
    ReflectorConfig {
        rate: rate.map_or(default.rate, |rate| rate.value),
        allow: allow.unwrap_or(default.allow),
        stateless: stateless.map_or(default.stateless, |stateless| stateless.value),
    }
}

fn prefixes(section: &Section<'_, '_>, list: &DeValue<'_>, offset: usize) -> Vec<Prefix> {
    let example = "[\"192.0.2.0/24\", \"2001:db8::/32\"]";
    let Some(items) = list.as_array() else {
        let found = value::describe(list);
        section.report(
            offset,
            "allow",
            &format!("{found} is not a list; write one such as {example}"),
        );
        return Vec::new();
    };
    let mut prefixes = Vec::with_capacity(items.len());
    for item in items {
        let text = value::string(item.get_ref(), "\"192.0.2.0/24\"");
        match text.and_then(|text| text.parse().map_err(|error| format!("{error}"))) {
            Ok(prefix) => prefixes.push(prefix),
            Err(message) => section.report(item.span().start, "allow", &message),
        }
    }
    prefixes
}
