//! `cargo xtask setup`: finds what the other commands need, and installs what is missing.
//!
//! - [`parts`]: the list of what is needed, how to find each and how to install it.
//! - [`peers`]: programs of others, for the tests of interoperation and for the benches.
//! - [`apt`]: Debian's packages.

mod apt;
mod parts;
mod peers;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
pub(crate) use peers::stamp_suite;

use crate::{
    host::{Privilege, check_datapath, kernel_release},
    process::{Stopwatch, Workspace},
};

/// What to set up for; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Purpose {
    /// To build the agent.
    Build,
    /// To run it in network namespaces.
    Demo,
    /// To lint it, and to run its tests.
    Test,
    /// To measure it beside others.
    Bench,
}

/// Installs what is missing for `purpose`, and says what it did.
///
/// # Errors
/// Names what cannot be installed, why, and what to type; from [`Purpose::Demo`] on also where the
/// kernel or root's rights do not suffice.
pub(crate) fn run(workspace: &Workspace, purpose: Purpose) -> Result<()> {
    let privilege = Privilege::find();
    let mut there = vec![format!("Linux {}", kernel_release()?)];
    if let Err(error) = check_datapath(privilege) {
        if purpose >= Purpose::Demo {
            return Err(error);
        }
        eprintln!("setup: the agent can be built but not run here: {error:#}");
    }
    let apt = apt::Apt::new(privilege);
    for part in parts::PARTS.iter().filter(|part| part.purpose <= purpose) {
        there.extend(provide(part, workspace, &apt)?);
    }
    eprintln!("setup: there already: {}", there.join(", "));
    Ok(())
}

/// Installs what is missing to build the agent and to fuzz it.
///
/// # Errors
/// As [`run`].
pub(crate) fn fuzzer(workspace: &Workspace) -> Result<()> {
    run(workspace, Purpose::Build)?;
    provide(&parts::FUZZER, workspace, &apt::Apt::new(Privilege::find()))?;
    Ok(())
}

/// Describes a part that is there, or else installs it, and says so.
fn provide(part: &parts::Part, workspace: &Workspace, apt: &apt::Apt) -> Result<Option<String>> {
    if let Some(found) = (part.find)(workspace) {
        return Ok(Some(found));
    }
    eprintln!("setup: installing {} ({})", part.name, part.takes);
    let time = Stopwatch::start();
    (part.install)(workspace, apt).with_context(|| format!("{} is missing", part.name))?;
    let found = (part.find)(workspace)
        .with_context(|| format!("{} was installed, but it is not found", part.name))?;
    eprintln!("setup: installed {found} in {time}");
    Ok(None)
}
