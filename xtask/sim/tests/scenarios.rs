//! A short run of the simulator, and all negative controls. `cargo xtask sim --seeds 10000` is the long one.

use probe_user::health::defect::Defects;
use sim::{
    mutants,
    scenario::{self, KINDS},
};

const NODES: usize = 4;

#[test]
fn no_scenario_breaks_an_invariant() {
    for seed in 0..8 * KINDS {
        let outcome = scenario::play(seed, NODES, Defects::NONE);
        assert_eq!(outcome.violation, None, "cargo xtask sim --seed {seed} --nodes {NODES}");
    }
}

#[test]
fn arbitrary_states_recover_within_the_bound() {
    for seed in 0..500 {
        for damped in [false, true] {
            let violation = scenario::recover(seed, damped).violation;
            assert_eq!(violation, None, "state {seed}, damped: {damped}");
        }
    }
}

/// What was never reached was never tested.
#[test]
fn the_interesting_states_are_reached() {
    let mut coverage = std::collections::BTreeMap::new();
    for seed in 100..100 + 8 * KINDS {
        for (what, times) in scenario::play(seed, NODES, Defects::NONE).coverage {
            *coverage.entry(what).or_insert(0) += times;
        }
    }
    for (what, least) in [
        ("verdicts that became unknown", 100),
        ("verdicts that became healthy", 100),
        ("verdicts that became degraded", 20),
        ("verdicts that became unhealthy", 100),
        ("changes while a node held itself for cut off", 10),
        ("recoveries without damping", 1),
        ("scrambled states", 5),
        ("states scrambled in the middle of a run", 5),
        ("replies that no slot waits for", 100),
        ("scenarios of constant loss", 10),
        ("scenarios of loss in one direction", 5),
        ("scenarios of late answers", 5),
        ("scenarios of clocks that step", 5),
        ("good and bad times", 5),
        ("interfaces that were reset", 5),
        ("clocks that stepped", 5),
        ("blackholes in both directions", 5),
        ("nodes that were cut off", 5),
        ("reflectors that forgot their numbers", 5),
        ("agents that were started again", 5),
        ("senders that stalled", 5),
        ("judges that stalled", 5),
        ("jitter and reordering", 5),
        ("duplicates", 5),
    ] {
        let times = coverage.get(what).copied().unwrap_or(0);
        assert!(times >= least, "{what}: {times} times");
    }
}

/// A simulator that does not find them is worth nothing.
#[test]
fn every_mutant_is_found() {
    let mutants = mutants::all();
    assert!(mutants.len() >= 8);
    for mutant in mutants {
        let found = mutants::hunt(&mutant, NODES);
        assert!(found.is_some(), "{} survives {} seeds", mutant.name, mutant.seeds);
    }
}

/// Invariant 20: same seed, same log.
#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..KINDS {
        let first = scenario::play(seed, NODES, Defects::NONE);
        assert_eq!(first, scenario::play(seed, NODES, Defects::NONE), "seed {seed}");
    }
}
