//! `sim bench`: detection delays and false alarms of the engine beside others, the cost of an outcome, and memory.
//!
//! - [`delays`]: how many probes it takes.
//! - [`cost`]: what a path takes in memory.

pub(crate) mod cost;
mod delays;

use std::process::Command;

use probe_user::{
    config::{ProbeConfig, Profile},
    health::guarantee::false_alarms_per_year,
};
use sim::detectors::{Engine, Misses, RiseFall, Window};

use self::delays::{Cell, Contestant, LOSSES};

/// What can be set at the command line.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fewer runs: good for a look, not for a figure
    #[arg(long)]
    quick: bool,
}

/// Probes in a year, at ten a second.
const PROBES_PER_YEAR: f64 = 365.25 * 86_400.0 * 10.0;
/// The loss before the change, and the one that is accepted.
const BACKGROUND: f64 = 0.01;
/// The target: so many times the bound, and one probe.
const TARGET: f64 = 1.25;

/// Runs; true if every target was met.
pub(crate) fn run(options: &Options) -> bool {
    let (runs, false_alarm_probes) =
        if options.quick { (500, 10_000_000) } else { (10_000, 100_000_000) };
    let probe = ProbeConfig { flows: 1, ..ProbeConfig::default() };
    let ours = Profile::ALL.map(|profile| {
        let settings = Engine::settings(profile, &probe);
        (profile, settings, false_alarms_per_year(&settings, probe.flows, BACKGROUND))
    });
    let contestants: Vec<Contestant> = ours
        .iter()
        .map(|(profile, settings, _)| {
            let engine = Engine::new(*settings, 1);
            Contestant::new(profile.label(), move || Box::new(engine.clone()))
        })
        .chain([
            Contestant::new("BFD x3", || Box::new(Misses::new(3))),
            Contestant::new("BFD x5", || Box::new(Misses::new(5))),
            Contestant::new("HAProxy", || Box::new(RiseFall::new(3, 2))),
            Contestant::new("window", || Box::new(Window::new(10, 100))),
        ])
        .collect();

    println!(
        "Probes from the beginning of a loss until it is seen: median / p99 of {runs} runs a cell."
    );
    println!(
        "One flow, 10 probes a second; 1 % independent loss before. -: not within 400,000 probes.\n"
    );
    for (title, burst) in [("independent loss", None), ("bursts of 4 on the average", Some(4.0))] {
        let table = delays::table(&contestants, burst, runs);
        print_delays(title, &contestants, &table);
        if burst.is_none() {
            print_alarms(&contestants, &ours.map(|(.., rate)| rate), false_alarm_probes);
            if !print_bounds(&ours.map(|(profile, _, rate)| (profile, rate)), &table) {
                return false;
            }
        }
    }
    println!(
        "BFD: down after 3 or 5 misses in a row, up after 3 that pass. HAProxy: fall 3, rise 2.\n\
         window: down while 10 or more of the last 100 are lost.\n"
    );
    let fits = cost::print_memory();
    cost_of_an_outcome();
    fits
}

fn print_delays(title: &str, contestants: &[Contestant], table: &[Vec<Cell>]) {
    print!("{title:28}");
    contestants.iter().for_each(|contestant| print!("{:>15}", contestant.name));
    println!();
    for (loss, row) in LOSSES.iter().zip(table) {
        print!("{:>6} %{:20}", 100.0 * loss, "");
        for Cell { p50, p99 } in row {
            let show =
                |probes: &Option<u32>| probes.map_or("-".to_owned(), |probes| probes.to_string());
            print!("{:>15}", format!("{} / {}", show(p50), show(p99)));
        }
        println!();
    }
    println!();
}

/// False alarms as measured, and as the engine guarantees.
fn print_alarms(contestants: &[Contestant], guaranteed: &[f64; 3], probes: u64) {
    println!("False alarms at 1 % independent loss, {probes} probes each:");
    let alarms = delays::false_alarms(contestants, BACKGROUND, probes);
    for (index, (contestant, alarms)) in contestants.iter().zip(alarms).enumerate() {
        let per_year = alarms as f64 / probes as f64 * PROBES_PER_YEAR;
        let bound = guaranteed.get(index).map_or(String::new(), |bound| {
            format!("; guaranteed: at most {bound:.3} a year and path")
        });
        println!(
            "  {:10} {alarms:>9}, which is {per_year:>10.1} a year and path{bound}",
            contestant.name
        );
    }
    println!();
}

/// The information-theoretic bound beside the medians. True if the target is met everywhere.
fn print_bounds(ours: &[(Profile, f64); 3], table: &[Vec<Cell>]) -> bool {
    println!(
        "The bound ln(ARL)/KL at the guaranteed rate of false alarms (Lorden, 1971), and our median beside it:"
    );
    let mut met = true;
    for (index, (profile, rate)) in ours.iter().enumerate() {
        print!("  {:10}", profile.label());
        for (loss, row) in LOSSES.iter().zip(table).filter(|(loss, _)| **loss >= 0.05) {
            let bound = delays::bound(PROBES_PER_YEAR / rate, *loss, BACKGROUND);
            let median = row[index].p50.map_or(f64::INFINITY, f64::from);
            let is_met = median <= TARGET * bound + 1.0;
            met &= is_met;
            let mark = if is_met { "" } else { " MISSED" };
            print!("  {} %: {bound:.1}, {median} ({:.2}x){mark}", 100.0 * loss, median / bound);
        }
        println!();
    }
    let met_balanced =
        ours.iter().all(|(profile, rate)| *profile != Profile::Balanced || *rate <= 1.0);
    let word = |met| if met { "met" } else { "MISSED" };
    println!(
        "  target, median at most {TARGET} x the bound and one probe from 5 % up: {}",
        word(met)
    );
    println!(
        "  target, \"balanced\" at most one false alarm a year and path: {}\n",
        word(met_balanced)
    );
    met && met_balanced
}

/// Criterion measures what an outcome costs.
fn cost_of_an_outcome() {
    println!("What an outcome costs (criterion); the target is 50 ns for accounts and engine:");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["bench", "--quiet", "--package", "sim"]).status();
    if !status.is_ok_and(|status| status.success()) {
        println!("  cargo bench --package sim has failed");
    }
}
