//! Negative controls: engines and accounts with a defect, which the simulator has to find.

use probe_user::health::defect::{Defect, Defects};

use crate::scenario::{self, Violation, overlay};

/// A set of defects, and what must find it.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// For people.
    pub name: &'static str,
    /// What is wrong.
    pub defects: Defects,
    /// The invariant of DESIGN that it breaks. Only that one is watched: a mutant that is found for another reason is not
    /// found.
    pub invariant: u8,
}

/// The simulator must find each mutant among so many seeds, from 0 on.
pub const SEEDS: u64 = 12 * scenario::KINDS;

/// The same of those of the overlay, among its own scenarios.
pub const OVERLAY_SEEDS: u64 = 12 * overlay::KINDS;

/// All of them but those of the overlay. The first three are the incident: each of its defects, and both.
#[must_use]
pub fn all() -> Vec<Mutant> {
    let both = Defects::NONE.with(Defect::Validation).with(Defect::Freshness);
    let both = Mutant { name: "both defects of the incident", defects: both, invariant: 1 };
    let others = [
        ("validation refuses everything after a gap", Defect::Validation, 1),
        ("freshness collapses and pins the verdict", Defect::Freshness, 1),
        ("statistics without an upper limit", Defect::Unclamped, 1),
        ("damping without a cap", Defect::EndlessDamping, 1),
        ("no damping", Defect::NoDamping, 15),
        ("relapses are never forgotten", Defect::LongMemory, 2),
        ("evidence never expires", Defect::NoExpiry, 6),
        ("stale is unhealthy", Defect::StaleIsUnhealthy, 6),
        ("losses have no direction", Defect::NoDirection, 9),
        ("late answers remain losses", Defect::NeverTakenBack, 3),
        ("one pass is recovery", Defect::HastyRecovery, 15),
        ("a restarted reflector is refused", Defect::NoReflectorRestart, 1),
        ("healthy before anything was measured", Defect::BornHealthy, 18),
        ("reflectors' clocks are believed", Defect::CredulousRoundTrip, 11),
        ("an alarm is called degraded", Defect::MildAlarm, 3),
        ("loss on the way back is not seen", Defect::BlindReverse, 3),
        ("nine of ten losses are overlooked", Defect::Overlooking, 3),
        ("single flows are not tested", Defect::NoFlowTests, 3),
        ("one sick flow condemns the path", Defect::HarshFlows, 3),
        ("longer round trips are not seen", Defect::NoLatency, 3),
        ("a node never suspects itself", Defect::NeverIsolated, 12),
        ("a node always suspects itself", Defect::AlwaysIsolated, 12),
    ];
    std::iter::once(both).chain(others.map(one)).collect()
}

/// Those of the overlay.
#[must_use]
pub fn of_overlay() -> Vec<Mutant> {
    let mutants = [
        ("the direct way is never taken again", Defect::NeverReturn, 16),
        ("the way back waits", Defect::SlowReturn, 16),
        ("sick paths are not left", Defect::StayUnhealthy, 13),
        ("a path of which nothing is known any more is kept", Defect::FreshnessPinned, 13),
        ("no route where none is healthy", Defect::FailClosed, 13),
        ("a new agent does not look what routes there are", Defect::NoAdoption, 18),
        ("a new agent moves routes before it knows anything", Defect::HastyStart, 18),
        ("relays forward as they have chosen for themselves", Defect::TransitByChoice, 14),
        ("whatever seems to lose less is used at once", Defect::HastyLeastBad, 15),
        ("a route moves to where nothing comes from any more", Defect::Unheard, 15),
        ("a relay is used as soon as it is healthy", Defect::Immature, 15),
        ("nothing lies beneath a relay's direct routes", Defect::NothingBeneath, 14),
        ("a sick relay is kept", Defect::SickRelay, 13),
        ("any gain is worth a change", Defect::AnyGain, 15),
    ];
    mutants.map(one).into()
}

const fn one((name, defect, invariant): (&'static str, Defect, u8)) -> Mutant {
    Mutant { name, defects: Defects::NONE.with(defect), invariant }
}

/// The first seed that finds a mutant, and what it has seen; `None` where the mutant survives.
#[must_use]
pub fn hunt(mutant: &Mutant, nodes: usize) -> Option<(u64, Violation)> {
    (0..SEEDS).find_map(|seed| {
        let outcome = scenario::play_with(seed, nodes, mutant.defects, Some(mutant.invariant));
        Some((seed, outcome.violation?))
    })
}

/// The same among the scenarios of the overlay.
#[must_use]
pub fn hunt_in_overlay(mutant: &Mutant) -> Option<(u64, Violation)> {
    (0..OVERLAY_SEEDS).find_map(|seed| {
        let outcome = overlay::play_with(seed, mutant.defects, Some(mutant.invariant));
        Some((seed, outcome.violation?))
    })
}
