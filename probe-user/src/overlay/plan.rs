//! What routes and rules the kernel should have, and what to change where it has others.
//!
//! Three kinds of routing tables:
//!
//! - the **table of the config**, which is the main one unless it says otherwise: for each prefix of a destination the
//!   candidate in use;
//! - the **direct table**: every destination by its own tunnel, and nothing else. What comes in by a tunnel is looked up
//!   there first, so a relay forwards directly or not at all, whatever it has chosen for itself: no packet of the overlay
//!   takes more than one relay, and none can go round in circles;
//! - one table for **each relay**, which sends everything to it.
//!
//! Probes carry a mark for the table that they are to be looked up in, until the program at the tunnel takes it off. Below each of these routes lies an unreachable one:
//! where a tunnel is down, nothing is sent by another way in its place.
//!
//! All of it has [`PROTOCOL`], by which it is known again after a restart; what has another protocol is never touched.

#[cfg(any(test, feature = "simulation"))]
pub mod model;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use probe_ebpf::maps::STEERED;

use crate::{
    config::{MAIN_TABLE, OverlayConfig},
    prefix::Prefix,
};

/// The number that our routes and rules carry as their protocol (`RTA_PROTOCOL`, `FRA_PROTOCOL`; see `rt_protos`).
pub const PROTOCOL: u8 = 98;

/// The direct table. The table for a relay has the number of its gateway more, counted from 1.
pub const DIRECT_TABLE: u32 = 9_862_000;

/// The mark of a probe that is to go the direct way. That for a relay has the number of its gateway more, counted from 1.
pub const DIRECT_MARK: u32 = STEERED;

/// The priority of the rules for what comes in by a tunnel.
pub const TRANSIT_PRIORITY: u32 = 9_862;

/// The priority of the rules for marked probes.
pub const PROBE_PRIORITY: u32 = 9_863;

/// The metric of the routes beneath all others.
const LAST: u32 = u32::MAX;

/// The metric of the others in our own tables.
const FIRST: u32 = 1;

/// The gateway of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The peer that it is.
    pub peer: String,
    /// Its address, which all gateways know it by.
    pub address: IpAddr,
    /// The tunnel to it.
    pub interface: String,
    /// What lies behind it.
    pub prefixes: Vec<Prefix>,
    /// Whether others are reached through it.
    pub is_relay: bool,
}

/// The gateways, and where their routes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the config.
    pub gateways: Vec<Gateway>,
    /// What lies behind this node, in whatever prefix of a destination it is.
    pub local: Vec<Prefix>,
    table: u32,
    metric: u32,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// To a neighbour on an interface.
    Gateway(IpAddr, String),
    /// To whatever is on an interface.
    Interface(String),
    /// Nowhere: the sender is told.
    Unreachable,
    /// To whatever the next rule says.
    Elsewhere,
    /// Somewhere else; only routes that are found go there.
    Other,
}

impl To {
    /// The interface that it leads by.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Gateway(_, interface) | Self::Interface(interface) => Some(interface),
            Self::Unreachable | Self::Elsewhere | Self::Other => None,
        }
    }
}

/// What tells one route from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The table that it is in.
    pub table: u32,
    /// Which addresses it is for.
    pub prefix: Prefix,
    /// Its metric; the lowest counts.
    pub metric: u32,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// What tells it from others.
    pub key: Key,
    /// Where it leads.
    pub to: To,
}

/// Which packets a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// Those that come in by an interface.
    From(String),
    /// Those with a mark.
    Marked(u32),
    /// Others; only rules that are found have them.
    Other,
}

/// A rule: which packets are looked up in which table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Whether it is for IPv6.
    pub is_ipv6: bool,
    /// Its place among the rules; the lowest is asked first.
    pub priority: u32,
    /// For which packets.
    pub selector: Selector,
    /// In which table.
    pub table: u32,
}

/// What is to be done to routes or rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// Put it in, where nothing is.
    Add(T),
    /// Put it in, in place of the one of ours that has its key.
    Replace(T),
    /// Take it out.
    Remove(T),
}

impl Plan {
    /// The plan for a config. `address` tells the address of a peer.
    ///
    /// # Errors
    /// The name of a peer that has none.
    pub fn new(
        config: &OverlayConfig,
        address: impl Fn(&str) -> Option<IpAddr>,
    ) -> Result<Self, String> {
        let gateways = config.destinations.iter().map(|destination| {
            let peer = destination.peer.clone();
            Ok(Gateway {
                address: address(&peer).ok_or_else(|| peer.clone())?,
                interface: destination.interface.clone(),
                prefixes: destination.prefixes.clone(),
                is_relay: config.relays.as_ref().is_none_or(|relays| relays.contains(&peer)),
                peer,
            })
        });
        let gateways = gateways.collect::<Result<_, String>>()?;
        let OverlayConfig { table, metric, .. } = *config;
        Ok(Self { gateways, local: config.local.clone(), table, metric })
    }

    /// The gateways through which a destination can be reached, the direct one first: that is its own.
    pub fn candidates(&self, destination: usize) -> impl Iterator<Item = usize> + Clone {
        let ipv4 = self.gateways[destination].address.is_ipv4();
        let relays = (0..self.gateways.len()).filter(move |gateway| {
            let Gateway { is_relay, address, .. } = &self.gateways[*gateway];
            *gateway != destination && *is_relay && address.is_ipv4() == ipv4
        });
        std::iter::once(destination).chain(relays)
    }

    /// The mark of probes to a destination that go through a gateway.
    #[must_use]
    pub const fn mark(destination: usize, via: usize) -> u32 {
        DIRECT_MARK + Self::number(destination, via)
    }

    const fn number(destination: usize, via: usize) -> u32 {
        if destination == via { 0 } else { via as u32 + 1 }
    }

    /// Whether a table is one of our own, where nobody else's routes have anything to do.
    #[must_use]
    pub const fn owns(table: u32) -> bool {
        table >= DIRECT_TABLE && table - DIRECT_TABLE <= u16::MAX as u32
    }

    /// Whether the routes of destinations are where the kernel looks for those of unmarked packets.
    #[must_use]
    pub const fn is_in_main_table(&self) -> bool {
        self.table == MAIN_TABLE
    }

    /// The routes that should be there where each destination is reached through the gateway that `via` has at its place.
    #[must_use]
    pub fn routes(&self, via: &[usize]) -> BTreeSet<Route> {
        let mut routes = BTreeSet::new();
        let mut add = |table, prefix, metric, to| {
            routes.insert(Route { key: Key { table, prefix, metric }, to });
        };
        for prefix in &self.local {
            add(DIRECT_TABLE, *prefix, FIRST, To::Elsewhere);
        }
        for (number, gateway) in self.gateways.iter().enumerate() {
            let alone = Prefix::from(gateway.address);
            add(DIRECT_TABLE, alone, FIRST, To::Interface(gateway.interface.clone()));
            add(DIRECT_TABLE, alone, LAST, To::Unreachable);
            if gateway.address.is_ipv6() {
                // IPv6 looks here for whether a next hop is on the link, and a wider route would say that it is not.
                add(MAIN_TABLE, alone, FIRST, To::Interface(gateway.interface.clone()));
            }
            if gateway.is_relay {
                let (table, all) = (DIRECT_TABLE + number as u32 + 1, gateway.family());
                add(table, all, FIRST, gateway.way());
                add(table, all, LAST, To::Unreachable);
            }
            let chosen = via.get(number).and_then(|via| self.gateways.get(*via)).unwrap_or(gateway);
            for prefix in &gateway.prefixes {
                add(self.table, *prefix, self.metric, chosen.way());
                if *prefix != alone && !self.local.contains(prefix) {
                    add(DIRECT_TABLE, *prefix, FIRST, gateway.way());
                    add(DIRECT_TABLE, *prefix, LAST, To::Unreachable);
                }
            }
        }
        routes
    }

    /// The rules that should be there.
    #[must_use]
    pub fn rules(&self) -> BTreeSet<Rule> {
        let mut rules = BTreeSet::new();
        for (number, gateway) in self.gateways.iter().enumerate() {
            let is_ipv6 = gateway.address.is_ipv6();
            let mut add = |priority, selector, table| {
                rules.insert(Rule { is_ipv6, priority, selector, table });
            };
            let from = Selector::From(gateway.interface.clone());
            add(TRANSIT_PRIORITY, from, DIRECT_TABLE);
            add(PROBE_PRIORITY, Selector::Marked(DIRECT_MARK), DIRECT_TABLE);
            if gateway.is_relay {
                let number = number as u32 + 1;
                let selector = Selector::Marked(DIRECT_MARK + number);
                add(PROBE_PRIORITY, selector, DIRECT_TABLE + number);
            }
        }
        rules
    }

    /// The gateway through which most of our routes to a destination lead that the kernel has, whatever table and metric they
    /// had before; `None` if there is none that leads through a candidate.
    #[must_use]
    pub fn adopted(&self, destination: usize, found: &BTreeSet<Route>) -> Option<usize> {
        let prefixes = &self.gateways[destination].prefixes;
        let there = found
            .iter()
            .filter(|route| !Self::owns(route.key.table) && prefixes.contains(&route.key.prefix));
        let ways: Vec<&To> = there.map(|route| &route.to).collect();
        let count = |via: usize| {
            let way = self.gateways[via].way();
            ways.iter().filter(|to| **to == &way).count()
        };
        // Of several, the first.
        let counts = self.candidates(destination).map(|via| (count(via), via));
        let most = counts.reduce(|most, next| if next.0 > most.0 { next } else { most })?;
        (most.0 > 0).then_some(most.1)
    }

    /// The prefixes of a destination whose route in the table of the config is not there as it should be.
    pub fn missing<'p>(
        &'p self,
        destination: usize,
        via: usize,
        have: &'p BTreeSet<Route>,
    ) -> impl Iterator<Item = Prefix> {
        let to = self.gateways[via].way();
        let is_there = move |prefix: &Prefix| {
            let key = Key { table: self.table, prefix: *prefix, metric: self.metric };
            have.contains(&Route { key, to: to.clone() })
        };
        let prefixes = self.gateways[destination].prefixes.iter().copied();
        prefixes.filter(move |prefix| !is_there(prefix))
    }

    /// The routes to destinations, with the gateway that each leads through: what the kernel is to be asked about.
    pub fn chosen<'p>(
        &'p self,
        via: &'p [usize],
    ) -> impl Iterator<Item = (usize, Prefix, &'p Gateway)> {
        self.gateways.iter().enumerate().flat_map(move |(number, gateway)| {
            let chosen = via.get(number).and_then(|via| self.gateways.get(*via)).unwrap_or(gateway);
            gateway.prefixes.iter().map(move |prefix| (number, *prefix, chosen))
        })
    }
}

impl Gateway {
    /// The way to it.
    fn way(&self) -> To {
        To::Gateway(self.address, self.interface.clone())
    }

    /// All addresses of its version of IP.
    const fn family(&self) -> Prefix {
        if self.address.is_ipv4() { Prefix::ALL_IPV4 } else { Prefix::ALL_IPV6 }
    }
}

/// What makes of our routes that the kernel has those that are wanted: what is to be put in first, what is to be taken out
/// last.
#[must_use]
pub fn route_changes(wanted: &BTreeSet<Route>, found: &BTreeSet<Route>) -> Vec<Change<Route>> {
    let mut found: BTreeMap<Key, &Route> = found.iter().map(|route| (route.key, route)).collect();
    let mut changes = Vec::new();
    for route in wanted {
        match found.remove(&route.key) {
            Some(same) if same == route => {}
            Some(_) => changes.push(Change::Replace(route.clone())),
            None => changes.push(Change::Add(route.clone())),
        }
    }
    changes.extend(found.into_values().cloned().map(Change::Remove));
    changes
}

/// The same for rules.
#[must_use]
pub fn rule_changes(wanted: &BTreeSet<Rule>, found: &BTreeSet<Rule>) -> Vec<Change<Rule>> {
    let missing = wanted.difference(found).cloned().map(Change::Add);
    missing.chain(found.difference(wanted).cloned().map(Change::Remove)).collect()
}

#[cfg(test)]
mod tests;
