//! `cargo xtask`: everything that is typed at a shell in this repository.
//!
//! - [`setup`]: finds or installs what the others need.
//! - [`build`]: the release agent, one file.
//! - [`lab`]: what runs in network namespaces: an incident and how it heals, and measurements.
//! - [`sim`]: the verdict engine in virtual time.
//! - [`bench`]: everything that is measured, and the page of it.
//! - [`test`]: formatting, lints, documentation and all tests.
//! - [`fuzz`]: looks for input on which a fuzz target fails.
//! - [`host`]: what this host is, and how to become root on it.
//! - [`process`]: starts other programs, and says which one failed.
//!
//! All but the programs that need root run as the user who types the command.

mod bench;
mod build;
mod fuzz;
mod host;
mod lab;
mod process;
mod setup;
mod sim;
mod test;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use setup::Purpose;

/// Sets up, builds, shows and tests linkprobe.
///
/// Each command first installs what it needs and does not find, and says so. Builds run as you; only
/// what has to is run as root, through sudo if you are not root.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing: the BPF compiler and linker, ip, HAProxy, rustfmt, clippy, Prometheus, for the
    /// tests of interoperation stamp-suite, scapy and tshark, and for the benches BIRD, FRR, fping and irtt.
    ///
    /// Says what is there and what it installs; takes no time if there is nothing to do. The other
    /// commands call it, each for its own purpose.
    Setup {
        /// What to set up for; each purpose includes those before it.
        #[arg(long = "for", value_enum, default_value_t = Purpose::Test)]
        purpose: Purpose,
    },
    /// Build the release agent, `target/release/linkprobe`, with the BPF programs inside.
    Build,
    /// Show three regions, an incident between two of them, and how it heals. Needs root.
    ///
    /// All of it happens in network namespaces of its own; the host's network is not touched. The
    /// exit code is 0 only if every expected change of a verdict was seen, and no other; with
    /// --incident, if all moved and came back within the limits that it shows.
    Demo {
        /// Instead: the incident, with an overlay, TCP streams, HAProxy and workers that all have to get
        /// over a region that is cut off for some seconds.
        #[arg(long)]
        incident: bool,
        /// With agents that have what was wrong in the incident: the validation of probes, the freshness of
        /// link state, or both. They are a test-only build. With both, the exit code is 0 only if all is stuck.
        #[arg(long, value_name = "DEFECT", requires = "incident")]
        #[arg(value_parser = ["validation", "freshness", "both"])]
        defect: Option<String>,
        /// Arguments for the demo itself; `cargo xtask demo -- --help` lists them.
        #[arg(last = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// Measure, as ratios within one run, and make a page of the figures: `docs/BENCHMARKS.md` of a full run of all
    /// parts, `target/bench/BENCHMARKS.md` of any other.
    ///
    /// Each part says what it has found, and what of its targets was met. The exit code is 0 only if all parts
    /// ran to their end; that a target is missed is a failure of `health` alone. Most parts need root.
    Bench {
        /// What to measure; everything, one after the other, if nothing is named.
        #[arg(value_enum)]
        parts: Vec<bench::Part>,
        /// Fewer and shorter rounds: good for a look, not for a figure.
        #[arg(long)]
        quick: bool,
        /// Arguments for the measurement itself, where there is only one; `-- --help` lists them.
        #[arg(last = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// Play scenarios of faults with the real engine in virtual time, and hunt engines with defects.
    ///
    /// A scenario that breaks an invariant is told by its seed and can be played again.
    #[command(disable_help_flag = true)]
    Sim {
        /// Arguments for the simulator; `cargo xtask sim --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// Look for input on which a fuzz target fails, for some minutes. Installs cargo-fuzz.
    ///
    /// What leads to new places in the code is put into `fuzz/found`. The tests replay what is in
    /// `fuzz/corpus`, and need no fuzzer.
    Fuzz {
        /// Only this target; all of them else, one after the other.
        target: Option<String>,
        /// For how long, altogether.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
        minutes: u32,
        /// Keep what was found: add it to `fuzz/corpus`, and leave out there what leads nowhere new.
        #[arg(long)]
        keep: bool,
    },
    /// Check formatting, lints and documentation, and run all tests. The last step needs root.
    Test {
        /// Run only the tests whose names contain this, and no lints.
        filter: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = process::Workspace::find()?;
    match command {
        Command::Setup { purpose } => setup::run(&workspace, purpose),
        Command::Build => build::run(&workspace),
        Command::Demo { incident: true, defect, arguments } => {
            lab::incident(&workspace, defect.as_deref(), &arguments)
        }
        Command::Demo { arguments, .. } => lab::demo(&workspace, &arguments),
        Command::Bench { parts, quick, arguments } => {
            bench::run(&workspace, &parts, quick, &arguments)
        }
        Command::Sim { arguments } => sim::run(&workspace, &arguments),
        Command::Fuzz { target, minutes, keep } => {
            fuzz::run(&workspace, target.as_deref(), minutes, keep)
        }
        Command::Test { filter } => test::run(&workspace, filter.as_deref()),
    }
}
