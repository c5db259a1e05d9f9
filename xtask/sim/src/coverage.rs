//! What must have been reached for a run to count: what was never reached was never tested.

use std::collections::BTreeMap;

/// How often what has happened.
pub type Coverage = BTreeMap<&'static str, u64>;

/// So many seeds in a row reach all of it.
pub const SEEDS: u64 = 12 * crate::scenario::KINDS;

/// What must happen at least so often among [`SEEDS`] seeds.
const FLOORS: [(&str, u64); 41] = [
    ("blackholes in both directions", 5),
    ("blackholes in one direction", 5),
    ("blackholes that had to be seen", 1),
    ("bursts of loss", 5),
    ("changes while a node held itself for cut off", 10),
    ("clocks that stepped", 5),
    ("dead flows that had to be seen", 1),
    ("duplicates", 5),
    ("flows that died", 5),
    ("flows that took a longer way", 5),
    ("good and bad times", 5),
    ("agents that were started again", 5),
    ("independent loss", 5),
    ("interfaces that were reset", 5),
    ("jitter and reordering", 5),
    ("judges that stalled", 5),
    ("late packets", 5),
    ("longer ways that had to be seen", 1),
    ("losses that had to be seen", 5),
    ("nodes that were cut off", 5),
    ("nodes whose isolation had to be seen", 1),
    ("outages after an hour of health", 1),
    ("recoveries beside a dead direction", 2),
    ("recoveries beside a dead flow", 1),
    ("recoveries without damping", 20),
    ("reflectors that forgot their numbers", 5),
    ("replies that no slot waits for", 100),
    ("routes of another length", 5),
    ("scenarios of clocks that step", 5),
    ("scenarios of constant loss", 5),
    ("scenarios of constant loss from the start", 5),
    ("scenarios of late answers", 5),
    ("scenarios of loss in one direction", 5),
    ("scenarios of loss towards a peer that does not probe", 2),
    ("scrambled states", 5),
    ("senders that stalled", 5),
    ("states scrambled in the middle of a run", 5),
    ("verdicts that became degraded", 20),
    ("verdicts that became healthy", 100),
    ("verdicts that became unhealthy", 100),
    ("verdicts that became unknown", 100),
];

/// So many seeds of the overlay's scenarios in a row reach all of what is theirs.
pub const OVERLAY_SEEDS: u64 = 12 * crate::scenario::overlay::KINDS;

/// What must happen at least so often among [`OVERLAY_SEEDS`] seeds.
const OVERLAY_FLOORS: [(&str, u64); 35] = [
    ("agents that died", 5),
    ("agents that found strange routes", 5),
    ("agents that stood still", 2),
    ("agents that stood still alone", 5),
    ("agents that were started again", 5),
    ("blackholes of a link", 5),
    ("blackholes of a link in one direction", 5),
    ("bursts in a region", 5),
    ("bursts of a link", 5),
    ("changes while a node held itself for cut off", 10),
    ("detours", 5),
    ("flows that died", 2),
    ("fuzzed networks", 5),
    ("fuzzed networks with a link less", 2),
    ("hours of constant loss of links", 5),
    ("last ways", 5),
    ("links that became longer", 2),
    ("losses of a link", 5),
    ("nodes that were cut off alone", 5),
    ("regions that were cut off", 5),
    ("relays that failed", 5),
    ("relays that forwarded nothing", 5),
    ("returns without damping", 20),
    ("routes away from a tunnel that is down", 5),
    ("routes away from loss", 20),
    ("routes away from silence", 20),
    ("routes back to the direct way", 50),
    ("routes to a faster way", 2),
    ("routes to what is least bad", 10),
    ("scrambled states", 5),
    ("tunnels that were down", 5),
    ("verdicts that became degraded", 10),
    ("verdicts that became healthy", 100),
    ("verdicts that became unhealthy", 100),
    ("verdicts that became unknown", 100),
];

/// What has not been reached, and how often it should have been; nothing where fewer than [`SEEDS`] seeds were played.
#[must_use]
pub fn missing(coverage: &Coverage, seeds: u64) -> Vec<(&'static str, u64)> {
    if seeds < SEEDS { Vec::new() } else { below(&FLOORS, coverage) }
}

/// The same of the overlay's scenarios.
#[must_use]
pub fn missing_of_overlay(coverage: &Coverage, seeds: u64) -> Vec<(&'static str, u64)> {
    if seeds < OVERLAY_SEEDS { Vec::new() } else { below(&OVERLAY_FLOORS, coverage) }
}

fn below(floors: &[(&'static str, u64)], coverage: &Coverage) -> Vec<(&'static str, u64)> {
    let is_below = |(what, least): &&(&str, u64)| coverage.get(what).copied().unwrap_or(0) < *least;
    floors.iter().filter(is_below).copied().collect()
}

/// Adds one run's to another's.
pub fn add(sum: &mut Coverage, coverage: &Coverage) {
    for (what, times) in coverage {
        *sum.entry(what).or_default() += times;
    }
}
