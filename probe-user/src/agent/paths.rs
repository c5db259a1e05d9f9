//! The paths to peers, and the sessions that they are made of.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use probe_ebpf::{frame::Address, stamp::Mode};

use super::{
    peers::{Peer, place},
    state::{State, nanos},
};
use crate::{
    account::{self, Memory as _, Outcome, Rules, rtt},
    config::ReflectorKind,
    datapath::{Datapath, SessionKeys, attach, clock, memory::SessionMemory},
    health::{
        self, Settings,
        defect::Defect,
        observation::{Observation, moment},
    },
    prefetch::prefetch,
    report::Probes,
    sender::{Attempts, Target, template::Template},
    verdict::{Direction, Nanos, State as Verdict},
};

/// A path to a peer whose address is known.
pub(super) struct Path {
    pub(super) address: SocketAddr,
    /// Under which the peer's own probes count, whatever way they come.
    pub(super) index: u32,
    /// By which way the probes of the peer come that tell of this path; `None` where all do.
    pub(super) way: Option<Way>,
    /// The mark of its probes; 0 for none.
    pub(super) mark: u32,
    pub(super) keys: SessionKeys,
    pub(super) flows: Vec<Flow>,
    pub(super) account: account::path::Path,
    pub(super) health: health::Path,
    pub(super) recent: rtt::Recent,
    /// Since when it has been probed.
    pub(super) opened: Nanos,
}

/// A flow of a path: one session.
pub(super) struct Flow {
    pub(super) ssid: u16,
    pub(super) source_port: u16,
    pub(super) not_sent: u64,
}

/// By which interface a peer's probes come, and where they are counted.
pub(super) struct Way {
    pub(super) interface: String,
    /// The number of the interface; 0 while there is none.
    number: u32,
    index: u32,
}

/// A path to a peer through another one.
pub(super) struct Relayed {
    /// The gateway that relays, by its place in the overlay's plan.
    pub(super) via: usize,
    pub(super) path: Path,
}

/// How the probes of a path go and how those of the peer come, where the overlay says so.
pub(super) struct Steering {
    /// The gateway that they go through, by its place in the plan.
    pub(super) via: usize,
    /// The mark that makes them go there.
    pub(super) mark: u32,
    /// The tunnel to it.
    pub(super) interface: String,
}

impl Path {
    /// In which mode it is probed.
    const fn mode(&self) -> Mode {
        if self.keys.key == 0 { Mode::Unauthenticated } else { Mode::Authenticated }
    }

    /// Takes in what became of its probes, and tells the engine. `sink` is told each outcome too, as the engine is and as it
    /// was measured. Returns whether anything may become of probes that have left.
    pub(super) fn take_in<'d>(
        &mut self,
        datapath: &'d Datapath,
        attempts: &Attempts,
        now: Nanos,
        settings: &Settings,
        memories: &mut Vec<SessionMemory<'d>>,
        sink: &mut impl FnMut(&Observation, Outcome),
    ) -> bool {
        if settings.defects.has(Defect::Revalidation) {
            self.account.heed(self.health.state_of(Direction::Forward) == Verdict::Unknown);
        }
        memories.clear();
        memories.extend(self.flows.iter().map(|flow| datapath.session(flow.ssid)));
        let arrivals = datapath.arrivals(self.arrivals());
        let moment = moment(now);
        let (health, recent) = (&mut self.health, &mut self.recent);
        let sink = &mut |flow, sent_at, outcome| {
            if let Outcome::Answered { round_trip } = outcome {
                recent.add(sent_at, round_trip, now, settings.lull());
            }
            let seen = Observation::new(flow, sent_at, outcome, moment);
            sink(&seen, outcome);
            seen.feed(health, moment, settings);
        };
        if self.account.judge(memories, arrivals, now, sink) {
            self.count_unsent(attempts, memories);
        }
        self.account.expects(memories)
    }

    /// Has the processor fetch what it keeps elsewhere.
    pub(super) fn fetch(&self) {
        self.flows.iter().for_each(prefetch);
        self.account.flows().iter().for_each(prefetch);
        self.health.fetch();
        self.recent.fetch();
    }

    /// Has the processor fetch what the kernel remembers of it, once it knows what is kept elsewhere.
    pub(super) fn fetch_memories(&self, datapath: &Datapath) {
        datapath.fetch_arrivals(self.arrivals());
        for (flow, account) in self.flows.iter().zip(self.account.flows()) {
            datapath.session(flow.ssid).fetch(account.next);
        }
    }

    /// Takes in how many probes were to be sent and did not leave.
    fn count_unsent(&mut self, attempts: &Attempts, memories: &[SessionMemory<'_>]) {
        for (flow, memory) in self.flows.iter_mut().zip(memories) {
            // Attempts first: what is sent in between must not look like a failure.
            let attempts = attempts.of(flow.ssid);
            let missing = attempts.wrapping_sub(memory.sent()) as i32;
            flow.not_sent = flow.not_sent.max(u64::try_from(missing).unwrap_or(0));
        }
    }

    /// Where the probes of the peer are counted that tell of this path.
    pub(super) fn arrivals(&self) -> u32 {
        self.way.as_ref().map_or(self.index, |way| way.index)
    }

    /// What became of the probes of all flows.
    pub(super) fn all_probes(&self) -> Probes {
        let mut all = Probes::default();
        for flow in 0..self.flows.len() {
            all += self.probes(flow);
        }
        all
    }

    /// What became of the probes of one flow.
    pub(super) fn probes(&self, flow: usize) -> Probes {
        Probes { not_sent: self.flows[flow].not_sent, ..self.account.flows()[flow].totals() }
    }
}

/// The number of an interface; 0 while there is none.
fn number_of(interface: &str) -> u32 {
    attach::index_of(interface).unwrap_or(0)
}

impl State {
    /// Starts sessions to a peer, in place of those that it had: on the direct path, and through relays if it is a gateway
    /// of the overlay.
    pub(super) fn open(&mut self, peer: usize, address: SocketAddr) {
        let known = &mut self.peers[peer];
        let (old, relayed) = (known.path.take(), std::mem::take(&mut known.relayed));
        if let Some(path) = &old {
            let why = "its peer has another address now";
            self.events.forget_path(&self.peers[peer].config, &path.health, why);
        }
        self.close(old, relayed);
        let is_authenticated = place(&self.config, &self.peers[peer].config) != 0;
        let Some(index) = self.arrivals_of(address.ip(), is_authenticated) else {
            self.peers[peer].problem = Some("there is no room for another peer".to_owned());
            return;
        };
        let mut steering = self.steering(peer).into_iter();
        match self.path(peer, address, index, steering.next()) {
            Ok(path) => {
                self.peers[peer].problem = None;
                self.peers[peer].path = Some(path);
            }
            Err(problem) => {
                self.peers[peer].problem = Some(problem);
                self.forget_arrivals(address.ip(), index);
                return;
            }
        }
        for steering in steering {
            let via = steering.via;
            match self.path(peer, address, index, Some(steering)) {
                Ok(path) => self.peers[peer].relayed.push(Relayed { via, path }),
                Err(problem) => tracing::warn!(peer = self.peers[peer].config.name, "{problem}"),
            }
        }
    }

    /// How each path to a peer is steered, the direct one first; nothing where the overlay has no say.
    fn steering(&self, peer: usize) -> Vec<Steering> {
        let name = &self.peers[peer].config.name;
        self.overlay.as_ref().map_or_else(Vec::new, |overlay| overlay.steering(name))
    }

    /// Starts the sessions of one path.
    ///
    /// # Errors
    /// Why there is no room for it.
    fn path(
        &mut self,
        peer: usize,
        address: SocketAddr,
        index: u32,
        steering: Option<Steering>,
    ) -> Result<Path, String> {
        let flows = usize::from(self.config.probe.flows);
        if self.free_ssids.len() < flows {
            return Err("there is no room for another session".to_owned());
        }
        let mark = steering.as_ref().map_or(0, |steering| steering.mark);
        let way = match steering {
            Some(Steering { interface, .. }) => Some(self.open_way(address.ip(), interface)?),
            None => None,
        };
        let config = &self.config;
        let peer = &self.peers[peer].config;
        let keys = SessionKeys { key: place(config, peer), previous: 0 };
        let first_port = self.datapath.options().first_source_port;
        let ssids: Vec<u16> = self.free_ssids.drain(..flows).collect();
        let flows: Vec<Flow> = (first_port..)
            .zip(ssids)
            .map(|(source_port, ssid)| {
                self.attempts.reset(ssid);
                if let Err(error) = self.datapath.open_session(ssid, source_port, address, keys) {
                    tracing::warn!(%error, "replies without SSID cannot be told apart");
                }
                Flow { ssid, source_port, not_sent: 0 }
            })
            .collect();
        let rules = Rules {
            interval: nanos(config.probe.interval),
            timeout: nanos(config.probe.timeout),
            slots: self.datapath.options().slots,
            stateful: peer.reflector == ReflectorKind::Stateful,
            defects: self.settings.defects,
        };
        let now = moment(clock::monotonic());
        Ok(Path {
            address,
            index,
            way,
            mark,
            keys,
            account: account::path::Path::new(rules, flows.len()),
            health: health::Path::new(flows.len(), now),
            recent: rtt::Recent::default(),
            opened: now,
            flows,
        })
    }

    /// Where the probes that come from an address are counted. Peers at one address share it, and if one
    /// of them is to authenticate, then all that comes from there is.
    fn arrivals_of(&mut self, ip: IpAddr, is_authenticated: bool) -> Option<u32> {
        let shared = self.arrivals.get(&ip).copied();
        let index = shared.or_else(|| self.free_peers.pop_front())?;
        self.arrivals.insert(ip, index);
        if shared.is_none() || is_authenticated {
            self.announce(ip, index, is_authenticated);
        }
        Some(index)
    }

    /// Gives back what [`State::arrivals_of`] has taken, unless another path needs it.
    fn forget_arrivals(&mut self, ip: IpAddr, index: u32) {
        let mut paths = self.peers.iter().filter_map(|peer| peer.path.as_ref());
        if !paths.any(|path| path.index == index) {
            self.datapath.remove_peer(Address::from(ip));
            self.arrivals.remove(&ip);
            self.free_peers.push_back(index);
        }
    }

    /// Tells the reflector of a peer's address.
    fn announce(&mut self, ip: IpAddr, index: u32, is_authenticated: bool) {
        if let Err(error) = self.datapath.set_peer(Address::from(ip), index, is_authenticated) {
            tracing::warn!(%error, "the peer's own probes cannot be told from those of others");
        }
    }

    /// Has the probes counted by themselves that come from a peer by an interface.
    fn open_way(&mut self, ip: IpAddr, interface: String) -> Result<Way, String> {
        let no_room = || "there is no room for another way of a peer's probes".to_owned();
        let index = self.free_peers.pop_front().ok_or_else(no_room)?;
        let number = number_of(&interface);
        let mut way = Way { interface, number: 0, index };
        self.point(&mut way, ip, number);
        Ok(way)
    }

    /// Makes a way that of the interface with this number, which has its name now.
    fn point(&mut self, way: &mut Way, ip: IpAddr, number: u32) {
        if number == way.number {
            return;
        }
        self.datapath.remove_way(Address::from(ip), way.number);
        match self.datapath.set_way(Address::from(ip), number, way.index) {
            Ok(()) => way.number = number,
            Err(error) => {
                tracing::warn!(%error, "the peer's own probes cannot be told apart by the way they come");
            }
        }
    }

    /// Looks whether tunnels have been made anew, and have other numbers now.
    pub(super) fn refresh_ways(&mut self) {
        let Some(overlay) = &self.overlay else { return };
        let tunnels = overlay.interfaces();
        let numbers: HashMap<String, u32> =
            tunnels.map(|tunnel| (tunnel.clone(), number_of(tunnel))).collect();
        let mut peers = std::mem::take(&mut self.peers);
        for path in peers.iter_mut().flat_map(Peer::paths_mut) {
            let ip = path.address.ip();
            if let Some(way) = &mut path.way {
                let number = numbers.get(&way.interface).copied().unwrap_or(0);
                self.point(way, ip, number);
            }
        }
        self.peers = peers;
    }

    /// Ends the sessions of paths that are no longer any peer's.
    pub(super) fn close(&mut self, path: Option<Path>, relayed: Vec<Relayed>) {
        let direct = path.as_ref().map(|path| (path.address.ip(), path.index, path.mode()));
        for path in path.into_iter().chain(relayed.into_iter().map(|relayed| relayed.path)) {
            if let Some(way) = path.way {
                self.datapath.remove_way(Address::from(path.address.ip()), way.number);
                self.free_peers.push_back(way.index);
            }
            for flow in path.flows {
                self.datapath.close_session(flow.ssid);
                self.free_ssids.push_back(flow.ssid);
            }
        }
        let Some((ip, index, mode)) = direct else { return };
        let paths = self.peers.iter().filter_map(|peer| peer.path.as_ref());
        let others: Vec<Mode> =
            paths.filter(|other| other.index == index).map(Path::mode).collect();
        if others.is_empty() {
            self.forget_arrivals(ip, index);
        } else if mode == Mode::Authenticated && !others.contains(&Mode::Authenticated) {
            self.announce(ip, index, false);
        }
    }

    /// Tells the sender whom to probe, and by which way.
    pub(super) fn set_targets(&self) {
        let targets = self.peers.iter().flat_map(Peer::paths).flat_map(|path| {
            path.flows.iter().zip(0..).map(|(flow, index)| Target {
                ssid: flow.ssid,
                flow: index,
                reflector: path.address,
                mark: path.mark,
                template: Template::new(flow.ssid, path.mode(), &[]),
                count: None,
            })
        });
        self.sender.set_targets(targets.collect());
    }
}
