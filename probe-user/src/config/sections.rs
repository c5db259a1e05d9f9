//! From the document to the [`Config`]: every section, and what must hold between them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use probe_ebpf::ntp::Format;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::auth::{self, KeyFile, Keys};
use super::error::Problem;
use super::reader::{Placed, Reader, Section, suggestion};
use super::value;
use super::{
    Config, DatapathKind, HookConfig, NodeConfig, PeerAddress, PeerConfig, ProbeConfig, WebConfig,
    health, hook,
    overlay::{self, Peers},
    peer, record, reflector,
};
use crate::limits::MAX_SESSIONS;

/// The sections that this version knows.
pub(super) const SECTIONS: [&str; 10] =
    ["node", "probe", "health", "record", "auth", "reflector", "peer", "overlay", "web", "hook"];

/// Reads a whole config.
pub(super) fn parse(
    text: &str,
    directory: &Path,
    key_file: KeyFile,
) -> Result<Config, Vec<Problem>> {
    let reader = Reader::new(text);
    let config =
        reader.document().and_then(|document| read(&reader, &document, directory, key_file));
    match config {
        Some(config) if reader.count() == 0 => Ok(config),
        _ => Err(reader.into_problems()),
    }
}

fn read(
    reader: &Reader<'_>,
    document: &DeTable<'_>,
    directory: &Path,
    key_file: KeyFile,
) -> Option<Config> {
    unknown_sections(reader, document);
    let node = node(section(reader, document, "node"));
    let (probe, greater_offset) = probe(section(reader, document, "probe"));
    let health = health::read(section(reader, document, "health"), &probe, greater_offset);
    let record = record::read(section(reader, document, "record"), directory);
    let web = web(section(reader, document, "web"));
    let (auth, keys) = auth::read(section(reader, document, "auth"), directory, key_file);
    let reflector = reflector::read(section(reader, document, "reflector"));
    let peers = peers(reader, document, &node, &probe, &keys);
    let overlay =
        overlay::read(section(reader, document, "overlay"), &Peers::new(document, &peers));
    if overlay.is_some() && node.datapath == DatapathKind::Socket {
        let place = document.get("node").map_or(0, |value| value.span().start);
        let message = "\"socket\" cannot steer probes; an [overlay] needs \"xdp\" or \"auto\"";
        reader.report(place, "node.datapath", message);
    }
    let hooks = hooks(reader, document);
    let config =
        Config { node, probe, health, record, auth, reflector, peers, overlay, web, hooks };
    let sessions = config.paths() * usize::from(config.probe.flows);
    if sessions > MAX_SESSIONS && config.overlay.is_some() {
        let message = format!(
            "with the ways through relays there are {} paths with {} flows each, but there can be {MAX_SESSIONS} sessions \
             (paths times flows); name fewer relays or lower probe.flows",
            config.paths(),
            config.probe.flows,
        );
        reader.report(
            document.get("overlay").map_or(0, |value| value.span().start),
            "overlay",
            &message,
        );
    }
    Some(config)
}

fn unknown_sections(reader: &Reader<'_>, document: &DeTable<'_>) {
    for (key, value) in document {
        let name = key.get_ref().as_ref();
        if SECTIONS.contains(&name) {
            continue;
        }
        let message = match value.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) => format!(
                "linkprobe {} does not know this section; {}\
                 it knows [node], [probe], [health], [record], [auth], [reflector], [[peer]], [overlay], [web] and \
                 [[hook]]",
                env!("CARGO_PKG_VERSION"),
                suggestion(name, &SECTIONS, ""),
            ),
            _ => {
                "stands outside of every section; write it below a header such as [node]".to_owned()
            }
        };
        reader.report(key.span().start, name, &message);
    }
}

/// The table `[name]`, which may be absent.
fn section<'a, 'i>(
    reader: &'a Reader<'i>,
    document: &'a DeTable<'i>,
    name: &'static str,
) -> Section<'a, 'i> {
    match document.get(name) {
        None => Section::absent(reader, name),
        Some(value) if value.get_ref().is_table() => Section::new(reader, name, value),
        Some(value) => {
            let message = match value.get_ref() {
                DeValue::Array(_) => {
                    format!("is a list; write [{name}] with single brackets, once")
                }
                other => {
                    let found = value::describe(other);
                    format!("{found} is not a section; write the header [{name}], fields below it")
                }
            };
            reader.report(value.span().start, name, &message);
            Section::new(reader, name, value)
        }
    }
}

const DATAPATHS: &[(&str, DatapathKind)] =
    &[("auto", DatapathKind::Auto), ("xdp", DatapathKind::Xdp), ("socket", DatapathKind::Socket)];

const TIMESTAMPS: &[(&str, Format)] = &[("ntp", Format::Ntp), ("ptp", Format::Ptp)];

fn node(mut section: Section<'_, '_>) -> NodeConfig {
    if section.is_absent() {
        section.reader.report(
            0,
            "node",
            "the section is missing; write [node] with name, region and interfaces",
        );
    }
    let name = section.required("name", "\"ams1-gw1\"", value::name);
    let region = section.required("region", "\"ams1\"", value::name);
    let interfaces = section.required("interfaces", "[\"eth0\"]", Ok);
    let interfaces = interfaces.map(|list| interface_list(&section, &list));
    let datapath = section.optional("datapath", |value| value::word(value, DATAPATHS));
    section.finish();
    // Whatever is missing here has been reported, so the defaults are never used.
    NodeConfig {
        name: name.map(|name| name.value).unwrap_or_default(),
        region: region.map(|region| region.value).unwrap_or_default(),
        interfaces: interfaces.unwrap_or_default(),
        datapath: datapath.map(|datapath| datapath.value).unwrap_or_default(),
    }
}

fn interface_list(section: &Section<'_, '_>, list: &Placed<&DeValue<'_>>) -> Vec<String> {
    let key = "interfaces";
    let Some(items) = list.value.as_array() else {
        let found = value::describe(list.value);
        let message = format!("{found} is not a list; write one such as [\"eth0\"]");
        section.report(list.offset, key, &message);
        return Vec::new();
    };
    if items.is_empty() {
        section.report(list.offset, key, "is empty; name at least one, such as [\"eth0\"]");
    }
    let mut names: Vec<String> = Vec::new();
    for item in items {
        match value::interface(item.get_ref()) {
            Ok(name) if names.contains(&name) => {
                let message = format!("{name:?} is named twice; take one of them out");
                section.report(item.span().start, key, &message);
            }
            Ok(name) => names.push(name),
            Err(message) => section.report(item.span().start, key, &message),
        }
    }
    names
}

const INTERVAL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));

/// The section, and where the greater of interval and timeout stands if it is given.
fn probe(mut section: Section<'_, '_>) -> (ProbeConfig, Option<usize>) {
    let default = ProbeConfig::default();
    let interval = section
        .optional("interval", |value| value::duration(value, INTERVAL.0..=INTERVAL.1, "100ms"));
    let timeout =
        section.optional("timeout", |value| value::duration(value, TIMEOUT.0..=TIMEOUT.1, "1s"));
    let flows = section.optional("flows", |value| value::integer(value, 1..=64));
    let dscp = section.optional("dscp", value::dscp);
    let timestamps = section.optional("timestamps", |value| value::word(value, TIMESTAMPS));
    let port = section.optional("port", |value| value::integer(value, 1..=u16::MAX));
    section.finish();
    let greater = interval.iter().chain(&timeout).max_by_key(|duration| duration.value);
    let offset = greater.map(|duration| duration.offset);
    let probe = ProbeConfig {
        interval: interval.map_or(default.interval, |interval| interval.value),
        timeout: timeout.map_or(default.timeout, |timeout| timeout.value),
        flows: flows.map_or(default.flows, |flows| flows.value),
        dscp: dscp.map_or(default.dscp, |dscp| dscp.value),
        timestamps: timestamps.map_or(default.timestamps, |format| format.value),
        port: port.map_or(default.port, |port| port.value),
    };
    (probe, offset)
}

fn web(mut section: Section<'_, '_>) -> WebConfig {
    let socket = |value: &DeValue<'_>, example: &str| {
        let text = value::string(value, example)?;
        text.parse::<SocketAddr>().map_err(|_| {
            format!("{text:?} is not an address with a port; write one such as {example}")
        })
    };
    let default = WebConfig::default();
    let listen = section.optional("listen", |value| socket(value, "\"127.0.0.1:9862\""));
    let agent_check = section.optional("agent_check", |value| socket(value, "\"127.0.0.1:9863\""));
    section.finish();
    WebConfig {
        listen: listen.map_or(default.listen, |listen| listen.value),
        agent_check: agent_check.map(|address| address.value),
    }
}

fn peers<'i>(
    reader: &Reader<'i>,
    document: &DeTable<'i>,
    node: &NodeConfig,
    probe: &ProbeConfig,
    keys: &Keys,
) -> Vec<PeerConfig> {
    let items = tables(reader, document, "peer");
    let mut peers = Vec::with_capacity(items.len());
    let mut taken = Taken::default();
    for (index, item) in items.into_iter().enumerate() {
        let mut section = Section::new(reader, "peer", item);
        let sessions = (index + 1) * usize::from(probe.flows);
        if sessions > MAX_SESSIONS && sessions - usize::from(probe.flows) <= MAX_SESSIONS {
            let message = format!(
                "this peer is number {} with {} flows each, but there can be {MAX_SESSIONS} \
                 sessions (peers times flows); take peers out or lower probe.flows",
                index + 1,
                probe.flows,
            );
            reader.report(section.offset, "peer", &message);
        }
        if let Some(peer) = peer::read(&mut section, probe.port, keys) {
            if peer.name == node.name {
                let message =
                    format!("{:?} is this node itself (node.name); take the peer out", peer.name);
                section.report(section.place("name"), "name", &message);
            }
            taken.take(&section, &peer);
            peers.push(peer);
        }
        section.finish();
    }
    peers
}

/// The tables `[[name]]`, of which there may be none.
fn tables<'a, 'i>(
    reader: &Reader<'i>,
    document: &'a DeTable<'i>,
    name: &str,
) -> Vec<&'a Spanned<DeValue<'i>>> {
    let Some(value) = document.get(name) else { return Vec::new() };
    match value.get_ref().as_array() {
        Some(items) if items.iter().all(|item| item.get_ref().is_table()) => items.iter().collect(),
        _ => {
            let message = format!(
                "is not a list of tables; write [[{name}]], with double brackets, above each"
            );
            reader.report(value.span().start, name, &message);
            Vec::new()
        }
    }
}

fn hooks<'i>(reader: &Reader<'i>, document: &DeTable<'i>) -> Vec<HookConfig> {
    let mut hooks: Vec<HookConfig> = Vec::new();
    for item in tables(reader, document, "hook") {
        let mut section = Section::new(reader, "hook", item);
        if let Some(hook) = hook::read(&mut section) {
            if hooks.iter().any(|other| other.name == hook.name) {
                let message = format!("{:?} is another hook's too; names must differ", hook.name);
                section.report(section.place("name"), "name", &message);
            }
            hooks.push(hook);
        }
        section.finish();
    }
    hooks
}

/// What no two peers may share, and the place of the first that has it.
#[derive(Default)]
struct Taken {
    names: HashMap<String, usize>,
    addresses: HashMap<PeerAddress, usize>,
}

impl Taken {
    fn take(&mut self, section: &Section<'_, '_>, peer: &PeerConfig) {
        if let Some(first) = self.names.insert(peer.name.clone(), section.place("name")) {
            let line = section.reader.line(first);
            let message = format!("{:?} is taken by line {line}; names must differ", peer.name);
            section.report(section.place("name"), "name", &message);
        }
        let place = section.place("address");
        if let Some(first) = self.addresses.insert(peer.address.clone(), place) {
            let line = section.reader.line(first);
            let message = format!(
                "{} is the address of the peer in line {line} too; give each peer its own",
                peer.address
            );
            section.report(place, "address", &message);
        }
    }
}
