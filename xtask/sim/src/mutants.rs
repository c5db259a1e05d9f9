//! Negative controls: engines and accounts with a defect, which the simulator has to find.

use probe_user::health::defect::{Defect, Defects};

use crate::scenario;

/// A set of defects, and within how many seeds it must be found.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// For people.
    pub name: &'static str,
    /// What is wrong.
    pub defects: Defects,
    /// The simulator must find it among so many seeds, from 0 on.
    pub seeds: u64,
}

/// All of them. The first three are the incident: each of its defects, and both.
#[must_use]
pub fn all() -> Vec<Mutant> {
    let one = |name, defect| (name, Defects::NONE.with(defect));
    let both = Defects::NONE.with(Defect::Validation).with(Defect::Freshness);
    let mutants = [
        one("validation refuses everything after a gap", Defect::Validation),
        one("freshness collapses and pins the verdict", Defect::Freshness),
        ("both defects of the incident", both),
        one("statistics without an upper limit", Defect::Unclamped),
        one("damping without a cap", Defect::EndlessDamping),
        one("no damping", Defect::NoDamping),
        one("evidence never expires", Defect::NoExpiry),
        one("stale is unhealthy", Defect::StaleIsUnhealthy),
        one("losses have no direction", Defect::NoDirection),
        one("late answers remain losses", Defect::NeverTakenBack),
        one("one pass is recovery", Defect::HastyRecovery),
        one("a restarted reflector is refused", Defect::NoReflectorRestart),
        one("healthy before anything was measured", Defect::BornHealthy),
        one("reflectors' clocks are believed", Defect::CredulousRoundTrip),
    ];
    mutants.map(|(name, defects)| Mutant { name, defects, seeds: 64 }).to_vec()
}

/// The first seed that finds a mutant, and what it has seen; `None` where the mutant survives.
#[must_use]
pub fn hunt(mutant: &Mutant, nodes: usize) -> Option<(u64, scenario::Violation)> {
    (0..mutant.seeds).find_map(|seed| {
        let violation = scenario::play(seed, nodes, mutant.defects).violation?;
        Some((seed, violation))
    })
}
