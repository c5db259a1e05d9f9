//! `cargo xtask demo`: builds the agent and the lab, and becomes the lab's demo.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    host::Privilege,
    process::{Workspace, run as run_command, shown},
    setup::{self, Purpose},
};

/// Sets up, builds, and replaces this process by the demo, so that its terminal, its signals and its
/// exit code are its own.
///
/// # Errors
/// Where the set-up or the build fails, or the demo cannot be started as root.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    setup::run(workspace, Purpose::Demo)?;
    run_command(&mut workspace.cargo([
        "build",
        "--release",
        "--package",
        "probe-user",
        "--package",
        "lab",
    ]))?;
    let release = workspace.release_directory()?;
    let lab = release.join("lab");
    let mut command = match Privilege::find() {
        Privilege::Root | Privilege::None => Command::new(&lab),
        Privilege::Sudo => {
            let mut command = Command::new("sudo");
            command.arg("-E").arg(&lab);
            command
        }
    };
    command.arg("demo").arg("--agent").arg(release.join("linkprobe")).args(arguments);
    if Privilege::find() == Privilege::None {
        bail!(
            "the demo needs root, and sudo is not installed: as root, type\n  {}",
            shown(&command)
        );
    }
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", shown(&command)))
}
