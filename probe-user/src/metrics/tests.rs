use std::io::Write as _;
use std::process::{Command, Stdio};

use probe_ebpf::maps::{Counter, Fate};

use super::{Interface, RegionRtt, Route, Routes, Snapshot, encode};
use crate::account::rtt::Histogram;
use crate::hooks::Runs;
use crate::report::{
    Direction, Evidence, Path, Paths, Probes, Revision, States, Transitions, example,
};
use crate::verdict::{Cause, Reach, State};

fn direction(verdict: State, evidence: Evidence, age_seconds: Option<f64>) -> Direction {
    Direction {
        verdict,
        cause: Cause::Passing,
        since: 0.0,
        since_seconds: 0.0,
        age_seconds,
        expires_in_seconds: None,
        evidence,
        needs: None,
        transitions: Transitions { unknown: 0, healthy: 2, degraded: 0, unhealthy: 1 },
    }
}

fn path(peer: &str) -> Path {
    let evidence = Evidence { probes: 40, lost: 10, loss_ratio: Some(0.25), loss_interval: None };
    Path {
        peer: peer.to_owned(),
        region: "nyc".to_owned(),
        address: "192.0.2.1:862".to_owned(),
        resolved: None,
        problem: None,
        state: State::Unhealthy,
        forward: direction(State::Unhealthy, evidence, Some(0.125)),
        reverse: direction(State::Unknown, Evidence::default(), None),
        probes: Probes {
            sent: 1000,
            answered: 900,
            lost_forward: 60,
            lost_reverse: 5,
            lost_unknown: 7,
            not_sent: 3,
            late: 2,
        },
        rtt_us: None,
        flows: Vec::new(),
    }
}

fn lateness() -> Histogram {
    let mut lateness = Histogram::default();
    for micros in [50, 50, 400, 80_000] {
        lateness.add(micros * 1_000);
    }
    lateness
}

fn snapshot(paths: Vec<Path>) -> Snapshot {
    let (node, region) = ("ams1".to_owned(), "ams".to_owned());
    Snapshot {
        paths: Paths {
            node,
            region,
            at: 0.0,
            revision: Revision::default(),
            isolated_since: None,
            paths,
        },
        counters: vec![
            (Counter::Reflected, 1_234_567),
            (Counter::NotLocal, 4),
            (Counter::TooShort, 1),
            (Counter::TableFull, 2),
            (Counter::Late, 5),
            (Counter::Stamped, 1000),
            (Counter::Transmitted, 19_000),
        ],
        interfaces: vec![Interface { name: "eth0".to_owned(), mode: "native".to_owned() }],
        last_reload_successful: true,
        rtt: vec![RegionRtt {
            region: "nyc".to_owned(),
            bounds: &[0.0001, 0.001, 0.25],
            counts: vec![5, 0, 3, 1],
            sum: 1.5,
        }],
        regions: vec![example("nyc", Reach::Isolated)],
        overlay: Some(routes()),
        hooks: vec![Runs { hook: "drain".to_owned(), outcomes: [7, 2, 1] }],
        lateness: lateness(),
    }
}

/// One destination with three relays, of which one is in use.
fn routes() -> Routes {
    let candidates = States { unknown: 0, healthy: 2, degraded: 1, unhealthy: 1 };
    let (peer, via) = ("nyc1".to_owned(), Some("sin1".to_owned()));
    let destinations = vec![Route { peer, via, candidates, moves: 3 }];
    Routes { destinations, problems: 2, repairs: 5 }
}

/// The sample lines of one metric.
fn samples<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let of_it =
        |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().filter(of_it).collect()
}

/// All but the reasons for drops, which have a test of their own below.
#[test]
fn golden() {
    let text = encode(&snapshot(vec![path("nyc1")])).unwrap();
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("linkprobe_dropped_packets_total")).collect();
    let expected: Vec<&str> = include_str!("golden.txt").lines().collect();
    assert_eq!(lines, expected);
}

#[test]
fn every_reason_for_a_drop_is_there_even_if_nothing_was_counted() {
    let mut empty = snapshot(Vec::new());
    empty.counters.clear();
    let text = encode(&empty).unwrap();
    let expected: Vec<String> = Counter::ALL
        .iter()
        .filter(|counter| counter.fate() == Fate::Dropped)
        .map(|counter| {
            format!("linkprobe_dropped_packets_total{{reason=\"{}\"}} 0", counter.label())
        })
        .collect();
    assert_eq!(samples(&text, "linkprobe_dropped_packets_total"), expected);
}

#[test]
fn an_agent_without_peers_has_metrics_too() {
    let mut empty = snapshot(Vec::new());
    empty.rtt.clear();
    empty.interfaces.clear();
    empty.regions.clear();
    empty.hooks.clear();
    empty.overlay = None;
    empty.last_reload_successful = false;
    let text = encode(&empty).unwrap();
    assert!(!text.contains("peer="), "{text}");
    let name = "linkprobe_config_last_reload_successful";
    assert_eq!(samples(&text, name), [format!("{name} 0")]);
}

#[test]
fn labels_are_escaped() {
    let text = encode(&snapshot(vec![path("a\"b\\c\nd")])).unwrap();
    assert_eq!(
        samples(&text, "linkprobe_probes_sent_total"),
        [r#"linkprobe_probes_sent_total{peer="a\"b\\c\nd",region="nyc"} 1000"#]
    );
}

#[test]
fn exactly_one_state_holds_for_each_direction() {
    let text = encode(&snapshot(vec![path("p"), path("q")])).unwrap();
    let lines = samples(&text, "linkprobe_path_state");
    assert_eq!(lines.len(), 2 * 2 * 4);
    for direction in lines.chunks(4) {
        assert_eq!(
            direction.iter().filter(|line| line.ends_with(" 1")).count(),
            1,
            "{direction:?}"
        );
    }
}

/// Prometheus' own linter, where it is installed: names, units, help, types.
#[test]
fn promtool_finds_nothing_to_say() {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else {
        eprintln!("promtool is not installed; skipped");
        return;
    };
    let text = encode(&snapshot(vec![path("p"), path("q\"\\\n")])).unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
