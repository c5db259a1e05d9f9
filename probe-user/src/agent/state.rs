//! What the threads of an agent share, and what a tick does with it.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context as _, Result};

use super::{capacity, host::Watch, peers::Peer};
use crate::{
    account::{Memory as _, Outcome, rtt},
    config::{Config, NodeConfig},
    datapath::{Datapath, Options, ReflectorOptions},
    health::{self, Settings},
    sender::{Attempts, Sender, sockets::Sockets},
    verdict::Nanos,
};

/// Everything that the agent knows.
pub struct State {
    pub(super) config: Config,
    pub(super) datapath: Datapath,
    pub(super) sender: Sender,
    pub(super) attempts: Attempts,
    /// SSIDs that are free, the one that has been free the longest first.
    pub(super) free_ssids: VecDeque<u16>,
    /// Indexes of peers that are free.
    pub(super) free_peers: VecDeque<u32>,
    pub(super) peers: Vec<Peer>,
    /// Round trips by the region of the peer.
    pub(super) round_trips: BTreeMap<String, rtt::Histogram>,
    pub(super) last_reload_successful: bool,
    watch: Watch,
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
        let slots = capacity::slots(&config);
        let sessions = capacity::sessions(&config, slots)?;
        let options = Options {
            sessions: sessions as u32,
            slots,
            peers: sessions as u32,
            reflector_port: probe.port,
            first_source_port: sockets.first_port(),
            source_ports: probe.flows,
            timestamps: probe.timestamps,
        };
        let prepare = |datapath: &mut Datapath| {
            datapath.refresh_addresses()?;
            datapath.set_keys(config.auth.keys.placed());
            datapath.set_reflector(&reflector_options(&config))
        };
        let NodeConfig { datapath: kind, interfaces, .. } = &config.node;
        let datapath =
            super::datapath::open(*kind, interfaces, options, Some(&mut sockets), prepare)?;
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
            watch: Watch::default(),
        };
        let config = state.config.clone();
        state.set_peers(&config);
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
    pub fn check_host(&mut self, now: Nanos) {
        self.watch.look(&mut self.datapath, now);
    }
}

/// What the config says of the reflector.
pub(super) fn reflector_options(config: &Config) -> ReflectorOptions {
    config.reflector.options(config.auth.require)
}

pub(super) const fn settings(config: &Config) -> Settings {
    let health = &config.health;
    Settings {
        window: health.window,
        unhealthy_losses: health.unhealthy_losses,
        recovery_probes: health.recovery_probes,
        expiry: nanos(health.expiry),
    }
}

/// A duration in nanoseconds.
pub(super) const fn nanos(duration: std::time::Duration) -> Nanos {
    duration.as_nanos() as Nanos
}
