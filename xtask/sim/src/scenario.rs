//! What happens to a world, and what must hold of it.
//!
//! A seed makes a scenario: how the nodes probe, what goes wrong, for how long. Then the network is calm, and the bounds
//! are counted. The first thing that does not hold ends the run with a [`Violation`].
//!
//! - `run`: what is watched, and what must hold.
//! - `kinds`: scenarios in which one thing goes wrong.
//! - `faults`: those in which anything does.

mod faults;
mod kinds;
mod run;

use std::{collections::BTreeMap, fmt};

use probe_user::{
    config::{HealthConfig, ProbeConfig, Profile},
    health::{
        Settings,
        defect::Defects,
        guarantee::{Probing, recovery_bound},
    },
    random::Random,
    verdict::{MILLISECOND, Nanos, SECOND},
};
use run::Run;

use crate::world::Setup;

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
    /// Nothing is lost, but all clocks of day step all the time.
    Clocks,
}

/// So many seeds in a row have every kind of scenario.
pub const KINDS: u64 = 9;

impl Kind {
    /// That of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        match seed % KINDS {
            0..=3 => Self::Chaos,
            4 | 5 => Self::Constant,
            6 => Self::OneWay,
            7 => Self::Late,
            _ => Self::Clocks,
        }
    }
}

/// Plays the scenario of a seed with so many nodes, with defects or without.
#[must_use]
pub fn play(seed: u64, nodes: usize, defects: Defects) -> Outcome {
    let mut random = Random::new(seed ^ 0x5eed);
    let kind = Kind::of(seed);
    let setup = setup(kind, nodes, defects, &mut random);
    let mut run = Run::new(setup, seed);
    let violation = match kind {
        Kind::Chaos => run.chaos(&mut random),
        Kind::Constant => run.constant(&mut random),
        Kind::OneWay => run.one_way(&mut random),
        Kind::Late => run.late(&mut random),
        Kind::Clocks => run.clocks(),
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
    let mut run = Run::new(Setup { nodes: 2, probing, settings, tick: 10 * MILLISECOND }, seed);
    let started = run.world.now();
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
        (Kind::OneWay | Kind::Late | Kind::Clocks, _)
        | (Kind::Chaos, 0..=2)
        | (Kind::Constant, 0) => (100, 4, 10),
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
