//! The kernel's routes and rules, as far as they are ours, and its answers to where a packet would go.
//!
//! Netlink tells interfaces by number; here they have their names. What has another protocol than ours is not seen, and
//! cannot be changed: where a route of somebody else's stands in the place of one that is to be added, the kernel refuses.
//!
//! - `messages`: routes and rules as netlink has them.
//! - `events`: what it tells by itself.

mod events;
mod messages;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
};

pub use events::watch;
use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle, IpVersion, new_connection_with_strict_check,
    packet_route::{
        AddressFamily,
        link::{LinkFlags, LinkLayerType},
        route::{RouteAttribute, RouteMessage, RouteScope, RouteType},
    },
};
use tokio::task::JoinHandle;

use super::plan::{Change, Key, PROTOCOL, Route, Rule, Selector, To};
use messages::{bits, family, name_of, next_hop, route, route_message, rule, rule_message};

/// Why the kernel did not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no netlink.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// Somebody else changes routes here.
    #[error("another agent routes in this network namespace already")]
    Busy,
    /// It takes too long.
    #[error("the kernel does not answer")]
    Silent,
    /// There is no such interface.
    #[error("there is no interface `{0}`")]
    NoInterface(String),
    /// Somebody else's route is in the place of ours.
    #[error(
        "another route to {prefix} with metric {metric} is in table {table}, and linkprobe replaces none that is not its \
         own: take it out, or give the overlay another `metric`",
        prefix = .0.prefix, metric = .0.metric, table = .0.table
    )]
    Occupied(Key),
    /// Another reason.
    #[error("{what}: {source}")]
    Refused {
        /// What it was asked to do.
        what: String,
        /// What it said.
        source: Box<rtnetlink::Error>,
    },
}

/// Where a packet would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// By which interface; `None` where it would be refused or dropped.
    pub interface: Option<String>,
    /// To which neighbour; `None` for whoever the address belongs to.
    pub gateway: Option<IpAddr>,
}

/// The packet that a question is about.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'p> {
    /// Where it is to go.
    pub to: IpAddr,
    /// Its mark; 0 for none.
    pub mark: u32,
    /// From whom and by which interface it came in; `None` for one of this host's.
    pub from: Option<(IpAddr, &'p str)>,
}

/// The interfaces of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    by_name: BTreeMap<String, Link>,
    names: BTreeMap<u32, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    is_up: bool,
    is_ethernet: bool,
}

impl Links {
    /// Whether an interface is there, and up.
    #[must_use]
    pub fn is_up(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|link| link.is_up)
    }

    /// Whether an interface is there whose packets are not Ethernet frames, which the programs do not know.
    #[must_use]
    pub fn is_strange(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|link| !link.is_ethernet)
    }

    fn index(&self, name: &str) -> Result<u32, Error> {
        let found = self.by_name.get(name).map(|link| link.index);
        found.ok_or_else(|| Error::NoInterface(name.to_owned()))
    }

    fn name(&self, index: u32) -> Option<&String> {
        self.names.get(&index)
    }
}

/// The kernel of this network namespace.
#[derive(Debug)]
pub struct Kernel {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Kernel {
    /// Opens a socket to it. To be called on a tokio runtime.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) = new_connection_with_strict_check()?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// The interfaces.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub async fn links(&self) -> Result<Links, Error> {
        let messages: Vec<_> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(refused("list interfaces"))?;
        let mut links = Links::default();
        for message in messages {
            let header = &message.header;
            let link = Link {
                index: header.index,
                is_up: header.flags.contains(LinkFlags::Up),
                is_ethernet: header.link_layer_type == LinkLayerType::Ether,
            };
            if let Some(name) = name_of(&message) {
                links.names.insert(link.index, name.clone());
                links.by_name.insert(name.clone(), link);
            }
        }
        Ok(links)
    }

    /// Our routes, in all tables.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub async fn routes(&self, links: &Links) -> Result<BTreeSet<Route>, Error> {
        let mut routes = BTreeSet::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut filter = RouteMessage::default();
            filter.header.address_family = family;
            filter.header.protocol = PROTOCOL.into();
            let mut answers = self.handle.route().get(filter).execute();
            while let Some(message) = answers.try_next().await.map_err(refused("list routes"))? {
                // The kernel filters, but not each one that is in use.
                if message.header.protocol == PROTOCOL.into() {
                    routes.insert(route(&message, links));
                }
            }
        }
        Ok(routes)
    }

    /// Our rules.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub async fn rules(&self) -> Result<BTreeSet<Rule>, Error> {
        let mut rules = BTreeSet::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let mut answers = self.handle.rule().get(version).execute();
            while let Some(message) = answers.try_next().await.map_err(refused("list rules"))? {
                rules.extend(rule(&message));
            }
        }
        Ok(rules)
    }

    /// Changes a route.
    ///
    /// # Errors
    /// Where the kernel refuses, or the interface is not there.
    pub async fn change_route(&self, change: &Change<Route>, links: &Links) -> Result<(), Error> {
        let routes = self.handle.route();
        match change {
            Change::Add(route) => match routes.add(route_message(route, links)?).execute().await {
                Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::EEXIST => {
                    Err(Error::Occupied(route.key))
                }
                done => done.map_err(refused_route("add", route)),
            },
            Change::Replace(route) => {
                let request = routes.add(route_message(route, links)?).replace();
                request.execute().await.map_err(refused_route("replace", route))
            }
            Change::Remove(route) => {
                let mut message = route_message(&Route { to: To::Other, ..route.clone() }, links)?;
                message.header.scope = RouteScope::NoWhere;
                routes.del(message).execute().await.map_err(refused_route("remove", route))
            }
        }
    }

    /// Changes a rule.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub async fn change_rule(&self, change: &Change<Rule>) -> Result<(), Error> {
        let rules = self.handle.rule();
        let what = |doing, rule: &Rule| format!("{doing} the rule with priority {}", rule.priority);
        match change {
            Change::Add(rule) | Change::Replace(rule) => {
                let mut request = rules.add();
                *request.message_mut() = rule_message(rule);
                request.execute().await.map_err(refused(what("add", rule)))
            }
            Change::Remove(rule) => {
                let request = rules.del(rule_message(rule));
                request.execute().await.map_err(refused(what("remove", rule)))
            }
        }
    }

    /// Where a packet would go, as `ip route get` says it.
    ///
    /// # Errors
    /// Where the interface that it is to come from is not there, or the kernel does not tell.
    pub async fn way(&self, packet: Packet<'_>, links: &Links) -> Result<Way, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(packet.to);
        message.header.destination_prefix_length = bits(packet.to);
        message.attributes.push(RouteAttribute::Destination(packet.to.into()));
        if packet.mark != 0 {
            message.attributes.push(RouteAttribute::Mark(packet.mark));
        }
        if let Some((source, interface)) = packet.from {
            message.header.source_prefix_length = bits(source);
            message.attributes.push(RouteAttribute::Source(source.into()));
            message.attributes.push(RouteAttribute::Iif(links.index(interface)?));
        }
        let nowhere = Way { interface: None, gateway: None };
        let answer = match self.handle.route().get(message).execute().try_next().await {
            Ok(answer) => answer,
            // Unreachable, prohibited, no route, from an address that is not believed.
            Err(rtnetlink::Error::NetlinkError(_)) => return Ok(nowhere),
            Err(error) => return Err(refused("ask for a route")(error)),
        };
        let Some(answer) = answer.filter(|answer| answer.header.kind == RouteType::Unicast) else {
            return Ok(nowhere);
        };
        let (interface, gateway) = next_hop(&answer);
        Ok(Way { interface: interface.and_then(|index| links.name(index).cloned()), gateway })
    }
}

fn refused(what: impl std::fmt::Display) -> impl FnOnce(rtnetlink::Error) -> Error {
    let what = format!("cannot {what}");
    move |source| Error::Refused { what, source: Box::new(source) }
}

fn refused_route(doing: &str, Route { key, .. }: &Route) -> impl FnOnce(rtnetlink::Error) -> Error {
    refused(format!("{doing} the route to {} in table {}", key.prefix, key.table))
}
