//! The verdict engine in virtual time: builds the simulator. Needs no root.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    process::{Workspace, run as run_command, shown},
    setup::{self, Purpose},
};

/// `cargo xtask sim`: replaces this process, so that its terminal, its signals and its exit code are the simulator's.
///
/// # Errors
/// Where the set-up or the build fails.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    setup::run(workspace, Purpose::Build)?;
    build(workspace)?;
    let mut command = command(workspace)?;
    let error = command.arg("run").args(arguments).exec();
    Err(error).with_context(|| format!("cannot start `{}`", shown(&command)))
}

/// Builds the simulator, by itself: what it wants of the agent's library is not to get into the agent.
///
/// # Errors
/// Where that fails.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    run_command(&mut workspace.cargo(["build", "--release", "--package", "sim"]))
}

/// The simulator, without arguments.
///
/// # Errors
/// Where cargo does not tell its target directory.
pub(crate) fn command(workspace: &Workspace) -> Result<Command> {
    Ok(Command::new(workspace.release_directory()?.join("sim")))
}
