//! What runs on the lab without being a test.

mod bench;
mod demo;
mod hold;
mod topology;

use std::process::ExitCode;

use clap::Parser;

/// Networks of namespaces that can be made sick
#[derive(Parser)]
#[command(name = "lab", version)]
enum Command {
    /// Three regions probe one another through two faults; shows what was seen of them, and how fast
    Demo(demo::Options),
    /// Measure, as ratios within one run
    #[command(subcommand)]
    Bench(bench::Subject),
    /// Stay registered with a controller, whatever happens to it; for the demo
    #[command(hide = true)]
    Worker(demo::incident::workers::Worker),
    /// Build a lab and keep it until interrupted, to look around with `ip netns exec`
    Hold(hold::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Bench(subject) => bench::run(&subject),
        Command::Demo(options) => demo::run(options),
        Command::Hold(options) => hold::run(&options),
        Command::Worker(worker) => worker.run(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
