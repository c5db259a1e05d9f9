use super::super::overlay_table;
use super::{direction, lossy, passing};
use crate::overlay::choice::Reason;
use crate::report::overlay::{Candidate, Destination, Overlay};
use crate::report::{Direction, Probes, Quantiles};
use crate::verdict::{Cause, State};

fn candidate(via: Option<&str>, in_use: bool, forward: Direction) -> Candidate {
    let heard = forward.evidence.lost < forward.evidence.probes;
    Candidate {
        via: via.map(str::to_owned),
        in_use,
        interface: format!("vx-{}", via.unwrap_or("nyc")),
        up: forward.cause != Cause::Expired,
        forward,
        reverse: passing(900.0),
        rtt_us: heard.then_some(Quantiles { min: 900.0, p50: 1234.5, p99: 2000.0, max: 3000.0 }),
        probes: Probes::default(),
    }
}

fn destination(via: Option<&str>, reason: Reason, candidates: Vec<Candidate>) -> Destination {
    Destination {
        peer: "nyc1".to_owned(),
        region: "nyc".to_owned(),
        prefixes: vec!["10.2.0.0/16".to_owned(), "10.3.0.0/16".to_owned()],
        via: via.map(str::to_owned),
        state: State::Healthy,
        reason,
        since: 0.0,
        since_seconds: 72.0,
        moves: u64::from(via.is_some()),
        installed: true,
        candidates,
    }
}

fn overlay(destinations: Vec<Destination>) -> Overlay {
    Overlay {
        node: "ams1".to_owned(),
        region: "ams".to_owned(),
        at: 1.8e9,
        isolated_since: None,
        problems: Vec::new(),
        repairs: 0,
        destinations,
    }
}

#[test]
fn every_destination_has_its_candidates() {
    let expired = direction(State::Unknown, Cause::Expired, 0, 0, 4.0);
    let detour = destination(
        Some("sin1"),
        Reason::Loss,
        vec![
            candidate(None, false, lossy(40, 72.0)),
            candidate(Some("sin1"), true, passing(900.0)),
            candidate(Some("fra1"), false, expired),
        ],
    );
    let relay = Destination {
        peer: "fra1".to_owned(),
        prefixes: Vec::new(),
        installed: false,
        ..destination(None, Reason::Start, vec![candidate(None, true, passing(5.0))])
    };
    let expected = "\
ams1 (region ams): 2 destinations: 1 direct, 1 through a relay

nyc1 (region nyc): 10.2.0.0/16, 10.3.0.0/16: through sin1 for 1 min 12 s (loss), 1 change
   WAY     TUNNEL          FORWARD                          LOSS>  RTT(p50)    AGE  REVERSE  LOSS<
   direct  vx-nyc          unhealthy (loss)   31 % (16 % to 50 %)   1.23 ms  0.1 s  healthy  0 % (0 % to 3.0 %)
*  sin1    vx-sin1         healthy             0 % (0 % to 3.0 %)   1.23 ms  0.1 s  healthy  0 % (0 % to 3.0 %)
   fra1    vx-fra1 (down)  unknown (expired)                    -         -      -  healthy  0 % (0 % to 3.0 %)

fra1 (region nyc): a relay only: direct for 1 min 12 s (start), 0 changes; THE KERNEL ROUTES OTHERWISE
   WAY     TUNNEL  FORWARD               LOSS>  RTT(p50)    AGE  REVERSE  LOSS<
*  direct  vx-nyc  healthy  0 % (0 % to 3.0 %)   1.23 ms  0.1 s  healthy  0 % (0 % to 3.0 %)
";
    assert_eq!(overlay_table(&overlay(vec![detour, relay])), expected);
}

#[test]
fn what_is_wrong_comes_first() {
    let wrong = Overlay {
        isolated_since: Some(1.8e9 - 5.0),
        problems: vec!["the tunnel `vx-nyc` to nyc1 is down or gone".to_owned()],
        repairs: 3,
        ..overlay(Vec::new())
    };
    let told = overlay_table(&wrong);
    let lines: Vec<&str> = told.lines().skip(1).collect();
    assert!(lines[0].starts_with("isolated: most regions fail at once"), "{told}");
    assert_eq!(
        lines[1..],
        [
            "problem: the tunnel `vx-nyc` to nyc1 is down or gone",
            "3 routes and rules were mended that others had changed"
        ]
    );
}
