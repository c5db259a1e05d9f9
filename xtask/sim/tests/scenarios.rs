//! A short run of the simulator, and all negative controls. `cargo xtask sim --seeds 10000` is the long one, and the same with
//! `--overlay`.

use sim::{
    coverage::{self, Coverage},
    mutants,
    scenario::{self, KINDS, overlay},
};

const NODES: usize = 4;

#[test]
fn no_scenario_breaks_an_invariant() {
    for seed in 0..8 * KINDS {
        let outcome = scenario::play(seed, NODES);
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
    let mut sum = Coverage::new();
    for seed in 1_000..1_000 + coverage::SEEDS {
        coverage::add(&mut sum, &scenario::play(seed, NODES).coverage);
    }
    assert_eq!(coverage::missing(&sum, coverage::SEEDS), []);
}

/// A simulator that does not find them is worth nothing.
#[test]
fn every_mutant_is_found_by_the_invariant_that_it_breaks() {
    for mutant in mutants::all() {
        let found = mutants::hunt(&mutant, NODES);
        assert!(found.is_some(), "{} survives {} seeds", mutant.name, mutants::SEEDS);
    }
}

/// Invariant 20: same seed, same log.
#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..KINDS {
        let first = scenario::play(seed, NODES);
        assert_eq!(first, scenario::play(seed, NODES), "seed {seed}");
    }
}

#[test]
fn no_scenario_of_the_overlay_breaks_an_invariant() {
    for seed in 0..4 * overlay::KINDS {
        let outcome = overlay::play(seed);
        assert_eq!(outcome.violation, None, "cargo xtask sim --overlay --seed {seed}");
    }
}

#[test]
fn the_interesting_states_of_the_overlay_are_reached() {
    let mut sum = Coverage::new();
    for seed in 1_000..1_000 + coverage::OVERLAY_SEEDS {
        coverage::add(&mut sum, &overlay::play(seed).coverage);
    }
    assert_eq!(coverage::missing_of_overlay(&sum, coverage::OVERLAY_SEEDS), []);
}

#[test]
fn every_mutant_of_the_overlay_is_found_by_the_invariant_that_it_breaks() {
    for mutant in mutants::of_overlay() {
        let found = mutants::hunt_in_overlay(&mutant);
        assert!(found.is_some(), "{} survives {} seeds", mutant.name, mutants::OVERLAY_SEEDS);
    }
}

/// Invariant 20: same seed, same log.
#[test]
fn the_same_seed_gives_the_same_routes() {
    for seed in 0..overlay::KINDS {
        assert_eq!(overlay::play(seed), overlay::play(seed), "seed {seed}");
    }
}
