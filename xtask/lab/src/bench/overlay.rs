//! `lab bench overlay`: the same network and the same faults for each of those who can choose routes there,
//! and what a TCP stream feels of it.
//!
//! - [`crate::topology`]: the network.
//! - [`contender`]: who chooses the routes, and ours among them.
//! - [`babel`], [`bfd`]: the others, each in the best configuration that was found.
//! - [`trial`]: one fault, and what is measured.
//! - [`table`]: medians, ranges, and who is ahead.

mod babel;
mod bfd;
mod contender;
mod table;
mod trial;

use std::{
    fs,
    io::{Write as _, stderr, stdout},
    path::PathBuf,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, ValueEnum as _};
use contender::Contender;
use table::Row;
use trial::{Fault, Outcome};

/// What to measure, and with what.
#[derive(Args)]
pub(crate) struct Options {
    /// The agent, `linkprobe`
    #[arg(long)]
    agent: PathBuf,
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only these faults
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Two trials of each instead of ten with a blackhole and some with loss
    #[arg(long)]
    quick: bool,
    /// Write all that was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    const fn trials(&self, fault: Fault) -> u32 {
        match fault {
            _ if self.quick => 2,
            Fault::Blackhole => 10,
            Fault::Loss30 | Fault::Bursts30 | Fault::Loss10 => 5,
            Fault::Loss1 => 3,
        }
    }
}

/// Measures, and prints what came out. That others are ahead is no failure: it is said.
///
/// # Errors
/// Those of the lab and of the contenders.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let contenders = match &options.only[..] {
        [] => Contender::value_variants(),
        only => only,
    };
    let faults = if options.faults.is_empty() { &Fault::ALL[..] } else { &options.faults };
    let mut rows = Vec::new();
    for fault in faults {
        let mut outcomes = vec![Vec::new(); contenders.len()];
        for trial in 1..=options.trials(*fault) {
            let of = options.trials(*fault);
            writeln!(stderr(), "{fault}, {trial} of {of}")?;
            let played = play(contenders, *fault, trial, options)?;
            for (outcomes, outcome) in outcomes.iter_mut().zip(played) {
                outcomes.push(outcome);
            }
        }
        rows.extend(contenders.iter().zip(outcomes).map(|(contender, outcomes)| Row {
            fault: *fault,
            contender: *contender,
            outcomes,
        }));
    }
    for contender in contenders {
        writeln!(stdout(), "{contender}: {}", contender.configuration())?;
    }
    writeln!(stdout(), "Seconds: median (lowest to highest), and the median's ratio to ours.\n")?;
    for line in table::lines(&rows) {
        writeln!(stdout(), "{line}")?;
    }
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&rows)? + "\n";
        fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    Ok(true)
}

/// One trial of each contender, side by side, each in a network of its own: what else the host does then is
/// the same for all.
fn play(
    contenders: &[Contender],
    fault: Fault,
    trial: u32,
    options: &Options,
) -> Result<Vec<Outcome>> {
    thread::scope(|scope| {
        let trials: Vec<_> = contenders
            .iter()
            .map(|contender| {
                scope.spawn(move || trial::run(*contender, fault, trial, &options.agent))
            })
            .collect();
        let join = |trial: thread::ScopedJoinHandle<'_, Result<Outcome>>| {
            trial.join().map_err(|_| anyhow!("a trial panicked"))?
        };
        trials.into_iter().map(join).collect()
    })
}
