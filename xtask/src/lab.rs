//! What runs in network namespaces: builds the agent and the lab, and becomes the lab.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build::agent,
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

/// `cargo xtask demo --incident`, with a defect if one is named: then with an agent that has it.
///
/// # Errors
/// As [`become_lab`].
pub(crate) fn incident(
    workspace: &Workspace,
    defect: Option<&str>,
    arguments: &[OsString],
) -> Result<()> {
    setup::run(workspace, Purpose::Demo)?;
    let Some(defect) = defect else {
        return become_lab(workspace, &["demo", "--incident"], arguments);
    };
    let agent = defective_agent(workspace)?;
    become_lab_with(workspace, &agent, &["demo", "--incident", "--defect", defect], arguments)
}

/// Builds the agent that has the defects of the incident, in a directory of its own: nobody is to mistake it for the product.
fn defective_agent(workspace: &Workspace) -> Result<PathBuf> {
    let release = workspace.release_directory()?;
    let directory = release.with_file_name("defects");
    let mut cargo = workspace.cargo(["build", "--release", "--package", "probe-user"]);
    cargo.args(["--bin", "linkprobe", "--features", "simulation", "--target-dir"]);
    run_command(cargo.arg(&directory))?;
    Ok(directory.join("release/linkprobe"))
}

/// Builds, and replaces this process by a subcommand of the lab, so that its terminal, its signals and its
/// exit code are its own.
///
/// # Errors
/// Where the set-up or the build fails, or the lab cannot be started as root.
fn become_lab(workspace: &Workspace, subcommand: &[&str], arguments: &[OsString]) -> Result<()> {
    let agent = agent(workspace)?;
    become_lab_with(workspace, &agent, subcommand, arguments)
}

/// The same with an agent of the caller's choice.
fn become_lab_with(
    workspace: &Workspace,
    agent: &Path,
    subcommand: &[&str],
    arguments: &[OsString],
) -> Result<()> {
    build(workspace)?;
    let mut command = command(workspace, agent, subcommand, arguments)?;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", shown(&command)))
}

/// Builds the agent and the lab.
///
/// # Errors
/// Where that fails.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let packages = ["--package", "probe-user", "--package", "lab"];
    run_command(workspace.cargo(["build", "--release"]).args(packages))
}

/// A subcommand of the lab, as root.
///
/// # Errors
/// Where nobody can be root here; says what to type.
pub(crate) fn command(
    workspace: &Workspace,
    agent: &Path,
    subcommand: &[&str],
    arguments: &[OsString],
) -> Result<Command> {
    let lab = workspace.release_directory()?.join("lab");
    let mut command = match Privilege::find() {
        Privilege::Root | Privilege::None => Command::new(&lab),
        Privilege::Sudo => {
            let mut command = Command::new("sudo");
            command.arg("-E").arg(&lab);
            command
        }
    };
    command.args(subcommand).arg("--agent").arg(agent).args(arguments);
    if Privilege::find() == Privilege::None {
        bail!(
            "`lab {}` needs root, and sudo is not installed: as root, type\n  {}",
            subcommand.join(" "),
            shown(&command)
        );
    }
    Ok(command)
}
