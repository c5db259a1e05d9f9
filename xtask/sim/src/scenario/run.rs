//! A run: lets time pass in a world, and checks what must hold always and in the calm.

use std::collections::BTreeMap;

use probe_user::{
    health::{Transition, Verdict, guarantee::recovery_bound},
    random::Random,
    verdict::{Cause, Direction, Nanos, SECOND, State},
};

use super::{Kind, Outcome, Violation, overlay::Watch};
use crate::world::{
    Setup, World,
    node::{Node, Place},
};

/// Which verdict: of a node, on the path to a peer, by direction.
type Whose = (usize, usize, usize);

/// A run, and what is watched.
pub(super) struct Run {
    pub world: World,
    pub started: Nanos,
    pub outcome: Outcome,
    /// Whether changes are printed.
    pub is_traced: bool,
    /// The only invariant that is watched, if not all are.
    watched: Option<u8>,
    /// Times of changes of each verdict since somebody has looked.
    pub changes: BTreeMap<Whose, Vec<(Nanos, State)>>,
    /// What is known of the overlay, where there is one.
    pub watch: Option<Watch>,
}

impl Run {
    pub(super) fn new(setup: Setup, seed: u64, watched: Option<u8>) -> Self {
        let world = World::new(setup, seed);
        let watch = setup.overlay.then(|| Watch::new(&world));
        let started = world.now();
        Self {
            world,
            started,
            outcome: Outcome::default(),
            is_traced: false,
            watched,
            changes: BTreeMap::new(),
            watch,
        }
    }

    /// Plays a scenario to its end.
    pub(super) fn play(mut self, kind: Kind, random: &mut Random) -> Outcome {
        let violation = match kind {
            Kind::Chaos => self.chaos(random),
            Kind::Constant => self.constant(random),
            Kind::OneWay => self.one_way(random),
            Kind::Late => self.late(random),
            Kind::Clocks => self.clocks(),
            Kind::Onset => self.onset(random),
            Kind::Beside => self.beside(random),
        };
        self.finish(kind.label(), violation.err())
    }

    pub(super) fn finish(mut self, kind: &'static str, violation: Option<Violation>) -> Outcome {
        self.outcome.kind = kind;
        let paths: usize = (0..self.world.setup.nodes)
            .map(|node| Place::all(&self.world.setup, node).count())
            .sum();
        self.outcome.path_time = (self.world.now() - self.started) * paths as u64;
        self.outcome.probes = self.world.probes;
        self.outcome.coverage = std::mem::take(&mut self.world.coverage);
        self.outcome.violation = violation;
        self.outcome
    }

    pub(super) fn violated(&self, invariant: u8, what: String) -> Result<(), Violation> {
        if self.watched.is_some_and(|watched| watched != invariant) {
            return Ok(());
        }
        Err(Violation { invariant, at: self.world.now() - self.started, what })
    }

    /// Lets time pass, and checks what must hold always.
    pub(super) fn pass(&mut self, time: Nanos) -> Result<(), Violation> {
        let end = self.world.now() + time;
        while self.world.now() < end {
            let step = (self.world.now() + SECOND).min(end);
            if self.watch.is_some() {
                self.pass_and_watch(step)?;
            } else {
                self.world.run_until(step);
            }
            self.note_changes();
            self.check_freshness()?;
        }
        Ok(())
    }

    fn note_changes(&mut self) {
        for change in std::mem::take(&mut self.world.changes) {
            let (node, peer, transition) = (change.node, change.peer, change.transition);
            if self.is_traced {
                let seconds = (transition.at - self.started) as f64 / 1e9;
                let Transition { direction, from, to, cause, .. } = transition;
                println!(
                    "{seconds:12.3} s  {node} -> {peer} {direction}: {from} -> {to} ({cause})"
                );
            }
            let number = transition.at
                ^ (node as u64) << 8
                ^ (peer as u64) << 16
                ^ (transition.direction as u64) << 24
                ^ (transition.to as u64) << 32
                ^ (transition.cause as u64) << 40;
            self.outcome.log = (self.outcome.log ^ number).wrapping_mul(0x0100_0000_01b3);
            let whose = (node, peer, transition.direction as usize);
            self.changes.entry(whose).or_default().push((transition.at, transition.to));
        }
    }

    /// Invariants 6 and 18: no verdict outlives its evidence, and none comes before there can be any.
    fn check_freshness(&mut self) -> Result<(), Violation> {
        let (now, setup) = (self.world.now(), self.world.setup);
        for (node, peer) in self.world.pairs() {
            let judge = &self.world.nodes[node];
            let held_up = judge.judge_stalled_until.max(judge.dead_until);
            let disturbed = held_up.max(judge.scrambled_at.unwrap_or(0));
            if disturbed + 2 * setup.tick > now {
                continue;
            }
            for direction in Direction::ALL {
                let verdict = self.verdict(node, peer, direction);
                let age = verdict.evidence_at.map_or(Nanos::MAX, |at| now.saturating_sub(at));
                let known = verdict.state != State::Unknown;
                if known && age > setup.settings.expiry + 2 * setup.tick {
                    let state = verdict.state;
                    self.violated(
                        6,
                        format!(
                            "node {node} says {state} of {peer} {direction}, evidence {age} ns old"
                        ),
                    )?;
                }
                // By the world's own account, not by what the engine says of itself.
                let silent = now - judge.heard_at[peer].max(disturbed).min(now);
                let is_good = matches!(verdict.state, State::Healthy | State::Degraded);
                if is_good && silent > self.longest_hearsay() {
                    let state = verdict.state;
                    self.violated(
                        6,
                        format!(
                            "node {node} says {state} of {peer} {direction}, unheard for {silent} ns"
                        ),
                    )?;
                }
                let least =
                    u64::from(setup.settings.recovery_per_flow - 1) * setup.probing.interval * 8
                        / 10;
                if verdict.state == State::Healthy
                    && judge.scrambled_at.is_none()
                    && now - judge.started_at < least
                {
                    self.violated(
                        18,
                        format!(
                            "node {node} calls {peer} healthy after {} ns",
                            now - judge.started_at
                        ),
                    )?;
                }
            }
        }
        Ok(())
    }

    /// For how long a direction may be called good of whose peer nothing comes any more: until the evidence expires, and as
    /// long before as a silence can be taken for loss on the way there.
    fn longest_hearsay(&self) -> Nanos {
        let Setup { settings, probing, tick, .. } = &self.world.setup;
        settings.expiry
            + 4 * probing.timeout
            + settings.time_of(64)
            + 2 * probing.interval
            + 2 * tick
    }

    /// Takes all faults away.
    pub(super) fn heal(&mut self) {
        for link in self.world.links.iter_mut().flatten() {
            link.heal();
        }
        self.world.nodes.iter_mut().for_each(Node::heal);
    }

    /// How long recovery may take of a path that is held back so, in this world: the stated bound, a round trip, and the
    /// time between two looks.
    pub(super) fn bound(&self, doublings: u8) -> Nanos {
        let setup = &self.world.setup;
        let longest = self.world.links.iter().flatten().map(|link| link.delay).max().unwrap_or(0);
        recovery_bound(&setup.settings, &setup.probing, doublings) + 2 * longest + 2 * setup.tick
    }

    /// Takes all faults away, and checks that every path is healthy within its bound and stays so.
    pub(super) fn calm(&mut self) -> Result<(), Violation> {
        self.heal();
        // What is still on its way is not calm yet: late answers, and a round trip.
        self.pass(SECOND)?;
        let prompt: Vec<_> = self.world.pairs().filter(|pair| self.is_prompt(*pair)).collect();
        prompt.iter().for_each(|_| self.world.count("recoveries without damping"));
        let (undamped, damped) = (self.bound(0), self.bound(self.world.setup.settings.damping));
        self.pass(undamped)?;
        for pair in prompt {
            if self.is_slow(pair) {
                // Round trips of another length: it takes the damped bound until these are the usual ones.
                self.world.count("round trips that became usual");
            } else {
                self.is_healthy(pair, 1)?;
            }
        }
        self.pass(damped - undamped)?;
        self.all_healthy(1)?;
        self.note_changes();
        self.changes.clear();
        self.pass(20 * SECOND)?;
        if !self.changes.is_empty() {
            self.violated(1, format!("changes in the calm: {:?}", self.changes))?;
        }
        self.all_healthy(1)
    }

    /// Whether nothing holds a path back, so that it must recover within the bound without damping.
    pub(super) fn is_prompt(&self, (node, peer): (usize, usize)) -> bool {
        let node = &self.world.nodes[node];
        node.scrambled_at.is_none() && !node.paths[peer].health.is_held_back()
    }

    fn is_slow(&self, (node, peer): (usize, usize)) -> bool {
        self.verdict(node, peer, Direction::Forward).cause == Cause::Latency
    }

    /// The verdict of a node on a direction of the path to a peer.
    pub(super) fn verdict(&self, node: usize, peer: usize, direction: Direction) -> Verdict {
        let path = &self.world.nodes[node].paths[peer].health;
        path.direction(direction, &self.world.setup.settings)
    }

    pub(super) fn all_healthy(&self, invariant: u8) -> Result<(), Violation> {
        self.world.pairs().try_for_each(|pair| self.is_healthy(pair, invariant))?;
        let isolated = |node: &Node| node.judge.isolated_since().is_some();
        match self.world.nodes.iter().position(isolated) {
            Some(node) => self.violated(12, format!("node {node} takes itself for cut off")),
            None => Ok(()),
        }
    }

    pub(super) fn is_healthy(
        &self,
        (node, peer): (usize, usize),
        invariant: u8,
    ) -> Result<(), Violation> {
        for direction in Direction::ALL {
            let verdict = self.verdict(node, peer, direction);
            if verdict.state != State::Healthy {
                let (state, why, needs) = (verdict.state, verdict.cause, verdict.needs);
                self.violated(
                    invariant,
                    format!(
                        "node {node} says {state} ({why}) of {peer} {direction}, needs {needs:?}"
                    ),
                )?;
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
