//! `sim run`: many seeds, with a progress bar, arbitrary states, and the negative controls.
//!
//! - [`seeds`]: plays them, and adds up what they show.

mod seeds;

use std::collections::BTreeMap;

use seeds::{Total, play};
use sim::{
    coverage, mutants,
    mutants::Mutant,
    scenario::{self, Outcome, Violation, overlay},
};

use crate::pool;

/// What can be set at the command line.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Play the scenarios of the overlay, in which nodes route, in place of those of verdicts alone. They have seeds of their own
    #[arg(long, conflicts_with_all = ["nodes", "states", "state"])]
    overlay: bool,
    /// How many scenarios to play
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them, to go on behind one that has failed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    first: u64,
    /// How many nodes probe one another
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=32))]
    nodes: u8,
    /// Play only the scenario of this seed, as a run that has failed says, and show every change of a verdict
    #[arg(long, conflicts_with_all = ["seeds", "state"])]
    seed: Option<u64>,
    /// So many arbitrary states must recover within the bound, without damping and with it; ten for each scenario if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    states: Option<u64>,
    /// Play only the recovery from this arbitrary state, as a run that has failed says
    #[arg(long, conflicts_with = "seeds")]
    state: Option<u64>,
    /// Leave out the negative controls
    #[arg(long)]
    no_mutants: bool,
}

/// Runs; true if nothing was violated, everything was reached, and every mutant was found.
pub(crate) fn run(options: &Options) -> bool {
    if options.overlay {
        return run_overlay(options);
    }
    let nodes = usize::from(options.nodes);
    if let Some(state) = options.state {
        return recover(state, 1);
    }
    if let Some(seed) = options.seed {
        return report(
            &format!("--nodes {nodes} --seed"),
            &play("scenario", seed, 1, |seed| scenario::trace(seed, nodes)),
        );
    }
    let total = play("scenarios", options.first, options.seeds, |seed| scenario::play(seed, nodes));
    print_hours(&total, options.seeds);
    print_coverage(&total);
    let missing = coverage::missing(&total.coverage, options.seeds);
    if !report(&format!("--nodes {nodes} --seed"), &total) || !is_covered(&missing) {
        return false;
    }
    println!("no invariant was violated");
    let states = options.states.unwrap_or(10 * options.seeds);
    recover(0, states.div_ceil(2)) && (options.no_mutants || hunt_all(nodes))
}

/// The same with the overlay's scenarios.
fn run_overlay(options: &Options) -> bool {
    if let Some(seed) = options.seed {
        return report("--overlay --seed", &play("scenario", seed, 1, overlay::trace));
    }
    let total = play("scenarios", options.first, options.seeds, overlay::play);
    print_hours(&total, options.seeds);
    print_coverage(&total);
    for (what, took) in &total.longest {
        println!("  {what:53} {:>15.2} s at most", *took as f64 / 1e9);
    }
    let missing = coverage::missing_of_overlay(&total.coverage, options.seeds);
    if !report("--overlay --seed", &total) || !is_covered(&missing) {
        return false;
    }
    println!("no invariant was violated");
    options.no_mutants
        || hunt(&mutants::of_overlay(), mutants::OVERLAY_SEEDS, mutants::hunt_in_overlay)
}

/// Time that was simulated, by what happened in it.
fn print_hours(total: &Total, seeds: u64) {
    println!(
        "{} path-hours, {} probes in {seeds} scenarios",
        grouped(total.hours.values().sum::<f64>() as u64),
        grouped(total.probes)
    );
    for (kind, hours) in &total.hours {
        println!("  {kind:53} {:>15} path-hours", grouped(*hours as u64));
    }
}

fn print_coverage(total: &Total) {
    for (what, times) in &total.coverage {
        println!("  {what:53} {:>15}", grouped(*times));
    }
}

fn is_covered(missing: &[(&str, u64)]) -> bool {
    for (what, least) in missing {
        println!("FAILED: {what}: less than {least} times, so nothing is known of it");
    }
    missing.is_empty()
}

/// Tells what was violated first, and how to see it again. True if nothing was.
fn report(option: &str, total: &Total) -> bool {
    let Some((seed, Outcome { violation: Some(violation), kind, .. })) = &total.failed else {
        return true;
    };
    println!("FAILED: {kind}, seed {seed}: {violation}");
    println!("to play it again: cargo xtask sim {option} {seed}");
    false
}

/// Arbitrary states of the engine, the accounts and the kernel's memory, and then calm: of each world two paths.
fn recover(first: u64, worlds: u64) -> bool {
    for (what, damped) in [("without damping", false), ("with relapses before", true)] {
        let total = play(what, first, worlds, |seed| scenario::recover(seed, damped));
        if let Some((seed, Outcome { violation: Some(violation), .. })) = total.failed {
            println!("FAILED: arbitrary state {seed}, {what}: {violation}");
            println!("to play it again: cargo xtask sim --state {seed}");
            return false;
        }
        let states = grouped(2 * worlds);
        println!("{states} arbitrary states, {what}: all healthy within the bound");
    }
    true
}

fn hunt_all(nodes: usize) -> bool {
    hunt(&mutants::all(), mutants::SEEDS, |mutant| mutants::hunt(mutant, nodes))
}

fn hunt(
    mutants: &[Mutant],
    seeds: u64,
    hunt: impl Fn(&Mutant) -> Option<(u64, Violation)> + Sync,
) -> bool {
    println!("\nnegative controls, each to be found within {seeds} seeds:");
    let found = pool::map("mutants", mutants, hunt);
    for (mutant, found) in mutants.iter().zip(&found) {
        let name = mutant.name;
        match found {
            Some((seed, violation)) => {
                println!("  {name:53} found by seed {seed:3}, invariant {:2}", violation.invariant);
            }
            None => println!("  {name:53} SURVIVES"),
        }
    }
    found.iter().all(Option::is_some)
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Path-hours by kind of scenario.
type Hours = BTreeMap<&'static str, f64>;
