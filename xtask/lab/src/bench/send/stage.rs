//! An interface that takes packets and drops them, and the agent's programs on it.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Site};
use probe_ebpf::{
    maps::{Counter, STEERED},
    ntp::Format,
    stamp::{self, Mode},
};
use probe_user::{
    datapath::{Datapath, Options, SessionKeys, attach::index_of},
    sender::{sockets::Sockets, template::Template},
};

/// Sessions whose packets are sent; each has a destination of its own.
pub(super) const SESSIONS: u16 = 64;

/// A mark that leads nowhere in particular.
pub(super) const MARK: u32 = STEERED | 1;

const INTERFACE: &str = "sink0";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);

/// Slots of each session.
const SLOTS: u32 = 256;

/// A packet's template, and where it goes.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) template: Template,
}

/// Everything that stays the same while contenders alternate.
pub(super) struct Stage {
    lab: Lab,
    /// Port and socket of each flow, as the agent opens them. The first one is for all sessions; each other one for
    /// one, where sockets are connected.
    sockets: Vec<(u16, UdpSocket)>,
    targets: Vec<Target>,
    datapath: Option<Datapath>,
}

impl Stage {
    /// Makes the interface and opens the sockets.
    ///
    /// # Errors
    /// Where the kernel has no such interfaces, and those of the lab.
    pub(super) fn set() -> Result<Self> {
        let lab = Lab::builder().sites(&["a"]).build()?;
        let site = site(&lab)?;
        site.ip(&format!(
            "link add {INTERFACE} type ifb\nlink set {INTERFACE} up\naddr add {ADDRESS}/16 dev {INTERFACE}\n"
        ))
        .context("an interface that drops what it is given")?;
        let sockets = site.run(|| Sockets::open(1 + SESSIONS, 0, stamp::PORT)?.receivers())??;
        let sockets = sockets.into_iter().map(|(port, socket)| (port, UdpSocket::from(socket)));
        let is_v4 = |socket: &UdpSocket| socket.local_addr().is_ok_and(|at| at.is_ipv4());
        let sockets: Vec<_> = sockets.filter(|(_, socket)| is_v4(socket)).collect();
        ensure!(sockets.len() == usize::from(1 + SESSIONS), "some sockets are missing");
        let port = sockets[0].0;
        let targets = (1..=SESSIONS).map(|ssid| target(ssid, port)).collect();
        Ok(Self { lab, sockets, targets, datapath: None })
    }

    /// Puts the programs on the interface, if they are not there.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn attach(&mut self) -> Result<()> {
        if self.datapath.is_some() {
            return Ok(());
        }
        let first_source_port = self.sockets[0].0;
        let mut datapath = Datapath::load(Options {
            sessions: u32::from(2 * SESSIONS),
            slots: SLOTS,
            peers: 1,
            reflector_port: stamp::PORT,
            first_source_port,
            source_ports: 1 + SESSIONS,
            timestamps: Format::Ntp,
        })?;
        for target in self.targets.iter().chain(&self.connected_targets()) {
            let at = Mode::Unauthenticated.offsets().ssid;
            let ssid = u16::from_be_bytes([target.template[at], target.template[at + 1]]);
            datapath.open_session(
                ssid,
                target.from.port(),
                target.to.into(),
                SessionKeys::default(),
            )?;
        }
        site(&self.lab)?.run(|| datapath.attach(INTERFACE).map(drop))??;
        self.datapath = Some(datapath);
        Ok(())
    }

    /// Takes the programs away.
    pub(super) fn detach(&mut self) {
        self.datapath = None;
    }

    /// Packets that the TC program has numbered since it was attached.
    pub(super) fn stamped(&self) -> f64 {
        let counters = self.datapath.as_ref().map_or_else(Vec::new, Datapath::counters);
        counters
            .iter()
            .filter(|(counter, _)| *counter == Counter::Stamped)
            .map(|(_, count)| *count as f64)
            .sum()
    }

    /// Packets that the interface was given so far.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub(super) fn sent(&self) -> Result<f64> {
        let table = site(&self.lab)?.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        let prefix = format!("{INTERFACE}:");
        // What an ifb is given counts as received.
        table
            .lines()
            .find_map(|line| {
                line.trim_start().strip_prefix(&prefix)?.split_whitespace().nth(1)?.parse().ok()
            })
            .context("the interface is gone")
    }

    /// The packets that are sent from one socket.
    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The agent's socket.
    ///
    /// # Errors
    /// Where the process has no descriptors left.
    pub(super) fn socket(&self) -> Result<UdpSocket> {
        Ok(self.sockets[0].1.try_clone()?)
    }

    /// Says whether packets of the agent's socket are never to be cut up (`IP_PMTUDISC_DO`), or as the kernel has it.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub(super) fn keep_whole(&self, is_kept: bool) -> Result<()> {
        let value = if is_kept { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_WANT };
        // SAFETY: the call reads the value, which outlives it.
        let result = unsafe {
            libc::setsockopt(
                self.sockets[0].1.as_raw_fd(),
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                (&raw const value).cast(),
                size_of_val(&value) as u32,
            )
        };
        ensure!(result == 0, "IP_MTU_DISCOVER: {}", io::Error::last_os_error());
        Ok(())
    }

    /// The others, connected, and what each sends.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub(super) fn connected(&self) -> Result<Vec<(UdpSocket, Template)>> {
        let connect = |((_, socket), target): (&(u16, UdpSocket), Target)| {
            socket.connect(target.to)?;
            Ok((socket.try_clone()?, target.template))
        };
        self.sockets[1..].iter().zip(self.connected_targets()).map(connect).collect()
    }

    /// The interface's number.
    ///
    /// # Errors
    /// Where it is gone.
    pub(super) fn interface(&self) -> Result<u32> {
        Ok(site(&self.lab)?.run(|| index_of(INTERFACE))??)
    }

    /// Does something in the namespace of the interface.
    ///
    /// # Errors
    /// Where it cannot be entered.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        site(&self.lab)?.run(work)
    }

    /// Sessions that send from a port each.
    fn connected_targets(&self) -> Vec<Target> {
        let port = self.sockets[0].0;
        (1..=SESSIONS).map(|number| target(SESSIONS + number, port + number)).collect()
    }
}

fn site(lab: &Lab) -> Result<&Site> {
    lab.site("a")
}

/// What a session sends, from a port to an address of its own.
fn target(ssid: u16, port: u16) -> Target {
    let [low, high] = ssid.to_le_bytes();
    Target {
        from: SocketAddrV4::new(ADDRESS, port),
        to: SocketAddrV4::new(Ipv4Addr::new(10, 78, 1 + high, low), stamp::PORT),
        template: Template::new(ssid, Mode::Unauthenticated, &[]),
    }
}
