//! `lab bench`: measurements, as ratios within one run.
//!
//! - [`overlay`]: what a TCP stream feels of a sick path, by who chooses its route.
//! - [`path`]: what the packet path costs, and ordinary traffic on it.
//! - [`cpu`]: the time that threads take; [`datagrams`]: many of them at once; [`frame`]: whole frames.
//! - [`program`]: the kernel program alone, by `BPF_PROG_TEST_RUN`.
//! - [`reflectors`]: whole reflectors under the same load.
//! - [`send`]: what it takes to send a packet, by `sendmmsg` and by AF_XDP.
//! - [`slices`]: what one thing takes of a thread's time.

mod cpu;
mod datagrams;
mod frame;
mod overlay;
mod path;
mod program;
mod reflectors;
mod send;
mod slices;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Subject {
    /// What a reflected packet costs: in the kernel program, and in whole reflectors
    Reflector(Options),
    /// How long a TCP stream stands still where a path falls sick, beside Babel and BFD
    Overlay(overlay::Options),
    /// What the programs cost each kind of packet, and how much ordinary traffic loses by them
    Path(path::Options),
    /// What a probe costs to send, by `sendmmsg` and by AF_XDP
    Send(send::Options),
}

/// What to measure reflectors with.
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
/// Those of the lab, of the kernel, and of the programs that are measured.
pub(crate) fn run(subject: &Subject) -> Result<bool> {
    match subject {
        Subject::Reflector(options) => {
            program::run()?;
            reflectors::run(options)?;
            Ok(true)
        }
        Subject::Overlay(options) => overlay::run(options),
        Subject::Path(options) => path::run(options),
        Subject::Send(options) => send::run(options),
    }
}

/// Whether a target was met, in words.
const fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}
