//! A state with plain sockets on the loopback interface, judged by hand.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use tokio::sync::mpsc::UnboundedReceiver;

use super::state::State;
use crate::{
    account::{Lost, Outcome},
    config::{Config, Host, PeerAddress},
    datapath::clock,
    health,
    hooks::{Change, Kind, Listeners},
    metrics,
    report::{Link, Path, Region, Regions},
    verdict::{Cause, Direction, MILLISECOND, Nanos, Reach, SECOND, State as Verdict},
};

/// The wall clock of all readings, in nanoseconds.
const UNIX: Nanos = 1_800_000_000 * SECOND;

/// An agent that probes itself (region "b") and a name that was never looked up (region "c").
fn agent(more: &str) -> State {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        r#"
        [node]
        name = "a"
        region = "a"
        interfaces = ["lo"]
        datapath = "socket"
        [probe]
        port = {port}
        interval = "20ms"
        [[peer]]
        name = "self"
        region = "b"
        address = "127.0.0.1"
        [[peer]]
        name = "never"
        region = "c"
        address = "never.invalid"
        {more}
        "#
    );
    State::start(Config::parse(&config, "f.toml").unwrap(), None).unwrap()
}

/// Judges until it is so, and returns when that was.
fn judge_until(agent: &mut State, what: &str, is_so: impl Fn(&State, Nanos) -> bool) -> Nanos {
    for _ in 0..2_000 {
        thread::sleep(Duration::from_millis(10));
        let now = clock::monotonic();
        agent.tick(now);
        if is_so(agent, now) {
            return now;
        }
    }
    panic!("it is never so: {what}");
}

fn path(agent: &State, index: usize, now: Nanos) -> Path {
    agent.paths(now, UNIX).paths.swap_remove(index)
}

fn links(regions: &Regions, index: usize) -> [&Link; 2] {
    let region = &regions.regions[index];
    [&region.forward, &region.reverse]
}

/// Whether the path to itself is healthy, and has been for long enough to rest on some probes.
fn is_healthy(agent: &State, now: Nanos) -> bool {
    let path = path(agent, 0, now);
    path.state == Verdict::Healthy && path.forward.evidence.probes > 10
}

/// Invariant 6, whoever is dead: a judge that makes no verdicts any more holds none.
#[test]
fn invariant_6_no_verdict_outlives_the_judge() {
    let mut agent = agent("");
    let now = judge_until(&mut agent, "healthy", is_healthy);
    let expiry = agent.settings.expiry;

    // As long as the evidence is fresh, so is the verdict.
    let fresh = path(&agent, 0, now + expiry / 2);
    assert_eq!(fresh.state, Verdict::Healthy);
    assert!(fresh.flows.iter().all(|flow| flow.state == Verdict::Healthy), "{fresh:?}");
    let regions = agent.region_links(now + expiry / 2, UNIX);
    for link in links(&regions, 0) {
        assert_eq!((link.verdict, link.cause), (Verdict::Healthy, Cause::Passing));
        assert_eq!((link.paths.healthy, link.needs), (1, None));
        assert!(link.evidence.probes > 0 && link.evidence.loss_interval.is_some(), "{link:?}");
        assert!(link.age_seconds.unwrap() >= 1.0 && link.expires_in_seconds.unwrap() > 0.0);
    }

    // Nobody ticks.
    let later = now + expiry + 2 * SECOND;
    let stale = path(&agent, 0, later);
    assert_eq!(stale.state, Verdict::Unknown);
    for (_, direction) in stale.directions() {
        assert_eq!((direction.verdict, direction.cause), (Verdict::Unknown, Cause::Expired));
        assert!((1.9..=3.0).contains(&direction.since_seconds), "{direction:?}");
        assert!(direction.age_seconds.unwrap() > 2.0, "{direction:?}");
        assert_eq!(direction.expires_in_seconds, None);
        assert_eq!(direction.evidence.probes, 0);
        assert!(direction.needs.is_some() && direction.transitions.healthy == 1, "{direction:?}");
    }
    let flows = stale.flows.iter().flat_map(|flow| [flow.state, flow.forward, flow.reverse]);
    assert!(flows.into_iter().all(|state| state == Verdict::Unknown), "{stale:?}");
    let regions = agent.region_links(later, UNIX);
    assert_eq!(regions.regions[0].state, Verdict::Unknown);
    for link in links(&regions, 0) {
        assert_eq!((link.verdict, link.cause), (Verdict::Unknown, Cause::Expired));
        assert!((1.9..=3.0).contains(&(UNIX as f64 / 1e9 - link.since)), "{link:?}");
        assert!(link.needs.is_some() && link.expires_in_seconds.is_none(), "{link:?}");
    }
    let text = metrics::encode(&agent.snapshot(agent.paths(later, UNIX), later, UNIX)).unwrap();
    let unknown =
        r#"linkprobe_path_state{peer="self",region="b",direction="forward",state="unknown"} 1"#;
    assert!(text.contains(unknown), "{text}");
    assert!(!text.contains("linkprobe_loss_ratio{"), "{text}");
}

/// Not only when all are looked at, four times a second.
#[test]
fn a_peer_is_looked_at_when_a_probe_to_it_has_left() {
    let others = ["127.0.0.2", "127.0.0.3"].map(|address| {
        format!("[[peer]]\nname = \"at-{address}\"\nregion = \"b\"\naddress = \"{address}\"\n")
    });
    let mut agent = agent(&others.concat());
    let mut looks = [0; 4];
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(10));
        agent.tick(clock::monotonic());
        // All of them are in every tick in which all are looked at, and that which is never probed in no other.
        if !agent.places.contains(&1) {
            agent.places.iter().for_each(|place| looks[*place] += 1);
        }
    }
    assert!(looks[1] == 0 && [0, 2, 3].iter().all(|place| looks[*place] > 20), "{looks:?}");
    agent.peers_have_changed();
    agent.tick(clock::monotonic());
    assert_eq!(agent.places, [0, 1, 2, 3], "what was awaited, was so by the places before");
}

#[test]
fn the_heart_beats_with_every_tick() {
    let mut agent = agent("");
    let now = clock::monotonic();
    agent.tick(now);
    assert_eq!(agent.heartbeat.age(now + 7), 7);
    assert!(agent.heartbeat.check(now + 60 * SECOND).is_err());
}

#[test]
fn what_was_never_resolved_is_starting_since_the_agent_has_started() {
    let before = clock::monotonic();
    let mut agent = agent("");
    let started = clock::monotonic();
    let now = judge_until(&mut agent, "a second is over", |_, now| now > started + SECOND);
    let uptime = (now - started) as f64 / 1e9..=(now - before) as f64 / 1e9 + 0.001;
    let never = path(&agent, 1, now);
    for (_, direction) in never.directions() {
        assert_eq!((direction.verdict, direction.cause), (Verdict::Unknown, Cause::Starting));
        assert!(uptime.contains(&direction.since_seconds), "{direction:?} {uptime:?}");
    }
    let regions = agent.region_links(now, UNIX);
    for link in links(&regions, 1) {
        assert_eq!((link.verdict, link.cause), (Verdict::Unknown, Cause::Starting));
        let lasts = UNIX as f64 / 1e9 - link.since;
        assert!(uptime.contains(&lasts), "{link:?} {uptime:?}");
        assert_eq!((link.paths.unknown, link.age_seconds), (1, None));
    }
}

#[test]
fn an_event_has_the_whole_verdict() {
    let mut agent = agent(
        r#"
        [[peer]]
        name = "dead"
        region = "d"
        address = "127.0.0.1:1"
        "#,
    );
    let mut events = agent.events.listen();
    judge_until(&mut agent, "healthy and unhealthy", |agent, now| {
        is_healthy(agent, now) && path(agent, 2, now).state == Verdict::Unhealthy
    });
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        assert!(event.at - event.since < 0.1, "{event:?}");
        assert!(event.age_seconds.is_some() && event.expires_in_seconds.is_some(), "{event:?}");
        let expected = match event.peer.as_str() {
            "self" => (Verdict::Healthy, true, vec![]),
            _ => (Verdict::Unhealthy, false, vec![1, 2, 3, 4]),
        };
        let told = (event.to, event.needs.is_none(), event.sick_flows.clone());
        assert_eq!((told, event.flows), (expected, 4), "{event:?}");
        assert_eq!(event.rtt_us.is_some(), event.to == Verdict::Healthy, "{event:?}");
        seen.push(event.direction);
    }
    // What comes from the address of the dead peer, our own probes, shows that the way back lives, but on a busy host it comes
    // in bursts, and then both ways may be blamed.
    assert!((3..=4).contains(&seen.len()), "{seen:?}");
}

fn reached(agent: &State, index: usize, now: Nanos) -> Region {
    agent.region_links(now, UNIX).regions.swap_remove(index)
}

/// What hooks were told of since, as `region from to`. That nothing is known of a region is told after a while, which on a busy
/// host may or may not be over.
fn told(hooks: &mut UnboundedReceiver<Change>) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(change) = hooks.try_recv() {
        let region = change.region.unwrap_or_default();
        if change.from != change.to {
            told.push(format!("{region} {} {}", change.from, change.to));
        }
    }
    told
}

#[test]
fn the_reach_of_a_region_is_kept_told_and_expires() {
    let mut agent = agent(
        r#"
        [[peer]]
        name = "dead"
        region = "d"
        address = "127.0.0.1:1"
        "#,
    );
    let (listeners, mut hooks) = Listeners::listen(&[Kind::Region]);
    agent.events.hooks = listeners;
    let started = clock::monotonic();
    let before = reached(&agent, 0, started);
    assert_eq!((before.reach, before.reach_transitions.reachable), (Reach::Unknown, 0));
    let now = judge_until(&mut agent, "reachable and isolated", |agent, now| {
        is_healthy(agent, now) && reached(agent, 2, now).reach == Reach::Isolated
    });
    let well = reached(&agent, 0, now);
    assert_eq!((well.reach, well.reach_transitions.reachable), (Reach::Reachable, 1));
    let (lasts, all) = (UNIX as f64 / 1e9 - well.reach_since, (now - started) as f64 / 1e9);
    assert!((0.0..all).contains(&lasts), "{lasts} of {all} s");
    assert_eq!(reached(&agent, 1, now).reach, Reach::Unknown);
    // Until something is known of "b", this node may be the one that is cut off.
    let (of_b, of_d): (Vec<_>, Vec<_>) =
        told(&mut hooks).into_iter().partition(|told| told.starts_with('b'));
    assert_eq!(of_b, ["b unknown reachable"]);
    let in_between = ["d unknown self_isolated", "d self_isolated isolated"];
    assert!(of_d == in_between || of_d == ["d unknown isolated"], "{of_d:?}");

    // Nobody ticks: what is read is unknown since the evidence has expired, and nobody has told of that.
    let later = now + agent.settings.expiry + 2 * SECOND;
    let stale = reached(&agent, 0, later);
    assert_eq!((stale.reach, stale.reach_transitions.unknown), (Reach::Unknown, 0));
    assert!((1.9..=3.0).contains(&(UNIX as f64 / 1e9 - stale.reach_since)), "{stale:?}");
    assert_eq!(reached(&agent, 2, later).reach, Reach::Unknown);
    assert_eq!(told(&mut hooks), Vec::<String>::new());
}

/// Nothing holds what was once told of a region that nobody judges any more.
#[test]
fn what_a_peer_has_left_is_nobodys_until_it_is_given_out_again() {
    let mut agent = agent("[[peer]]\nname = \"near\"\nregion = \"b\"\naddress = \"127.0.0.2\"");
    let (whole, settings) = (agent.config().clone(), agent.settings);
    let mut less = whole.clone();
    less.peers.retain(|peer| peer.name == "near");
    for config in [less, whole] {
        agent.reload(Ok((config, settings))).unwrap();
        let mut used: Vec<u32> =
            agent.peers.iter().flat_map(|peer| &peer.path).map(|path| path.index).collect();
        assert_eq!(
            used.len(),
            agent
                .config()
                .peers
                .iter()
                .filter(|peer| matches!(peer.address.host, Host::Ip(_)))
                .count()
        );
        assert!(used.iter().all(|index| !agent.free_peers.contains(index)), "{used:?} are free");
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), agent.arrivals.len(), "two addresses share one");
    }
}

#[test]
fn a_region_that_leaves_the_config_is_unknown_to_hooks() {
    let mut agent = agent("");
    let (listeners, mut hooks) = Listeners::listen(&[Kind::Region]);
    agent.events.hooks = listeners;
    judge_until(&mut agent, "reachable", is_healthy);
    assert_eq!(told(&mut hooks), ["b unknown reachable"]);
    let mut config = agent.config().clone();
    let settings = agent.settings;
    config.peers.clear();
    agent.reload(Ok((config, settings))).unwrap();
    assert_eq!(told(&mut hooks), ["b reachable unknown"]);
}

/// The same of its paths, one direction each; and of one whose peer has another address.
#[test]
fn a_path_that_ends_is_unknown_to_hooks() {
    let mut agent = agent("");
    let (listeners, mut hooks) = Listeners::listen(&[Kind::Path]);
    agent.events.hooks = listeners;
    let is_known = ["b unknown healthy"; 2];
    let is_gone = ["b healthy unknown"; 2];
    judge_until(&mut agent, "healthy", is_healthy);
    assert_eq!(told(&mut hooks), is_known);
    let elsewhere = agent.resolved("self").unwrap();
    agent.set_address("self", Ok(SocketAddr::new("127.0.0.2".parse().unwrap(), elsewhere.port())));
    assert_eq!(told(&mut hooks), is_gone);
    agent.set_address("self", Ok(elsewhere));
    assert_eq!(told(&mut hooks), Vec::<String>::new());
    judge_until(&mut agent, "healthy", is_healthy);
    assert_eq!(told(&mut hooks), is_known);
    let mut config = agent.config().clone();
    let settings = agent.settings;
    config.peers.clear();
    agent.reload(Ok((config, settings))).unwrap();
    assert_eq!(told(&mut hooks), is_gone);
}

/// Invariant 12: an agent that starts while it is cut off, or whose regions go one after the other, calls none isolated.
#[test]
fn invariant_12_an_agent_that_starts_cut_off_blames_no_region() {
    let mut agent = agent("");
    let mut config = agent.config().clone();
    for (peer, host) in config.peers.iter_mut().zip(["127.0.0.1", "127.0.0.2"]) {
        peer.address = PeerAddress { host: Host::Ip(host.parse().unwrap()), port: 1 };
    }
    let settings = agent.settings;
    agent.reload(Ok((config, settings))).unwrap();
    let (listeners, mut hooks) = Listeners::listen(&[Kind::Region, Kind::Isolated]);
    agent.events.hooks = listeners;
    judge_until(&mut agent, "nobody is reached", |agent, now| {
        [0, 1].iter().all(|region| reached(agent, *region, now).reach == Reach::SelfIsolated)
    });
    let mut changes = told(&mut hooks);
    changes.sort();
    assert_eq!(changes, ["b unknown self_isolated", "c unknown self_isolated"]);
}

/// Which flows are sick is told of each direction for itself.
#[test]
fn a_flow_that_is_sick_one_way_is_well_the_other_way() {
    let agent = agent("");
    let mut path = health::Path::new(4, 0);
    for round in 1..400 {
        let now = round * 20 * MILLISECOND;
        for flow in 0..4 {
            let outcome = match flow {
                1 if round > 200 => Outcome::Lost(Lost::Forward),
                _ => Outcome::Answered { round_trip: 1_000_000 },
            };
            path.observe(flow, now, outcome, now, &agent.settings);
        }
        path.tick(now, false, &agent.settings, &mut |_| {});
    }
    assert_eq!(path.state_of(Direction::Forward), Verdict::Degraded);
    for flow in 0..4 {
        let states = Direction::ALL.map(|way| path.flow_direction(flow, way));
        let forward = if flow == 1 { Verdict::Unhealthy } else { Verdict::Healthy };
        assert_eq!(states, [forward, Verdict::Healthy], "flow {flow}");
    }
}
