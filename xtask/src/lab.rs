//! What runs in network namespaces: builds the agent and the lab, and becomes the lab.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    host::Privilege,
    process::{Workspace, run as run_command, shown},
    setup::{self, Purpose},
};

/// `cargo xtask demo`.
///
/// # Errors
/// As [`become_lab`].
pub(crate) fn demo(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    setup::run(workspace, Purpose::Demo)?;
    become_lab(workspace, &["demo"], arguments)
}

/// `cargo xtask bench reflector`: what is measured is compared with programs of others, which only tests need
/// else.
///
/// # Errors
/// As [`become_lab`].
pub(crate) fn bench_reflector(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    setup::run(workspace, Purpose::Test)?;
    let stamp_suite = setup::stamp_suite(workspace);
    let stamp_suite = ["--stamp-suite".into(), stamp_suite.into()];
    become_lab(workspace, &["bench", "reflector"], &[&stamp_suite, arguments].concat())
}

/// `cargo xtask bench overlay`.
///
/// # Errors
/// As [`become_lab`].
pub(crate) fn bench_overlay(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    setup::run(workspace, Purpose::Test)?;
    become_lab(workspace, &["bench", "overlay"], arguments)
}

/// Builds, and replaces this process by a subcommand of the lab, so that its terminal, its signals and its
/// exit code are its own.
///
/// # Errors
/// Where the set-up or the build fails, or the lab cannot be started as root.
fn become_lab(workspace: &Workspace, subcommand: &[&str], arguments: &[OsString]) -> Result<()> {
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
    command.args(subcommand).arg("--agent").arg(release.join("linkprobe")).args(arguments);
    if Privilege::find() == Privilege::None {
        bail!(
            "`lab {}` needs root, and sudo is not installed: as root, type\n  {}",
            subcommand.join(" "),
            shown(&command)
        );
    }
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", shown(&command)))
}
