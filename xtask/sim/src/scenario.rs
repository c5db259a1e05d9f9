//! What happens to a world, and what must hold of it.
//!
//! A seed makes a scenario: how the nodes probe, what goes wrong, for how long. Then the network is calm, and the bounds
//! are counted. The first thing that does not hold ends the run with a [`Violation`].
//!
//! - [`faults`]: what can go wrong.

pub mod faults;

use std::{collections::BTreeMap, fmt};

use probe_user::{
    config::{HealthConfig, ProbeConfig, Profile},
    health::{
        Settings,
        defect::Defects,
        guarantee::{Probing, recovery_bound},
    },
    random::Random,
    verdict::{Cause, Direction, MILLISECOND, Nanos, SECOND, State},
};

use crate::{
    loss::{Loss, Lossy},
    world::{Setup, World},
};

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Which invariant of DESIGN it breaks.
    pub invariant: u8,
    /// When, from the start of the run.
    pub at: Nanos,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at as f64 / 1e9;
        write!(f, "invariant {} after {seconds:.2} s: {}", self.invariant, self.what)
    }
}

/// What a run has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// How often what has happened.
    pub coverage: BTreeMap<&'static str, u64>,
    /// Time that was simulated, times paths, in nanoseconds.
    pub path_time: Nanos,
    /// Probes that were sent.
    pub probes: u64,
    /// All changes of verdicts, as a number: the same for the same seed.
    pub log: u64,
}

/// The kinds of scenarios; a seed's remainder chooses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything goes wrong, and everything may be in an arbitrary state when the calm begins.
    Chaos,
    /// All links lose the same share all the time.
    Constant,
    /// Packets are lost in one direction between two nodes, and nowhere else.
    OneWay,
    /// Nothing is lost, but some answers come late.
    Late,
}

/// So many seeds in a row have every kind of scenario.
pub const KINDS: u64 = 8;

impl Kind {
    /// That of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        match seed % KINDS {
            0..=3 => Self::Chaos,
            4 | 5 => Self::Constant,
            6 => Self::OneWay,
            _ => Self::Late,
        }
    }
}

/// A run, and what is watched.
struct Run {
    world: World,
    started: Nanos,
    outcome: Outcome,
    /// Times of changes of each verdict in the last hour, in scenarios of constant loss.
    changes: BTreeMap<(usize, usize, Direction2), Vec<(Nanos, State)>>,
}

/// A direction as an index, for maps.
type Direction2 = usize;

/// Plays the scenario of a seed with so many nodes, with defects or without.
#[must_use]
pub fn play(seed: u64, nodes: usize, defects: Defects) -> Outcome {
    let mut random = Random::new(seed ^ 0x5eed);
    let kind = Kind::of(seed);
    let setup = setup(kind, nodes, defects, &mut random);
    let world = World::new(setup, seed);
    let started = world.now();
    let mut run = Run { world, started, outcome: Outcome::default(), changes: BTreeMap::new() };
    let violation = match kind {
        Kind::Chaos => run.chaos(&mut random),
        Kind::Constant => run.constant(&mut random),
        Kind::OneWay => run.one_way(&mut random),
        Kind::Late => run.late(&mut random),
    };
    run.finish(violation.err())
}

/// Puts two nodes into arbitrary states, and lets the network be calm: every path must be healthy within the bound of the
/// profile "balanced", at a probe every 100 ms and four flows. `damped` is whether relapses may be part of the state.
#[must_use]
pub fn recover(seed: u64, damped: bool) -> Outcome {
    let mut random = Random::new(seed ^ 0xca1);
    let probe = ProbeConfig::default();
    let interval = 100 * MILLISECOND;
    let settings = settings(&Profile::Balanced.health(), interval, &probe);
    let probing = Probing { interval, timeout: SECOND, flows: probe.flows };
    let world = World::new(Setup { nodes: 2, probing, settings, tick: 10 * MILLISECOND }, seed);
    let started = world.now();
    let mut run = Run { world, started, outcome: Outcome::default(), changes: BTreeMap::new() };
    for node in &mut run.world.nodes {
        node.scramble(&mut random, started);
        if !damped {
            node.paths.iter_mut().for_each(|path| path.health.forget_damping());
        }
    }
    let doublings = if damped { settings.damping } else { 0 };
    let delays: Nanos = run.world.links.iter().flatten().map(|link| link.delay).max().unwrap_or(0);
    let bound =
        recovery_bound(&settings, &probing, doublings) + 2 * delays + 2 * run.world.setup.tick;
    run.world.run_until(started + bound);
    let violation = run.all_healthy(1);
    run.finish(violation.err())
}

fn setup(kind: Kind, nodes: usize, defects: Defects, random: &mut Random) -> Setup {
    // Slow probing lets hours pass quickly; fast probing is what the product does.
    let (interval, flows, tick) = match (kind, random.below(8)) {
        (Kind::OneWay | Kind::Late, _) | (Kind::Chaos, 0..=2) | (Kind::Constant, 0) => (100, 4, 10),
        (_, 3 | 4) => (1_000, 2, 100),
        (Kind::Constant, 1 | 2) | (Kind::Chaos, _) => (1_000, 1, 250),
        (Kind::Constant, _) => (5_000, 1, 1_000),
    };
    let profile = Profile::ALL[random.below(3) as usize];
    let probe = ProbeConfig { flows, ..ProbeConfig::default() };
    let mut health = profile.health();
    health.expiry = health.expiry.max(std::time::Duration::from_millis(2 * interval + 1_500));
    let interval = interval * MILLISECOND;
    let settings = settings(&health, interval, &probe);
    let probing = Probing { interval, timeout: SECOND, flows };
    let settings = Settings { defects, ..settings };
    Setup { nodes, probing, settings, tick: tick * MILLISECOND }
}

/// Thresholds take some milliseconds to compute, so they are kept.
fn settings(health: &HealthConfig, interval: Nanos, probe: &ProbeConfig) -> Settings {
    use std::sync::Mutex;
    type Key = (u64, Nanos, u16);
    static KNOWN: Mutex<BTreeMap<Key, Settings>> = Mutex::new(BTreeMap::new());
    let key = (health.false_alarms_per_year.to_bits(), interval, probe.flows);
    let probe =
        ProbeConfig { interval: std::time::Duration::from_nanos(interval), ..probe.clone() };
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *known.entry(key).or_insert_with(|| health.settings(&probe))
}

impl Run {
    fn finish(mut self, violation: Option<Violation>) -> Outcome {
        let paths = (self.world.setup.nodes * (self.world.setup.nodes - 1)) as u64;
        self.outcome.path_time = (self.world.now() - self.started) * paths;
        self.outcome.probes = self.world.probes;
        self.outcome.coverage = std::mem::take(&mut self.world.coverage);
        self.outcome.violation = violation;
        self.outcome
    }

    fn violated<T>(&self, invariant: u8, what: String) -> Result<T, Violation> {
        Err(Violation { invariant, at: self.world.now() - self.started, what })
    }

    /// Lets time pass, and checks what must hold always.
    fn pass(&mut self, time: Nanos) -> Result<(), Violation> {
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
    fn calm(&mut self) -> Result<(), Violation> {
        let setup = self.world.setup;
        for link in self.world.links.iter_mut().flatten() {
            link.heal();
        }
        for node in &mut self.world.nodes {
            node.sender_stalled_until = 0;
            node.judge_stalled_until = 0;
        }
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

    fn all_healthy(&self, invariant: u8) -> Result<(), Violation> {
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
    fn settle(&mut self) -> Result<(), Violation> {
        let setup = self.world.setup;
        self.pass(recovery_bound(&setup.settings, &setup.probing, 0) + SECOND)?;
        self.all_healthy(18)
    }

    /// All links lose the same share for hours: invariant 15.
    fn constant(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        let ratio = match random.below(3) {
            0 => random.unit(),
            // Where alarm and recovery are both likely.
            1 => 0.005 + 0.045 * random.unit(),
            _ => 0.2 * random.unit(),
        };
        for link in self.world.links.iter_mut().flatten() {
            link.lossy = Lossy::new(Loss::Independent(ratio));
        }
        self.world.count("scenarios of constant loss");
        self.changes.clear();
        let hours = match self.world.setup.probing.interval / SECOND {
            0 => 1,
            1 => 24,
            _ => 56,
        };
        for _ in 0..hours {
            self.pass(3_600 * SECOND)?;
            let hour = 3_600 * SECOND;
            let now = self.world.now();
            let mut flapping = None;
            for (who, times) in &mut self.changes {
                if times.windows(5).any(|window| window[4].0 - window[0].0 < hour) {
                    flapping = Some((*who, times.clone()));
                }
                times.retain(|(at, _)| now - at < hour);
            }
            if let Some((who, times)) = flapping {
                return self
                    .violated(15, format!("{who:?} changes at {times:?}, at {ratio:.4} loss"));
            }
        }
        self.calm()
    }

    /// Invariant 9.
    fn one_way(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        let ratio = random.unit();
        self.world.links[0][1].lossy = Lossy::new(Loss::Independent(ratio));
        if random.chance(0.2) {
            self.world.links[0][1].black_until = Nanos::MAX;
        }
        self.world.count("scenarios of loss in one direction");
        for _ in 0..60 {
            self.pass(SECOND)?;
            for (node, peer, direction) in [(0, 1, Direction::Reverse), (1, 0, Direction::Forward)]
            {
                let state = self.world.state(node, peer, direction);
                if matches!(state, State::Unhealthy | State::Degraded) {
                    return self.violated(
                        9,
                        format!("node {node} says {state} of {peer} {direction}, which loses nothing; {ratio:.3} the other way"),
                    );
                }
            }
        }
        if ratio > 0.3 && self.world.state(0, 1, Direction::Forward) == State::Healthy {
            return self
                .violated(3, format!("{ratio:.3} loss for a minute, and it is called healthy"));
        }
        self.calm()
    }

    /// Answers that come late are no loss.
    fn late(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        for link in self.world.links.iter_mut().flatten() {
            // Soon enough that what is on its way at any time is no alarm in itself.
            link.late = (0.02 + 0.015 * random.unit(), (120 + random.below(80)) * MILLISECOND);
        }
        self.world.count("scenarios of late answers");
        for _ in 0..10 {
            self.pass(60 * SECOND)?;
            for (node, peer) in self.world.pairs() {
                for direction in Direction::ALL {
                    let state = self.world.state(node, peer, direction);
                    if state == State::Unhealthy {
                        return self.violated(
                            9,
                            format!("node {node} says {state} of {peer}, and nothing was lost"),
                        );
                    }
                }
            }
        }
        self.calm()
    }
}
