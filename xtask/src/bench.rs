//! `cargo xtask bench`: all that is measured, one part after the other, and a page of the figures.
//!
//! - [`part`]: what can be measured, and how it is started.
//! - [`progress`]: how far a run is, and how long it may take yet.
//! - [`interrupt`]: how a run ends early.

mod interrupt;
mod part;
mod progress;

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use interrupt::Interrupt;
pub(crate) use part::Part;
use progress::Progress;

use crate::{
    lab,
    process::{Workspace, run as run_command},
    setup, sim,
};

/// Measures these parts, or all of them, and makes the page.
///
/// # Errors
/// Where the set-up or a build fails, and once everything has run, where a part has failed.
pub(crate) fn run(
    workspace: &Workspace,
    parts: &[Part],
    quick: bool,
    arguments: &[OsString],
) -> Result<()> {
    let run = Run::new(workspace, parts, quick, arguments)?;
    run.prepare()?;
    let interrupt = Interrupt::watch()?;
    let mut failures = Vec::new();
    let mut progress = Progress::new(run.parts.iter().map(|part| part.typical(run.quick)));
    for part in &run.parts {
        eprintln!("==> {}", progress.line(part.name()));
        // What an earlier run has left is not taken for a result.
        remove(&run.json(*part))?;
        if let Err(how) = interrupt.attempt(&mut run.command(*part)?) {
            if interrupt.has_come() {
                bail!("interrupted while `{}` was measured; no page is made", part.name());
            }
            eprintln!("==> {}: {how}", part.name());
            failures.push((*part, how));
        }
        progress.step();
    }
    run.page(&failures)?;
    if !failures.is_empty() {
        let told = failures.iter().map(|(part, how)| format!("`{}` {how}", part.name()));
        bail!("{}", told.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

/// What is to be run, and where its results go.
struct Run<'a> {
    workspace: &'a Workspace,
    parts: Vec<Part>,
    quick: bool,
    /// For the only part.
    arguments: &'a [OsString],
    /// Where cargo leaves its programs.
    programs: PathBuf,
    /// Results of each part.
    results: PathBuf,
}

impl<'a> Run<'a> {
    fn new(
        workspace: &'a Workspace,
        parts: &[Part],
        quick: bool,
        arguments: &'a [OsString],
    ) -> Result<Self> {
        if !arguments.is_empty() && parts.len() != 1 {
            bail!(
                "what stands behind `--` is for one part: name it, as in `cargo xtask bench overlay -- --help`"
            );
        }
        // Always in the same order, and none twice.
        let is_wanted = |part: &Part| parts.is_empty() || parts.contains(part);
        let parts = Part::ALL.into_iter().filter(is_wanted).collect();
        let quick = quick || arguments.iter().any(|argument| argument == "--quick");
        let programs = workspace.release_directory()?;
        let results = programs.with_file_name("bench");
        Ok(Self { workspace, parts, quick, arguments, programs, results })
    }

    /// Installs and builds what the parts need, all of it before the first is measured.
    fn prepare(&self) -> Result<()> {
        let purpose = self.parts.iter().map(|part| part.purpose()).max();
        setup::run(self.workspace, purpose.context("nothing is to be measured")?)?;
        if self.parts.iter().any(|part| part.is_of_the_lab()) {
            lab::build(self.workspace)?;
        }
        if self.parts.contains(&Part::Health) {
            sim::build(self.workspace)?;
        }
        run_command(&mut self.workspace.cargo(["build", "--release", "--package", "figures"]))?;
        fs::create_dir_all(&self.results).with_context(|| self.results.display().to_string())
    }

    /// The file that a part leaves: the one that is asked for, or one of ours.
    fn json(&self, part: Part) -> PathBuf {
        value(self.arguments, "--json")
            .unwrap_or_else(|| self.results.join(part.name()).with_extension("json"))
    }

    fn command(&self, part: Part) -> Result<Command> {
        let mut command = part.command(self.workspace)?;
        let is_given = |flag: &str| self.arguments.iter().any(|argument| argument == flag);
        command.args((self.quick && !is_given("--quick")).then_some("--quick"));
        if value(self.arguments, "--json").is_none() {
            command.arg("--json").arg(self.json(part));
        }
        command.args(self.arguments);
        Ok(command)
    }

    /// Makes the page, and says where it is; not where a part was only asked for help.
    fn page(&self, failures: &[(Part, String)]) -> Result<()> {
        let results: Vec<PathBuf> =
            self.parts.iter().map(|part| self.json(*part)).filter(|file| file.is_file()).collect();
        if results.is_empty() && failures.is_empty() {
            return Ok(());
        }
        let is_whole = !self.quick && self.arguments.is_empty() && self.parts == Part::ALL;
        let directory =
            if is_whole { self.workspace.root.join("docs") } else { self.results.clone() };
        let page = directory.join("BENCHMARKS.md");
        let mut command = Command::new(self.programs.join("figures"));
        command.arg("page").arg("--out").arg(&page).args(self.quick.then_some("--quick"));
        for (part, how) in failures {
            command.arg("--failed").arg(format!("{}={how}", part.name()));
        }
        // It asks git for the commit. Files that were named are found from where we are.
        let here = env::current_dir().context("this directory")?;
        command.args(results.iter().map(|file| here.join(file)));
        run_command(command.current_dir(&self.workspace.root))?;
        println!("{}", page.display());
        Ok(())
    }
}

/// What is given with an option, in the next word or behind `=`.
fn value(arguments: &[OsString], option: &str) -> Option<PathBuf> {
    let at =
        |(place, argument): (usize, &OsString)| match argument.to_str()?.strip_prefix(option)? {
            "" => arguments.get(place + 1).map(PathBuf::from),
            rest => rest.strip_prefix('=').map(PathBuf::from),
        };
    arguments.iter().enumerate().find_map(at)
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if file.exists() => Err(error).with_context(|| file.display().to_string()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn run<'a>(
        workspace: &'a Workspace,
        parts: &[Part],
        arguments: &'a [OsString],
    ) -> Result<Run<'a>> {
        Run::new(workspace, parts, false, arguments)
    }

    #[test]
    fn the_value_of_an_option_is_found() {
        let find = |given: &[&str]| value(&words(given), "--json");
        assert_eq!(find(&["--json", "a.json"]), Some("a.json".into()));
        assert_eq!(find(&["--quick", "--json=a.json"]), Some("a.json".into()));
        assert_eq!(find(&["--jsons", "a.json"]), None);
        assert_eq!(find(&["--json"]), None);
    }

    #[test]
    fn parts_run_in_their_order_and_once() {
        let workspace = Workspace::find().unwrap();
        let parts = |named: &[Part]| run(&workspace, named, &[]).unwrap().parts;
        assert_eq!(parts(&[]), Part::ALL);
        let named = [Part::Overlay, Part::Path, Part::Overlay];
        assert_eq!(parts(&named), [Part::Path, Part::Overlay]);
    }

    #[test]
    fn arguments_are_for_one_part() {
        let workspace = Workspace::find().unwrap();
        let arguments = words(&["--help"]);
        assert!(run(&workspace, &[], &arguments).is_err());
        assert!(run(&workspace, &[Part::Path, Part::Health], &arguments).is_err());
        assert!(run(&workspace, &[Part::Health], &arguments).is_ok());
    }

    #[test]
    fn what_the_user_has_given_is_not_given_again() {
        let workspace = Workspace::find().unwrap();
        let given = words(&["--quick", "--json", "mine.json"]);
        let run = run(&workspace, &[Part::Health], &given).unwrap();
        let command = run.command(Part::Health).unwrap();
        assert_eq!(
            command.get_args().collect::<Vec<_>>(),
            ["bench", "--quick", "--json", "mine.json"]
        );
        assert!(run.quick && run.json(Part::Health) == Path::new("mine.json"));
    }
}
