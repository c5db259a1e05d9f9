//! `sim bench`: detection delays and false alarms of the engine beside others, the cost of an outcome, and memory.
//!
//! - [`delays`]: how many probes it takes, and the least that it could take.
//! - [`alarms`]: how often it is wrong, measured and computed.
//! - [`cost`]: what a path takes in memory, and an outcome in time.
//! - [`shown`]: delays as tables and plots.
//! - [`findings`]: all of it, and what must be met. All is printed, whatever is missed.

mod alarms;
mod cost;
mod delays;
mod findings;
mod shown;

use std::{
    io::{Write as _, stdout},
    path::PathBuf,
};

use anyhow::Result;
use figures::terminal;
use sim::detectors::{Misses, RiseFall, Window};

use self::{
    alarms::probes_per_year,
    delays::{BEFORE, CAP, Cell, Contestant, Ours},
    findings::Findings,
};

/// What can be set at the command line.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fewer runs: good for a look, not for a figure. Only what needs no sampling is judged
    #[arg(long)]
    quick: bool,
    /// Write all that was found to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The loss before the change, and the one that is accepted.
const BACKGROUND: f64 = 0.01;
/// The target: so many times the bound, and one probe...
const TARGET: f64 = 1.25;
/// ...for losses from this one on.
const FROM: f64 = 0.05;

/// Runs, and prints what came out; true if every target was met.
///
/// # Errors
/// Where what was found cannot be written.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let (runs, probes) = if options.quick { (500, 10_000_000) } else { (10_000, 100_000_000) };
    let mut findings = Findings::new(options.quick);
    explain(runs, &mut findings);
    one_flow(runs, probes, &mut findings);
    four_flows(runs, probes, &mut findings);
    alarms::validate(probes, &mut findings);
    cost::memory(&mut findings);
    cost::outcome(options.quick, &mut findings);
    let mut out = stdout().lock();
    terminal::write(&findings.part, &mut out)?;
    writeln!(out, "{}", findings.end())?;
    options.json.as_deref().map_or(Ok(()), |file| findings.part.save(file))?;
    Ok(findings.is_met())
}

/// What the figures mean.
fn explain(runs: usize, findings: &mut Findings) {
    findings.method(format!(
        "Probes of a path from the beginning of a loss until it is seen: median / p99 of {runs} runs a cell, after {BEFORE} \
         probes with 1 % independent loss. In a run all see the same losses. -: not within {CAP} probes. Bursts are of 4 on the \
         average. fast, balanced and calm are ours; each flow has 10 probes a second."
    ));
    findings.method(
        "BFD: down after 3 or 5 misses in a row, up after 3 that pass. HAProxy: fall 3, rise 2, so that it is BFD x3 while all \
         is well. window: down while 10 or more of the last 100 are lost. What others have knows no flows.",
    );
    findings.method(
        "bound: ln(ARL)/KL (Lorden, 1971); ARL: probes between two false alarms of any kind, as computed. best: the mean of a \
         test that was told which loss will begin, as early as any can be with as few false alarms (Moustakides, 1986). Why less \
         than the bound can be: it is only the first term of a worst-case mean as alarms become rare, and what is missing is \
         negative for small losses; a median is below the mean of what is skewed; and not every loss begins at the worst moment.",
    );
}

/// Paths of one flow, for which others have detectors too.
fn one_flow(runs: usize, probes: u64, findings: &mut Findings) {
    let ours = Ours::all(1);
    let mut contestants: Vec<Contestant> = ours.iter().map(Ours::contestant).collect();
    contestants.extend([
        Contestant::new("BFD x3", || Box::new(Misses::new(3))),
        Contestant::new("BFD x5", || Box::new(Misses::new(5))),
        Contestant::new("HAProxy", || Box::new(RiseFall::new(3, 2))),
        Contestant::new("window", || Box::new(Window::new(10, 100))),
    ]);
    let (table, alarms) = measure("One flow", &contestants, &ours, runs, probes, findings);
    shown::trade(&contestants, &alarms, &table, ours[0].settings.spacing, findings);
}

/// Paths as the product has them unless it is told otherwise. What others have knows no flows: nothing is new of them.
fn four_flows(runs: usize, probes: u64, findings: &mut Findings) {
    let ours = Ours::all(4);
    let contestants: Vec<Contestant> = ours.iter().map(Ours::contestant).collect();
    measure("Four flows", &contestants, &ours, runs, probes, findings);
}

/// Delays, bounds and false alarms of contestants, of which `ours` are the first. Returns the delays with independent
/// loss, and the false alarms in a year.
fn measure(
    title: &str,
    contestants: &[Contestant],
    ours: &[Ours],
    runs: usize,
    probes: u64,
    findings: &mut Findings,
) -> (Vec<Vec<Cell>>, Vec<f64>) {
    let spacing = ours[0].settings.spacing;
    let independent = format!("{title}, independent loss");
    let table = delays::table(contestants, None, runs);
    shown::delays(&independent, contestants, &table, spacing, findings);
    shown::bounds(&independent, ours, &table, findings);
    let bursts = delays::table(contestants, Some(4.0), runs);
    shown::delays(&format!("{title}, loss in bursts"), contestants, &bursts, spacing, findings);
    let pace = probes_per_year(&ours[0].settings);
    let alarms = alarms::count(title, contestants, ours, pace, probes, findings);
    (table, alarms)
}
