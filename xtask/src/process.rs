//! Starts other programs, shows them as one would type them, and says which one failed.

use std::{
    env,
    ffi::OsStr,
    fmt,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

/// Where administrators' programs are; the `PATH` of other users often lacks these.
const ADMINISTRATION: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The source tree, and the directory that cargo builds into.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// The one that this program was built from.
    ///
    /// # Errors
    /// Where there is no `Cargo.toml` any more.
    pub(crate) fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().unwrap_or(&manifest).to_path_buf();
        if !root.join("Cargo.toml").is_file() {
            bail!("{} has no Cargo.toml: run `cargo xtask` in the source tree", root.display());
        }
        Ok(Self { root })
    }

    /// The cargo that runs us, at the root and free of what it told us about our own package.
    pub(crate) fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).args(arguments);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Where a release build leaves its programs; `CARGO_TARGET_DIR` and cargo's configuration count.
    ///
    /// # Errors
    /// Where cargo does not tell.
    pub(crate) fn release_directory(&self) -> Result<PathBuf> {
        let mut cargo = self.cargo(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata = output(&mut cargo)?;
        let directory = string_field(&metadata, "target_directory")
            .with_context(|| format!("`{}` names no target_directory", shown(&cargo)))?;
        Ok(Path::new(directory).join("release"))
    }
}

/// The text of a JSON object's string field: all that this crate needs of JSON, so no parser for it.
fn string_field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\":\""))?;
    let (value, _) = rest.split_once('"')?;
    (!value.contains('\\')).then_some(value)
}

/// The program of this name, in the `PATH` or where administrators' programs are.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(ADMINISTRATION.map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Runs to the end, with our own terminal.
///
/// # Errors
/// Where the program cannot be started, or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    attempt(command).map_err(|how| anyhow!("`{}` {how}", shown(command)))
}

/// Runs to the end, with our own terminal; for callers that show the command themselves.
///
/// # Errors
/// How it failed, as what one says of the command.
pub(crate) fn attempt(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) => judge(status),
        Err(error) => Err(format!("cannot be started: {error}")),
    }
}

/// Runs to the end without a word, and tells whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs to the end, and returns what it wrote to its standard output.
///
/// # Errors
/// Where the program cannot be started, fails, or writes what is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    judge(output.status).map_err(|how| anyhow!("`{}` {how}", shown(command)))?;
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` wrote what is not UTF-8", shown(command)))
}

/// Whether it succeeded.
///
/// # Errors
/// How it failed, as what one says of the command.
pub(crate) fn judge(status: ExitStatus) -> Result<(), String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("failed with exit code {code}")),
        (None, Some(signal)) => Err(format!("was ended by signal {signal}")),
        (None, None) => Err("failed".to_owned()),
    }
}

/// The command as one would type it at the root of the source tree.
pub(crate) fn shown(command: &Command) -> String {
    let settings = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.display(), quoted(value?))));
    let cargo = env::var_os("CARGO");
    let program = match command.get_program() {
        program if Some(program) == cargo.as_deref() => "cargo".to_owned(),
        program => quoted(program),
    };
    let arguments = command.get_args().map(quoted);
    settings.chain([program]).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// The word as a shell takes it for one.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,+@%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// How long something takes that somebody waits for.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to count.
    #[expect(clippy::disallowed_methods, reason = "tells a person how long a command took")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

impl fmt::Display for Stopwatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&readable(self.elapsed()))
    }
}

/// Tenths of seconds up to a minute, minutes and seconds above.
pub(crate) fn readable(time: Duration) -> String {
    if time < Duration::from_secs(60) {
        return format!("{:.1} s", time.as_secs_f64());
    }
    format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let mut command = Command::new("cargo");
        command.args(["test", "it's here", ""]).env("RUNNER", "sudo -E").env_remove("HOME");
        assert_eq!(shown(&command), r"RUNNER='sudo -E' cargo test 'it'\''s here' ''");
    }

    #[test]
    fn a_failure_names_the_command_and_its_exit_code() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'exit 3'` failed with exit code 3");
    }

    #[test]
    fn a_command_ended_by_a_signal_has_failed() {
        let error = run(Command::new("sh").args(["-c", "kill -9 $$"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'kill -9 $$'` was ended by signal 9");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/nowhere/linkprobe")).unwrap_err();
        assert!(error.to_string().starts_with("`/nowhere/linkprobe` cannot be started: "));
    }

    #[test]
    fn string_fields_are_found_and_escapes_refused() {
        let json = r#"{"version":1,"target_directory":"/a b/target","odd":"\"x"}"#;
        assert_eq!(string_field(json, "target_directory"), Some("/a b/target"));
        assert_eq!(string_field(json, "odd"), None);
        assert_eq!(string_field(json, "absent"), None);
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(readable(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(readable(Duration::from_secs(125)), "2 min 5 s");
    }
}
