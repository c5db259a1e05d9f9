//! `lab bench`: measurements, as ratios within one run.
//!
//! - [`agent`]: what a probe costs, all in all, beside those who ping from userspace.
//! - [`scale`]: what grows with the number of paths, and how fast.
//! - [`wide`]: what both need: a network with many addresses, and an agent with as many peers.
//! - [`cost`]: CPU time and memory of processes, BPF maps among it.
//! - [`scrape`]: what an agent says by HTTP, and how long it takes.
//! - [`overlay`]: what a TCP stream feels of a sick path, by who chooses its route.
//! - [`path`](mod@path): what the packet path costs, and ordinary traffic on it.
//! - [`send`]: what it takes to send a packet, by `sendmmsg`, straight to the driver, and by AF_XDP.
//! - [`cpu`]: the time that threads take; [`datagrams`]: many of them at once; [`frame`]: whole frames;
//!   [`slices`]: what one thing takes of a thread's time.
//! - [`reflector`]: what a reflected packet costs.
//! - [`program`]: of it, the kernel program alone, by `BPF_PROG_TEST_RUN`.
//! - [`reflectors`]: of it, whole reflectors under the same load.
//! - [`truth`]: round trips and losses that tools report on an idle and on a busy host.

mod agent;
mod cost;
mod cpu;
mod datagrams;
mod frame;
mod overlay;
mod path;
mod program;
mod reflector;
mod reflectors;
mod scale;
mod scrape;
mod send;
mod slices;
mod truth;
mod wide;

use std::{
    io::stdout,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use clap::{Args, Subcommand};
use figures::{Part, terminal};

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Subject {
    /// What a reflected packet costs: in the kernel program, and in whole reflectors
    Reflector(reflector::Options),
    /// How long a TCP stream stands still where a path falls sick, beside Babel and BFD
    Overlay(overlay::Options),
    /// What the programs cost each kind of packet, and how much ordinary traffic loses by them
    Path(path::Options),
    /// What a probe costs to send, by `sendmmsg`, straight to the driver, and by AF_XDP
    Send(Common),
    /// What a probe costs, agent and reflector together, beside fping, irtt and stamp-suite
    Agent(agent::Options),
    /// CPU, memory, start and scrapes against the number of paths
    Scale(scale::Options),
    /// How wrong round trips and losses are on a busy host, beside fping, irtt and stamp-suite
    Truth(truth::Options),
}

/// What each part is told.
#[derive(Args)]
pub(crate) struct Common {
    /// The agent, `linkprobe`
    #[arg(long)]
    agent: PathBuf,
    /// Fewer and shorter rounds of less: good for a look, not for a figure. No target is judged
    #[arg(long)]
    quick: bool,
    /// Write all that was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures, and prints figures, ratios and targets. A target that is missed is no failure: it says so.
///
/// # Errors
/// Those of the lab, of the kernel, and of the programs that are measured.
pub(crate) fn run(subject: &Subject) -> Result<bool> {
    match subject {
        Subject::Reflector(options) => reflector::run(options),
        Subject::Overlay(options) => overlay::run(options),
        Subject::Path(options) => path::run(options),
        Subject::Send(options) => send::run(options),
        Subject::Agent(options) => agent::run(options),
        Subject::Scale(options) => scale::run(options),
        Subject::Truth(options) => truth::run(options),
    }
}

/// Prints what a part has found, and writes it to a file, if to any.
fn deliver(part: &Part, json: Option<&Path>) -> Result<()> {
    terminal::write(part, &mut stdout().lock())?;
    json.map_or(Ok(()), |file| part.save(file))
}

/// What a program says that it is, in a line, if it says anything: some say it on their standard error.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let line = String::from_utf8_lossy(&said).lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}
