//! `[[peer]]`: whom we probe.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use toml::de::DeValue;

use super::auth::{self, Keys, PeerAuth};
use super::reader::Section;
use super::value;

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerConfig {
    /// Its name; no two peers share one.
    pub name: String,
    /// The region (data center) that it belongs to.
    pub region: String,
    /// Where its Session-Reflector is.
    pub address: PeerAddress,
    /// What its Session-Reflector can do.
    pub reflector: ReflectorKind,
    /// Which key it is probed with. If there is one, nothing else of it counts.
    pub auth: PeerAuth,
}

/// Where a Session-Reflector is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// The host.
    pub host: Host,
    /// Its UDP port; never 0.
    pub port: u16,
}

/// An address, or a name that is yet to be resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, in lower case.
    Name(String),
}

/// What a Session-Reflector can do (RFC 8762, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReflectorKind {
    /// It numbers its replies itself, so that loss can be told apart by direction.
    #[default]
    Stateful,
    /// It copies our numbers, so that loss has no direction.
    Stateless,
}

/// As one would write it in the config, always with the port.
impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Reads one `[[peer]]`. `None` where anything is wrong with it.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    default_port: u16,
    keys: &Keys,
) -> Option<PeerConfig> {
    let name = section.required("name", "\"nyc1-gw1\"", value::name);
    let region = section.required("region", "\"nyc1\"", value::name);
    let address = section.required("address", "\"192.0.2.1\"", |value| {
        let text = value::string(value, EXAMPLES)?;
        PeerAddress::parse(text, default_port)
    });
    let reflector = section.optional("reflector", reflector_kind);
    let auth = section.optional("auth", |value| auth::peer(value, keys));
    Some(PeerConfig {
        name: name?.value,
        region: region?.value,
        address: address?.value,
        reflector: reflector.map_or_else(ReflectorKind::default, |kind| kind.value),
        auth: auth.map_or_else(PeerAuth::default, |auth| auth.value),
    })
}

fn reflector_kind(value: &DeValue<'_>) -> Result<ReflectorKind, String> {
    match value.as_str() {
        Some("stateful") => Ok(ReflectorKind::Stateful),
        Some("stateless") => Ok(ReflectorKind::Stateless),
        _ => Err(format!(
            "{} is not a kind of reflector; write \"stateful\" or \"stateless\"",
            value::describe(value)
        )),
    }
}

const EXAMPLES: &str = "\"192.0.2.1\", \"[2001:db8::1]:862\" or \"gw1.example.net\"";

impl PeerAddress {
    /// Parses `IP`, `IPv4:port`, `[IPv6]:port`, `name` or `name:port`.
    ///
    /// # Errors
    /// What is wrong with the text, and what would be right.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} {why}; write an address such as {EXAMPLES}"));
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::ip(text, address, default_port);
        }
        if text.contains('%') {
            return wrong("has a zone, and link-local addresses cannot be probed");
        }
        if text.is_empty() {
            return wrong("is empty");
        }
        let (host, port) = match split_port(text) {
            Some((host, port)) => match port.parse::<u16>() {
                Ok(port @ 1..) => (host, port),
                _ => return wrong(&format!("has no valid port ({port:?} is not 1 to 65535)")),
            },
            None => (text, default_port),
        };
        if let Some(inner) = host.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
            return match address {
                Some(address) => Self::ip(text, IpAddr::V6(address), port),
                None => wrong("has no IPv6 address between its brackets"),
            };
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Self::ip(text, address, port);
        }
        if host.contains(':') {
            return wrong("is not an IPv6 address");
        }
        if looks_like_ipv4(host) {
            return wrong("is not an IPv4 address");
        }
        if !is_host_name(host) {
            return wrong("is not a host name");
        }
        Ok(Self { host: Host::Name(host.to_ascii_lowercase()), port })
    }

    fn ip(text: &str, address: IpAddr, port: u16) -> Result<Self, String> {
        let address = address.to_canonical();
        let why = match address {
            _ if address.is_unspecified() => "is no address of any host",
            _ if address.is_multicast() => "is a multicast address, but a peer is one host",
            IpAddr::V4(address) if address.is_broadcast() => {
                "is the broadcast address, but a peer is one host"
            }
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                "is link-local, and link-local addresses cannot be probed"
            }
            _ => return Ok(Self { host: Host::Ip(address), port }),
        };
        Err(format!("{text:?} {why}; write an address such as {EXAMPLES}"))
    }
}

/// Splits `host:port`. Several colons without brackets are an IPv6 address, not a port.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    (bracketed || !host.contains([':', '['])).then_some((host, port))
}

/// No top-level domain is a number, so a name whose last label is one was meant as an address
/// (RFC 1123, section 2.1).
fn looks_like_ipv4(host: &str) -> bool {
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, digits, hyphens and underscores in labels of 1 to 63 bytes, 253 bytes in all.
fn is_host_name(host: &str) -> bool {
    let inner = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    inner.len() <= 253 && inner.split('.').all(is_label)
}
