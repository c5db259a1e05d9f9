//! A site: a namespace with one interface, `wan0`, whose other end is the WAN's.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Deref,
    sync::Arc,
};

use anyhow::Result;

use crate::{machine::Machine, namespace::Namespace, registry::Entry};

/// The interface of every site.
pub const INTERFACE: &str = "wan0";

/// Whether a link carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It does.
    Up,
    /// It does not.
    Down,
}

/// A data center of the lab. It is its [`Machine`], and more.
#[derive(Debug)]
pub struct Site {
    number: u8,
    machine: Machine,
    wan: Namespace,
}

impl Deref for Site {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Site {
    /// Makes the namespace, and the link to the WAN: not up yet, without addresses.
    pub(crate) fn create(
        entry: &Arc<Entry>,
        wan: &Namespace,
        number: u8,
        name: &str,
    ) -> Result<Self> {
        let site = Self { number, machine: Machine::create(entry, name)?, wan: wan.clone() };
        // One segment a packet, and none glued together on arrival: what is lost and what is counted
        // are the packets of the wire. The link-local addresses stay: from them a router looks for its
        // neighbours.
        let (end, inside) = (site.wan_end(), site.namespace().name());
        wan.ip(&format!(
            "link add {end} type veth peer name {INTERFACE} netns {inside}\n\
             link set {end} gso_max_segs 1 gro_max_size 1\n"
        ))?;
        site.ip(&format!("link set {INTERFACE} gso_max_segs 1\n"))?;
        Ok(site)
    }

    /// Brings the link up, with addresses and routes.
    pub(crate) fn connect(&self) -> Result<()> {
        self.set_carrier(Link::Up)?;
        self.set_link(Link::Up)
    }

    /// Its number, from 1 in the order of the builder.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// Its IPv4 address: 10.77.S.2/24.
    #[must_use]
    pub const fn ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 2)
    }

    /// Its IPv6 address: fd77:0:0:S::2/64.
    #[must_use]
    pub const fn ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, self.number as u16, 0, 0, 0, 2)
    }

    /// The WAN's addresses on the link.
    #[must_use]
    pub const fn gateways(&self) -> (Ipv4Addr, Ipv6Addr) {
        let ipv6 = Ipv6Addr::new(0xfd77, 0, 0, self.number as u16, 0, 0, 0, 1);
        (Ipv4Addr::new(10, 77, self.number, 1), ipv6)
    }

    /// The interface at the WAN's end of the link.
    pub(crate) fn wan_end(&self) -> String {
        format!("to-{}", self.name())
    }

    /// Sets the interface up or down, as an administrator of the site would.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn set_link(&self, link: Link) -> Result<()> {
        let (ipv4, ipv6) = (self.ipv4(), self.ipv6());
        let (gateway4, gateway6) = self.gateways();
        self.ip(&set(INTERFACE, link, ipv4, ipv6))?;
        if link == Link::Up {
            self.ip(&format!(
                "route replace default via {gateway4} dev {INTERFACE}\n\
                 route replace default via {gateway6} dev {INTERFACE}\n"
            ))?;
        }
        Ok(())
    }

    /// Plugs the cable in, or pulls it out: the site sees no carrier, and nothing else.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn set_carrier(&self, link: Link) -> Result<()> {
        let (gateway4, gateway6) = self.gateways();
        self.wan.ip(&set(&self.wan_end(), link, gateway4, gateway6))
    }
}

/// Commands that set an interface up, with its addresses, or down. The kernel drops IPv6 addresses with
/// the interface.
fn set(interface: &str, link: Link, ipv4: Ipv4Addr, ipv6: Ipv6Addr) -> String {
    match link {
        Link::Down => format!("link set {interface} down\n"),
        Link::Up => format!(
            "link set {interface} up\n\
             addr replace {ipv4}/24 dev {interface}\n\
             addr replace {ipv6}/64 dev {interface} nodad\n"
        ),
    }
}
