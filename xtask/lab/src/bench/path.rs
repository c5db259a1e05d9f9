//! `lab bench path`: what the programs cost the packets that meet them.
//!
//! - [`steps`]: each kind of packet before the programs alone; [`cpus`]: the same on two CPUs at once.
//! - [`kinds`]: those packets; [`ours`]: our programs with maps for them; [`runs`]: how they are run; [`lookups`],
//!   [`instructions`]: what is counted of it.
//! - [`traffic`]: ordinary traffic, without programs, with bare ones and with ours.
//! - [`contender`]: who is attached.
//! - [`load`], [`stream`]: the traffic.

mod contender;
mod cpus;
mod instructions;
mod kinds;
mod load;
mod lookups;
mod ours;
mod runs;
mod steps;
mod stream;
mod traffic;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use figures::Part;

use super::{Common, deliver};

/// What to measure, and with what.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Compare with what was before a change: a directory with the agent, `linkprobe`, and the programs,
    /// `linkprobe-bpf`
    #[arg(long, value_name = "DIRECTORY")]
    before: Option<PathBuf>,
}

/// Measures, and prints what came out. A target that is missed is no failure: it says so.
///
/// # Errors
/// Those of the lab and of the kernel.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut part =
        Part { name: "path".to_owned(), title: "The packet path".to_owned(), ..Part::default() };
    steps::measure(options, &mut part)?;
    cpus::measure(options, &mut part)?;
    traffic::measure(options, &mut part)?;
    deliver(&part, options.common.json.as_deref())?;
    Ok(true)
}
