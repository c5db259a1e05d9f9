//! Changes of routes, rules and interfaces, as the kernel tells of them.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use rtnetlink::{
    MulticastGroup, new_multicast_connection, packet_core::NetlinkPayload,
    packet_route::RouteNetlinkMessage,
};
use tokio::sync::mpsc;

use super::{
    Error, PROTOCOL,
    messages::{destination, name_of},
};
use crate::prefix::Prefix;

/// What is listened for.
const GROUPS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];

/// Tells when routes to these prefixes, routes of ours, these interfaces, or any rules change, and where the kernel had more
/// to tell than could be taken in. It ends with its receiver.
///
/// # Errors
/// Where the kernel has no such socket.
pub fn watch(
    prefixes: BTreeSet<Prefix>,
    interfaces: BTreeSet<String>,
) -> Result<mpsc::Receiver<()>, Error> {
    let (connection, _, mut messages) = new_multicast_connection(&GROUPS)?;
    let connection = tokio::spawn(connection);
    // One is enough: it says that there is something to look at.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                () = sender.closed() => None,
            };
            let Some((message, _)) = message else { break };
            let matters = match message.payload {
                NetlinkPayload::InnerMessage(message) => concerns(&message, &prefixes, &interfaces),
                // Anything may be among what was lost.
                NetlinkPayload::Overrun(_) => true,
                _ => false,
            };
            if matters {
                sender.try_send(()).ok();
            }
        }
        connection.abort();
    });
    Ok(receiver)
}

/// Whether a message may be about what is ours: a route of another protocol is, if it is to one of our destinations.
fn concerns(
    message: &RouteNetlinkMessage,
    prefixes: &BTreeSet<Prefix>,
    interfaces: &BTreeSet<String>,
) -> bool {
    match message {
        RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) => {
            route.header.protocol == PROTOCOL.into() || prefixes.contains(&destination(route))
        }
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
            name_of(link).is_some_and(|name| interfaces.contains(name))
        }
        _ => true,
    }
}
