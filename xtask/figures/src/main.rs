//! `figures`: what `cargo xtask bench` ends with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use figures::{
    Machine, Part, Report,
    page::{DATA, DIRECTORY, plot_name},
    plot,
};

/// Shows what was measured
#[derive(Parser)]
#[command(name = "figures", version)]
struct Arguments {
    #[command(subcommand)]
    command: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// Write a page of Markdown, and beside it the plots and the data
    Page(Options),
}

/// What a page is made of.
#[derive(Args)]
struct Options {
    /// The page; plots and data go to the directory `benchmarks` beside it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Say that it was a quick run
    #[arg(long)]
    quick: bool,
    /// Say that a part has failed, and how
    #[arg(long, value_name = "PART=WHY", value_parser = failure)]
    failed: Vec<(String, String)>,
    /// What parts have found, as JSON
    #[arg(value_name = "PART.json")]
    parts: Vec<PathBuf>,
}

fn failure(text: &str) -> Result<(String, String), String> {
    let (name, why) = text.split_once('=').ok_or("it is PART=WHY")?;
    Ok((name.to_owned(), why.to_owned()))
}

fn main() -> ExitCode {
    let Subject::Page(options) = Arguments::parse().command;
    match page(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn page(options: Options) -> Result<()> {
    let parts = options.parts.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    let report = Report {
        date: date(),
        commit: commit(),
        machine: machine(),
        is_quick: options.quick,
        parts,
        failures: options.failed,
    };
    let beside = options.out.parent().unwrap_or(Path::new(""));
    let directory = beside.join(DIRECTORY);
    clear(&directory)?;
    for part in &report.parts {
        for (number, plot) in (1..).zip(&part.plots) {
            write(&directory.join(plot_name(part, number)), &plot::svg(plot)?)?;
        }
    }
    write(&directory.join(DATA), &(serde_json::to_string_pretty(&report)? + "\n"))?;
    write(&options.out, &report.markdown())
}

fn read(file: &Path) -> Result<Part> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let part: Part = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    // Files are named by it.
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if part.name.is_empty() || !part.name.chars().all(is_plain) {
        bail!("{}: a part cannot be called \"{}\"", file.display(), part.name);
    }
    Ok(part)
}

/// An empty place for plots and data: what is no longer measured leaves none behind. Nothing else is touched.
fn clear(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_plot = path.extension().is_some_and(|extension| extension == "svg");
        if is_plot || path.file_name().is_some_and(|name| name == DATA) {
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// This machine. Files that it does not have are taken for empty.
fn machine() -> Machine {
    let [cpuinfo, meminfo, osrelease, distribution] =
        ["/proc/cpuinfo", "/proc/meminfo", "/proc/sys/kernel/osrelease", "/etc/os-release"]
            .map(|file| fs::read_to_string(file).unwrap_or_default());
    Machine::new(&cpuinfo, &meminfo, &osrelease, &distribution)
}

#[expect(clippy::disallowed_methods, reason = "a page says when it was made")]
fn date() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The commit of the source tree that we stand in, and whether it has been changed since. The page itself does not
/// count.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| said.trim().to_owned())
    };
    let changes = ["status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/docs"];
    match (git(&["rev-parse", "--short=12", "HEAD"]), git(&changes)) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => format!("{commit}, with changes"),
        (None, _) => "unknown".to_owned(),
    }
}
