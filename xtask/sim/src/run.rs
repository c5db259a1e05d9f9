//! `sim run`: many seeds, with a progress bar, and the negative controls.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use probe_user::health::defect::Defects;
use sim::{
    mutants,
    scenario::{self, Kind, Outcome},
};

/// What can be set at the command line.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many scenarios to play
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many nodes probe one another
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=32))]
    nodes: u8,
    /// Play only the scenario of this seed, as a run that has failed says
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// So many arbitrary states at least must recover within the bound: of each two paths
    #[arg(long, default_value_t = 2_000)]
    states: u64,
    /// Leave out the negative controls
    #[arg(long)]
    no_mutants: bool,
}

/// The sum of all outcomes.
#[derive(Default)]
struct Total {
    hours: f64,
    probes: u64,
    coverage: BTreeMap<&'static str, u64>,
    failed: Option<(u64, Outcome)>,
}

/// Runs; true if nothing was violated and every mutant was found.
pub(crate) fn run(options: &Options) -> bool {
    let (first, count) = options.seed.map_or((0, options.seeds), |seed| (seed, 1));
    let nodes = usize::from(options.nodes);
    let total = play(first, count, |seed| scenario::play(seed, nodes, Defects::NONE));
    println!(
        "{} path-hours, {} probes in {count} scenarios of {} nodes",
        grouped(total.hours as u64),
        grouped(total.probes),
        options.nodes
    );
    let width = total.coverage.keys().map(|what| what.len()).max().unwrap_or(0);
    for (what, times) in &total.coverage {
        println!("  {what:width$}  {:>15}", grouped(*times));
    }
    if let Some((seed, outcome)) = total.failed {
        let Some(violation) = outcome.violation else { return false };
        println!("FAILED: seed {seed} ({:?}): {violation}", Kind::of(seed));
        println!("to play it again: cargo xtask sim --seed {seed} --nodes {}", options.nodes);
        return false;
    }
    println!("no invariant was violated");
    if options.seed.is_some() {
        return true;
    }
    recover(options.states) && (options.no_mutants || hunt(usize::from(options.nodes)))
}

/// Plays the seeds on all cores. Which seed comes first does not depend on that: the least that fails is told.
fn play(first: u64, count: u64, scenario: impl Fn(u64) -> Outcome + Sync) -> Total {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let outcome = scenario(first + index);
                    failed.fetch_or(outcome.violation.is_some(), Ordering::Relaxed);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.add(first + index, outcome);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, count, total.hours);
                }
            });
        }
    });
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Total {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.hours += outcome.path_time as f64 / 3.6e12;
        self.probes += outcome.probes;
        for (what, times) in &outcome.coverage {
            *self.coverage.entry(what).or_default() += times;
        }
        let is_first = self.failed.as_ref().is_none_or(|(other, _)| seed < *other);
        if outcome.violation.is_some() && is_first {
            self.failed = Some((seed, outcome));
        }
    }
}

/// Arbitrary states of the engine, the accounts and the kernel's memory, and then calm.
fn recover(states: u64) -> bool {
    let worlds = states.div_ceil(2);
    for (what, damped) in [("without damping", false), ("with relapses before", true)] {
        let total = play(0, worlds, |seed| scenario::recover(seed, damped));
        match total.failed {
            Some((seed, Outcome { violation: Some(violation), .. })) => {
                println!("FAILED: arbitrary state {seed}, {what}: {violation}");
                return false;
            }
            _ => println!(
                "{} arbitrary states, {what}: all healthy within the bound",
                grouped(2 * worlds)
            ),
        }
    }
    true
}

fn progress(done: u64, count: u64, hours: f64) {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        let bar = "#".repeat((done * 40 / count) as usize);
        write!(error, "\r[{bar:40}] {done} of {count}, {} path-hours", grouped(hours as u64)).ok();
    }
}

fn hunt(nodes: usize) -> bool {
    let mut all_found = true;
    println!("\nnegative controls:");
    for mutant in mutants::all() {
        match mutants::hunt(&mutant, nodes) {
            Some((seed, violation)) => {
                let invariant = violation.invariant;
                println!("  {:42} found by seed {seed:2}: invariant {invariant}", mutant.name);
            }
            None => {
                all_found = false;
                println!("  {:42} SURVIVES {} seeds", mutant.name, mutant.seeds);
            }
        }
    }
    all_found
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
