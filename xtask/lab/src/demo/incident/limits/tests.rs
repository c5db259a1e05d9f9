use super::{
    super::record::{Connection, Requests, Seen, Times},
    *,
};

/// The burst of these tests lasts from second 100 to second 110, and on all links from second 102 on.
const TIMES: Times = Times { begun: 100.0, cut: 102.0, ended: 110.0, until: 150.0 };

fn history<T: PartialEq>(name: &str, states: impl IntoIterator<Item = (f64, T)>) -> History<T> {
    let mut history = History::new(name);
    for (at, state) in states {
        history.note(at, state);
    }
    history
}

/// Leaves the sick region so many seconds after the beginning, and comes back so many after the end.
fn round(name: &str, left: Option<f64>, back: Option<f64>) -> History<String> {
    let left = left.map(|left| (100.0 + left, OTHER));
    let back = back.map(|back| (110.0 + back, SICK));
    let states = [Some((90.0, SICK)), left, back].into_iter().flatten();
    history(name, states.map(|(at, region)| (at, region.to_owned())))
}

fn verdict(unhealthy: f64, healthy: Option<f64>) -> History<State> {
    let healthy = healthy.map(|at| (at, State::Healthy));
    let states = [Some((90.0, State::Healthy)), Some((unhealthy, State::Unhealthy)), healthy];
    history("", states.into_iter().flatten())
}

fn route(name: &str, away: f64, direct: Option<f64>) -> History<Way> {
    let direct = direct.map(|at| (at, Way::Direct));
    let relayed = (away, Way::Relay("lon".to_owned()));
    let states = [Some((90.0, Way::Direct)), Some(relayed), direct];
    history(name, states.into_iter().flatten())
}

/// All as it must be.
pub(in super::super) fn well() -> Record {
    let connection = |name: &str, stall| Connection {
        name: name.to_owned(),
        is_past: stall < 1.0,
        stall_at_first: 0.5,
        stall,
        octets: Ok(1_000),
    };
    Record {
        times: TIMES,
        seen: Seen {
            verdicts: vec![verdict(100.4, Some(112.0)), history("", [(90.0, State::Healthy)])],
            routes: vec![
                route("fra → nyc", 100.5, Some(111.0)),
                history("fra → sin", [(90.0, Way::Direct)]),
                route("nyc → fra", 100.4, Some(110.5)),
            ],
            balancer: round("HAProxy", Some(3.0), Some(2.5)),
            requests: Requests { answered: 80, octets: 8_000, failed: 2 },
            workers: vec![round("worker in sin", Some(5.0), Some(8.0))],
        },
        connections: vec![connection("fra → nyc", 14.0), connection("fra → sin", 0.01)],
        is_flowing: true,
        undelivered: 0,
    }
}

/// What is wrong with a record in which something is otherwise than in [`well`].
fn problems(change: impl FnOnce(&mut Record)) -> Vec<String> {
    let mut record = well();
    change(&mut record);
    record.problems()
}

#[test]
fn nothing_is_wrong_where_all_is_well() {
    let record = well();
    assert_eq!(record.problems(), Vec::<String>::new());
    assert_eq!(record.stuck(), Vec::<String>::new());
    assert!(!record.is_stuck());
    assert_eq!((record.healthy(), record.direct()), (Some(2.0), Some(1.0)));
    assert_eq!(record.balancer(), Round { left: Some(3.0), back: Some(2.5) });
}

#[test]
fn what_comes_too_late_is_told_with_its_limit() {
    assert_eq!(
        problems(|record| record.seen.verdicts[0] = verdict(100.4, Some(121.0))),
        ["all verdicts were healthy 11.0 s after the end, later than 10 s"]
    );
    assert_eq!(
        problems(|record| record.seen.routes[0] = route("fra → nyc", 100.4, Some(120.5))),
        ["all routes were direct 10.5 s after the end, later than 10 s"]
    );
    assert_eq!(
        problems(|record| record.seen.balancer = round("HAProxy", Some(10.5), Some(2.0))),
        ["HAProxy left nyc 10.5 s after the beginning, later than 10 s"]
    );
    assert_eq!(
        problems(|record| record.seen.workers[0] = round("worker in sin", Some(31.0), Some(25.0))),
        ["the worker in sin left nyc 31.0 s after the beginning, later than 30 s"]
    );
}

#[test]
fn what_never_comes_is_told() {
    assert_eq!(
        problems(|record| record.seen.verdicts[0] = verdict(100.4, None)),
        ["not so at the end: all verdicts were healthy"]
    );
    assert_eq!(
        problems(|record| record.seen.balancer = round("HAProxy", None, None)),
        ["not so at the end: HAProxy left nyc"]
    );
    assert_eq!(
        problems(|record| record.seen.balancer = round("HAProxy", Some(3.0), None)),
        ["HAProxy has not come back to nyc"]
    );
    assert_eq!(
        problems(|record| record.seen.workers[0] = round("worker in sin", Some(3.0), None)),
        ["the worker in sin has not come back to nyc"]
    );
}

/// A burst that nobody has noticed would meet all limits of recovery.
#[test]
fn a_burst_that_changed_nothing_was_none() {
    assert_eq!(
        problems(|record| record.seen.verdicts.truncate(0)),
        [
            "not so at the end: all verdicts were healthy",
            "no verdict has changed: was there a burst?"
        ]
    );
    assert_eq!(
        problems(|record| _ = record.seen.verdicts.remove(0)),
        ["no verdict has changed: was there a burst?"]
    );
}

#[test]
fn the_overlay_must_lead_around_a_link_while_it_can() {
    let problem = |name: &str| [format!("{name} went by no relay while only that link had failed")];
    assert_eq!(well().detours().map(|(_, at)| at.map(f64::round)), [Some(1.0), Some(0.0)]);
    assert_eq!(
        problems(|record| record.seen.routes[0] = history("fra → nyc", [(90.0, Way::Direct)])),
        problem("fra → nyc")
    );
    // Once all links have failed it is too late.
    assert_eq!(
        problems(|record| record.seen.routes[2] = route("nyc → fra", 102.5, Some(111.0))),
        problem("nyc → fra")
    );
}

/// One answer does not mean that it is back.
#[test]
fn a_request_that_fails_later_is_counted_from() {
    let mut record = well();
    for (at, region) in [(113.0, NOBODY), (114.0, SICK)] {
        record.seen.balancer.note(at, region.to_owned());
    }
    assert_eq!(record.balancer(), Round { left: Some(3.0), back: Some(4.0) });
    assert_eq!(record.problems(), Vec::<String>::new());
    record.seen.balancer.note(115.0, NOBODY.to_owned());
    assert_eq!(record.problems(), ["HAProxy has not come back to nyc"]);
    assert_eq!(record.stuck(), ["nobody answers through HAProxy"]);
}

#[test]
fn what_gets_lost_is_told_and_so_is_a_stream_that_was_not_to_be_touched() {
    assert_eq!(
        problems(|record| record.connections[0].octets = Err("9 were sent, 8 received".to_owned())),
        ["the TCP stream fra → nyc: 9 were sent, 8 received"]
    );
    assert_eq!(
        problems(|record| record.connections[1].stall = 2.5),
        ["the TCP stream fra → sin goes past nyc, and stood still for 2.5 s"]
    );
    assert_eq!(problems(|record| record.undelivered = 3), ["the lab itself lost 3 packets"]);
}

#[test]
fn it_is_stuck_where_nobody_comes_back() {
    let mut record = well();
    record.seen.verdicts[0] = verdict(100.4, None);
    record.seen.routes[0] = route("fra → nyc", 100.5, None);
    record.seen.balancer = round("HAProxy", Some(3.0), None);
    assert!(!record.is_stuck(), "a worker came back");
    record.seen.workers[0] = round("worker in sin", Some(5.0), None);
    assert!(record.is_stuck());
    assert_eq!(
        record.stuck(),
        [
            "1 of 2 verdicts are not healthy",
            "not routed directly: fra → nyc",
            "HAProxy sends everybody to fra",
            "the worker in sin is still registered in fra",
        ]
    );
    // What has healed is not stuck, whoever is still away.
    record.seen.verdicts[0] = verdict(100.4, Some(140.0));
    assert!(!record.is_stuck());
}
