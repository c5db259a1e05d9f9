//! `cargo xtask build`: the release agent, one file with the BPF programs inside.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    process::{Workspace, run as run_command},
    setup::{self, Purpose},
};

/// Sets up, builds the agent, and says where it is.
///
/// # Errors
/// Where the set-up or the build fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::run(workspace, Purpose::Build)?;
    run_command(&mut workspace.cargo(["build", "--release", "--package", "probe-user"]))?;
    let agent = agent(workspace)?;
    let size = fs::metadata(&agent).with_context(|| agent.display().to_string())?.len();
    println!("{} ({}.{} MB)", agent.display(), size / 1_000_000, size / 100_000 % 10);
    Ok(())
}

/// The path of the agent that a release build leaves.
///
/// # Errors
/// Where cargo does not tell its target directory.
pub(crate) fn agent(workspace: &Workspace) -> Result<PathBuf> {
    Ok(workspace.release_directory()?.join("linkprobe"))
}
