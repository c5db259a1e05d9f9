//! A lab: sites, the WAN between them, and what is wrong with it.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    clock,
    impairment::{Counters, Impairment, Loss, rule},
    machine::{FORWARDING, SETTINGS},
    namespace::Namespace,
    overlay::{self, Host},
    registry::{Entry, lock},
    relay::Relay,
    site::Site,
};

/// How long a new lab may take until its links carry packets.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest name of a site, so that the WAN's interface to it has a name too.
const LONGEST_NAME: usize = 12;

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    sites: Vec<String>,
    overlay: bool,
    keep_files: bool,
}

impl Builder {
    /// Adds a site. Its name is up to 12 small letters and digits, and not "wan".
    #[must_use]
    pub fn site(mut self, name: &str) -> Self {
        self.sites.push(name.to_owned());
        self
    }

    /// Adds several sites.
    #[must_use]
    pub fn sites(self, names: &[&str]) -> Self {
        names.iter().fold(self, |builder, name| builder.site(name))
    }

    /// Makes every site the gateway of a host, with a tunnel to each other site: see [`crate::overlay`].
    #[must_use]
    pub const fn overlay(mut self) -> Self {
        self.overlay = true;
        self
    }

    /// Leaves the directory with configs and logs when the lab is dropped.
    #[must_use]
    pub const fn keep_files(mut self, keep: bool) -> Self {
        self.keep_files = keep;
        self
    }

    /// Builds it. All links carry packets when this returns.
    ///
    /// # Errors
    /// Where this is not root, a name is not valid, or the system refuses; nothing is left behind.
    pub fn build(&self) -> Result<Lab> {
        for (index, name) in self.sites.iter().enumerate() {
            let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            ensure!(
                letters && (1..=LONGEST_NAME).contains(&name.len()) && name != "wan",
                "{name:?} is not a name for a site: 1 to {LONGEST_NAME} small letters and digits"
            );
            ensure!(!self.sites[..index].contains(name), "there are two sites named {name}");
        }
        ensure!(self.sites.len() < rule::SITES as usize, "{} sites are too many", self.sites.len());

        let entry = Entry::open(self.keep_files)?;
        let wan = entry.namespace("wan")?;
        wan.sysctl(&SETTINGS)?;
        wan.sysctl(&FORWARDING)?;
        wan.ip("link set lo up\n")?;
        let sites = (1_u8..)
            .zip(&self.sites)
            .map(|(number, name)| Site::create(&entry, &wan, number, name))
            .collect::<Result<Vec<_>>>()?;
        let impairment = Impairment::load(&wan, &sites)?;
        for site in &sites {
            site.connect().with_context(|| format!("cannot connect {}", site.name()))?;
        }
        for site in &sites {
            await_echo(site, &wan, site.gateways())?;
        }
        let hosts = if self.overlay { overlay::build(&entry, &sites)? } else { Vec::new() };
        let relay = Mutex::new(None);
        Ok(Lab { impairment, relay, hosts, sites, wan, entry })
    }
}

/// Sites joined by a WAN. Its drop takes away all that was made and started in it.
#[derive(Debug)]
pub struct Lab {
    // In the order in which they must go.
    impairment: Impairment,
    relay: Mutex<Option<Relay>>,
    pub(crate) hosts: Vec<Host>,
    sites: Vec<Site>,
    wan: Namespace,
    entry: Arc<Entry>,
}

impl Lab {
    /// Starts the description of a lab.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A site by its name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn site(&self, name: &str) -> Result<&Site> {
        self.sites
            .iter()
            .find(|site| site.name() == name)
            .with_context(|| format!("the lab has no site named {name}"))
    }

    /// All sites, in the order of the builder.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The namespace of the routers between the sites.
    #[must_use]
    pub const fn wan(&self) -> &Namespace {
        &self.wan
    }

    /// The directory of this lab's files: configs and logs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.entry.directory()
    }

    /// Takes a directory away with the lab that a process of it makes elsewhere, and the one that it is in, if that is
    /// empty then.
    ///
    /// # Errors
    /// None, as long as the lab is there.
    pub fn remove_too(&self, directory: PathBuf) -> Result<()> {
        self.entry.litter(directory)
    }

    /// Loses packets from one site to another, of every protocol.
    ///
    /// # Errors
    /// Where a site is unknown, or the share is not between 0 and 1.
    pub fn loss(&self, from: &str, to: &str, loss: Loss) -> Result<()> {
        self.impairment.set(self.site(from)?, self.site(to)?, loss, 0)
    }

    /// Loses UDP packets from one site to another that come from or go to a port: one flow of many.
    ///
    /// # Errors
    /// As those of [`Lab::loss`].
    pub fn loss_on_port(&self, from: &str, to: &str, port: u16, loss: Loss) -> Result<()> {
        ensure!(port != 0, "there is no UDP port 0");
        self.impairment.set(self.site(from)?, self.site(to)?, loss, port)
    }

    /// Loses no more packets from one site to another.
    ///
    /// # Errors
    /// Where a site is unknown.
    pub fn clear(&self, from: &str, to: &str) -> Result<()> {
        self.loss(from, to, Loss::None)
    }

    /// Loses all packets between two sites.
    ///
    /// # Errors
    /// Where a site is unknown.
    pub fn blackhole_both(&self, one: &str, other: &str) -> Result<()> {
        self.loss(one, other, Loss::Blackhole)?;
        self.loss(other, one, Loss::Blackhole)
    }

    /// Loses no more packets between two sites.
    ///
    /// # Errors
    /// Where a site is unknown.
    pub fn clear_both(&self, one: &str, other: &str) -> Result<()> {
        self.clear(one, other)?;
        self.clear(other, one)
    }

    /// What became of the packets from one site to another: the truth, counted in the kernel.
    ///
    /// # Errors
    /// Where a site is unknown.
    pub fn counters(&self, from: &str, to: &str) -> Result<Counters> {
        self.impairment.counters(self.site(from)?, self.site(to)?)
    }

    /// Delays packets from one site to another; zero takes the delay away.
    ///
    /// # Errors
    /// Where a site is unknown, or the system has no TUN devices.
    pub fn delay(&self, from: &str, to: &str, delay: Duration) -> Result<()> {
        self.delay_with_jitter(from, to, delay, Duration::ZERO)
    }

    /// Delays packets by `delay` and up to `jitter` more, evenly distributed. Packets that are closer to
    /// one another than the jitter may change their order.
    ///
    /// # Errors
    /// As those of [`Lab::delay`].
    pub fn delay_with_jitter(
        &self,
        from: &str,
        to: &str,
        delay: Duration,
        jitter: Duration,
    ) -> Result<()> {
        let (from, to) = (self.site(from)?, self.site(to)?);
        let mut relay = lock(&self.relay);
        let relay = match &mut *relay {
            Some(relay) => relay,
            none => none.insert(Relay::start(&self.wan)?),
        };
        relay.set(from, to, delay, jitter)
    }

    /// Packets that were delayed and then not taken back by the kernel; anything but 0 is a defect of
    /// the lab.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        lock(&self.relay).as_ref().map_or(0, Relay::undelivered)
    }
}

/// Waits until a datagram goes from one namespace to addresses of another and back, in both versions. That
/// also makes the neighbours known to one another.
pub(crate) fn await_echo(
    from: &Namespace,
    to: &Namespace,
    (ipv4, ipv6): (Ipv4Addr, Ipv6Addr),
) -> Result<()> {
    let echo = to.run(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)))?.context("cannot bind")?;
    let port = echo.local_addr()?.port();
    let short = Some(Duration::from_millis(20));
    echo.set_read_timeout(short)?;
    for target in [SocketAddr::from((ipv4, port)), SocketAddr::from((ipv6, port))] {
        let local = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let probe = from.run(|| UdpSocket::bind(local))?.context("cannot bind")?;
        probe.set_read_timeout(short)?;
        let there_and_back = || -> io::Result<()> {
            let mut buffer = [0; 1];
            probe.send_to(&[0], target)?;
            let (_, from) = echo.recv_from(&mut buffer)?;
            echo.send_to(&buffer, from)?;
            probe.recv_from(&mut buffer).map(drop)
        };
        let deadline = clock::now() + PATIENCE;
        while let Err(error) = there_and_back() {
            if clock::now() >= deadline {
                return Err(error)
                    .with_context(|| format!("no packet from {} to {target}", from.name()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}
