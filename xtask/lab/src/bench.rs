//! `lab bench`: what a reflected packet costs, as ratios within one run.
//!
//! - [`program`]: the kernel program alone, by `BPF_PROG_TEST_RUN`.
//! - [`reflectors`]: whole reflectors under the same load.

mod program;
mod reflectors;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

/// What to measure with.
#[derive(Args)]
pub(crate) struct Options {
    /// The agent, `linkprobe`
    #[arg(long)]
    agent: PathBuf,
    /// The program `stamp-suite`
    #[arg(long)]
    stamp_suite: PathBuf,
}

/// Measures, and prints figures, ratios and targets. A target that is missed is no failure: it says so.
///
/// # Errors
/// Those of the lab, of the kernel, and of the reflectors.
pub(crate) fn run(options: &Options) -> Result<bool> {
    program::run()?;
    reflectors::run(options)?;
    Ok(true)
}

/// Whether a target was met, in words.
const fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}
