//! The peers of the config, and the sessions to them.

use std::net::{IpAddr, SocketAddr};

use probe_ebpf::{frame::Address, stamp::Mode};

use super::{
    regions::Region,
    state::{State, nanos},
};
use crate::{
    account::{self, Rules, rtt},
    config::{Config, Host, PeerConfig, ReflectorKind},
    datapath::{SessionKeys, clock},
    health::{self, defect::Defects, node::Member, observation::moment},
    report::Probes,
    sender::{Target, template::Template},
    verdict::Nanos,
};

/// A peer of the config.
pub(super) struct Peer {
    pub(super) config: PeerConfig,
    /// Its region, as an index into those of the state.
    pub(super) region: usize,
    /// When it was told of.
    pub(super) since: Nanos,
    /// Why it is not probed, if it is not.
    pub(super) problem: Option<String>,
    pub(super) path: Option<Path>,
}

/// The path to a peer whose address is known.
pub(super) struct Path {
    pub(super) address: SocketAddr,
    pub(super) index: u32,
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

impl Path {
    /// In which mode it is probed.
    const fn mode(&self) -> Mode {
        if self.keys.key == 0 { Mode::Unauthenticated } else { Mode::Authenticated }
    }

    /// What became of the probes of one flow.
    pub(super) fn probes(&self, flow: usize) -> Probes {
        Probes { not_sent: self.flows[flow].not_sent, ..self.account.flows()[flow].totals() }
    }
}

impl Member for Peer {
    fn region(&self) -> usize {
        self.region
    }

    fn path(&self) -> Option<&health::Path> {
        self.path.as_ref().map(|path| &path.health)
    }

    fn path_mut(&mut self) -> Option<&mut health::Path> {
        self.path.as_mut().map(|path| &mut path.health)
    }
}

impl State {
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
                self.set_recorded();
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

    /// Makes the peers those of the config, and returns how many of those of the config before go on.
    pub(super) fn set_peers(&mut self, before: &Config) -> usize {
        let mut old = std::mem::take(&mut self.peers);
        let mut kept = 0;
        let now = moment(clock::monotonic());
        for config in self.config.peers.clone() {
            let same = old.iter().position(|peer| self.goes_on(before, &peer.config, &config));
            self.peers.push(if let Some(index) = same {
                kept += 1;
                Peer { config, region: 0, ..old.swap_remove(index) }
            } else {
                let problem = Some("not resolved yet".to_owned());
                Peer { config, region: 0, since: now, problem, path: None }
            });
        }
        for peer in old {
            self.close(peer.path);
        }
        self.set_session_keys(before);
        let interval = nanos(self.config.probe.interval);
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if let Some(path) = &mut peer.path {
                path.account.set_interval(interval);
            } else if let Host::Ip(ip) = peer.config.address.host {
                let address = SocketAddr::new(ip, peer.config.address.port);
                self.open(index, address);
            }
        }
        self.set_regions(now);
        self.set_targets();
        self.set_recorded();
        kept
    }

    /// Makes the regions those of the peers.
    fn set_regions(&mut self, now: Nanos) {
        let mut old = std::mem::take(&mut self.regions);
        for peer in &mut self.peers {
            let name = &peer.config.region;
            peer.region =
                self.regions.iter().position(|region| region.name == *name).unwrap_or_else(|| {
                    let known = old.iter().position(|region| region.name == *name);
                    self.regions.push(
                        known
                            .map_or_else(|| Region::new(name, now), |index| old.swap_remove(index)),
                    );
                    self.regions.len() - 1
                });
        }
        let at = clock::realtime() as f64 / 1e9;
        for gone in old {
            self.events.forget(&gone.name, gone.reached.reach, at);
        }
    }

    /// Whether the sessions to a peer go on with another config. They do with another key, but not in
    /// another mode.
    fn goes_on(&self, before: &Config, old: &PeerConfig, new: &PeerConfig) -> bool {
        let is_authenticated = |config: &Config, peer| config.key_of(peer).is_some();
        let same = PeerConfig { auth: new.auth.clone(), ..old.clone() };
        same == *new && is_authenticated(before, old) == is_authenticated(&self.config, new)
    }

    /// Makes the sessions that go on use the keys of the config. Replies that are signed with the key
    /// before are still accepted, as long as that one exists.
    fn set_session_keys(&mut self, before: &Config) {
        let (old, new) = (&before.auth.keys, &self.config.auth.keys);
        let if_it_stays = |place: u8| if new.shares(old, place) { place } else { 0 };
        for peer in &mut self.peers {
            let Some(path) = &mut peer.path else { continue };
            let key = place(&self.config, &peer.config);
            let previous = if key == path.keys.key { path.keys.previous } else { path.keys.key };
            let keys = SessionKeys { key, previous: if_it_stays(previous) };
            if keys != path.keys {
                path.keys = keys;
                for flow in &path.flows {
                    self.datapath.set_session_keys(flow.ssid, keys);
                }
            }
        }
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
        let key = place(&self.config, &self.peers[peer].config);
        let keys = SessionKeys { key, previous: 0 };
        let Some(index) = self.arrivals_of(address.ip(), key != 0) else {
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
            stateful: self.peers[peer].config.reflector == ReflectorKind::Stateful,
            defects: Defects::NONE,
        };
        let now = moment(clock::monotonic());
        self.peers[peer].problem = None;
        self.peers[peer].path = Some(Path {
            address,
            index,
            keys,
            account: account::path::Path::new(rules, flows.len()),
            health: health::Path::new(flows.len(), now),
            recent: rtt::Recent::default(),
            opened: now,
            flows,
        });
    }

    /// Where the probes that come from an address are counted. Peers at one address share it, and if one
    /// of them is to authenticate, then all that comes from there is.
    fn arrivals_of(&mut self, ip: IpAddr, is_authenticated: bool) -> Option<u32> {
        let mut paths = self.peers.iter().filter_map(|peer| peer.path.as_ref());
        let shared = paths.find(|path| path.address.ip() == ip).map(|path| path.index);
        let index = shared.or_else(|| self.free_peers.pop_front())?;
        if shared.is_none() || is_authenticated {
            self.announce(ip, index, is_authenticated);
        }
        Some(index)
    }

    /// Tells the reflector of a peer's address.
    fn announce(&mut self, ip: IpAddr, index: u32, is_authenticated: bool) {
        if let Err(error) = self.datapath.set_peer(Address::from(ip), index, is_authenticated) {
            tracing::warn!(%error, "the peer's own probes cannot be told from those of others");
        }
    }

    /// Ends the sessions of a path that is no longer any peer's.
    fn close(&mut self, path: Option<Path>) {
        let Some(path) = path else { return };
        let paths = self.peers.iter().filter_map(|peer| peer.path.as_ref());
        let others: Vec<Mode> =
            paths.filter(|other| other.index == path.index).map(Path::mode).collect();
        if others.is_empty() {
            self.datapath.remove_peer(Address::from(path.address.ip()));
            self.free_peers.push_back(path.index);
        } else if path.mode() == Mode::Authenticated && !others.contains(&Mode::Authenticated) {
            self.announce(path.address.ip(), path.index, false);
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
                template: Template::new(flow.ssid, path.mode(), &[]),
                count: None,
            })
        });
        self.sender.set_targets(targets.collect());
    }
}

/// The place of the key that a peer is probed with; 0 for none.
fn place(config: &Config, peer: &PeerConfig) -> u8 {
    config.key_of(peer).and_then(|id| config.auth.keys.place(id)).unwrap_or(0)
}
