use super::super::status_table;
use super::super::table::lasts;
use super::{agent, direction, healthy, lossy, passing, path, starting, unresolved, with_flows};
use crate::report::{Direction, Evidence, ISOLATED, Path, Paths};
use crate::verdict::{Cause, State};

#[test]
fn the_table() {
    let flow_loss = direction(State::Degraded, Cause::FlowLoss, 32, 128, 61.0);
    let paths = agent(vec![
        healthy("nyc1", "nyc"),
        path("nyc2", "nyc", lossy(40, 3.2), passing(900.0)),
        path("fra1-gateway", "fra", passing(5000.0), flow_loss),
        unresolved("sin1", "sin"),
        Path {
            address: "gw.example.net:862".to_owned(),
            resolved: Some("2001:db8::1".to_owned()),
            ..healthy("syd1", "syd")
        },
    ]);
    let expected = "\
ams1 (region ams): 5 paths: 2 healthy, 1 unknown, 1 degraded, 1 unhealthy

PEER          REGION  ADDRESS                           STATE      FORWARD             REVERSE                             LOSS>                LOSS<  RTT(p50)  RTT(p99)    AGE  EXPIRES  SINCE
nyc1          nyc     192.0.2.1:862                     healthy    healthy             healthy                0 % (0 % to 3.0 %)   0 % (0 % to 3.0 %)   1.23 ms   2.00 ms  0.1 s    2.9 s  1 h 1 min
nyc2          nyc     192.0.2.1:862                     unhealthy  unhealthy (loss)    healthy               31 % (16 % to 50 %)   0 % (0 % to 3.0 %)   1.23 ms   2.00 ms  0.1 s    2.9 s  3 s
fra1-gateway  fra     192.0.2.1:862                     degraded   healthy             degraded (flow_loss)   0 % (0 % to 3.0 %)  25 % (12 % to 40 %)   1.23 ms   2.00 ms  0.1 s    2.9 s  1 min 1 s
sin1          sin     sin1.example.net:862              unknown    unknown (starting)  unknown (starting)                      -                    -         -         -      -        -  0 s
  problem: the name does not resolve
syd1          syd     gw.example.net:862 (2001:db8::1)  healthy    healthy             healthy                0 % (0 % to 3.0 %)   0 % (0 % to 3.0 %)   1.23 ms   2.00 ms  0.1 s    2.9 s  1 h 1 min
";
    assert_eq!(status_table(&paths), expected);
}

#[test]
fn an_agent_without_peers_says_so() {
    let text = status_table(&agent(Vec::new()));
    assert_eq!(text, "ams1 (region ams): no paths; the config has no [[peer]]\n");
}

#[test]
fn since_is_that_of_the_state_which_is_shown() {
    // Healthy since both directions are.
    assert_eq!(lasts(&path("p", "r", passing(100.0), passing(7.0))), 7.0);
    // Unhealthy since the first direction was, however long the other one has been healthy.
    assert_eq!(lasts(&path("p", "r", lossy(9, 5.0), passing(800.0))), 5.0);
    assert_eq!(lasts(&path("p", "r", lossy(9, 5.0), lossy(9, 8.0))), 8.0);
    assert_eq!(lasts(&path("p", "r", starting(), passing(800.0))), 0.0);
}

#[test]
fn the_whole_verdict_on_each_direction_of_a_path_that_is_not_healthy() {
    let flow_loss = direction(State::Degraded, Cause::FlowLoss, 0, 128, 61.0);
    let dead =
        || Direction { evidence: dead(), ..direction(State::Unhealthy, Cause::Loss, 0, 128, 10.0) };
    let silent = || Direction {
        age_seconds: Some(75.0),
        ..direction(State::Unknown, Cause::Silence, 0, 0, 72.0)
    };
    let cases = [
        (with_flows(healthy("a", "r"), 4, &[], &[]), ""),
        (
            with_flows(path("a", "r", passing(900.0), flow_loss), 16, &[], &[7]),
            "  forward: healthy for 15 min; 0 of 128 lost (0 % to 3.0 %); evidence 0.1 s old; expires in 2.9 s
  reverse: degraded (flow_loss) for 1 min 1 s; 0 of 128 lost (0 % to 3.0 %); flow 7 of 16; evidence 0.1 s old; expires in 2.9 s; healthy after 60 clean probes, 1.5 s
",
        ),
        (
            with_flows(path("a", "r", dead(), silent()), 4, &[1, 2, 3, 4], &[1, 3]),
            "  forward: unhealthy (loss) for 10 s; 434 of 434 lost (99.1 % to 100 %); all 4 flows; evidence 0.1 s old; expires in 2.9 s; healthy after 60 clean probes, 1.5 s
  reverse: unknown (silence) for 1 min 12 s; flows 1, 3 of 4; evidence 1 min 15 s old; healthy after 60 clean probes, 1.5 s
",
        ),
        (
            with_flows(path("a", "r", dead(), passing(5.0)), 1, &[1], &[]),
            "  forward: unhealthy (loss) for 10 s; 434 of 434 lost (99.1 % to 100 %); evidence 0.1 s old; expires in 2.9 s; healthy after 60 clean probes, 1.5 s
  reverse: healthy for 5 s; 0 of 128 lost (0 % to 3.0 %); evidence 0.1 s old; expires in 2.9 s
",
        ),
    ];
    for (path, expected) in cases {
        let text = status_table(&agent(vec![path]));
        let lines: String = text.lines().skip(4).map(|line| format!("{line}\n")).collect();
        assert_eq!(lines, expected, "{text}");
    }
}

/// Of a path where nothing passes.
fn dead() -> Evidence {
    let loss_interval = Some([0.9912, 1.0]);
    Evidence { probes: 434, lost: 434, loss_ratio: Some(1.0), loss_interval }
}

#[test]
fn a_node_that_is_cut_off_says_so_first() {
    let paths = Paths { isolated_since: Some(1.8e9 - 65.0), ..agent(vec![healthy("a", "r")]) };
    let text = status_table(&paths);
    assert_eq!(text.lines().nth(1), Some(format!("{ISOLATED} (for 1 min 5 s)").as_str()), "{text}");
}
