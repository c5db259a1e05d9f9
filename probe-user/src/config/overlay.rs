//! `[overlay]`: which prefixes lie behind which peers, and through which of these the others can be reached.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Placed, Section};
use super::{Host, PeerConfig, value};
use crate::{overlay::plan::Plan, prefix::Prefix};

/// The kernel's main routing table (`RT_TABLE_MAIN`).
pub const MAIN_TABLE: u32 = 254;

/// The metric of the overlay's routes: below those of routing daemons, which use 20 and more, so that ours count, and above
/// those of routes that somebody has set by hand.
pub const DEFAULT_METRIC: u32 = 10;

const METRIC: RangeInclusive<u32> = 1..=i32::MAX as u32;
const TABLE: RangeInclusive<u32> = 1..=i32::MAX as u32;

/// `[overlay]`: what is routed around sick paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayConfig {
    /// The routing table for the routes of the destinations.
    pub table: u32,
    /// The metric of these routes.
    pub metric: u32,
    /// The peers through which others are reached; `None` for all that have a destination.
    pub relays: Option<Vec<String>>,
    /// What lies behind this node, where it is within the prefix of a destination.
    pub local: Vec<Prefix>,
    /// What is routed, and the gateways; never empty.
    pub destinations: Vec<DestinationConfig>,
}

/// `[[overlay.destinations]]`: what lies behind a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationConfig {
    /// The peer that is the gateway, at the far end of the tunnel. Its address is one, and the same for all gateways.
    pub peer: String,
    /// The tunnel to it, which nothing else uses.
    pub interface: String,
    /// What lies behind it, in the version of IP of its address; empty for one that is but a relay.
    pub prefixes: Vec<Prefix>,
}

impl OverlayConfig {
    /// What of it depends on the peers too: the plan of the routes. `None` where a gateway has no address, which a config
    /// that was checked rules out.
    #[must_use]
    pub fn plan(&self, peers: &[PeerConfig]) -> Option<Plan> {
        Plan::new(self, |name| address_of(peers, name)).ok()
    }

    /// How many candidates there are besides the direct ones.
    #[must_use]
    pub fn relayed(&self, peers: &[PeerConfig]) -> usize {
        let plan = self.plan(peers);
        plan.map_or(0, |plan| {
            (0..plan.gateways.len()).map(|number| plan.candidates(number).count() - 1).sum()
        })
    }
}

fn address_of(peers: &[PeerConfig], name: &str) -> Option<IpAddr> {
    match peers.iter().find(|peer| peer.name == name)?.address.host {
        Host::Ip(address) => Some(address),
        Host::Name(_) => None,
    }
}

/// The peers, as far as they could be read.
pub(super) struct Peers<'p> {
    known: &'p [PeerConfig],
    /// Whether there are others, of which something is wrong: one that is missing here may be one of them.
    some_are_wrong: bool,
}

impl<'p> Peers<'p> {
    pub(super) fn new(document: &DeTable<'_>, known: &'p [PeerConfig]) -> Self {
        let written = document.get("peer").and_then(|value| value.get_ref().as_array());
        Self { known, some_are_wrong: written.is_some_and(|written| written.len() > known.len()) }
    }
}

/// Reads the section, which may be absent.
pub(super) fn read(mut section: Section<'_, '_>, peers: &Peers<'_>) -> Option<OverlayConfig> {
    if section.is_absent() {
        return None;
    }
    let table = section.optional("table", |value| match value.as_str() {
        Some("main") => Ok(MAIN_TABLE),
        _ => table_number(value),
    });
    let metric = section.optional("metric", |value| value::integer(value, METRIC));
    let relays = section.optional("relays", Ok);
    let local = section.optional("local", Ok);
    let local = local.map(|list| {
        prefix_list(&section, "local", &list).into_iter().map(|prefix| prefix.value).collect()
    });
    let list = section.required("destinations", EXAMPLE, Ok);
    let destinations = list.map_or_else(Vec::new, |list| destinations(&section, &list, peers));
    let relays = relays.map(|list| relay_names(&section, &list, &destinations));
    section.finish();
    Some(OverlayConfig {
        table: table.map_or(MAIN_TABLE, |table| table.value),
        metric: metric.map_or(DEFAULT_METRIC, |metric| metric.value),
        relays,
        local: local.unwrap_or_default(),
        destinations,
    })
}

const EXAMPLE: &str =
    "[{ peer = \"nyc1-gw1\", interface = \"vx-nyc1\", prefixes = [\"10.2.0.0/16\"] }]";

fn table_number(value: &DeValue<'_>) -> Result<u32, String> {
    let number = value::integer(value, TABLE).map_err(|error| format!("{error}, or \"main\""))?;
    match number {
        255 => {
            Err("255 is the table of local addresses; write another one, or \"main\"".to_owned())
        }
        _ if Plan::owns(number) => Err(format!(
            "{number} is one of the overlay's own tables; write another one, or \"main\""
        )),
        _ => Ok(number),
    }
}

fn destinations(
    section: &Section<'_, '_>,
    list: &Placed<&DeValue<'_>>,
    peers: &Peers<'_>,
) -> Vec<DestinationConfig> {
    let key = "destinations";
    let items: Vec<_> =
        list.value.as_array().map(|items| items.iter().collect()).unwrap_or_default();
    if items.is_empty() || items.iter().any(|item| !item.get_ref().is_table()) {
        let message = "is not a list of tables; write [[overlay.destinations]], with double brackets, above each";
        section.report(list.offset, key, message);
        return Vec::new();
    }
    let mut taken = Taken::default();
    let read = |item: &&Spanned<DeValue<'_>>| {
        let mut section = Section::new(section.reader, "overlay.destinations", item);
        let destination = destination(&mut section, peers, &mut taken);
        section.finish();
        destination
    };
    items.iter().filter_map(read).collect()
}

/// What no two destinations may share, and the line of the first that has it.
#[derive(Default)]
struct Taken {
    peers: HashMap<String, usize>,
    addresses: HashMap<IpAddr, usize>,
    interfaces: HashMap<String, usize>,
    prefixes: HashMap<Prefix, usize>,
}

fn destination(
    section: &mut Section<'_, '_>,
    peers: &Peers<'_>,
    taken: &mut Taken,
) -> Option<DestinationConfig> {
    let peer = section.required("peer", "\"nyc1-gw1\"", |value| gateway(value, peers));
    let interface = section.required("interface", "\"vx-nyc1\"", value::interface);
    let list = section.optional("prefixes", Ok);
    let address = peer.as_ref().and_then(|peer| address_of(peers.known, &peer.value));
    let prefixes =
        list.map_or_else(Vec::new, |list| prefixes(section, &list, address, &mut taken.prefixes));
    let (peer, interface) = (peer?, interface?);
    let line = section.reader.line(peer.offset);
    let of_another = address.and_then(|address| taken.addresses.insert(address, line));
    if let Some(first) = of_another.filter(|_| !taken.peers.contains_key(&peer.value)) {
        let message =
            format!("its gateway is that of line {first} already; give each destination its own");
        section.report(peer.offset, "peer", &message);
    }
    for (key, named, seen) in
        [("peer", &peer, &mut taken.peers), ("interface", &interface, &mut taken.interfaces)]
    {
        let line = section.reader.line(named.offset);
        if let Some(first) = seen.insert(named.value.clone(), line) {
            let message = format!(
                "{:?} is that of line {first} already; give each destination its own",
                named.value
            );
            section.report(named.offset, key, &message);
        }
    }
    Some(DestinationConfig { peer: peer.value, interface: interface.value, prefixes })
}

/// The name of a peer that can be a gateway.
fn gateway(value: &DeValue<'_>, peers: &Peers<'_>) -> Result<String, String> {
    let name = value::name(value)?;
    let Some(peer) = peers.known.iter().find(|peer| peer.name == name) else {
        if peers.some_are_wrong {
            return Ok(name);
        }
        return Err(format!("there is no [[peer]] named {name:?}; write one that there is"));
    };
    match peer.address.host {
        Host::Ip(_) => Ok(name),
        Host::Name(_) => Err(format!(
            "{name:?} has a host name for its address; routes need an IP address: give the peer the one that its gateway \
             has in the overlay"
        )),
    }
}

/// The prefixes of a list, each with its place.
fn prefix_list(
    section: &Section<'_, '_>,
    key: &str,
    list: &Placed<&DeValue<'_>>,
) -> Vec<Placed<Prefix>> {
    let example = "[\"10.2.0.0/16\"]";
    let Some(items) = list.value.as_array() else {
        let found = value::describe(list.value);
        let message = format!("{found} is not a list; write one such as {example}");
        section.report(list.offset, key, &message);
        return Vec::new();
    };
    let read = |item: &Spanned<DeValue<'_>>| {
        let offset = item.span().start;
        let prefix = value::string(item.get_ref(), "\"10.2.0.0/16\"")
            .and_then(|text| text.parse::<Prefix>().map_err(|error| error.to_string()));
        match prefix {
            Ok(value) => Some(Placed { value, offset }),
            Err(message) => {
                section.report(offset, key, &message);
                None
            }
        }
    };
    items.iter().filter_map(read).collect()
}

fn prefixes(
    section: &Section<'_, '_>,
    list: &Placed<&DeValue<'_>>,
    address: Option<IpAddr>,
    taken: &mut HashMap<Prefix, usize>,
) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    for Placed { value: prefix, offset } in prefix_list(section, "prefixes", list) {
        let line = section.reader.line(offset);
        let problem = match (address, taken.insert(prefix, line)) {
            (_, Some(first)) => format!("{prefix} is routed by line {first} already"),
            (Some(address), _) if address.is_ipv4() != prefix.is_ipv4() => {
                format!("{prefix} and the gateway {address} are of different versions of IP")
            }
            _ if prefix.length() == 0 => {
                format!(
                    "{prefix} is everything, and the tunnels themselves are in it; write what lies behind the gateway"
                )
            }
            _ => {
                prefixes.push(prefix);
                continue;
            }
        };
        section.report(offset, "prefixes", &problem);
    }
    prefixes
}

fn relay_names(
    section: &Section<'_, '_>,
    list: &Placed<&DeValue<'_>>,
    destinations: &[DestinationConfig],
) -> Vec<String> {
    let Some(items) = list.value.as_array() else {
        let found = value::describe(list.value);
        let message = format!("{found} is not a list; write one such as [\"fra1-gw1\"]");
        section.report(list.offset, "relays", &message);
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let name = value::name(item.get_ref()).and_then(|name| {
            let known = destinations.iter().any(|destination| destination.peer == name);
            match known {
                _ if names.contains(&name) => Err(format!("{name:?} is named twice; take one of them out")),
                false => Err(format!(
                    "{name:?} is the peer of no destination; a relay needs one, for its tunnel (prefixes may be empty)"
                )),
                true => Ok(name),
            }
        });
        match name {
            Ok(name) => names.push(name),
            Err(message) => section.report(item.span().start, "relays", &message),
        }
    }
    names
}
