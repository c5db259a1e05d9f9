//! `lab bench truth`: round trips over a link that has none to speak of, as several tools report them, on an idle
//! host and on a busy one. Whatever a tool reports there, and whatever it misses, is its own host's doing.
//!
//! - [`link`]: the link.
//! - [`contender`]: who measures, and what a run comes to.
//! - [`ours`], [`peers`]: how each of them is run, and what it says.
//! - [`load`]: what keeps the host busy, and what the host was doing.
//! - [`report`]: the figures as a [`Part`].

mod contender;
mod link;
mod load;
mod ours;
mod peers;
mod report;

use std::{
    io::{Write as _, stderr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use contender::{Contender, Outcome};
use figures::Part;
use link::Bed;
use load::{BusyLoops, Cpu};

use super::{Common, deliver};

/// Time between two probes of every tool.
const INTERVAL: Duration = Duration::from_millis(10);

/// After which a probe is lost, by every tool: longer than any process waits for a core here.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Probes of a run. The agent keeps the last 256 round trips of a path.
const PROBES: u32 = 256;

/// Probes of a run of a quick measurement.
const FEW_PROBES: u32 = 150;

/// Rounds: in each, every tool has a run on an idle host and one on a busy host.
const ROUNDS: usize = 5;

/// What to measure with.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// The program `stamp-suite`
    #[arg(long)]
    stamp_suite: PathBuf,
}

/// What else the host does while a tool measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// Nothing of ours.
    Idle,
    /// A busy loop for each core, at normal priority.
    Loaded,
}

/// One run of one tool.
struct Run {
    contender: Contender,
    load: Load,
    outcome: Outcome,
    /// What the host's processors did meanwhile.
    cpu: Cpu,
}

/// Measures, and prints what came out. A target that is missed is no failure: it says so.
///
/// # Errors
/// As [`measure`], and where the figures cannot be written.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let part = measure(options)?;
    deliver(&part, options.common.json.as_deref())?;
    Ok(true)
}

/// Measures.
///
/// # Errors
/// Those of the lab, and of the tools that are measured: the first one that is missing or fails.
pub(crate) fn measure(options: &Options) -> Result<Part> {
    let bed = Bed::build(options)?;
    let versions = contender::versions(&bed)?;
    let rounds = if options.common.quick { 1 } else { ROUNDS };
    let mut runs = Vec::new();
    for round in 0..rounds {
        for load in [Load::Idle, Load::Loaded] {
            // Its drop ends the loops.
            let _loops = (load == Load::Loaded).then(BusyLoops::start).transpose()?;
            for contender in turn(round) {
                writeln!(stderr(), "round {} of {rounds}, {load}: {contender}", round + 1)?;
                let before = Cpu::now()?;
                let outcome =
                    contender.run(&bed).with_context(|| format!("{contender}, {load}"))?;
                let cpu = Cpu::now()?.since(before);
                runs.push(Run { contender, load, outcome, cpu });
            }
        }
    }
    Ok(report::part(&runs, &bed, versions, options.common.quick))
}

/// All contenders, each round with another one first.
fn turn(round: usize) -> impl Iterator<Item = Contender> {
    let count = Contender::ALL.len();
    (0..count).map(move |place| Contender::ALL[(place + round) % count])
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Loaded => "loaded",
        })
    }
}
