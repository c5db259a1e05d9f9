//! Real processes.

use std::{fs, path::Path, time::Instant};

use serde_json::Value;

use super::{super::command::run, *};
use crate::hooks::Failure;

fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

fn command(script: &str, timeout: Duration) -> HookConfig {
    hook(HookAction::Command(shell(script)), timeout)
}

/// The documents in a file, one on each line.
fn documents(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether a process runs. One that has ended and that nobody has waited for does not.
fn runs(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = status.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

#[test]
fn a_command_gets_the_change_on_its_input_and_in_its_environment() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("told");
    let script = format!(
        "cat >{0}; echo $LINKPROBE_EVENT $LINKPROBE_REGION $LINKPROBE_FROM $LINKPROBE_TO >>{0}",
        file.display()
    );
    let hooks = Running::start(&[command(&script, LONG)]);
    hooks.tell(&change("nyc", "reachable", "isolated"));
    hooks.await_outcomes(&[[1, 0, 0]]);
    let text = fs::read_to_string(file).unwrap();
    let (document, environment) = text.split_once('\n').unwrap();
    let expected = serde_json::json!({
        "event": "region", "node": "ams1", "at": 1.5, "region": "nyc", "peer": null,
        "direction": null, "from": "reachable", "to": "isolated", "why": "it is a test", "left_out": 0,
    });
    assert_eq!(serde_json::from_str::<Value>(document).unwrap(), expected);
    assert_eq!(environment, "region nyc reachable isolated\n");
}

#[test]
fn a_slow_command_is_told_of_the_last_state_and_how_many_it_has_missed() {
    let directory = tempfile::tempdir().unwrap();
    let (file, go) = (directory.path().join("told"), directory.path().join("go"));
    let script =
        format!("cat >>{}; until [ -e {} ]; do sleep 0.02; done", file.display(), go.display());
    let hooks = Running::start(&[command(&script, LONG)]);
    hooks.tell(&change("nyc", "unknown", "reachable"));
    eventually("it runs", || documents(&file).len() == 1);
    hooks.tell(&change("nyc", "reachable", "impaired"));
    hooks.tell(&change("fra", "reachable", "isolated"));
    hooks.tell(&change("nyc", "impaired", "isolated"));
    hooks.tell(&change("nyc", "isolated", "reachable"));
    fs::write(go, "").unwrap();
    hooks.await_outcomes(&[[3, 0, 0]]);
    let told: Vec<String> = documents(&file)
        .iter()
        .map(|told| {
            format!("{} {} {} {}", told["region"], told["from"], told["to"], told["left_out"])
        })
        .collect();
    let expected = [
        r#""nyc" "unknown" "reachable" 0"#,
        r#""nyc" "reachable" "reachable" 2"#,
        r#""fra" "reachable" "isolated" 0"#,
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_command_that_hangs_is_killed_with_all_that_it_has_started_and_others_are_told_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pids");
    let hangs = format!("sleep 1000 & echo $! $$ >{}; wait", file.display());
    let hooks = Running::start(&[command(&hangs, SHORT), command("cat >/dev/null", LONG)]);
    hooks.tell(&change("nyc", "reachable", "isolated"));
    eventually("the other is told", || hooks.outcomes()[1] == [1, 0, 0]);
    hooks.await_outcomes(&[[0, 0, 1], [1, 0, 0]]);
    let pids = fs::read_to_string(file).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2);
    for pid in pids.split_whitespace() {
        eventually("it is gone", || !runs(pid));
    }
}

#[test]
fn a_command_that_runs_ends_with_the_agent_and_does_not_hold_it_up() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ >{}; wait", file.display());
    let hooks = Running::start(&[command(&script, Duration::from_secs(300))]);
    hooks.tell(&change("nyc", "reachable", "isolated"));
    let pids = || fs::read_to_string(&file).unwrap_or_default();
    eventually("it runs", || pids().ends_with('\n'));
    let begin = now();
    hooks.end();
    assert!(begin.elapsed() < Duration::from_secs(5));
    for pid in pids().split_whitespace() {
        eventually("it is gone", || !runs(pid));
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a real end takes")]
fn now() -> Instant {
    Instant::now()
}

fn failure(command: &[String], limit: Duration) -> Failure {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let change = change("nyc", "reachable", "isolated");
    let run = run(command, &change, "{}".to_owned(), limit);
    runtime.block_on(async { run.await.unwrap_err() })
}

#[test]
fn a_failure_says_how_and_what_the_command_has_said_last() {
    let why = failure(&shell("echo a >&2; echo '  b' >&2; exit 3"), LONG);
    assert_eq!(why, Failure::Failed("/bin/sh: exit status: 3; it says: a / b".to_owned()));
    let why = failure(&shell("kill -9 $$"), LONG);
    assert_eq!(why, Failure::Failed("/bin/sh: signal: 9 (SIGKILL)".to_owned()));
    let why = failure(&["/nothing/there".to_owned()], LONG);
    let expected = "/nothing/there cannot be started: No such file or directory (os error 2)";
    assert_eq!(why, Failure::Failed(expected.to_owned()));
    let why = failure(&shell("echo stuck >&2; exec sleep 1000"), SHORT);
    let expected = "/bin/sh was killed after 5s; it says: stuck";
    assert_eq!(why, Failure::TimedOut(expected.to_owned()));
}

/// More than any pipe holds, and only the end of it is kept.
#[test]
fn a_command_may_write_as_much_as_it_likes() {
    let why = failure(&shell("yes | head -c 300000 >&2; echo >&2; echo end >&2; exit 1"), LONG);
    let Failure::Failed(why) = why else { panic!("{why:?}") };
    assert!(why.ends_with(" / end") && why.len() < 3_000, "{why}");
}

/// What it has left behind keeps standard error open; nobody waits for that.
#[test]
fn a_command_that_leaves_something_behind_has_ended_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!("sleep 1000 & echo $! >{}; exit 1", file.display());
    let why = failure(&shell(&script), LONG);
    assert_eq!(why, Failure::Failed("/bin/sh: exit status: 1".to_owned()));
    let pid = fs::read_to_string(file).unwrap().trim().parse::<i32>().unwrap();
    assert!(runs(&pid.to_string()), "it is none of ours to end");
    // SAFETY: the call takes two numbers. The process is the one that this test has started.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}
