//! `cargo xtask test`: formatting, lints, documentation and all tests, as a list of steps.

use std::{env, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    build,
    host::Privilege,
    process::{Stopwatch, Workspace, attempt, output, shown},
    setup::{self, Purpose},
};

/// One command that has to succeed.
struct Step {
    name: &'static str,
    command: Command,
    /// Whether it runs programs as root.
    root: bool,
}

impl Step {
    fn new(name: &'static str, command: Command) -> Self {
        Self { name, command, root: false }
    }
}

/// Sets up, and runs the steps up to the first that fails.
///
/// # Errors
/// Names the step that failed, and the command that runs it again.
pub(crate) fn run(workspace: &Workspace, filter: Option<&str>) -> Result<()> {
    let whole = Stopwatch::start();
    setup::run(workspace, Purpose::Test)?;
    let privilege = Privilege::find();
    let mut steps = tests(workspace, filter, privilege)?;
    if filter.is_none() {
        steps.splice(0..0, checks(workspace));
    }
    let count = steps.len();
    for (done, step) in steps.iter_mut().enumerate() {
        eprintln!("==> {} ({} of {count}): {}", step.name, done + 1, shown(&step.command));
        let time = Stopwatch::start();
        let unable = step.root && privilege == Privilege::None;
        let result = if unable {
            Err("needs root, and sudo is not installed".to_owned())
        } else {
            attempt(&mut step.command)
        };
        if let Err(how) = result {
            eprintln!("==> {}: FAILED after {time}", step.name);
            println!("steps: {done} passed, 1 failed");
            bail!(
                "the step \"{}\" {how}; to run only it again, type{}\n  {}",
                step.name,
                if unable { " as root" } else { "" },
                shown(&step.command)
            );
        }
        eprintln!("==> {}: passed in {time}", step.name);
    }
    eprintln!("==> all that `cargo xtask test` checks is well, after {whole}");
    println!("steps: {count} passed, 0 failed");
    Ok(())
}

/// What needs no test to run.
fn checks(workspace: &Workspace) -> Vec<Step> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];

    // The BPF programs, linted for this host: no toolchain has both clippy and `core` for BPF. They
    // have no unwinder, and use what is unstable; a target directory of their own keeps these
    // settings from rebuilding everything else.
    let mut bpf = workspace.cargo(["clippy", "--package", "probe-ebpf", "--features", "bpf"]);
    bpf.args(["--lib", "--bins", "--target-dir", "target/clippy-bpf"])
        .args(["--", "--deny", "warnings"])
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .env("RUSTC_BOOTSTRAP", "1");

    let mut documentation = workspace.cargo(["doc", "--workspace", "--no-deps"]);
    documentation.env("RUSTDOCFLAGS", "--deny warnings");

    vec![
        Step::new("formatting", workspace.cargo(["fmt", "--all", "--check"])),
        Step::new("lints", workspace.cargo(clippy)),
        Step::new("lints of the BPF programs", bpf),
        Step::new("documentation", documentation),
    ]
}

/// The tests whose names contain `filter`: first those that any user can run, then those that need
/// root, and before these the agent that they start.
fn tests(workspace: &Workspace, filter: Option<&str>, privilege: Privilege) -> Result<Vec<Step>> {
    let mut unit = workspace.cargo(["test", "--no-fail-fast", "--workspace"]);
    unit.args(["--exclude", "tests", "--exclude", "lab"]).args(filter);

    let agent = workspace.cargo(["build", "--release", "--package", "probe-user"]);

    let mut integration = workspace.cargo(["test", "--no-fail-fast", "--tests"]);
    integration
        .args(["--package", "tests", "--package", "lab"])
        .args(filter)
        // Each of them starts several agents and measures what they see, in time. On a small machine
        // more at once would measure one another.
        .args(["--", "--test-threads", "2"])
        .env("LINKPROBE_BIN", build::agent(workspace)?);
    if privilege == Privilege::Sudo {
        // Cargo builds as the user, and starts only the tests themselves through this.
        integration.env(runner_variable(&host_target()?), "sudo -E");
    }
    Ok(vec![
        Step::new("unit tests", unit),
        Step::new("the release agent", agent),
        Step { name: "integration tests", command: integration, root: true },
    ])
}

/// The triple of the target that cargo builds for.
fn host_target() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// The variable that tells cargo through what to start the programs of a target.
fn runner_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_RUNNER", target.to_uppercase().replace(['-', '.'], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_told_the_runner_of_the_host() {
        assert_eq!(
            runner_variable("x86_64-unknown-linux-gnu"),
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER"
        );
    }
}
