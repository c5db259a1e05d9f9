//! Routes and rules as netlink has them.

use std::{io, net::IpAddr};

use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        link::{LinkAttribute, LinkMessage},
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags,
            RouteProtocol, RouteScope, RouteType,
        },
        rule::{RuleAction, RuleAttribute, RuleMessage},
    },
};

use super::{Error, Key, Links, PROTOCOL, Route, Rule, Selector, To};
use crate::prefix::Prefix;

pub(super) const fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

pub(super) const fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// The name of an interface.
pub(super) fn name_of(link: &LinkMessage) -> Option<&String> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })
}

/// Interface and neighbour that a route leads to.
pub(super) fn next_hop(message: &RouteMessage) -> (Option<u32>, Option<IpAddr>) {
    let interface = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    let gateway = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(gateway) => address(gateway),
        _ => None,
    });
    (interface, gateway)
}

/// The addresses that a route is for.
pub(super) fn destination(message: &RouteMessage) -> Prefix {
    let named = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(destination) => address(destination),
        _ => None,
    });
    let all = match message.header.address_family {
        AddressFamily::Inet6 => Prefix::ALL_IPV6,
        _ => Prefix::ALL_IPV4,
    };
    let length = message.header.destination_prefix_length;
    named.map_or(all, |address| Prefix::of(address, length))
}

/// The route in a message.
pub(super) fn route(message: &RouteMessage, links: &Links) -> Route {
    let mut table = u32::from(message.header.table);
    let mut metric = 0;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            _ => {}
        }
    }
    let name = |index| links.name(index).cloned();
    let to = match (message.header.kind, next_hop(message)) {
        (RouteType::Unreachable, _) => To::Unreachable,
        (RouteType::Throw, _) => To::Elsewhere,
        (RouteType::Unicast, (interface, gateway)) => match (interface.and_then(name), gateway) {
            (Some(interface), Some(gateway)) => To::Gateway(gateway, interface),
            (Some(interface), None) => To::Interface(interface),
            (None, _) => To::Other,
        },
        _ => To::Other,
    };
    Route { key: Key { table, prefix: destination(message), metric }, to }
}

/// The message for a route. One that leads elsewhere is one to be removed, wherever it leads.
pub(super) fn route_message(route: &Route, links: &Links) -> Result<RouteMessage, Error> {
    let Key { table, prefix, metric } = route.key;
    let mut message = RouteMessageBuilder::<IpAddr>::new()
        .table_id(table)
        .priority(metric)
        .protocol(RouteProtocol::from(PROTOCOL))
        .destination_prefix(prefix.address(), prefix.length())
        .map_err(io::Error::other)?
        .build();
    match &route.to {
        To::Gateway(gateway, interface) => {
            message.attributes.push(RouteAttribute::Gateway((*gateway).into()));
            message.attributes.push(RouteAttribute::Oif(links.index(interface)?));
            // The neighbour need not be within a prefix of the tunnel.
            message.header.flags |= onlink();
        }
        To::Interface(interface) => {
            message.attributes.push(RouteAttribute::Oif(links.index(interface)?));
            if prefix.is_ipv4() {
                message.header.scope = RouteScope::Link;
            }
        }
        To::Unreachable => message.header.kind = RouteType::Unreachable,
        To::Elsewhere => message.header.kind = RouteType::Throw,
        To::Other => message.header.kind = RouteType::Unspec,
    }
    Ok(message)
}

fn onlink() -> RouteFlags {
    let flag = u32::from(RouteNextHopFlags::Onlink.bits());
    RouteFlags::from_bits_retain(flag)
}

/// The rule in a message, if it is ours.
pub(super) fn rule(message: &RuleMessage) -> Option<Rule> {
    let mut rule = Rule {
        is_ipv6: message.header.family == AddressFamily::Inet6,
        priority: 0,
        selector: Selector::Other,
        table: u32::from(message.header.table),
    };
    let mut is_ours = false;
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Protocol(protocol) => is_ours = u8::from(*protocol) == PROTOCOL,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Iifname(name) => rule.selector = Selector::From(name.clone()),
            RuleAttribute::FwMark(mark) if *mark != 0 => rule.selector = Selector::Marked(*mark),
            _ => {}
        }
    }
    is_ours.then_some(rule)
}

pub(super) fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = if rule.is_ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Priority(rule.priority));
    message.attributes.push(RuleAttribute::Table(rule.table));
    message.attributes.push(RuleAttribute::Protocol(PROTOCOL.into()));
    match &rule.selector {
        Selector::From(interface) => {
            message.attributes.push(RuleAttribute::Iifname(interface.clone()));
        }
        Selector::Marked(mark) => {
            message.attributes.push(RuleAttribute::FwMark(*mark));
            message.attributes.push(RuleAttribute::FwMask(u32::MAX));
        }
        Selector::Other => {}
    }
    message
}
