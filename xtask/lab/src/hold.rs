//! `lab hold`: a lab to look around in, until it is interrupted.

use std::{
    io::{Write as _, stdout},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use lab::Lab;

/// Of the routes: low precedence, so that others can be tried out by hand.
const METRIC: u32 = 1000;

/// What to build.
#[derive(Args)]
pub(crate) struct Options {
    /// Names of the sites
    #[arg(required = true, num_args = 1..)]
    sites: Vec<String>,
    /// With tunnels between the sites, hosts behind them, and direct routes between these
    #[arg(long)]
    overlay: bool,
}

/// Builds a lab, says what it is called, and never returns.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let names: Vec<&str> = options.sites.iter().map(String::as_str).collect();
    let builder = Lab::builder().sites(&names);
    let lab = if options.overlay { builder.overlay() } else { builder }.build()?;
    if options.overlay {
        lab.install_direct_routes(METRIC)?;
    }
    let first = lab.sites().first().context("a lab has a site")?;
    // Something that lives in it, as the agents of a demo would.
    let mut sleeper = Command::new("sleep");
    sleeper.arg("infinity");
    let process = first.spawn(sleeper)?;
    for site in lab.sites().iter().skip(1) {
        lab.delay(first.name(), site.name(), Duration::from_millis(1))?;
    }
    let prefix = lab.wan().name().trim_end_matches("wan");
    writeln!(stdout(), "held {prefix} {} {}", process.pid(), lab.directory().display())?;
    loop {
        // The lab's own signal handlers end the process, and take the lab with them.
        thread::park();
    }
}
