//! `cargo xtask fuzz`: looks for input on which a fuzz target fails.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{Stopwatch, Workspace, run as run_command},
    setup,
};

/// The longest input that is tried, in octets. What is longer leads nowhere new, and is slower.
const MAX_LENGTH: u32 = 300;

/// Fuzzes one target, or one after the other, for this time altogether. What leads to new places in the
/// code is put into `fuzz/found`; with `keep`, the part of it that matters goes to `fuzz/corpus`.
///
/// # Errors
/// Where a target fails: then the input lies in `fuzz/artifacts`. Where there is no such target, or
/// something cannot be built.
pub(crate) fn run(
    workspace: &Workspace,
    target: Option<&str>,
    minutes: u32,
    keep: bool,
) -> Result<()> {
    setup::fuzzer(workspace)?;
    let targets = chosen(targets(workspace)?, target)?;
    let seconds = (u64::from(minutes) * 60).div_ceil(targets.len() as u64);
    let length = format!("-max_len={MAX_LENGTH}");
    for target in &targets {
        let time = Stopwatch::start();
        eprintln!("==> fuzzing {target} for {seconds} s");
        let found = Corpus::new(workspace, target)?;
        run_command(cargo_fuzz(workspace, "run", target).args([&found.new, &found.kept]).args([
            "--".to_owned(),
            format!("-max_total_time={seconds}"),
            length.clone(),
            "-print_final_stats=1".to_owned(),
        ]))
        .with_context(|| {
            format!(
                "{target} fails: the input is in fuzz/artifacts/{target}, and once it is in \
                     fuzz/corpus/{target} the ordinary tests try it too"
            )
        })?;
        if keep {
            found.keep()?;
            // How often a place is passed does not make an input worth keeping, else there are hundreds.
            let rules = ["--", "-use_counters=0", &length];
            run_command(cargo_fuzz(workspace, "cmin", target).args(rules))?;
        }
        eprintln!("==> {target}: nothing found in {time}");
    }
    Ok(())
}

/// `cargo fuzz` on a target, but for what follows its name.
fn cargo_fuzz(workspace: &Workspace, command: &str, target: &str) -> Command {
    let mut cargo = workspace.cargo(["fuzz", command, "--sanitizer", "none", target]);
    // There is no unsafe code in what is fuzzed, so no use for a sanitizer; without one, the flags that
    // libFuzzer wants are all that stable Rust does not have.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo
}

/// The names of all targets: those of their files.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let directory = workspace.root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for file in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        let path = file?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// The one of them that is asked for, or all.
fn chosen(targets: Vec<String>, target: Option<&str>) -> Result<Vec<String>> {
    match target {
        None => Ok(targets),
        Some(name) if targets.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("there is no fuzz target {name}; there are {}", targets.join(", ")),
    }
}

/// The inputs of a target.
struct Corpus {
    /// What earlier and this run have found.
    new: PathBuf,
    /// What is kept in the repository.
    kept: PathBuf,
}

impl Corpus {
    fn new(workspace: &Workspace, target: &str) -> Result<Self> {
        let fuzz = workspace.root.join("fuzz");
        let (new, kept) = (fuzz.join("found").join(target), fuzz.join("corpus").join(target));
        for directory in [&new, &kept] {
            fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        }
        Ok(Self { new, kept })
    }

    /// Adds what was found to what is kept.
    fn keep(&self) -> Result<()> {
        for file in fs::read_dir(&self.new)? {
            let file = file?;
            fs::copy(file.path(), self.kept.join(file.file_name()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_those_that_the_tests_replay() {
        let targets = targets(&Workspace::find().unwrap()).unwrap();
        for name in ["frame", "reflector", "tlv"] {
            assert_eq!(chosen(targets.clone(), Some(name)).unwrap(), [name]);
        }
        assert_eq!(chosen(targets.clone(), None).unwrap(), targets);
        let error = chosen(targets, Some("nothing")).unwrap_err().to_string();
        assert!(error.contains("nothing") && error.contains("frame, "), "{error}");
    }
}
