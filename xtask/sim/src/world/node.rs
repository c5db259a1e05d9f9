//! One agent and its kernel.

use probe_ebpf::maps::Arrivals;
use probe_user::{
    account::{self, Outcome, awaited::Awaited, model::Kernel, rtt},
    health::{
        self, Transition,
        node::{Member, News},
        observation::{Observation, moment},
    },
    random::Random,
    verdict::{Direction, Nanos, State},
};

use super::{
    Setup,
    routes::{Moved, Routes},
};

/// What a reflector takes for a probe in fact, in nanoseconds.
const RESIDENCE: i64 = 2_000;

/// An agent, and what its kernel remembers.
pub struct Node {
    /// Which node it is.
    index: usize,
    /// The direct ones by peer, that to itself is not used; then those through relays, as [`Place::all`] has them.
    pub paths: Vec<Path>,
    /// What it routes, where there is an overlay.
    pub routes: Option<Routes>,
    /// Which paths are to be looked at.
    awaited: Awaited,
    /// What the node thinks of itself, and the loop that judges all paths.
    pub judge: health::node::Node,
    /// Nothing is sent until then.
    pub sender_stalled_until: Nanos,
    /// Nothing is judged until then.
    pub judge_stalled_until: Nanos,
    /// The interface is down until then: nothing passes the programs, in either direction.
    pub interface_down_until: Nanos,
    /// The agent is dead until then...
    pub dead_until: Nanos,
    /// ...and has not been started again yet.
    pub is_dead: bool,
    /// The clock of day steps all the time until then.
    pub clock_steps_until: Nanos,
    /// How often the agent was started again.
    pub run: u32,
    /// When it was started.
    pub started_at: Nanos,
    /// When it was last put into an arbitrary state.
    pub scrambled_at: Option<Nanos>,
    /// When the last packet came from each peer, a probe of its own or a reply; the start before the first.
    pub heard_at: Vec<Nanos>,
}

/// A path among those of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// To this node.
    pub peer: usize,
    /// Through this one, if any.
    pub relay: Option<usize>,
}

impl Place {
    /// The direct path.
    #[must_use]
    pub const fn direct(peer: usize) -> Self {
        Self { peer, relay: None }
    }

    /// All that a node probes: first the direct ones.
    pub fn all(setup: &Setup, node: usize) -> impl Iterator<Item = Self> + use<> {
        let (nodes, has_overlay) = (setup.nodes, setup.overlay);
        let others = move || (0..nodes).filter(move |other| *other != node);
        let relayed = move |peer| {
            let relays = others().filter(move |relay| *relay != peer);
            relays.map(move |relay| Self { peer, relay: Some(relay) })
        };
        let relayed = others().flat_map(relayed).filter(move |_| has_overlay);
        others().map(Self::direct).chain(relayed)
    }

    /// Where its path is among those of a node, of so many.
    pub(super) const fn index(self, node: usize, nodes: usize) -> usize {
        let Some(relay) = self.relay else { return self.peer };
        let peer = self.peer - (self.peer > node) as usize;
        let relay = relay - (relay > node) as usize - (relay > self.peer) as usize;
        nodes + peer * (nodes - 2) + relay
    }
}

/// A path to a peer.
pub struct Path {
    /// The peer; each node is a region of its own.
    pub peer: usize,
    /// Whether that is the node itself, which is not probed.
    is_own: bool,
    /// What the kernel remembers of each flow.
    pub kernels: Vec<Kernel>,
    /// The peer's own probes, as far as they come this way.
    pub arrivals: Arrivals,
    /// How many of them were reflected, by flow.
    pub reflected: Vec<u32>,
    /// What became of the probes.
    pub account: account::path::Path,
    /// The engine.
    pub health: health::Path,
    /// The latest round trips.
    pub recent: rtt::Recent,
}

impl Member for Path {
    fn region(&self) -> usize {
        self.peer
    }

    fn path(&self) -> Option<&health::Path> {
        (!self.is_own).then_some(&self.health)
    }

    fn path_mut(&mut self) -> Option<&mut health::Path> {
        (!self.is_own).then_some(&mut self.health)
    }
}

impl Node {
    /// An agent that has just started, on the node with this index.
    #[must_use]
    pub fn new(setup: &Setup, index: usize, now: Nanos) -> Self {
        let flows = usize::from(setup.probing.flows);
        let rules = setup.rules();
        let path = |peer| Path {
            peer,
            is_own: peer == index,
            kernels: (0..flows).map(|_| Kernel::new(rules.slots)).collect(),
            arrivals: Arrivals::default(),
            reflected: vec![0; flows],
            account: account::path::Path::new(rules, flows),
            health: health::Path::new(flows, now),
            recent: rtt::Recent::default(),
        };
        let relayed = Place::all(setup, index).filter(|place| place.relay.is_some());
        let peers = (0..setup.nodes).chain(relayed.map(|place| place.peer));
        Self {
            index,
            paths: peers.map(path).collect(),
            routes: setup.overlay.then(|| Routes::new(index, setup.nodes, now)),
            awaited: Awaited::default(),
            judge: health::node::Node::default(),
            sender_stalled_until: 0,
            judge_stalled_until: 0,
            interface_down_until: 0,
            dead_until: 0,
            is_dead: false,
            clock_steps_until: 0,
            run: 0,
            started_at: now,
            scrambled_at: None,
            heard_at: vec![now; setup.nodes],
        }
    }

    /// What the agent does hundred times a second.
    pub fn tick(&mut self, now: Nanos, setup: &Setup, sink: &mut impl FnMut(usize, Transition)) {
        let (settings, moment) = (&setup.settings, moment(now));
        let Self { paths, awaited, judge, .. } = self;
        let mut places = Vec::new();
        awaited.take(paths.len(), now, &mut places);
        for place in places {
            let path = &mut paths[place];
            let (health, recent) = (&mut path.health, &mut path.recent);
            path.account.heed(health.state_of(Direction::Forward) == State::Unknown);
            path.account.judge(&path.kernels, path.arrivals, now, &mut |flow, sent_at, outcome| {
                if let Outcome::Answered { round_trip } = outcome {
                    recent.add(sent_at, round_trip, now, settings.lull());
                }
                Observation::new(flow, sent_at, outcome, moment).feed(health, moment, settings);
                judge.wake(place);
            });
            if path.account.expects(&path.kernels) {
                awaited.add(place);
            }
        }
        self.judge.tick(&mut self.paths[..setup.nodes], moment, settings, &mut |news| {
            if let News::Verdict { member, transition, .. } = news {
                sink(member.peer, transition);
            }
        });
    }

    /// What it does then where there is an overlay: judges the paths through relays, and routes.
    pub fn route(&mut self, now: Nanos, setup: &Setup, moves: &mut Vec<Moved>) {
        let Some(routes) = &mut self.routes else { return };
        let isolated = self.judge.isolated_since().is_some();
        for path in &mut self.paths[setup.nodes..] {
            path.health.tick(moment(now), isolated, &setup.settings, &mut |_| {});
        }
        routes.look(&self.paths, isolated, now, &setup.settings, moves);
    }

    /// Sends a probe, and returns its number.
    pub fn send(&mut self, place: Place, flow: usize, now: Nanos) -> u32 {
        let index = place.index(self.index, self.heard_at.len());
        self.awaited.add(index);
        self.paths[index].kernels[flow].send(now)
    }

    /// The path of a place.
    #[must_use]
    pub fn path(&self, place: Place) -> &Path {
        &self.paths[place.index(self.index, self.heard_at.len())]
    }

    /// The same, to be changed.
    pub fn path_mut(&mut self, place: Place) -> &mut Path {
        &mut self.paths[place.index(self.index, self.heard_at.len())]
    }

    /// The reflector begins to count anew.
    pub fn forget_reflected(&mut self) {
        self.paths.iter_mut().flat_map(|path| &mut path.reflected).for_each(|number| *number = 0);
    }

    /// Takes every fault away but what is remembered of it.
    pub fn heal(&mut self) {
        self.sender_stalled_until = 0;
        self.judge_stalled_until = 0;
        self.interface_down_until = 0;
        self.dead_until = 0;
        self.clock_steps_until = 0;
        if let Some(routes) = &mut self.routes {
            routes.heal();
        }
    }

    /// The residence T3-T2 of a probe in nanoseconds, by the clock of day: what it takes, and the step in between.
    pub fn residence(&self, now: Nanos, random: &mut Random) -> i64 {
        let step = if now < self.clock_steps_until && random.chance(0.5) {
            (random.bits() as i64) >> random.below(64)
        } else {
            0
        };
        step.saturating_add(RESIDENCE)
    }

    /// Puts everything that the node remembers into an arbitrary state.
    pub fn scramble(&mut self, random: &mut Random, now: Nanos) {
        self.scrambled_at = Some(now);
        self.judge.scramble(random);
        self.awaited.scramble(random);
        for path in &mut self.paths {
            path.health.scramble(random, now);
            path.recent.scramble(random);
            path.account.scramble(random, now);
            for kernel in &path.kernels {
                kernel.scramble(random, now);
            }
            path.arrivals = Arrivals { packets: random.bits() >> 30, last_at: random.below(now) };
        }
        for number in self.paths.iter_mut().flat_map(|path| &mut path.reflected) {
            *number = random.bits() as u32;
        }
        if let Some(routes) = &mut self.routes {
            routes.scramble(random);
        }
    }
}
