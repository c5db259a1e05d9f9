//! `sim bench`: detection delays and false alarms of the engine beside others, the cost of an outcome, and memory.
//!
//! - [`delays`]: how many probes it takes, and the least that it could take.
//! - [`alarms`]: how often it is wrong, measured and computed.
//! - [`cost`]: what a path takes in memory, and an outcome in time.
//! - [`targets`]: what must be met. All is printed, whatever is missed.

mod alarms;
mod cost;
mod delays;
mod targets;

use sim::detectors::{Misses, RiseFall, Window};

use self::{
    alarms::probes_per_year,
    delays::{BEFORE, CAP, Cell, Contestant, LOSSES, Ours},
    targets::Targets,
};

/// What can be set at the command line.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fewer runs: good for a look, not for a figure. Only what needs no sampling is judged
    #[arg(long)]
    quick: bool,
}

/// The loss before the change, and the one that is accepted.
const BACKGROUND: f64 = 0.01;
/// The target: so many times the bound, and one probe...
const TARGET: f64 = 1.25;
/// ...for losses from this one on.
const FROM: f64 = 0.05;

/// Runs; true if every target was met.
pub(crate) fn run(options: &Options) -> bool {
    let (runs, probes) = if options.quick { (500, 10_000_000) } else { (10_000, 100_000_000) };
    let mut targets = Targets::new(options.quick);
    println!(
        "Probes of a path from the beginning of a loss until it is seen: median / p99 of {runs} runs a cell, after {BEFORE}\n\
         probes with 1 % independent loss. In a run all see the same losses. -: not within {CAP} probes."
    );
    println!(
        "BFD: down after 3 or 5 misses in a row, up after 3 that pass. HAProxy: fall 3, rise 2, so that it is BFD x3 while all\n\
         is well. window: down while 10 or more of the last 100 are lost.\n"
    );
    println!(
        "bound: ln(ARL)/KL (Lorden, 1971). best: the mean of a test that was told which loss will begin, as early as any can be\n\
         with as few false alarms (Moustakides, 1986). Why less than the bound can be: it is only the first term of a\n\
         worst-case mean as alarms become rare, and what is missing is negative for small losses; a median is below the mean\n\
         of what is skewed; and not every loss begins at the worst moment.\n"
    );
    one_flow(runs, probes, &mut targets);
    four_flows(runs, probes, &mut targets);
    alarms::validate(probes, &mut targets);
    cost::memory(&mut targets);
    cost::outcome(options.quick, &mut targets);
    println!();
    targets.end()
}

/// Paths of one flow, for which others have detectors too.
fn one_flow(runs: usize, probes: u64, targets: &mut Targets) {
    let ours = Ours::all(1);
    let mut contestants: Vec<Contestant> = ours.iter().map(Ours::contestant).collect();
    contestants.extend([
        Contestant::new("BFD x3", || Box::new(Misses::new(3))),
        Contestant::new("BFD x5", || Box::new(Misses::new(5))),
        Contestant::new("HAProxy", || Box::new(RiseFall::new(3, 2))),
        Contestant::new("window", || Box::new(Window::new(10, 100))),
    ]);
    println!("ONE FLOW, 10 probes a second\n");
    measure(&contestants, &ours, runs, probes, targets);
}

/// Paths as the product has them unless it is told otherwise. What others have knows no flows: nothing is new of them.
fn four_flows(runs: usize, probes: u64, targets: &mut Targets) {
    let ours = Ours::all(4);
    let contestants: Vec<Contestant> = ours.iter().map(Ours::contestant).collect();
    println!("FOUR FLOWS, each 10 probes a second\n");
    measure(&contestants, &ours, runs, probes, targets);
}

/// Delays, bounds and false alarms of contestants, of which `ours` are the first.
fn measure(
    contestants: &[Contestant],
    ours: &[Ours],
    runs: usize,
    probes: u64,
    targets: &mut Targets,
) {
    let table = delays::table(contestants, None, runs);
    print_delays("independent loss", contestants, &table);
    print_bounds(ours, &table, targets);
    let bursts = delays::table(contestants, Some(4.0), runs);
    print_delays("bursts of 4 on the average", contestants, &bursts);
    alarms::print(contestants, ours, probes_per_year(&ours[0].settings), probes, targets);
}

fn print_delays(title: &str, contestants: &[Contestant], table: &[Vec<Cell>]) {
    print!("{title:28}");
    contestants.iter().for_each(|contestant| print!("{:>15}", contestant.name));
    println!();
    for (loss, row) in LOSSES.iter().zip(table) {
        print!("{:>6} %{:20}", 100.0 * loss, "");
        for Cell { p50, p99, .. } in row {
            let show =
                |probes: &Option<u32>| probes.map_or("-".to_owned(), |probes| probes.to_string());
            print!("{:>15}", format!("{} / {}", show(p50), show(p99)));
        }
        println!();
    }
    println!();
}

/// The information-theoretic bound beside ours.
fn print_bounds(ours: &[Ours], table: &[Vec<Cell>], targets: &mut Targets) {
    println!(
        "The bound ln(ARL)/KL, and what was measured beside it; ARL: probes between two false alarms of any kind, as computed."
    );
    print!("  {:20}", "");
    LOSSES.iter().for_each(|loss| print!("{:>9}", format!("{} %", 100.0 * loss)));
    println!();
    for (index, ours) in ours.iter().enumerate() {
        print_bound(ours, table.iter().map(|row| row[index]), targets);
    }
    println!();
}

/// One of ours: the bound, the best, and what was measured.
fn print_bound(ours: &Ours, cells: impl Iterator<Item = Cell>, targets: &mut Targets) {
    let name = ours.profile.label();
    let run_length = probes_per_year(&ours.settings) / ours.computed;
    let line = |what: &str, values: &[f64], digits: usize| {
        print!("  {:20}", format!("{name:10}{what}"));
        values.iter().for_each(|value| print!("{value:>9.digits$}"));
        println!();
    };
    let bounds = LOSSES.map(|loss| delays::bound(run_length, loss, BACKGROUND));
    let cells: Vec<Cell> = cells.collect();
    // What took too long to be known is longer than all else.
    let medians: Vec<f64> =
        cells.iter().map(|cell| cell.p50.map_or(f64::INFINITY, f64::from)).collect();
    let means: Vec<f64> = cells.iter().map(|cell| cell.mean.unwrap_or(f64::INFINITY)).collect();
    let ratios: Vec<f64> =
        medians.iter().zip(bounds).map(|(median, bound)| median / bound).collect();
    line("bound", &bounds, 1);
    line("best", &LOSSES.map(|loss| delays::best(run_length, loss, BACKGROUND)), 1);
    line("mean", &means, 1);
    line("median", &medians, 0);
    line("median/bound", &ratios, 2);
    let judged = LOSSES.iter().zip(bounds).zip(&medians).filter(|((loss, _), _)| **loss >= FROM);
    let missed: Vec<String> = judged
        .filter(|((_, bound), median)| **median > TARGET * bound + 1.0)
        .map(|((loss, bound), median)| format!("{median} for {bound:.1} at {} %", 100.0 * loss))
        .collect();
    let said = if missed.is_empty() { "all are".to_owned() } else { missed.join(", ") };
    let target = format!(
        "{name:?}, {} flow(s): medians at most {TARGET} x the bound and one probe from {} % up",
        ours.flows,
        100.0 * FROM
    );
    targets.sampled(&target, &said, missed.is_empty());
    if ours.profile == probe_user::config::Profile::Balanced {
        let target =
            format!("{name:?}, {} flow(s): at most one false alarm a year and path", ours.flows);
        targets.exact(&target, &format!("computed {:.3}", ours.computed), ours.computed <= 1.0);
    }
}
