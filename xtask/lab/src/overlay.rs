//! An overlay on the lab: tunnels between the sites, and a host behind each of them.
//!
//! Every site becomes a gateway. To each other site T it has the VXLAN tunnel `ov-T`, which has the local
//! address 10.79.S.1 (and fd79::S:1) on all of them, and 10.79.T.1 as its peer. The outer packets travel
//! between the addresses of the sites, so what is wrong with the WAN is wrong with the tunnel: delay and
//! loss from S to T hit the tunnel from S to T, and a detour by R only through the tunnels to and from R.
//!
//! Behind its `lan0` (10.78.S.1, fd78:0:0:S::1) stands one host with `eth0` (10.78.S.2, fd78:0:0:S::2).
//! Nothing leads from one LAN to another until somebody installs a route: an agent, a routing daemon, or
//! [`Lab::install_route`].

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Deref,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    lab::{Lab, await_echo},
    machine::{FORWARDING, Machine},
    registry::Entry,
    site::Site,
};

/// A gateway's interface to its LAN.
pub const LAN: &str = "lan0";
/// A host's interface.
pub const HOST_INTERFACE: &str = "eth0";

/// Octets of a packet in a tunnel: an outer packet of 1500 has 50 octets of headers. The LANs have the same,
/// so that no connection has to find it out.
const MTU: u32 = 1450;
/// IANA's port of VXLAN.
const PORT: u16 = 4789;

/// A host behind a site. It is its [`Machine`], and more.
#[derive(Debug)]
pub struct Host {
    machine: Machine,
    number: u8,
}

impl Deref for Host {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Host {
    /// Its IPv4 address: 10.78.S.2/24.
    #[must_use]
    pub const fn ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, self.number, 2)
    }

    /// Its IPv6 address: fd78:0:0:S::2/64.
    #[must_use]
    pub const fn ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd78, 0, 0, self.number as u16, 0, 0, 0, 2)
    }
}

/// What a site has as a gateway of an overlay.
impl Site {
    /// Its address on all of its tunnels: 10.79.S.1.
    #[must_use]
    pub const fn tunnel_ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 79, self.number(), 1)
    }

    /// Its address on all of its tunnels: fd79::S:1.
    #[must_use]
    pub const fn tunnel_ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, self.number() as u16, 1)
    }

    /// The interface of the tunnel from another site to this one.
    #[must_use]
    pub fn tunnel(&self) -> String {
        format!("ov-{}", self.name())
    }

    /// The IPv4 prefix of the LAN behind it: 10.78.S.0/24.
    #[must_use]
    pub fn lan_ipv4(&self) -> String {
        format!("{}/24", self.lan_network())
    }

    /// The same without its length.
    pub(crate) const fn lan_network(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, self.number(), 0)
    }

    /// The IPv6 prefix of the LAN behind it: fd78:0:0:S::/64.
    #[must_use]
    pub fn lan_ipv6(&self) -> String {
        format!("fd78:0:0:{:x}::/64", self.number())
    }

    /// Its IPv4 address on the LAN, at which hosts of all regions reach it: 10.78.S.1.
    #[must_use]
    pub const fn lan_gateway(&self) -> Ipv4Addr {
        self.lan_gateways().0
    }

    /// Its addresses on the LAN.
    const fn lan_gateways(&self) -> (Ipv4Addr, Ipv6Addr) {
        let ipv6 = Ipv6Addr::new(0xfd78, 0, 0, self.number() as u16, 0, 0, 0, 1);
        (Ipv4Addr::new(10, 78, self.number(), 1), ipv6)
    }
}

impl Lab {
    /// The host behind a site.
    ///
    /// # Errors
    /// Where there is no such site, or the lab has no overlay.
    pub fn host(&self, site: &str) -> Result<&Host> {
        let number = self.site(site)?.number();
        let host = self.hosts.iter().find(|host| host.number == number);
        host.context("the lab was built without an overlay, and so without hosts")
    }

    /// Leads what a site has for the LAN of another through the tunnel to `via`: a relay, or that site
    /// itself. Of several routes that with the lowest `metric` counts; one with the same is replaced.
    ///
    /// # Errors
    /// Where a site is unknown, or the lab has no overlay.
    pub fn install_route(&self, from: &str, to: &str, via: &str, metric: u32) -> Result<()> {
        let (from, to, via) = (self.site(from)?, self.site(to)?, self.site(via)?);
        ensure!(!self.hosts.is_empty(), "the lab was built without an overlay");
        if from.number() == to.number() || from.number() == via.number() {
            bail!("no route of {} leads to {} through {}", from.name(), to.name(), via.name());
        }
        let through = |gateway: &dyn std::fmt::Display| {
            format!("via {gateway} dev {} proto static metric {metric}", via.tunnel())
        };
        from.ip(&format!(
            "route replace {} {}\n\
             route replace {} {}\n",
            to.lan_ipv4(),
            through(&via.tunnel_ipv4()),
            to.lan_ipv6(),
            through(&via.tunnel_ipv6()),
        ))
    }

    /// Leads everything directly: [`Lab::install_route`] from every site to every other.
    ///
    /// # Errors
    /// Where the lab has no overlay.
    pub fn install_direct_routes(&self, metric: u32) -> Result<()> {
        for from in self.sites() {
            for to in self.sites().iter().filter(|to| to.number() != from.number()) {
                self.install_route(from.name(), to.name(), to.name(), metric)?;
            }
        }
        Ok(())
    }
}

/// Makes tunnels and hosts. All carry packets when this returns.
pub(crate) fn build(entry: &Arc<Entry>, sites: &[Site]) -> Result<Vec<Host>> {
    let hosts = sites.iter().map(|site| create_host(entry, site)).collect::<Result<Vec<_>>>()?;
    for site in sites {
        site.ip(&tunnels(site, sites)).with_context(|| format!("no tunnels at {}", site.name()))?;
    }
    for (index, site) in sites.iter().enumerate() {
        await_echo(&hosts[index], site, site.lan_gateways())?;
        for other in &sites[..index] {
            await_echo(site, other, (other.tunnel_ipv4(), other.tunnel_ipv6()))?;
        }
    }
    Ok(hosts)
}

/// Makes a site a gateway, and the host behind it.
fn create_host(entry: &Arc<Entry>, site: &Site) -> Result<Host> {
    site.sysctl(&FORWARDING)?;
    let machine = Machine::create(entry, &format!("{}-h", site.name()))?;
    let host = Host { machine, number: site.number() };
    let (ipv4, ipv6) = site.lan_gateways();
    // One segment a packet, as everywhere in the lab.
    site.ip(&format!(
        "link add {LAN} mtu {MTU} type veth peer name {HOST_INTERFACE} mtu {MTU} netns {}\n\
         link set {LAN} gso_max_segs 1 gro_max_size 1 up\n\
         addr add {ipv4}/24 dev {LAN}\n\
         addr add {ipv6}/64 dev {LAN} nodad\n",
        host.namespace().name()
    ))?;
    host.ip(&format!(
        "link set {HOST_INTERFACE} gso_max_segs 1 gro_max_size 1 up\n\
         addr add {}/24 dev {HOST_INTERFACE}\n\
         addr add {}/64 dev {HOST_INTERFACE} nodad\n\
         route add default via {ipv4}\n\
         route add default via {ipv6}\n",
        host.ipv4(),
        host.ipv6(),
    ))?;
    Ok(host)
}

/// Commands that make a site's ends of the tunnels.
fn tunnels(site: &Site, sites: &[Site]) -> String {
    let others = sites.iter().filter(|other| other.number() != site.number());
    let commands = others.map(|other| {
        let (device, low, high) = (
            other.tunnel(),
            site.number().min(other.number()),
            site.number().max(other.number()),
        );
        format!(
            "link add {device} mtu {MTU} type vxlan id {} local {} remote {} dstport {PORT} nolearning\n\
             link set {device} gso_max_segs 1 gro_max_size 1 up\n\
             addr add {} peer {} dev {device}\n\
             addr add {} peer {} dev {device} nodad\n",
            u32::from(low) << 8 | u32::from(high),
            site.ipv4(),
            other.ipv4(),
            site.tunnel_ipv4(),
            other.tunnel_ipv4(),
            site.tunnel_ipv6(),
            other.tunnel_ipv6(),
        )
    });
    commands.collect()
}
