//! What the threads of an agent share, and what a tick does with it.

use std::collections::VecDeque;

use anyhow::{Context as _, Result};

use super::{capacity, events::Events, host::Watch, peers::Peer, regions::Region};
use crate::{
    account::{Memory as _, Outcome},
    config::{Config, NodeConfig},
    datapath::{Datapath, Options, ReflectorOptions},
    health::{Settings, isolation::Isolation},
    record::{Observation, writer::Writer},
    sender::{Attempts, Sender, sockets::Sockets},
    verdict::Nanos,
};

/// Everything that the agent knows.
pub struct State {
    pub(super) config: Config,
    /// What the config means for the verdicts.
    pub(super) settings: Settings,
    pub(super) isolation: Isolation,
    /// Where what is judged is kept, if it is.
    pub(super) recorder: Option<Writer>,
    pub(super) datapath: Datapath,
    pub(super) sender: Sender,
    pub(super) attempts: Attempts,
    /// SSIDs that are free, the one that has been free the longest first.
    pub(super) free_ssids: VecDeque<u16>,
    /// Indexes of peers that are free.
    pub(super) free_peers: VecDeque<u32>,
    pub(super) peers: Vec<Peer>,
    /// The regions of the peers.
    pub(super) regions: Vec<Region>,
    pub(super) events: Events,
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
            settings: config.health.settings(&config.probe),
            isolation: Isolation::default(),
            recorder: None,
            config,
            datapath,
            sender,
            attempts,
            free_ssids: (1..=sessions as u16).collect(),
            free_peers: (0..sessions as u32).collect(),
            peers: Vec::new(),
            regions: Vec::new(),
            events: Events::new(),
            last_reload_successful: true,
            watch: Watch::default(),
        };
        let config = state.config.clone();
        state.set_peers(&config);
        state.start_recorder()?;
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
        for index in 0..self.peers.len() {
            self.account(index, now);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.tick(now);
        }
        self.look_at_oneself(now);
        let (settings, isolated) = (&self.settings, self.isolation.since().is_some());
        for peer in &mut self.peers {
            let Some(path) = &mut peer.path else { continue };
            let mut changes = Vec::new();
            path.health.tick(now, isolated, settings, &mut |change| changes.push(change));
            for change in changes {
                let verdict = path.health.direction(change.direction, settings);
                self.events.publish(&peer.config, &change, &verdict);
            }
        }
        for (index, region) in self.regions.iter_mut().enumerate() {
            let of_region = self.peers.iter().filter(|peer| peer.region == index);
            region.judge(
                &of_region.filter_map(|peer| Some(&peer.path.as_ref()?.health)),
                isolated,
                now,
            );
        }
    }

    /// Takes in what became of the probes to one peer.
    fn account(&mut self, index: usize, now: Nanos) {
        let peer = &mut self.peers[index];
        let Some(path) = &mut peer.path else { return };
        let memories: Vec<_> =
            path.flows.iter().map(|flow| self.datapath.session(flow.ssid)).collect();
        for (flow, memory) in path.flows.iter_mut().zip(&memories) {
            // Attempts first: what is sent in between must not look like a failure.
            let attempts = self.attempts.of(flow.ssid);
            let missing = attempts.wrapping_sub(memory.sent()) as i32;
            flow.not_sent = flow.not_sent.max(u64::try_from(missing).unwrap_or(0));
        }
        let arrivals = self.datapath.arrivals(path.index);
        let histogram = &mut self.regions[peer.region].round_trips;
        let (health, recent, settings) = (&mut path.health, &mut path.recent, &self.settings);
        let recorder = &mut self.recorder;
        path.account.judge(&memories, arrivals, now, &mut |flow, sent_at, outcome| {
            if let Outcome::Answered { round_trip } = outcome {
                histogram.add(round_trip);
                recent.add(round_trip);
            }
            let observation = Observation { path: index, flow, sent_at, outcome }.rounded(now);
            if let Some(recorder) = recorder {
                recorder.add(&observation, now);
            }
            health.observe(flow, observation.sent_at, observation.outcome, now, settings);
        });
    }

    /// Whether it is this node that is cut off. Peers of one region share its fate, so regions are counted.
    fn look_at_oneself(&mut self, now: Nanos) {
        let known =
            self.peers.iter().filter_map(|peer| Some((peer.region, &peer.path.as_ref()?.health)));
        if self.isolation.look(known, now, &self.settings) {
            if self.isolation.since().is_some() {
                tracing::warn!(
                    "isolated: most regions fail at once, so this node must be the one that is cut off"
                );
            } else {
                tracing::info!("no longer isolated");
            }
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

/// A duration in nanoseconds.
pub(super) const fn nanos(duration: std::time::Duration) -> Nanos {
    duration.as_nanos() as Nanos
}
