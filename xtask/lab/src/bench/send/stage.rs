//! An interface whose other end drops everything, and the agent's programs on it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    programs::{Xdp, XdpMode},
};
use lab::{Lab, Site};
use probe_ebpf::{
    maps::{Counter, STEERED},
    ntp::Format,
    stamp::{self, Mode},
};
use probe_user::{
    datapath::{Datapath, Options, SessionKeys, attach::index_of, transmit::Transmitter},
    sender::{self, sockets::Sockets, template::Template},
};

use crate::bench::program::OBJECT;

/// Sessions whose packets are sent; each has a destination of its own.
pub(super) const SESSIONS: u16 = 64;

/// A mark that leads nowhere in particular.
pub(super) const MARK: u32 = STEERED | 1;

const INTERFACE: &str = "source0";
const OTHER_END: &str = "sink0";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);

/// Slots of each session.
const SLOTS: u32 = 256;

/// The agent's sockets, and whom they send to.
pub(super) type ByAgent<'s> = (&'s mut Sockets, Vec<sender::Target>);

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
    /// The agent's sockets for one flow, which is that of all sessions.
    sockets: Sockets,
    /// The same for as many flows as there are sessions, to be connected.
    of_sessions: Sockets,
    targets: Vec<Target>,
    datapath: Option<Datapath>,
    /// What drops everything at the other end.
    _sink: Ebpf,
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
            "link add {INTERFACE} arp off type veth peer name {OTHER_END}\n\
             link set {OTHER_END} up\nlink set {INTERFACE} up\naddr add {ADDRESS}/16 dev {INTERFACE}\n"
        ))?;
        let sink = site.run(sink)??;
        let sockets = site.run(|| Sockets::open(1, 0, stamp::PORT))??;
        let of_sessions = site.run(|| Sockets::open(SESSIONS, 0, stamp::PORT))??;
        let port = sockets.first_port();
        let targets = (1..=SESSIONS).map(|ssid| target(ssid, port)).collect();
        Ok(Self { lab, sockets, of_sessions, targets, datapath: None, _sink: sink })
    }

    /// Puts the programs on the interface, if they are not there.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn attach(&mut self) -> Result<()> {
        if self.datapath.is_some() {
            return Ok(());
        }
        let first_source_port = self.sockets.first_port();
        let mut datapath = Datapath::load(Options {
            sessions: u32::from(2 * SESSIONS),
            slots: SLOTS,
            peers: 1,
            reflector_port: stamp::PORT,
            first_source_port,
            source_ports: self.of_sessions.first_port() + SESSIONS - first_source_port,
            timestamps: Format::Ntp,
        })?;
        for target in self.targets.iter().chain(&self.connected_targets()) {
            datapath.open_session(
                target.ssid(),
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

    /// Packets that our programs have numbered since they were attached.
    pub(super) fn numbered(&self) -> f64 {
        let counters = self.datapath.as_ref().map_or_else(Vec::new, Datapath::counters);
        counters
            .iter()
            .filter(|(counter, _)| matches!(counter, Counter::Stamped | Counter::Transmitted))
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
        table
            .lines()
            .find_map(|line| {
                line.trim_start().strip_prefix(&prefix)?.split_whitespace().nth(9)?.parse().ok()
            })
            .context("the interface is gone")
    }

    /// The packets that are sent from one socket.
    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The agent's sockets, and the packets with a mark, if it is not 0.
    pub(super) fn by_agent(&mut self, mark: u32) -> ByAgent<'_> {
        let targets = self.targets.iter().map(|target| sender::Target {
            ssid: target.ssid(),
            flow: 0,
            reflector: target.to.into(),
            mark,
            template: target.template.clone(),
            count: None,
        });
        (&mut self.sockets, targets.collect())
    }

    /// What sends past the network stack, once that has sent a packet of each session.
    ///
    /// # Errors
    /// Where there is no datapath, or the kernel does not hand out its program.
    pub(super) fn transmitter(&mut self) -> Result<Transmitter> {
        let (sockets, targets) = self.by_agent(0);
        sockets.send(&targets.iter().collect::<Vec<_>>(), |_| {});
        let datapath = self.datapath.as_mut().context("no programs are attached")?;
        datapath.transmitter()?.context("these are sockets")
    }

    /// The others, connected, and what each sends.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub(super) fn connected(&self) -> Result<Vec<(UdpSocket, Template)>> {
        let sockets = self.of_sessions.receivers()?;
        let target_of = |port: u16| {
            self.connected_targets().into_iter().find(move |target| target.from.port() == port)
        };
        let mut connected = Vec::new();
        for (port, socket) in sockets {
            let socket = UdpSocket::from(socket);
            let Some(target) = target_of(port).filter(|_| is_v4(&socket)) else { continue };
            socket.connect(target.to)?;
            connected.push((socket, target.template));
        }
        ensure!(connected.len() == usize::from(SESSIONS), "some sockets are missing");
        Ok(connected)
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
        let port = self.of_sessions.first_port();
        (0..SESSIONS).map(|flow| target(1 + SESSIONS + flow, port + flow)).collect()
    }
}

impl Target {
    /// The SSID in its template.
    pub(super) fn ssid(&self) -> u16 {
        let at = Mode::Unauthenticated.offsets().ssid;
        u16::from_be_bytes([self.template[at], self.template[at + 1]])
    }
}

/// Drops everything at the other end.
fn sink() -> Result<Ebpf> {
    let mut ebpf = EbpfLoader::new().load(OBJECT).context("the programs of the bench")?;
    let discard: &mut Xdp = ebpf.program_mut("discard").context("discard")?.try_into()?;
    discard.load()?;
    discard.attach(OTHER_END, XdpMode::Driver).context("cannot attach discard")?;
    Ok(ebpf)
}

fn is_v4(socket: &UdpSocket) -> bool {
    socket.local_addr().is_ok_and(|at| at.is_ipv4())
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
