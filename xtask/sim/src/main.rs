//! `sim`: what `cargo xtask sim` and `cargo xtask bench health` run.

mod bench;
mod pool;
mod progress;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The verdict engine and the accounts in virtual time.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play scenarios until one breaks an invariant, then hunt the negative controls.
    Run(run::Options),
    /// Measure detection delays, false alarms, memory, and what an outcome costs; fail if a target is missed.
    ///
    /// Prints the figures first, and then what was met and what was missed. Takes about ten minutes on two cores, with
    /// `--quick` one or two.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let passed = match Arguments::parse().command {
        Command::Run(options) => Ok(run::run(&options)),
        Command::Bench(options) => bench::run(&options),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}
