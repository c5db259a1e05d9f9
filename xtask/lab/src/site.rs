//! A site: a namespace with one interface, `wan0`, whose other end is the WAN's.

use std::{
    fs::File,
    net::{Ipv4Addr, Ipv6Addr},
    ops::Deref,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result};

use crate::{
    namespace::Namespace,
    process::Process,
    registry::{self, Entry},
};

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

/// A data center of the lab. It is its [`Namespace`], and more.
#[derive(Debug)]
pub struct Site {
    name: String,
    number: u8,
    namespace: Namespace,
    wan: Namespace,
    entry: Arc<Entry>,
    started: AtomicU32,
}

impl Deref for Site {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
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
        let namespace = entry.namespace(name)?;
        namespace.sysctl(&SETTINGS)?;
        let site = Self {
            name: name.to_owned(),
            number,
            namespace,
            wan: wan.clone(),
            entry: Arc::clone(entry),
            started: AtomicU32::new(0),
        };
        // One segment a packet, and none glued together on arrival: what is lost and what is counted
        // are the packets of the wire. The link-local addresses stay: from them a router looks for its
        // neighbours.
        let (end, inside) = (site.wan_end(), site.namespace.name());
        wan.ip(&format!(
            "link add {end} type veth peer name {INTERFACE} netns {inside}\n\
             link set {end} gso_max_segs 1 gro_max_size 1\n"
        ))?;
        site.ip(&format!(
            "link set {INTERFACE} gso_max_segs 1\n\
             link set lo up\n"
        ))?;
        Ok(site)
    }

    /// Brings the link up, with addresses and routes.
    pub(crate) fn connect(&self) -> Result<()> {
        self.set_carrier(Link::Up)?;
        self.set_link(Link::Up)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, from 1 in the order of the builder.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// Its namespace.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
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
        format!("to-{}", self.name)
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

    /// Starts a process in the site. Its output goes to a file in the lab's directory.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(&self, mut command: Command) -> Result<Process> {
        let program = command.get_program().to_string_lossy().into_owned();
        let base = program.rsplit('/').next().unwrap_or_default();
        let serial = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}-{base}-{serial}", self.name);
        let path = self.entry.directory().join(format!("{name}.log"));
        let log = File::create(&path).with_context(|| path.display().to_string())?;
        let copy = log.try_clone().context("cannot share the log")?;
        command.stdout(log).stderr(copy);
        self.namespace.confine(&mut command);
        let child = self.entry.spawn(command)?;
        Ok(Process::new(name, child, path))
    }

    /// Runs a command in the site to its end, and returns what it has written.
    ///
    /// # Errors
    /// Where it cannot be started; that it fails is not an error.
    pub fn output(&self, mut command: Command) -> Result<Output> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.namespace.confine(&mut command);
        registry::spawn(command)?.wait_with_output().context("the process got lost")
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

/// What every namespace of the lab wants of its kernel, whatever the host's defaults are.
pub(crate) const SETTINGS: [(&str, &str); 7] = [
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
];
