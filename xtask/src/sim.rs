//! The verdict engine in virtual time: builds the simulator, and becomes it. Needs no root.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    process::{Workspace, run as run_command},
    setup::{self, Purpose},
};

/// `cargo xtask sim`.
///
/// # Errors
/// Where the set-up or the build fails.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    become_simulator(workspace, "run", arguments)
}

/// `cargo xtask bench health`.
///
/// # Errors
/// Where the set-up or the build fails.
pub(crate) fn bench(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    become_simulator(workspace, "bench", arguments)
}

/// Replaces this process, so that its terminal, its signals and its exit code are the simulator's.
fn become_simulator(workspace: &Workspace, subcommand: &str, arguments: &[OsString]) -> Result<()> {
    setup::run(workspace, Purpose::Build)?;
    run_command(&mut workspace.cargo(["build", "--release", "--package", "sim"]))?;
    let simulator = workspace.release_directory()?.join("sim");
    let error = Command::new(&simulator).arg(subcommand).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", simulator.display()))
}
