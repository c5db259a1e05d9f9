//! A route that somebody puts in and takes away as fast as the kernel can: without a process, over a socket that is kept.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail};
use rtnetlink::{
    RouteMessageBuilder,
    packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
    sys::Socket,
};

use crate::{lab::Lab, netlink};

/// The direct IPv4 route from a site to the LAN of another.
pub struct Switch {
    socket: Socket,
    on: Vec<u8>,
    off: Vec<u8>,
}

impl Lab {
    /// A switch for the direct route from a site to the LAN of another. It is off, and stays as it is when dropped.
    ///
    /// # Errors
    /// Where a site is unknown, or the lab has no overlay.
    pub fn switch(&self, from: &str, to: &str, metric: u32) -> Result<Switch> {
        let (from, to) = (self.site(from)?, self.site(to)?);
        let tunnel = to.tunnel();
        let inside = || anyhow::Ok((netlink::socket()?, netlink::index(&tunnel)));
        let (socket, interface) = from.run(inside)??;
        let interface = interface.with_context(|| format!("{} has no {tunnel}", from.name()))?;
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(to.lan_network(), 24)
            .gateway(to.tunnel_ipv4())
            .output_interface(interface)
            .priority(metric)
            .build();
        let create = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        let on = netlink::request(RouteNetlinkMessage::NewRoute(route.clone()), create);
        let off = netlink::request(RouteNetlinkMessage::DelRoute(route), NLM_F_ACK);
        Ok(Switch { socket, on, off })
    }
}

impl Switch {
    /// Puts the route in, or takes it away. It is so when this returns.
    ///
    /// # Errors
    /// Where the kernel refuses: it is so already, or the tunnel is down.
    pub fn set(&self, is_on: bool) -> Result<()> {
        let request = if is_on { &self.on } else { &self.off };
        self.socket.send(request, 0).context("cannot ask for a change of a route")?;
        let (answer, _) = self.socket.recv_from_full().context("no answer about a route")?;
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?.payload {
            NetlinkPayload::Error(error) if error.code.is_some() => {
                Err(error.to_io()).context("the kernel refuses to change a route")
            }
            NetlinkPayload::Error(_) => Ok(()),
            other => bail!("an answer about a route that is none: {other:?}"),
        }
    }
}
