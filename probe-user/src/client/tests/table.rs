use super::super::status_table;
use super::super::table::lasts;
use super::{agent, direction, healthy, lossy, passing, path, starting, unresolved};
use crate::report::Path;
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

PEER          REGION  ADDRESS                           STATE      FORWARD             REVERSE               LOSS>  LOSS<  RTT(p50)  SINCE
nyc1          nyc     192.0.2.1:862                     healthy    healthy             healthy                 0 %    0 %   1.23 ms  1 h 1 min
nyc2          nyc     192.0.2.1:862                     unhealthy  unhealthy (loss)    healthy                31 %    0 %   1.23 ms  3 s
fra1-gateway  fra     192.0.2.1:862                     degraded   healthy             degraded (flow_loss)    0 %   25 %   1.23 ms  1 min 1 s
sin1          sin     sin1.example.net:862              unknown    unknown (starting)  unknown (starting)        -      -         -  0 s
  problem: the name does not resolve
syd1          syd     gw.example.net:862 (2001:db8::1)  healthy    healthy             healthy                 0 %    0 %   1.23 ms  1 h 1 min
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
