//! `lab bench scale`: what grows with the number of paths, and how fast.
//!
//! - [`run`]: an agent with so many paths, from its start on.
//! - [`scraped`]: whether a scrape every second makes the judging thread late.
//! - [`exponent`]: how fast something grows.
//! - [`table`]: figures by the number of paths, what has to be reached, and pictures.

mod exponent;
mod run;
mod scraped;
mod table;

use std::{
    io::{Write as _, stderr},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Args, builder::RangedU64ValueParser};
use lab::Pair;
use run::Run;
use scraped::Scraped;

use super::{Common, deliver, wide::Ours};

/// What to measure, and with what.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Only these numbers of paths
    #[arg(long, value_delimiter = ',', value_parser = RangedU64ValueParser::<usize>::new().range(1..=60_000))]
    sizes: Vec<usize>,
}

/// Numbers of paths, and in a quick run.
const SIZES: [&[usize]; 2] = [&[100, 1_000, 3_000, 10_000], &[100, 1_000]];

/// Between these the exponents are judged; with these it is measured whether a scrape makes late.
const JUDGED: [usize; 2] = [1_000, 10_000];

/// How often each number is measured, all in turn, and in a quick run.
const ROUNDS: [usize; 2] = [3, 1];

/// How long CPU time is measured, and in a quick run.
const WINDOW: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(2)];

/// How long it is scraped, and not scraped, and in a quick run.
const SCRAPED: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(3)];

/// What was measured with a number of paths, round by round.
struct Size {
    paths: usize,
    runs: Vec<Run>,
    scraped: Vec<Scraped>,
}

/// Measures, and prints what came out; true if it could be measured. A target that is missed is no failure: it is said.
///
/// # Errors
/// Those of the lab, and of the agent.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let quick = usize::from(options.common.quick);
    let size = |paths: &usize| Size { paths: *paths, runs: Vec::new(), scraped: Vec::new() };
    let wanted = if options.sizes.is_empty() { SIZES[quick] } else { &options.sizes };
    let mut sizes: Vec<Size> = wanted.iter().map(size).collect();
    let pair = Pair::build(sizes.iter().map(|size| size.paths).max().unwrap_or(0))?;
    for round in 0..ROUNDS[quick] {
        for size in &mut sizes {
            let paths = size.paths;
            writeln!(stderr(), "{paths} paths, round {} of {}", round + 1, ROUNDS[quick])?;
            measure(&pair, options, round, size).with_context(|| format!("{paths} paths"))?;
        }
    }
    let part = table::part(&sizes, options.common.quick);
    deliver(&part, options.common.json.as_deref())?;
    Ok(true)
}

/// One agent, from its start to its end.
fn measure(pair: &Pair, options: &Options, round: usize, size: &mut Size) -> Result<()> {
    let quick = usize::from(options.common.quick);
    let ours = Ours::start(pair, &options.common.agent, size.paths, None)?;
    size.runs.push(Run::measure(pair, &ours, WINDOW[quick])?);
    if JUDGED.contains(&size.paths) {
        // Who is first changes, so that what drifts hits both.
        size.scraped.push(Scraped::measure(pair, SCRAPED[quick], round % 2 == 1)?);
    }
    ours.stop()
}
