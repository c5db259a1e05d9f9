//! A run: lets time pass in a world, and checks what must hold always and in the calm.

use std::collections::BTreeMap;

use probe_user::{
    health::guarantee::recovery_bound,
    verdict::{Cause, Direction, Nanos, SECOND, State},
};

use super::{Outcome, Violation};
use crate::world::{Setup, World, node::Node};

/// A run, and what is watched.
pub(super) struct Run {
    pub world: World,
    started: Nanos,
    pub outcome: Outcome,
    /// Times of changes of each verdict in the last hour, in scenarios of constant loss.
    pub changes: BTreeMap<(usize, usize, Direction2), Vec<(Nanos, State)>>,
}

/// A direction as an index, for maps.
type Direction2 = usize;

impl Run {
    pub(super) fn new(setup: Setup, seed: u64) -> Self {
        let world = World::new(setup, seed);
        let started = world.now();
        Self { world, started, outcome: Outcome::default(), changes: BTreeMap::new() }
    }

    pub(super) fn finish(mut self, violation: Option<Violation>) -> Outcome {
        let paths = (self.world.setup.nodes * (self.world.setup.nodes - 1)) as u64;
        self.outcome.path_time = (self.world.now() - self.started) * paths;
        self.outcome.probes = self.world.probes;
        self.outcome.coverage = std::mem::take(&mut self.world.coverage);
        self.outcome.violation = violation;
        self.outcome
    }

    pub(super) fn violated<T>(&self, invariant: u8, what: String) -> Result<T, Violation> {
        Err(Violation { invariant, at: self.world.now() - self.started, what })
    }

    /// Lets time pass, and checks what must hold always.
    pub(super) fn pass(&mut self, time: Nanos) -> Result<(), Violation> {
        let end = self.world.now() + time;
        while self.world.now() < end {
            let step = (self.world.now() + SECOND).min(end);
            self.world.run_until(step);
            self.note_changes();
            self.check_freshness()?;
        }
        Ok(())
    }

    fn note_changes(&mut self) {
        for change in std::mem::take(&mut self.world.changes) {
            let transition = change.transition;
            let number = transition.at
                ^ (change.node as u64) << 8
                ^ (change.peer as u64) << 16
                ^ (transition.direction as u64) << 24
                ^ (transition.to as u64) << 32;
            self.outcome.log = (self.outcome.log ^ number).wrapping_mul(0x0100_0000_01b3);
            let key = (change.node, change.peer, transition.direction as usize);
            self.changes.entry(key).or_default().push((transition.at, transition.to));
        }
    }

    /// Invariants 6 and 18: no verdict outlives its evidence, and none comes before there can be any.
    fn check_freshness(&mut self) -> Result<(), Violation> {
        let (now, setup) = (self.world.now(), self.world.setup);
        for (node, peer) in self.world.pairs() {
            let judge = &self.world.nodes[node];
            let disturbed = judge.judge_stalled_until.max(judge.scrambled_at.unwrap_or(0));
            if disturbed + 2 * setup.tick > now {
                continue;
            }
            for direction in Direction::ALL {
                let verdict = judge.paths[peer].health.direction(direction, &setup.settings);
                let age = verdict.evidence_at.map_or(Nanos::MAX, |at| now.saturating_sub(at));
                let known = verdict.state != State::Unknown;
                if known && age > setup.settings.expiry + 2 * setup.tick {
                    let state = verdict.state;
                    return self.violated(
                        6,
                        format!(
                            "node {node} says {state} of {peer} {direction}, evidence {age} ns old"
                        ),
                    );
                }
                let least =
                    u64::from(setup.settings.recovery_per_flow - 1) * setup.probing.interval * 8
                        / 10;
                if verdict.state == State::Healthy
                    && judge.scrambled_at.is_none()
                    && now - judge.started_at < least
                {
                    return self.violated(
                        18,
                        format!(
                            "node {node} calls {peer} healthy after {} ns",
                            now - judge.started_at
                        ),
                    );
                }
            }
        }
        Ok(())
    }

    /// Takes all faults away, and checks that every path is healthy within the bound and stays so.
    pub(super) fn calm(&mut self) -> Result<(), Violation> {
        let setup = self.world.setup;
        for link in self.world.links.iter_mut().flatten() {
            link.heal();
        }
        self.world.nodes.iter_mut().for_each(Node::heal);
        let longest = self.world.links.iter().flatten().map(|link| link.delay).max().unwrap_or(0);
        // What is still on its way is not calm yet: late answers, and a round trip.
        self.pass(SECOND)?;
        let bound = |doublings| {
            recovery_bound(&setup.settings, &setup.probing, doublings)
                + 2 * longest
                + 2 * setup.tick
        };
        let undamped = self.world.nodes.iter().all(|node| {
            node.scrambled_at.is_none() && node.paths.iter().all(|path| !path.health.is_held_back())
        });
        if undamped {
            self.world.count("recoveries without damping");
        }
        let doublings = if undamped { 0 } else { setup.settings.damping };
        self.pass(bound(doublings))?;
        if undamped && self.is_slow_somewhere() {
            // Round trips of another length: it takes the damped bound until these are the usual ones.
            self.world.count("round trips that became usual");
            self.pass(bound(setup.settings.damping) - bound(0))?;
        }
        self.all_healthy(1)?;
        self.note_changes();
        self.changes.clear();
        self.pass(20 * SECOND)?;
        if !self.changes.is_empty() {
            return self.violated(1, format!("changes in the calm: {:?}", self.changes));
        }
        self.all_healthy(1)
    }

    fn is_slow_somewhere(&self) -> bool {
        let cause = |(node, peer): (usize, usize)| {
            let path = &self.world.nodes[node].paths[peer].health;
            path.direction(Direction::Forward, &self.world.setup.settings).cause
        };
        self.world.pairs().any(|pair| cause(pair) == Cause::Latency)
    }

    pub(super) fn all_healthy(&self, invariant: u8) -> Result<(), Violation> {
        for (node, peer) in self.world.pairs() {
            for direction in Direction::ALL {
                let state = self.world.state(node, peer, direction);
                if state != State::Healthy {
                    let verdict = self.world.nodes[node].paths[peer]
                        .health
                        .direction(direction, &self.world.setup.settings);
                    let why = verdict.cause;
                    let needs = verdict.needs;
                    return self.violated(
                        invariant,
                        format!("node {node} says {state} ({why}) of {peer} {direction}, needs {needs:?}"),
                    );
                }
            }
        }
        Ok(())
    }

    /// Time until all is healthy for the first time.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        let setup = self.world.setup;
        self.pass(recovery_bound(&setup.settings, &setup.probing, 0) + SECOND)?;
        self.all_healthy(18)
    }
}
