//! One agent and its kernel.

use probe_ebpf::maps::Arrivals;
use probe_user::{
    account::{self, model::Kernel},
    health::{
        self, Transition,
        node::{Member, News},
        observation::{Observation, moment},
    },
    random::Random,
    verdict::{Direction, Nanos, State},
};

use super::Setup;

/// What a reflector takes for a probe in fact, in nanoseconds.
const RESIDENCE: i64 = 2_000;

/// An agent, and what its kernel remembers.
pub struct Node {
    /// By peer; that to itself is not used.
    pub paths: Vec<Path>,
    /// How many probes were reflected, by peer and flow.
    pub reflected: Vec<Vec<u32>>,
    /// What the node thinks of itself, and the loop that judges all paths.
    pub judge: health::node::Node,
    /// Nothing is sent until then.
    pub sender_stalled_until: Nanos,
    /// Nothing is judged until then.
    pub judge_stalled_until: Nanos,
    /// The interface is down until then: nothing passes the programs, in either direction.
    pub interface_down_until: Nanos,
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

/// The path to a peer.
pub struct Path {
    /// The peer; each node is a region of its own.
    pub peer: usize,
    /// Whether that is the node itself, which is not probed.
    is_own: bool,
    /// What the kernel remembers of each flow.
    pub kernels: Vec<Kernel>,
    /// The peer's own probes.
    pub arrivals: Arrivals,
    /// What became of the probes.
    pub account: account::path::Path,
    /// The engine.
    pub health: health::Path,
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
            account: account::path::Path::new(rules, flows),
            health: health::Path::new(flows, now),
        };
        Self {
            paths: (0..setup.nodes).map(path).collect(),
            reflected: vec![vec![0; flows]; setup.nodes],
            judge: health::node::Node::default(),
            sender_stalled_until: 0,
            judge_stalled_until: 0,
            interface_down_until: 0,
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
        for path in &mut self.paths {
            let health = &mut path.health;
            path.account.heed(health.state_of(Direction::Forward) == State::Unknown);
            path.account.judge(&path.kernels, path.arrivals, now, &mut |flow, sent_at, outcome| {
                Observation::new(flow, sent_at, outcome, moment).feed(health, moment, settings);
            });
        }
        self.judge.tick(&mut self.paths, moment, settings, &mut |news| {
            if let News::Verdict { member, transition, .. } = news {
                sink(member.peer, transition);
            }
        });
    }

    /// The reflector begins to count anew.
    pub fn forget_reflected(&mut self) {
        self.reflected.iter_mut().flatten().for_each(|number| *number = 0);
    }

    /// Takes every fault away but what is remembered of it.
    pub const fn heal(&mut self) {
        self.sender_stalled_until = 0;
        self.judge_stalled_until = 0;
        self.interface_down_until = 0;
        self.clock_steps_until = 0;
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
        for path in &mut self.paths {
            path.health.scramble(random);
            path.account.scramble(random, now);
            for kernel in &path.kernels {
                kernel.scramble(random, now);
            }
            path.arrivals = Arrivals { packets: random.bits() >> 30, last_at: random.below(now) };
        }
        for number in self.reflected.iter_mut().flatten() {
            *number = random.bits() as u32;
        }
    }
}
