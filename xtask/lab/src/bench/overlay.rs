//! `lab bench overlay`: the same network and the same faults for each of those who can choose routes there,
//! and what a TCP stream feels of it.
//!
//! - [`crate::topology`]: the network.
//! - [`contender`]: who chooses the routes, and ours among them.
//! - [`babel`], [`bfd`]: the others, each in the best configuration that was found.
//! - [`trial`]: one fault, how long it lasts, and what is measured.
//! - [`table`]: medians, ranges, and who is ahead.

mod babel;
mod bfd;
mod contender;
mod table;
mod trial;

use std::{
    io::{Write as _, stderr},
    path::Path,
    thread,
};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum as _};
use contender::Contender;
use figures::Part;
use table::Row;
use trial::{Fault, Outcome, Stage};

use super::{Common, deliver};

/// What to measure, and with what.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only these faults
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
}

impl Options {
    const fn trials(&self, fault: Fault) -> u32 {
        match fault {
            _ if self.common.quick => 2,
            Fault::Blackhole => 10,
            Fault::Loss30 | Fault::Bursts30 | Fault::Loss10 => 5,
            Fault::Loss1 => 3,
        }
    }
}

/// Measures, and prints what came out; true if each of our trials could be played. That others are ahead, or cannot
/// be measured, is no failure: it is said.
///
/// # Errors
/// Where the figures cannot be written.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let contenders = match &options.only[..] {
        [] => Contender::value_variants(),
        only => only,
    };
    let faults = if options.faults.is_empty() { &Fault::ALL[..] } else { &options.faults };
    let mut rows = Vec::new();
    for fault in faults {
        rows.extend(rounds(contenders, *fault, options)?);
        // What is measured by now is safe, whatever comes.
        if let Some(file) = &options.common.json {
            part(&rows, contenders).save(file)?;
        }
    }
    deliver(&part(&rows, contenders), options.common.json.as_deref())?;
    Ok(!rows.iter().any(|row| row.contender == Contender::Ours && !row.failures.is_empty()))
}

/// All trials with one fault: a row for each contender.
fn rounds(contenders: &[Contender], fault: Fault, options: &Options) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = contenders.iter().map(|who| Row::new(fault, *who)).collect();
    let trials = options.trials(fault);
    for trial in 1..=trials {
        writeln!(stderr(), "{fault}, {trial} of {trials}")?;
        for (row, outcome) in
            rows.iter_mut().zip(play(contenders, fault, trial, &options.common.agent))
        {
            match outcome {
                Ok(outcome) => row.outcomes.push(outcome),
                Err(error) => {
                    let why = format!("{error:#}");
                    writeln!(
                        stderr(),
                        "FAILED: {}, {fault}, {trial} of {trials}: {why}",
                        row.contender
                    )?;
                    row.failures.push(why);
                }
            }
        }
    }
    Ok(rows)
}

fn part(rows: &[Row], contenders: &[Contender]) -> Part {
    let mut versions: Vec<String> = contenders.iter().filter_map(|who| who.version()).collect();
    versions.dedup();
    Part { versions, ..table::part(rows, contenders) }
}

/// One trial of each contender, side by side, each in a network of its own. Nobody is measured while another one
/// is started or stopped: what else the host does then is the same for all.
fn play(contenders: &[Contender], fault: Fault, trial: u32, agent: &Path) -> Vec<Result<Outcome>> {
    let stages = side_by_side(contenders.to_vec(), |contender| Stage::set(contender, agent));
    let measured = side_by_side(stages, |stage| {
        let stage = stage?;
        let outcome = stage.measure(fault, trial);
        Ok((stage, outcome))
    });
    side_by_side(measured, |measured| {
        let (stage, outcome) = measured?;
        stage.end()?;
        outcome
    })
}

/// Does the same with each, all at the same time, and returns once all are done.
fn side_by_side<T: Send, U: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<U> + Sync,
) -> Vec<Result<U>> {
    let work = &work;
    thread::scope(|scope| {
        let start = |item| scope.spawn(move || work(item));
        let threads: Vec<_> = items.into_iter().map(start).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<U>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a trial panicked")))
        };
        threads.into_iter().map(join).collect()
    })
}
