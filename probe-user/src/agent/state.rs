//! What the threads of an agent share, and what a tick does with it.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use anyhow::{Context as _, Result};

use super::{
    capacity, defects,
    events::Events,
    host::Watch,
    judge::Heartbeat,
    overlay::Overlay,
    paths::{Path, Relayed},
    peers::Peer,
    regions::Region,
    report::Moment,
};
use crate::{
    account::{Outcome, awaited::Awaited, rtt},
    config::{Config, DatapathKind, NodeConfig, RecordConfig},
    datapath::{Datapath, Options, ReflectorOptions, clock},
    health::{
        Settings,
        node::{News, Node},
        observation::{Observation, moment},
    },
    prefetch::prefetch,
    record::recorder::Recorder,
    sender::{Attempts, Sender, sockets::Sockets},
    verdict::Nanos,
};

/// So many paths are fetched into the cache together: all that is read of them has room in the smallest one.
const BLOCK: usize = 16;

/// Everything that the agent knows.
pub struct State {
    pub(super) config: Config,
    /// What the config means for the verdicts.
    pub(super) settings: Settings,
    pub(super) node: Node,
    pub(super) datapath: Datapath,
    pub(super) sender: Sender,
    pub(super) attempts: Attempts,
    /// SSIDs that are free, the one that has been free the longest first.
    pub(super) free_ssids: VecDeque<u16>,
    /// Indexes of peers that are free.
    pub(super) free_peers: VecDeque<u32>,
    /// Where the probes of the peer at an address are counted.
    pub(super) arrivals: HashMap<IpAddr, u32>,
    pub(super) peers: Vec<Peer>,
    /// Which peers are to be looked at, by their places among these.
    awaited: Awaited,
    /// Those that the last tick has looked at. Kept for its memory.
    pub(super) places: Vec<usize>,
    /// Whom each session probes, by SSID: a place among the peers.
    probed_by: Vec<usize>,
    /// The regions of the peers.
    pub(super) regions: Vec<Region>,
    /// What is routed, if anything is.
    pub(super) overlay: Option<Overlay>,
    pub(super) events: Events,
    pub(super) last_reload_successful: bool,
    /// Keeps what the engine is fed, where the config wants that.
    pub(super) recorder: Option<Recorder>,
    /// When the last tick was.
    pub(super) heartbeat: Heartbeat,
    /// How late they began.
    pub(super) lateness: rtt::Histogram,
    /// Goes up whenever peers come, go or change their places.
    pub(super) version: u64,
    watch: Watch,
}

impl State {
    /// Opens the sockets and the datapath, and starts to probe. The overlay, if the config has one, has its tables already,
    /// so that no probe goes another way than it is meant to.
    ///
    /// # Errors
    /// Where the kernel refuses; the message says what.
    pub(super) fn start(config: Config, overlay: Option<Overlay>) -> Result<Self> {
        let defects = defects::chosen()?;
        let RecordConfig { directory, limit } = &config.record;
        let recorder = directory.as_ref().map(|directory| {
            Recorder::start(directory, *limit).with_context(|| {
                format!("cannot record in {} ([record] directory)", directory.display())
            })
        });
        let recorder = recorder.transpose()?;
        let probe = &config.probe;
        let mut sockets = Sockets::open(probe.flows, probe.dscp, probe.port)
            .with_context(|| format!("cannot open {} UDP ports to send from", probe.flows))?;
        let slots = capacity::slots(&config);
        let sessions = capacity::sessions(&config, slots)?;
        let options = Options {
            sessions: sessions as u32,
            slots,
            // Those of gateways also count by the way they come.
            peers: (sessions + config.peers.len()) as u32,
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
        // Sockets have no marks, and probes that go another way than the traffic say nothing of it.
        let kind = if overlay.is_some() { DatapathKind::Xdp } else { *kind };
        let mut datapath =
            super::datapath::open(kind, interfaces, options, Some(&mut sockets), prepare)?;
        for tunnel in overlay.iter().flat_map(Overlay::interfaces) {
            // It may be among the others; and one that is not there says so as a problem of the overlay.
            if !interfaces.contains(tunnel) {
                datapath.attach_optional(tunnel)?;
            }
        }
        sockets.set_transmitter(datapath.transmitter()?);
        let attempts = Attempts::new(sessions + 1);
        let interval = nanos(probe.interval);
        let sender = Sender::start(sockets, interval, attempts.clone())
            .context("cannot start the sending thread")?;
        let mut state = Self {
            settings: Settings { defects, ..config.health.settings(&config.probe) },
            node: Node::default(),
            datapath,
            sender,
            attempts,
            free_ssids: (1..=sessions as u16).collect(),
            free_peers: (0..options.peers).collect(),
            arrivals: HashMap::new(),
            peers: Vec::new(),
            awaited: Awaited::default(),
            places: Vec::new(),
            probed_by: vec![0; sessions + 1],
            regions: Vec::new(),
            overlay,
            events: Events::new(&config.node.name),
            config,
            last_reload_successful: true,
            recorder,
            heartbeat: Heartbeat::new(clock::monotonic()),
            lateness: rtt::Histogram::default(),
            version: 0,
            watch: Watch::new(),
        };
        let config = state.config.clone();
        state.set_peers(&config);
        if let Some(overlay) = &mut state.overlay {
            overlay.begin(moment(clock::monotonic()));
        }
        Ok(state)
    }

    /// The config in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the datapath does what it is there for.
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
        if let Some(recorder) = &mut self.recorder {
            recorder.prepare(moment(now));
        }
        self.account(now);
        self.judge(moment(now));
        self.judge_links(moment(now));
        self.route(moment(now));
        self.heartbeat.beat(now);
    }

    /// Makes verdicts of what was taken in.
    fn judge(&mut self, now: Nanos) {
        if let Some(recorder) = &mut self.recorder {
            recorder.tick(now);
        }
        let (events, settings) = (&mut self.events, &self.settings);
        self.node.tick(&mut self.peers, now, settings, &mut |news| match news {
            News::Isolated(isolated) => {
                events.isolated(isolated, Moment::now(now, settings).at());
            }
            News::Verdict { member, transition, .. } => {
                events.publish(member, &transition, &Moment::now(now, settings));
            }
        });
    }

    /// Takes in what became of the probes to all peers of whom that can have changed.
    fn account(&mut self, now: Nanos) {
        let Self { peers, places, regions, datapath, attempts, settings, recorder, node, .. } =
            self;
        attempts.take_news(|ssid| self.awaited.add(self.probed_by[usize::from(ssid)]));
        self.awaited.take(peers.len(), now, places);
        let moment = moment(now);
        // One list for all of them, so that none costs an allocation.
        let mut memories = Vec::new();
        for block in places.chunks(BLOCK) {
            fetch(block, peers, datapath);
            for &place in block {
                let Peer { region, path, relayed, recorded, .. } = &mut peers[place];
                let Some(path) = path else { continue };
                let histogram = &mut regions[*region].round_trips;
                let mut is_news = false;
                let sink = &mut |seen: &Observation, outcome| {
                    is_news = true;
                    if let Outcome::Answered { round_trip } = outcome {
                        histogram.add(round_trip);
                    }
                    if let Some(recorder) = recorder {
                        recorder.note(*recorded, seen, moment);
                    }
                };
                let mut expects =
                    path.take_in(datapath, attempts, now, settings, &mut memories, sink);
                if is_news {
                    node.wake(place);
                }
                for Relayed { path, .. } in relayed {
                    let sink = &mut |_: &Observation, _| {};
                    expects |= path.take_in(datapath, attempts, now, settings, &mut memories, sink);
                }
                if expects {
                    self.awaited.add(place);
                }
            }
        }
    }

    /// Takes in that there are other peers, or other paths to them.
    pub(super) fn peers_have_changed(&mut self) {
        for (place, peer) in self.peers.iter().enumerate() {
            for flow in peer.paths().flat_map(|path| &path.flows) {
                self.probed_by[usize::from(flow.ssid)] = place;
            }
        }
        self.node.wake_all();
        // It knows them by their places before; a new one has all looked at.
        self.awaited = Awaited::default();
        self.set_targets();
        self.set_recorded();
    }

    /// Keeps up with the host: its clock, its addresses, interfaces that were made anew.
    pub fn check_host(&mut self, now: Nanos) {
        self.watch.look(&mut self.datapath, now);
        self.refresh_ways();
    }
}

/// Has the processor fetch what a look at the paths to some peers reads.
fn fetch(block: &[usize], peers: &[Peer], datapath: &Datapath) {
    block.iter().for_each(|place| prefetch(&peers[*place]));
    let paths = || block.iter().filter_map(|place| peers[*place].path.as_ref());
    paths().for_each(Path::fetch);
    paths().for_each(|path| path.fetch_memories(datapath));
}

/// What the config says of the reflector.
pub(super) fn reflector_options(config: &Config) -> ReflectorOptions {
    config.reflector.options(config.auth.require)
}

/// A duration in nanoseconds.
pub(super) const fn nanos(duration: std::time::Duration) -> Nanos {
    duration.as_nanos() as Nanos
}
