//! Scenarios in which the nodes route: three to six of them in a full mesh of tunnels, each of which probes each other one
//! directly and through every third one, and chooses from what it has measured itself.
//!
//! What holds of verdicts is watched as in all scenarios, and at every tick, beside it, what must hold of routes.
//!
//! - `truth`: what the network would carry.
//! - `watch`: what must hold of routes always.
//! - `kinds`: what happens.
//! - `expect`: what is expected at certain times.
//! - `faults`: what goes wrong.

mod expect;
mod faults;
mod kinds;
mod truth;
mod watch;

use probe_user::{config::Profile, health::defect::Defects, random::Random};

pub(super) use watch::Watch;

use super::{Outcome, Run, setup_of};
use crate::world::Setup;

/// The kinds of scenarios; a seed's remainder chooses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything goes wrong, and everything may be in an arbitrary state when the calm begins.
    Chaos,
    /// All links of some nodes lose much for some seconds.
    Incident,
    /// Everything begins in an arbitrary state, in a network that is well.
    Fuzzed,
    /// Links lose the same share all the time.
    Constant,
    /// The direct way fails while all else is well, and comes back.
    Detour,
    /// Agents die and start again while their routes lead through relays.
    Restart,
    /// A node is cut off.
    CutOff,
    /// All ways of a node are dead but one, which loses some.
    LastWay,
    /// Agents stand still for some time in a network that is well.
    Standstill,
}

/// So many seeds in a row have every kind of scenario.
pub const KINDS: u64 = 12;

/// So that these scenarios are others than those of the same seeds without an overlay.
const SALT: u64 = 0x0e71;

impl Kind {
    /// That of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        match seed % KINDS {
            0..=2 => Self::Chaos,
            3 => Self::Incident,
            4 => Self::Fuzzed,
            5 => Self::Constant,
            6 | 7 => Self::Detour,
            8 => Self::Restart,
            9 => Self::CutOff,
            10 => Self::LastWay,
            _ => Self::Standstill,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Chaos => "chaos of routes",
            Self::Incident => "incidents",
            Self::Fuzzed => "fuzzed starts",
            Self::Constant => "constant loss of links",
            Self::Detour => "detours",
            Self::Restart => "restarts",
            Self::CutOff => "nodes cut off",
            Self::LastWay => "last ways",
            Self::Standstill => "agents that stand still",
        }
    }
}

/// Plays the scenario of a seed.
#[must_use]
pub fn play(seed: u64) -> Outcome {
    play_with(seed, Defects::NONE, None)
}

/// The same, and prints every change of a verdict or a route.
#[must_use]
pub fn trace(seed: u64) -> Outcome {
    let (mut run, mut random) = begin(seed, Defects::NONE, None);
    run.is_traced = true;
    run.play_overlay(Kind::of(seed), &mut random)
}

/// Plays the scenario of a seed with defects. Where an invariant is named, no other is watched.
#[must_use]
pub fn play_with(seed: u64, defects: Defects, watched: Option<u8>) -> Outcome {
    let (run, mut random) = begin(seed, defects, watched);
    run.play_overlay(Kind::of(seed), &mut random)
}

fn begin(seed: u64, defects: Defects, watched: Option<u8>) -> (Run, Random) {
    let mut random = Random::new(seed ^ SALT);
    let setup = setup(Kind::of(seed), defects, &mut random);
    (Run::new(setup, seed ^ SALT << 32, watched), random)
}

/// The more nodes, the fewer probes of each path, so that no scenario takes much longer than another.
fn setup(kind: Kind, defects: Defects, random: &mut Random) -> Setup {
    let nodes = match kind {
        Kind::Constant => 3 + random.below(2),
        _ => [3, 3, 4, 4, 4, 5, 5, 6][random.below(8) as usize],
    } as usize;
    let pace = match (kind, nodes, random.below(2)) {
        (Kind::Constant, ..) => (1_000, 2, 250),
        (_, 3, 0) => (100, 4, 10),
        (_, 3, _) | (_, 4, 0) => (100, 2, 20),
        (_, 4, _) => (250, 4, 50),
        (_, 5, 0) => (100, 1, 50),
        _ => (250, 2, 50),
    };
    let profile = match random.below(if nodes == 3 { 5 } else { 4 }) {
        0 | 1 => Profile::Fast,
        2 | 3 => Profile::Balanced,
        _ => Profile::Calm,
    };
    Setup { overlay: true, ..setup_of(profile, nodes, pace, defects) }
}
