//! What the threads of an agent share, and what a tick does with it.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use probe_ebpf::{frame::Address, maps::Slot, stamp::Mode};

use crate::{
    account::{self, Memory as _, Outcome, Rules, rtt},
    config::{Config, Host, PeerConfig, ReflectorKind},
    datapath::{Datapath, Options, SessionKeys},
    health::{self, Settings},
    report::Probes,
    sender::{Attempts, Sender, Target, sockets::Sockets, template::Template},
    verdict::Nanos,
};

/// The least number of sessions that there is room for, so that a reload can add peers.
const LEAST_SESSIONS: usize = 1_024;

/// The most sessions that SSIDs can name.
const MOST_SESSIONS: usize = 65_535;

/// The most memory that the slots of all sessions may take, in bytes.
const MOST_MEMORY: usize = 1 << 30;

/// The most memory that sessions may take for which there are no peers yet, in bytes.
const SPARE_MEMORY: usize = 64 << 20;

/// Everything that the agent knows.
pub struct State {
    pub(super) config: Config,
    pub(super) datapath: Datapath,
    sender: Sender,
    attempts: Attempts,
    /// SSIDs that are free, the one that has been free the longest first.
    free_ssids: VecDeque<u16>,
    /// Indexes of peers that are free.
    free_peers: VecDeque<u32>,
    pub(super) peers: Vec<Peer>,
    /// Round trips by the region of the peer.
    pub(super) round_trips: BTreeMap<String, rtt::Histogram>,
    pub(super) last_reload_successful: bool,
}

/// A peer of the config.
pub(super) struct Peer {
    pub(super) config: PeerConfig,
    /// Why it is not probed, if it is not.
    pub(super) problem: Option<String>,
    pub(super) path: Option<Path>,
}

/// The path to a peer whose address is known.
pub(super) struct Path {
    pub(super) address: SocketAddr,
    index: u32,
    pub(super) flows: Vec<Flow>,
    pub(super) account: account::path::Path,
    pub(super) health: health::Path,
    pub(super) recent: rtt::Recent,
}

/// A flow of a path: one session.
pub(super) struct Flow {
    pub(super) ssid: u16,
    pub(super) source_port: u16,
    pub(super) not_sent: u64,
}

impl Path {
    /// What became of the probes of one flow.
    pub(super) fn probes(&self, flow: usize) -> Probes {
        Probes { not_sent: self.flows[flow].not_sent, ..self.account.flows()[flow].totals() }
    }
}

impl State {
    /// Opens the sockets and the datapath, and starts to probe.
    ///
    /// # Errors
    /// Where the kernel refuses; the message says what.
    pub fn start(config: Config) -> Result<Self> {
        let probe = &config.probe;
        let mut sockets = Sockets::open(probe.flows, probe.dscp, probe.port)
            .with_context(|| format!("cannot open {} UDP ports to send from", probe.flows))?;
        let slots = slots(&config);
        let sessions = sessions(&config, slots)?;
        let options = Options {
            sessions: sessions as u32,
            slots,
            peers: sessions as u32,
            reflector_port: probe.port,
            first_source_port: sockets.first_port(),
            source_ports: probe.flows,
            timestamps: probe_ebpf::ntp::Format::Ntp,
        };
        let prepare = |datapath: &mut Datapath| datapath.refresh_addresses().map(|_| ());
        let datapath = super::datapath::open(&config.node, options, &mut sockets, prepare)?;
        let attempts = Attempts::new(sessions + 1);
        let interval = nanos(probe.interval);
        let sender = Sender::start(sockets, interval, attempts.clone())
            .context("cannot start the sending thread")?;
        let mut state = Self {
            config,
            datapath,
            sender,
            attempts,
            free_ssids: (1..=sessions as u16).collect(),
            free_peers: (0..sessions as u32).collect(),
            peers: Vec::new(),
            round_trips: BTreeMap::new(),
            last_reload_successful: true,
        };
        state.set_peers();
        Ok(state)
    }

    /// The config in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the agent does what it is there for.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn ready(&self) -> Result<(), String> {
        let lost = |attachment: &&crate::datapath::attach::Attachment| attachment.lost();
        match self.datapath.attachments().iter().find(lost) {
            Some(attachment) => Err(format!("interface `{}` is gone", attachment.interface)),
            None => Ok(()),
        }
    }

    /// Judges all paths.
    pub fn tick(&mut self, now: Nanos) {
        self.datapath.catch_up();
        for peer in &mut self.peers {
            let Some(path) = &mut peer.path else { continue };
            let name = peer.config.name.as_str();
            let memories: Vec<_> =
                path.flows.iter().map(|flow| self.datapath.session(flow.ssid)).collect();
            for (flow, memory) in path.flows.iter_mut().zip(&memories) {
                // Attempts first: what is sent in between must not look like a failure.
                let attempts = self.attempts.of(flow.ssid);
                let missing = attempts.wrapping_sub(memory.sent()) as i32;
                flow.not_sent = flow.not_sent.max(u64::try_from(missing).unwrap_or(0));
            }
            let arrivals = self.datapath.arrivals(path.index);
            let region = &peer.config.region;
            if !self.round_trips.contains_key(region) {
                self.round_trips.insert(region.clone(), rtt::Histogram::default());
            }
            let histogram = self.round_trips.get_mut(region).expect("it was put there just now");
            let (health, recent) = (&mut path.health, &mut path.recent);
            let mut log = |change: health::Transition| {
                let health::Transition { direction, from, to, cause, .. } = change;
                tracing::info!(peer = name, %direction, %from, %to, %cause, "verdict");
            };
            path.account.judge(&memories, arrivals, now, &mut |flow, outcome| {
                if let Outcome::Answered { round_trip } = outcome {
                    histogram.add(round_trip);
                    recent.add(round_trip);
                }
                health.observe(flow, outcome, now, &mut log);
            });
            health.tick(now, &mut log);
        }
    }

    /// Keeps up with the host: its clock, its addresses, interfaces that were made anew.
    pub fn check_host(&mut self) {
        self.datapath.refresh_clock();
        match self.datapath.refresh_addresses() {
            Ok(true) => tracing::info!("the addresses of this host have changed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "cannot look up the addresses of this host"),
        }
        for done in self.datapath.reattach() {
            match done {
                Ok(interface) => tracing::info!(interface, "attached again: it was made anew"),
                Err(error) => tracing::warn!(%error, "cannot attach again"),
            }
        }
    }

    /// The address at which a peer is probed.
    #[must_use]
    pub fn resolved(&self, peer: &str) -> Option<SocketAddr> {
        let peer = self.peers.iter().find(|known| known.config.name == peer)?;
        peer.path.as_ref().map(|path| path.address)
    }

    /// Takes in what the name of a peer resolves to. A peer that is probed already stays so while its
    /// name does not resolve.
    pub fn set_address(&mut self, peer: &str, found: Result<SocketAddr, String>) {
        let known = self.peers.iter().position(|known| known.config.name == peer);
        let Some(index) = known else { return };
        match found {
            Ok(address) if self.resolved(peer) == Some(address) => {
                self.peers[index].problem = None;
            }
            Ok(address) => {
                tracing::info!(peer, %address, "resolved");
                self.open(index, address);
                self.set_targets();
            }
            Err(error) => {
                let problem = format!("does not resolve: {error}");
                if self.peers[index].problem.as_ref() != Some(&problem) {
                    tracing::warn!(peer, "{problem}");
                    self.peers[index].problem = Some(problem);
                }
            }
        }
    }

    /// Puts another config in force. What it leaves as it is goes on undisturbed.
    ///
    /// # Errors
    /// Why it is refused; then nothing has changed.
    pub fn reload(&mut self, loaded: Result<Config, String>) -> Result<String, String> {
        let applied = loaded.and_then(|config| {
            self.accepts(&config)?;
            Ok(self.apply(config))
        });
        self.last_reload_successful = applied.is_ok();
        applied
    }

    fn accepts(&self, config: &Config) -> Result<(), String> {
        let fixed = self.config.needs_restart(config);
        if !fixed.is_empty() {
            return Err(format!("a restart is needed to change {}", fixed.join(", ")));
        }
        let options = self.datapath.options();
        if slots(config) > options.slots {
            return Err("a restart is needed to shorten probe.interval so much".to_owned());
        }
        let sessions = config.peers.len() * usize::from(config.probe.flows);
        if sessions > options.sessions as usize {
            return Err(format!(
                "a restart is needed for {sessions} sessions (peers x flows): there is room for {}",
                options.sessions
            ));
        }
        Ok(())
    }

    fn apply(&mut self, config: Config) -> String {
        let (old, new) = (std::mem::replace(&mut self.config, config), &self.config);
        if old.probe.interval != new.probe.interval {
            self.sender.set_interval(nanos(new.probe.interval));
        }
        if old.probe.dscp != new.probe.dscp {
            self.sender.set_dscp(new.probe.dscp);
        }
        let before = self.peers.len();
        let kept = self.set_peers();
        format!("peers: {kept} kept, {} new, {} removed", self.peers.len() - kept, before - kept)
    }

    /// Makes the peers those of the config, and returns how many were there already.
    fn set_peers(&mut self) -> usize {
        let mut old = std::mem::take(&mut self.peers);
        let mut kept = 0;
        for config in self.config.peers.clone() {
            let same = old.iter().position(|peer| peer.config == config);
            self.peers.push(same.map_or_else(
                || Peer { config, problem: Some("not resolved yet".to_owned()), path: None },
                |index| {
                    kept += 1;
                    old.swap_remove(index)
                },
            ));
        }
        for peer in old {
            self.close(peer.path);
        }
        let (settings, interval) = (settings(&self.config), nanos(self.config.probe.interval));
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if let Some(path) = &mut peer.path {
                path.health.set_settings(settings);
                path.account.set_interval(interval);
            } else if let Host::Ip(ip) = peer.config.address.host {
                let address = SocketAddr::new(ip, peer.config.address.port);
                self.open(index, address);
            }
        }
        let regions: Vec<&String> = self.peers.iter().map(|peer| &peer.config.region).collect();
        self.round_trips.retain(|region, _| regions.contains(&region));
        self.set_targets();
        kept
    }

    /// Starts sessions to a peer, in place of those that it had.
    fn open(&mut self, peer: usize, address: SocketAddr) {
        let old = self.peers[peer].path.take();
        self.close(old);
        let flows = usize::from(self.config.probe.flows);
        if self.free_ssids.len() < flows {
            self.peers[peer].problem = Some("there is no room for another session".to_owned());
            return;
        }
        let Some(index) = self.arrivals_of(address.ip()) else {
            self.peers[peer].problem = Some("there is no room for another peer".to_owned());
            return;
        };
        let config = &self.config;
        let first_port = self.datapath.options().first_source_port;
        let ssids: Vec<u16> = self.free_ssids.drain(..flows).collect();
        let flows: Vec<Flow> = (first_port..)
            .zip(ssids)
            .map(|(source_port, ssid)| {
                self.attempts.reset(ssid);
                if let Err(error) =
                    self.datapath.open_session(ssid, source_port, address, SessionKeys::default())
                {
                    tracing::warn!(%error, "replies without SSID cannot be told apart");
                }
                Flow { ssid, source_port, not_sent: 0 }
            })
            .collect();
        let rules = Rules {
            interval: nanos(config.probe.interval),
            timeout: nanos(config.probe.timeout),
            slots: self.datapath.options().slots,
            stateful: self.peers[peer].config.reflector == ReflectorKind::Stateful,
        };
        let now = crate::datapath::clock::monotonic();
        self.peers[peer].problem = None;
        self.peers[peer].path = Some(Path {
            address,
            index,
            account: account::path::Path::new(rules, flows.len()),
            health: health::Path::new(settings(config), flows.len(), now),
            recent: rtt::Recent::default(),
            flows,
        });
    }

    /// Where the probes that come from an address are counted. Peers at one address share it.
    fn arrivals_of(&mut self, ip: IpAddr) -> Option<u32> {
        let mut paths = self.peers.iter().filter_map(|peer| peer.path.as_ref());
        if let Some(path) = paths.find(|path| path.address.ip() == ip) {
            return Some(path.index);
        }
        let index = self.free_peers.pop_front()?;
        if let Err(error) = self.datapath.set_peer(Address::from(ip), index, false) {
            tracing::warn!(%error, "the peer's own probes cannot be told from those of others");
        }
        Some(index)
    }

    /// Ends the sessions of a path that is no longer any peer's.
    fn close(&mut self, path: Option<Path>) {
        let Some(path) = path else { return };
        let mut others = self.peers.iter().filter_map(|peer| peer.path.as_ref());
        if !others.any(|other| other.index == path.index) {
            self.datapath.remove_peer(Address::from(path.address.ip()));
            self.free_peers.push_back(path.index);
        }
        for flow in path.flows {
            self.datapath.close_session(flow.ssid);
            self.free_ssids.push_back(flow.ssid);
        }
    }

    fn set_targets(&self) {
        let paths = self.peers.iter().filter_map(|peer| peer.path.as_ref());
        let targets = paths.flat_map(|path| {
            path.flows.iter().zip(0..).map(|(flow, index)| Target {
                ssid: flow.ssid,
                flow: index,
                reflector: path.address,
                template: Template::new(flow.ssid, Mode::Unauthenticated, &[]),
                count: None,
            })
        });
        self.sender.set_targets(targets.collect());
    }
}

/// How many sessions to make room for: twice as many as there are, as far as memory goes.
fn sessions(config: &Config, slots: u32) -> Result<usize> {
    let wanted = config.peers.len() * usize::from(config.probe.flows);
    let affordable = MOST_MEMORY / (slots as usize * size_of::<Slot>());
    ensure!(
        wanted < affordable,
        "{wanted} sessions (peers x flows) with {slots} slots each (probe.timeout / probe.interval) need \
         more kernel memory than the {} MiB that are allowed: shorten probe.timeout, or lengthen \
         probe.interval",
        MOST_MEMORY >> 20
    );
    let spare = (2 * wanted).max(LEAST_SESSIONS).next_power_of_two();
    let cheap = SPARE_MEMORY / (slots as usize * size_of::<Slot>());
    Ok(spare.min(cheap).max(wanted).min(MOST_SESSIONS))
}

fn slots(config: &Config) -> u32 {
    account::slots_for(nanos(config.probe.interval), nanos(config.probe.timeout))
}

const fn settings(config: &Config) -> Settings {
    let health = &config.health;
    Settings {
        window: health.window,
        unhealthy_losses: health.unhealthy_losses,
        recovery_probes: health.recovery_probes,
        expiry: nanos(health.expiry),
    }
}

const fn nanos(duration: std::time::Duration) -> Nanos {
    duration.as_nanos() as Nanos
}
