use std::fs;

use super::{
    WORKER,
    fake::{Agent, Place, eventually},
};

fn place() -> (Agent, Place) {
    let agent = Agent::start("ams", "nyc=reachable");
    let place = Place::new(&agent.url, &["nyc"]);
    (agent, place)
}

#[test]
fn the_command_is_told_its_target() {
    let (_agent, place) = place();
    let script = "echo {target} {name} {region} $LINKPROBE_TARGET $LINKPROBE_TARGET_NAME $LINKPROBE_TARGET_REGION >>said";
    place.guard("", script).ends_with(0);
    assert_eq!(place.said(), ["nyc:7", "nyc", "nyc", "nyc:7", "nyc", "nyc"]);
}

#[test]
fn it_is_started_again_as_the_user_says() {
    let (_agent, place) = place();
    // Fails three times.
    let script = "echo run >>said; [ $(wc -l <said) -gt 3 ]";
    let log = place.guard("", script).ends_with(0);
    assert_eq!(place.said().len(), 4);
    for wait in ["again_in=20ms", "again_in=40ms", "again_in=80ms"] {
        assert!(log.contains(wait), "{wait}: {log}");
    }
    place.forget();

    let log = place.guard("--back-off-cap 30ms", script).ends_with(0);
    assert_eq!(log.matches("again_in=30ms").count(), 2, "{log}");
    place.forget();

    place.guard("--restart never", "echo run >>said; exit 7").ends_with(7);
    assert_eq!(place.said().len(), 1);
    place.forget();

    let guard = place.guard("--restart always", "echo run >>said");
    eventually("it runs again and again", || (place.said().len() > 4).then_some(()));
    guard.signal(libc::SIGTERM);
    // Of the command, or of the signal while there was none.
    let (status, log) = guard.ends();
    assert!(matches!(status.code(), Some(0 | 143)), "{status}: {log}");
}

#[test]
fn a_command_that_a_signal_has_ended_gives_the_code_of_a_shell() {
    let (_agent, place) = place();
    place.guard("--restart never", "kill -9 $$").ends_with(137);
    let guard = place.guard("", "echo run >>said; exec sleep 1000");
    guard.said(&["run"]);
    guard.signal(libc::SIGTERM);
    guard.ends_with(143);
}

#[test]
fn a_command_that_cannot_be_started_has_a_code_of_its_own() {
    let (_agent, place) = place();
    for (command, code) in [("/nonexistent/command", 127), ("/etc/passwd", 126)] {
        let output = place.output(&format!("-- {command} {{target}}"));
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{log}");
        assert!(log.contains(&format!("linkprobe: cannot start {command}: ")), "{log}");
    }
}

#[test]
fn signals_reach_the_command() {
    let (_agent, place) = place();
    let traps: String = ["USR1", "USR2", "QUIT", "WINCH"]
        .map(|name| format!("trap 'echo {name} >>said' {name}; "))
        .concat();
    let guard = place.guard(
        "",
        &format!("{traps} trap 'echo INT >>said; exit 5' INT; echo ready >>said; while :; do sleep 0.05; done"),
    );
    guard.said(&["ready"]);
    let mut expected = vec!["ready"];
    for (signal, name) in [
        (libc::SIGUSR1, "USR1"),
        (libc::SIGUSR2, "USR2"),
        (libc::SIGQUIT, "QUIT"),
        (libc::SIGWINCH, "WINCH"),
    ] {
        guard.signal(signal);
        expected.push(name);
        guard.said(&expected);
    }
    guard.signal(libc::SIGINT);
    guard.ends_with(5);
    assert_eq!(place.said().last().unwrap(), "INT");
}

#[test]
fn a_command_that_does_not_end_is_killed() {
    let (_agent, place) = place();
    let script = "trap '' TERM; echo run >>said; while :; do sleep 0.05; done";
    let guard = place.guard("--grace 200ms", script);
    guard.said(&["run"]);
    guard.signal(libc::SIGTERM);
    guard.ends_with(137);
}

#[test]
fn a_move_ends_the_command_by_the_signal_of_choice_and_within_its_grace() {
    let agent = Agent::start("ams", "nyc=reachable fra=reachable");
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    let script = "trap 'echo usr1 >>said' USR1; echo {name} >>said; while :; do sleep 0.05; done";
    let guard = place.guard("--signal USR1 --grace 3s", script);
    guard.said(&["nyc"]);
    agent.says("ams", "nyc=isolated fra=reachable");
    guard.said(&["nyc", "usr1", "fra"]);
    guard.signal(libc::SIGTERM);
    guard.ends_with(143);
}

/// The end of the guard is asked for while the command takes its time to end for a move.
#[test]
fn an_end_during_a_move_is_an_end() {
    let agent = Agent::start("ams", "nyc=reachable fra=reachable");
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    let script = "trap 'echo told >>said' TERM; echo {name} >>said; while ! [ -e go ]; do sleep 0.05; done; exit 3";
    let guard = place.guard("", script);
    guard.said(&["nyc"]);
    agent.says("ams", "nyc=isolated fra=reachable");
    guard.said(&["nyc", "told"]);
    guard.signal(libc::SIGTERM);
    guard.said(&["nyc", "told", "told"]);
    place.touch("go");
    guard.ends_with(3);
    assert_eq!(place.said(), ["nyc", "told", "told"]);
}

/// Whether a process is there and has not ended.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

#[test]
fn what_a_command_leaves_behind_is_ended() {
    let (_agent, place) = place();
    // One that ends when it is told to, and one that does not.
    let script = "sleep 1000 & echo $! >>said; (trap '' TERM; : >armed; exec sleep 1000) & echo $! >>said; \
        until [ -e armed ]; do sleep 0.02; done; exit 4";
    place.guard("--restart never --grace 300ms", script).ends_with(4);
    let left = place.said();
    assert_eq!(left.len(), 2);
    // Not only told to: the guard has waited for it.
    assert!(!left.iter().any(|pid| lives(pid)), "{left:?}");
}

#[test]
fn a_command_that_has_ended_is_not_moved_while_what_it_left_behind_is_ended() {
    let agent = Agent::start("ams", "nyc=reachable fra=reachable");
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    // The one that is left behind does not end when it is told to, and says when the other one has.
    let script = "(trap '' TERM; : >armed; while kill -0 $$; do sleep 0.02; done; echo left >>said; exec sleep 1000) & \
        echo {name} >>said; until [ -e armed ]; do sleep 0.02; done";
    let guard = place.guard("--restart never --grace 3s", script);
    guard.said(&["nyc", "left"]);
    agent.says("ams", "nyc=isolated fra=reachable");
    let log = guard.ends_with(0);
    assert!(log.contains("to=isolated"), "{log}");
    assert_eq!(place.said(), ["nyc", "left"]);
}

#[test]
fn whoever_starts_the_guard_may_ignore_what_becomes_of_children() {
    let (_agent, place) = place();
    let guard = place.guard_without_sigchld("--restart never", "echo run >>said; exit 4");
    guard.ends_with(4);
    assert_eq!(place.said(), ["run"]);
}

#[test]
fn the_command_does_not_outlive_a_guard_that_is_killed() {
    let (_agent, place) = place();
    let guard = place.guard("", "echo $$ >>said; exec sleep 1000");
    let pid = eventually("it runs", || place.said().pop());
    assert!(lives(&pid));
    guard.signal(libc::SIGKILL);
    let (status, _) = guard.ends();
    assert_eq!(status.code(), None);
    eventually("the command ends", || (!lives(&pid)).then_some(()));
}

#[test]
fn its_output_is_that_of_the_guard() {
    let (_agent, place) = place();
    let output = place.output("-- echo at {target}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "at nyc:7\n");
    // And the worker of the other tests is one that ends with 0 when it is told to.
    let guard = place.guard("", WORKER);
    guard.said(&["nyc"]);
    guard.signal(libc::SIGTERM);
    guard.ends_with(0);
}
