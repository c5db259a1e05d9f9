//! What happens to a world, and what must hold of it.
//!
//! A seed makes a scenario: how the nodes probe, what goes wrong, for how long. Then the network is calm, and the bounds
//! are counted. The first thing that does not hold ends the run with a [`Violation`].
//!
//! - `run`: what is watched, and what must hold.
//! - `kinds`: scenarios in which one thing goes wrong.
//! - `onset`: those in which a fault must be seen in time.
//! - `faults`: those in which anything goes wrong.
//! - `beside`: and those in which some of it stays.
//! - [`overlay`]: those in which the nodes route, numbered by themselves.

mod beside;
mod faults;
mod kinds;
mod onset;
pub mod overlay;
mod run;

use std::{collections::BTreeMap, fmt};

use probe_user::{
    config::{HealthConfig, ProbeConfig, Profile},
    health::{Settings, defect::Defects, guarantee::Probing},
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
    /// Of which kind the scenario was, for people.
    pub kind: &'static str,
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// How often what has happened.
    pub coverage: BTreeMap<&'static str, u64>,
    /// The longest that something took, in nanoseconds.
    pub longest: BTreeMap<&'static str, Nanos>,
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
    /// One fault in a network that is well, which must be seen in time.
    Onset,
    /// Anything goes wrong, and a part of it for good.
    Beside,
}

/// So that a scenario and the world in it do not draw the same numbers.
const SALT: u64 = 0x5eed;

/// So many seeds in a row have every kind of scenario.
pub const KINDS: u64 = 12;

impl Kind {
    /// The name for people.
    const fn label(self) -> &'static str {
        match self {
            Self::Chaos => "chaos",
            Self::Constant => "constant",
            Self::OneWay => "oneway",
            Self::Late => "late",
            Self::Clocks => "clocks",
            Self::Onset => "onset",
            Self::Beside => "beside",
        }
    }

    /// That of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        match seed % KINDS {
            0..=3 => Self::Chaos,
            4 | 5 => Self::Constant,
            6 => Self::OneWay,
            7 => Self::Late,
            8 => Self::Clocks,
            9 | 10 => Self::Onset,
            _ => Self::Beside,
        }
    }
}

/// Plays the scenario of a seed with so many nodes.
#[must_use]
pub fn play(seed: u64, nodes: usize) -> Outcome {
    play_with(seed, nodes, Defects::NONE, None)
}

/// The same, and prints every change of a verdict.
#[must_use]
pub fn trace(seed: u64, nodes: usize) -> Outcome {
    let mut random = Random::new(seed ^ SALT);
    let setup = setup(Kind::of(seed), nodes, Defects::NONE, &mut random);
    let mut run = Run::new(setup, seed, None);
    run.is_traced = true;
    run.play(Kind::of(seed), &mut random)
}

/// Plays the scenario of a seed with so many nodes and with defects. Where an invariant is named, no other is watched.
#[must_use]
pub fn play_with(seed: u64, nodes: usize, defects: Defects, watched: Option<u8>) -> Outcome {
    let mut random = Random::new(seed ^ SALT);
    let setup = setup(Kind::of(seed), nodes, defects, &mut random);
    Run::new(setup, seed, watched).play(Kind::of(seed), &mut random)
}

/// Puts two nodes into arbitrary states, and lets the network be calm: every path must be healthy within the bound of the
/// profile "balanced", at a probe every 100 ms and four flows or, with every other seed, at another pace. `damped` is
/// whether relapses may be part of the state. If not, one that is about to recover and to fail relapses for the first time
/// then, and is held back from there on.
#[must_use]
pub fn recover(seed: u64, damped: bool) -> Outcome {
    let mut random = Random::new(seed ^ 0xca1);
    let (interval, flows) = match (seed % 2, random.below(4)) {
        (0, _) => (100, 4),
        (_, 0) => (100, 1),
        (_, 1) => (1_000, 4),
        (_, 2) => (250, 16),
        _ => (1_000, 1),
    };
    let setup = setup_of(Profile::Balanced, 2, (interval, flows, 10), Defects::NONE);
    let mut run = Run::new(setup, seed, None);
    let started = run.world.now();
    for node in &mut run.world.nodes {
        node.scramble(&mut random, started);
        if !damped {
            node.paths.iter_mut().for_each(|path| path.health.forget_damping());
        }
    }
    let longest = run.bound(setup.settings.damping);
    let violation = if damped {
        run.world.run_until(started + longest);
        run.all_healthy(1)
    } else {
        let first = started + run.bound(0);
        run.world.run_until(first);
        let relapsed = |run: &Run, pair: (usize, usize)| {
            run.world.nodes[pair.0].paths[pair.1].health.has_relapsed()
        };
        let (late, prompt): (Vec<_>, Vec<_>) =
            run.world.pairs().partition(|pair| relapsed(&run, *pair));
        if !late.is_empty() {
            run.world.count("first relapses of arbitrary states");
        }
        let prompt = prompt.into_iter().try_for_each(|pair| run.is_healthy(pair, 1));
        prompt.and_then(|()| {
            run.world.run_until(if late.is_empty() { first } else { first + longest });
            run.all_healthy(1)
        })
    };
    run.finish("recovery", violation.err())
}

fn setup(kind: Kind, nodes: usize, defects: Defects, random: &mut Random) -> Setup {
    // Slow probing lets hours pass quickly; fast probing is what the product does.
    let pace = match (kind, random.below(8)) {
        (Kind::Late | Kind::Clocks, _) | (Kind::Constant, 0) => (100, 4, 10),
        (Kind::Constant, 1 | 2) => (1_000, 1, 250),
        (Kind::Constant, 3 | 4) => (1_000, 2, 100),
        (Kind::Constant, _) => (5_000, 1, 1_000),
        (_, 0..=3) => (100, 4, 10),
        (_, 4) => (100, 1, 10),
        // Where the peer probes less often than that, an alarm comes before its probes can tell where the losses are.
        (Kind::OneWay | Kind::Onset | Kind::Beside, 5 | 6) => (250, 4, 25),
        (Kind::OneWay | Kind::Onset | Kind::Beside, _) => (100, 16, 10),
        (_, 5) => (1_000, 4, 100),
        (_, 6) => (1_000, 2, 100),
        _ => (1_000, 1, 250),
    };
    setup_of(Profile::ALL[random.below(3) as usize], nodes, pace, defects)
}

/// Probes every so many milliseconds, on so many flows, judged every so many milliseconds.
fn setup_of(
    profile: Profile,
    nodes: usize,
    (interval, flows, tick): (u64, u16, u64),
    defects: Defects,
) -> Setup {
    let probe = ProbeConfig { flows, ..ProbeConfig::default() };
    let mut health = profile.health();
    health.expiry = health.expiry.max(std::time::Duration::from_millis(2 * interval + 1_500));
    let interval = interval * MILLISECOND;
    let settings = Settings { defects, ..settings(&health, interval, &probe) };
    let probing = Probing { interval, timeout: SECOND, flows };
    Setup { nodes, probing, settings, tick: tick * MILLISECOND, overlay: false }
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
