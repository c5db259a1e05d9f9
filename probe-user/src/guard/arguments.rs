//! The command line of `linkprobe guard`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{choice::Return, targets};

/// What is behind the options in the help text.
pub const HELP: &str = "\
Examples:
  linkprobe guard --targets /etc/linkprobe/targets.toml --dry-run
  linkprobe guard --targets targets.toml -- worker --controller {target}
  linkprobe guard --targets targets.toml --return at-once --restart always -- sh -c 'exec worker --at \"$LINKPROBE_TARGET\"'

In COMMAND and its arguments, {target} becomes the address of the target, {name} its name and {region} its region; the same is in \
LINKPROBE_TARGET, LINKPROBE_TARGET_NAME and LINKPROBE_TARGET_REGION. It runs in a process group of its own, so it cannot read from \
the terminal. When it ends, what is left of its group is ended too, before anything else is started.

Signals: SIGTERM and SIGINT go to the group and end the guard; SIGHUP reads the file of targets again; SIGQUIT, SIGUSR1, SIGUSR2 \
and SIGWINCH go to the group. If the guard is killed, so is the command, but not what that has started, nor a command that has \
changed its user or is a set-user-ID program, such as sudo.

Exit codes: that of the command; 128 and its number if a signal ended it, or us while it did not run; 125 if the guard itself \
fails, 126 if the command cannot be executed, 127 if it is not found. With --dry-run, 0 if a target is good, else 1.";

/// What is to be run, and against whom.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The file of targets, the preferred first; deploy/targets.toml is one. SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    pub targets: PathBuf,
    /// The agent of this host, instead of `agent` in the file or http://127.0.0.1:9862
    #[arg(long, value_name = "URL", value_parser = targets::check_url)]
    pub agent: Option<String>,
    /// When to go back to a target that is preferred: at-once, never, on-exit (when the command ends by itself),
    /// or once it has been good for a time such as 5m, even if the command ends by itself before
    #[arg(long = "return", value_name = "WHEN", default_value = "5m", value_parser = back)]
    pub back: Return,
    /// When to start the command again that has ended by itself: on-failure is whenever it has not ended with 0
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Restart::OnFailure)]
    pub restart: Restart,
    /// How long a target must have been isolated or cut off before it is left, up to 10m
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = up_to_ten_minutes)]
    pub patience: Duration,
    /// Least time between two moves, up to 10m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = up_to_ten_minutes)]
    pub min_dwell: Duration,
    /// Time between two questions to an agent, from 100ms to 5s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// The signal that ends the command for a move
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", value_parser = signal)]
    pub signal: i32,
    /// How long the command may take to end before it is killed, up to 10m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = up_to_ten_minutes)]
    pub grace: Duration,
    /// Time before a command that has ended is started again; doubles each time, from 10ms to 1h
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = back_off)]
    pub back_off: Duration,
    /// The longest that time becomes; a run that lasts as long begins anew, and so does a move
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = back_off)]
    pub back_off_cap: Duration,
    /// Say what is seen of the targets, and which would be chosen; start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document instead of a table
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required_unless_present = "dry_run", last = true)]
    pub command: Vec<OsString>,
}

/// When a command that has ended by itself is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Restart {
    /// Always.
    Always,
    /// Unless it has ended with 0.
    OnFailure,
    /// Never.
    Never,
}

fn back(text: &str) -> Result<Return, String> {
    match text {
        "never" => Ok(Return::Never),
        "on-exit" => Ok(Return::OnExit),
        "at-once" => Ok(Return::After(Duration::ZERO)),
        time => duration(time, "0s", "7days")
            .map(Return::After)
            .map_err(|error| format!("{error}, or at-once, on-exit or never")),
    }
}

fn up_to_ten_minutes(text: &str) -> Result<Duration, String> {
    duration(text, "0s", "10m")
}

fn interval(text: &str) -> Result<Duration, String> {
    duration(text, "100ms", "5s")
}

fn back_off(text: &str) -> Result<Duration, String> {
    duration(text, "10ms", "1h")
}

fn duration(text: &str, least: &str, most: &str) -> Result<Duration, String> {
    let parse = humantime::parse_duration;
    let found = parse(text)
        .map_err(|_| "not a duration; write a number and a unit, such as 5s".to_owned())?;
    let (Ok(low), Ok(high)) = (parse(least), parse(most)) else { return Ok(found) };
    if (low..=high).contains(&found) {
        return Ok(found);
    }
    Err(format!("out of range; write a duration from {least} to {most}"))
}

/// The signals that end a process unless it does something else, by their names.
const SIGNALS: [(&str, i32); 7] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("TERM", libc::SIGTERM),
];

fn signal(text: &str) -> Result<i32, String> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let found = SIGNALS
        .iter()
        .find(|(known, number)| known.eq_ignore_ascii_case(name) || number.to_string() == name);
    found.map(|(_, number)| *number).ok_or_else(|| {
        format!(
            "not a signal that ends a command; write {}",
            SIGNALS.map(|(name, _)| name).join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Guard {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, String> {
        Guard::try_parse_from(["guard"].into_iter().chain(line.split_whitespace()))
            .map(|guard| guard.arguments)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn targets_and_a_command_are_all_that_is_needed() {
        let arguments = parse("--targets t.toml -- worker --at {target} -v").unwrap();
        assert_eq!(arguments.command, ["worker", "--at", "{target}", "-v"]);
        assert_eq!(arguments.back, Return::After(Duration::from_secs(300)));
        assert_eq!((arguments.restart, arguments.signal), (Restart::OnFailure, libc::SIGTERM));
        assert_eq!(arguments.agent, None);
        assert!(parse("--targets t.toml --dry-run").unwrap().command.is_empty());
    }

    #[test]
    fn all_that_can_be_said() {
        let arguments = parse(
            "--targets t --agent a:1 --return at-once --restart always --patience 0s --min-dwell 1m --interval 100ms \
             --signal SIGINT --grace 0s --back-off 10ms --back-off-cap 1h -- x --dry-run",
        )
        .unwrap();
        assert_eq!(arguments.agent.as_deref(), Some("http://a:1"));
        assert_eq!(arguments.back, Return::After(Duration::ZERO));
        assert_eq!((arguments.restart, arguments.signal), (Restart::Always, libc::SIGINT));
        assert!(!arguments.dry_run);
        for (text, number) in [("9", 9), ("usr1", libc::SIGUSR1), ("TERM", 15)] {
            assert_eq!(signal(text), Ok(number));
        }
        assert_eq!(back("never"), Ok(Return::Never));
        assert_eq!(back("on-exit"), Ok(Return::OnExit));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        for (line, expected) in [
            ("-- x", "--targets"),
            ("--targets t", "COMMAND"),
            ("--targets t --json -- x", "--dry-run"),
            ("--targets t --agent https://a -- x", "which speaks plain HTTP"),
            ("--targets t --return soon -- x", "such as 5s, or at-once, on-exit or never"),
            ("--targets t --return 8days -- x", "from 0s to 7days"),
            ("--targets t --restart no -- x", "on-failure"),
            ("--targets t --interval 10s -- x", "from 100ms to 5s"),
            ("--targets t --signal WINCH -- x", "HUP, INT, QUIT"),
            ("--targets t --grace 1h -- x", "from 0s to 10m"),
            ("--targets t --back-off 0s -- x", "from 10ms to 1h"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
