//! The peers of the config, and the sessions to them.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use super::{
    paths::{Path, Relayed},
    regions::Region,
    state::{State, nanos},
};
use crate::{
    config::{Config, Host, PeerConfig},
    datapath::{SessionKeys, clock},
    health::{self, node::Member, observation::moment},
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
    /// The paths through relays, in the order of the overlay's candidates; none while there is no direct one.
    pub(super) relayed: Vec<Relayed>,
    /// Its place among those that are recorded.
    pub(super) recorded: usize,
}

impl Peer {
    /// All paths to it, the direct one first.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.path.iter().chain(self.relayed.iter().map(|relayed| &relayed.path))
    }

    /// The same, to be changed.
    pub(super) fn paths_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.path.iter_mut().chain(self.relayed.iter_mut().map(|relayed| &mut relayed.path))
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
                self.peers_have_changed();
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
        let named = |peer: Peer| (peer.config.name.clone(), peer);
        let mut old: BTreeMap<String, Peer> = self.peers.drain(..).map(named).collect();
        let mut kept = 0;
        let now = moment(clock::monotonic());
        for config in self.config.peers.clone() {
            let same =
                old.get(&config.name).is_some_and(|old| self.goes_on(before, &old.config, &config));
            let same = if same { old.remove(&config.name) } else { None };
            self.peers.push(if let Some(same) = same {
                kept += 1;
                Peer { config, region: 0, ..same }
            } else {
                let problem = Some("not resolved yet".to_owned());
                Peer {
                    config,
                    region: 0,
                    since: now,
                    problem,
                    path: None,
                    relayed: Vec::new(),
                    recorded: 0,
                }
            });
        }
        for peer in old.into_values() {
            if let Some(path) = &peer.path {
                let why = "its peer is not in the config any more, or in another way";
                self.events.forget_path(&peer.config, &path.health, why);
            }
            self.close(peer.path, peer.relayed);
        }
        self.set_session_keys(before);
        let interval = nanos(self.config.probe.interval);
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if peer.path.is_some() {
                peer.paths_mut().for_each(|path| path.account.set_interval(interval));
            } else if let Host::Ip(ip) = peer.config.address.host {
                let address = SocketAddr::new(ip, peer.config.address.port);
                self.open(index, address);
            }
        }
        if let Some(overlay) = &mut self.overlay {
            overlay.set_peers(&self.peers);
        }
        self.set_regions(now);
        self.peers_have_changed();
        self.version += 1;
        kept
    }

    /// Makes the regions those of the peers.
    fn set_regions(&mut self, now: Nanos) {
        let named = |region: Region| (region.name.clone(), region);
        let mut old: BTreeMap<String, Region> = self.regions.drain(..).map(named).collect();
        let mut places: HashMap<String, usize> = HashMap::new();
        for peer in &mut self.peers {
            let name = &peer.config.region;
            peer.region = places.get(name).copied().unwrap_or_else(|| {
                let known = old.remove(name);
                self.regions.push(known.unwrap_or_else(|| Region::new(name, now)));
                places.insert(name.clone(), self.regions.len() - 1);
                self.regions.len() - 1
            });
        }
        let at = clock::realtime() as f64 / 1e9;
        for gone in old.into_values() {
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
            let key = place(&self.config, &peer.config);
            for path in peer.paths_mut() {
                let previous =
                    if key == path.keys.key { path.keys.previous } else { path.keys.key };
                let keys = SessionKeys { key, previous: if_it_stays(previous) };
                if keys != path.keys {
                    path.keys = keys;
                    for flow in &path.flows {
                        self.datapath.set_session_keys(flow.ssid, keys);
                    }
                }
            }
        }
    }
}

/// The place of the key that a peer is probed with; 0 for none.
pub(super) fn place(config: &Config, peer: &PeerConfig) -> u8 {
    config.key_of(peer).and_then(|id| config.auth.keys.place(id)).unwrap_or(0)
}
