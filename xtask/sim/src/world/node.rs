//! One agent and its kernel.

use probe_ebpf::maps::Arrivals;
use probe_user::{
    account::{self, model::Kernel},
    health::{self, Transition, isolation::Isolation},
    random::Random,
    verdict::Nanos,
};

use super::Setup;

/// An agent, and what its kernel remembers.
pub struct Node {
    /// By peer; that to itself is not used.
    pub paths: Vec<Path>,
    /// How many probes were reflected, by peer and flow.
    pub reflected: Vec<Vec<u32>>,
    /// What the node thinks of itself.
    pub isolation: Isolation,
    /// Nothing is sent until then.
    pub sender_stalled_until: Nanos,
    /// Nothing is judged until then.
    pub judge_stalled_until: Nanos,
    /// How often the agent was started again.
    pub run: u32,
    /// When it was started.
    pub started_at: Nanos,
    /// When it was last put into an arbitrary state.
    pub scrambled_at: Option<Nanos>,
}

/// The path to a peer.
pub struct Path {
    /// What the kernel remembers of each flow.
    pub kernels: Vec<Kernel>,
    /// The peer's own probes.
    pub arrivals: Arrivals,
    /// What became of the probes.
    pub account: account::path::Path,
    /// The engine.
    pub health: health::Path,
}

impl Node {
    /// An agent that has just started.
    #[must_use]
    pub fn new(setup: &Setup, now: Nanos) -> Self {
        let flows = usize::from(setup.probing.flows);
        let rules = setup.rules();
        let path = || Path {
            kernels: (0..flows).map(|_| Kernel::new(rules.slots)).collect(),
            arrivals: Arrivals::default(),
            account: account::path::Path::new(rules, flows),
            health: health::Path::new(flows, now),
        };
        Self {
            paths: (0..setup.nodes).map(|_| path()).collect(),
            reflected: vec![vec![0; flows]; setup.nodes],
            isolation: Isolation::default(),
            sender_stalled_until: 0,
            judge_stalled_until: 0,
            run: 0,
            started_at: now,
            scrambled_at: None,
        }
    }

    /// What the judge does, hundred times a second.
    pub fn tick(&mut self, now: Nanos, setup: &Setup, sink: &mut impl FnMut(usize, Transition)) {
        let settings = &setup.settings;
        for path in &mut self.paths {
            let health = &mut path.health;
            path.account.judge(&path.kernels, path.arrivals, now, &mut |flow, sent_at, outcome| {
                health.observe(flow, sent_at, outcome, now, settings);
            });
        }
        // Each node is a region of its own.
        let paths = self.paths.iter().enumerate().map(|(peer, path)| (peer, &path.health));
        self.isolation.look(paths, now, settings);
        let isolated = self.isolation.since().is_some();
        for (peer, path) in self.paths.iter_mut().enumerate() {
            path.health.tick(now, isolated, settings, &mut |transition| sink(peer, transition));
        }
    }

    /// Puts everything that the node remembers into an arbitrary state.
    pub fn scramble(&mut self, random: &mut Random, now: Nanos) {
        self.scrambled_at = Some(now);
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
