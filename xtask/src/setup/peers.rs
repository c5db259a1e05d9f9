//! Programs of others: those that speak STAMP, for the tests of interoperation, and those that choose routes,
//! for the bench of the overlay.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{apt::Apt, parts::tools};
use crate::process::{Workspace, find_program, output, run, succeeds};

/// The version whose command line and output the tests know.
const STAMP_SUITE_VERSION: &str = "1.0.0";

/// The version that made the golden packets: another may write the same fields in other ways.
const SCAPY_VERSION: &str = "2.8.0";

/// Where stamp-suite is once it is set up.
pub(crate) fn stamp_suite(workspace: &Workspace) -> PathBuf {
    tools(workspace).join("bin/stamp-suite")
}

/// stamp-suite, if it is there in the right version.
pub(super) fn find_stamp_suite(workspace: &Workspace) -> Option<String> {
    let program = stamp_suite(workspace);
    if !program.is_file() {
        return None;
    }
    let said = output(Command::new(program).arg("--version")).ok()?;
    let wanted = format!("stamp-suite {STAMP_SUITE_VERSION}");
    (said.trim() == wanted).then_some(wanted)
}

/// Builds stamp-suite. Of its features only the TTL of received packets: reports of it are compared.
pub(super) fn install_stamp_suite(workspace: &Workspace) -> Result<()> {
    let root = tools(workspace).display().to_string();
    let mut cargo = workspace.cargo(["install", "stamp-suite", "--locked", "--force"]);
    cargo.args(["--version", STAMP_SUITE_VERSION, "--features", "ttl-nix", "--root", &root]);
    // Its build is none of this tree's.
    run(cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))
}

/// scapy, if it is there in the right version.
pub(super) fn find_scapy(workspace: &Workspace) -> Option<String> {
    let python = environment(workspace).join("bin/python");
    let check = format!(
        "import importlib.metadata as m, sys; sys.exit(m.version('scapy') != '{SCAPY_VERSION}')"
    );
    let found = python.is_file() && succeeds(Command::new(python).args(["-c", &check]));
    found.then(|| format!("scapy {SCAPY_VERSION}"))
}

/// Installs scapy into a Python environment of its own.
pub(super) fn install_scapy(workspace: &Workspace, apt: &Apt) -> Result<()> {
    let mut python = find_program("python3").unwrap_or_else(|| PathBuf::from(DEBIAN_PYTHON));
    // Debian's python3 comes without what makes environments.
    if !succeeds(Command::new(&python).args(["-c", "import venv, ensurepip"])) {
        apt.install(&["python3", "python3-venv"])?;
        python = PathBuf::from(DEBIAN_PYTHON);
    }
    let environment = environment(workspace);
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&environment))?;
    let pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install"];
    let scapy = format!("scapy=={SCAPY_VERSION}");
    run(Command::new(environment.join("bin/python")).args(pip).arg(scapy))
        .context("scapy comes from the Python Package Index")
}

/// FRR, where Debian's package has its daemons: the bench starts them from there.
pub(super) fn find_frr() -> Option<String> {
    let daemons = ["zebra", "bfdd"].map(|daemon| Path::new("/usr/lib/frr").join(daemon));
    daemons.iter().all(|daemon| daemon.is_file()).then(|| "FRR".to_owned())
}

/// Where Debian puts its Python.
const DEBIAN_PYTHON: &str = "/usr/bin/python3";

/// The Python environment of the tests.
fn environment(workspace: &Workspace) -> PathBuf {
    tools(workspace).join("python")
}
