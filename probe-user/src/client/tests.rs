mod fetching;
mod overlay;
mod plugin;
mod table;
mod units;

use crate::report::{
    Direction, Evidence, Flow, Needs, Path, Paths, Probes, Quantiles, Regions, Revision,
    Transitions, example,
};
use crate::verdict::{Cause, Reach, State};

fn direction(verdict: State, cause: Cause, lost: u32, probes: u32, since: f64) -> Direction {
    let loss_ratio = (probes > 0).then(|| f64::from(lost) / f64::from(probes));
    Direction {
        verdict,
        cause,
        since: 1.8e9 - since,
        since_seconds: since,
        age_seconds: (probes > 0).then_some(0.125),
        expires_in_seconds: (probes > 0 && verdict != State::Unknown).then_some(2.875),
        evidence: Evidence {
            probes,
            lost,
            loss_ratio,
            loss_interval: loss_ratio.map(|ratio| [ratio / 2.0, (ratio * 1.5 + 0.03).min(1.0)]),
        },
        needs: (verdict != State::Healthy).then_some(Needs { clean_probes: 60, seconds: 1.5 }),
        transitions: Transitions::default(),
    }
}

fn passing(since: f64) -> Direction {
    direction(State::Healthy, Cause::Passing, 0, 128, since)
}

fn lossy(lost: u32, since: f64) -> Direction {
    direction(State::Unhealthy, Cause::Loss, lost, 128, since)
}

fn starting() -> Direction {
    direction(State::Unknown, Cause::Starting, 0, 0, 0.0)
}

fn path(peer: &str, region: &str, forward: Direction, reverse: Direction) -> Path {
    Path {
        peer: peer.to_owned(),
        region: region.to_owned(),
        address: "192.0.2.1:862".to_owned(),
        resolved: Some("192.0.2.1".to_owned()),
        problem: None,
        state: forward.verdict.worse(reverse.verdict),
        forward,
        reverse,
        probes: Probes::default(),
        rtt_us: Some(Quantiles { min: 900.0, p50: 1234.5, p99: 2000.0, max: 3000.0 }),
        flows: Vec::new(),
    }
}

/// The same path with so many flows, of which some are sick in one direction.
fn with_flows(path: Path, count: u16, forward: &[u16], reverse: &[u16]) -> Path {
    let state = |sick: &[u16], flow| match sick.contains(&flow) {
        true => State::Unhealthy,
        false => State::Healthy,
    };
    let flow = |place| Flow {
        ssid: place,
        source_port: 50_000 + place,
        state: state(forward, place).worse(state(reverse, place)),
        forward: state(forward, place),
        reverse: state(reverse, place),
        probes: Probes::default(),
    };
    let probes = Probes { sent: 1_000, ..Probes::default() };
    Path { flows: (1..=count).map(flow).collect(), probes, ..path }
}

fn healthy(peer: &str, region: &str) -> Path {
    path(peer, region, passing(7200.0), passing(3700.0))
}

fn unresolved(peer: &str, region: &str) -> Path {
    Path {
        address: format!("{peer}.example.net:862"),
        resolved: None,
        problem: Some("the name does not resolve".to_owned()),
        rtt_us: None,
        ..path(peer, region, starting(), starting())
    }
}

fn agent(paths: Vec<Path>) -> Paths {
    Paths {
        node: "ams1".to_owned(),
        region: "ams".to_owned(),
        at: 1.8e9,
        revision: Revision::default(),
        isolated_since: None,
        paths,
    }
}

/// The regions of an agent, of which there is one.
fn regions(name: &str, reach: Reach) -> Regions {
    let (node, region) = ("ams1".to_owned(), "ams".to_owned());
    Regions { node, region, at: 1.8e9, isolated_since: None, regions: vec![example(name, reach)] }
}
