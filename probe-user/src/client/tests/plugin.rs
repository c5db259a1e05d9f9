use super::super::{Selection, check, check_region};
use super::{agent, direction, healthy, lossy, passing, path, regions, starting, unresolved};
use crate::report::Path;
use crate::verdict::{Cause, Reach, State};

const CARRIES: &str = "every path that anything is known of carries traffic there and back";

fn sick(peer: &str, region: &str) -> Path {
    path(peer, region, lossy(40, 3.9), passing(900.0))
}

fn degraded(peer: &str, region: &str) -> Path {
    path(peer, region, passing(900.0), direction(State::Degraded, Cause::FlowLoss, 32, 128, 60.0))
}

fn result(paths: Vec<Path>, selection: Selection<'_>) -> (u8, String) {
    check(&agent(paths), selection)
}

#[test]
fn all_paths_and_the_worst_decides() {
    let check = |paths| result(paths, Selection::All);
    let good = || healthy("nyc1", "nyc");
    let cases = [
        (vec![good()], 0, "OK - 1 path healthy"),
        (vec![good(), healthy("nyc2", "nyc")], 0, "OK - 2 paths healthy"),
        (
            vec![good(), degraded("fra1", "fra")],
            1,
            "WARNING - fra1: reverse degraded (loss 25 % of 128 probes, since 1 min); \
             1 path healthy",
        ),
        (
            vec![good(), unresolved("sin1", "sin"), degraded("fra1", "fra"), sick("nyc2", "nyc")],
            2,
            "CRITICAL - nyc2: forward unhealthy (loss 31 % of 128 probes, since 3 s); \
             fra1: reverse degraded (loss 25 % of 128 probes, since 1 min); \
             sin1: unknown (the name does not resolve, since 0 s); 1 path healthy",
        ),
        (
            vec![good(), path("sin1", "sin", starting(), starting())],
            3,
            "UNKNOWN - sin1: forward unknown (starting, since 0 s), \
             reverse unknown (starting, since 0 s); 1 path healthy",
        ),
        (vec![], 3, "UNKNOWN - ams1 probes no peer"),
    ];
    for (paths, code, line) in cases {
        assert_eq!(check(paths), (code, line.to_owned()));
    }
}

#[test]
fn one_path() {
    let paths = || vec![healthy("nyc1", "nyc"), sick("fra1", "fra")];
    assert_eq!(result(paths(), Selection::Path("nyc1")), (0, "OK - 1 path healthy".to_owned()));
    assert_eq!(result(paths(), Selection::Path("fra1")).0, 2);
    assert_eq!(
        result(paths(), Selection::Path("fra")),
        (3, "UNKNOWN - ams1 has no peer \"fra\"; its peers: nyc1, fra1".to_owned())
    );
    assert_eq!(
        result(Vec::new(), Selection::Path("fra1")),
        (3, "UNKNOWN - ams1 has no peer \"fra1\"; its peers: none".to_owned())
    );
}

#[test]
fn a_region_goes_by_its_reach() {
    let paths = agent(vec![healthy("a", "nyc"), sick("b", "nyc"), sick("x", "fra")]);
    let check = |reach| check_region(&regions("nyc", reach), Some(&paths), "nyc");
    let b = "b: forward unhealthy (loss 31 % of 128 probes, since 3 s); 1 path healthy";
    let ways = "forward unhealthy (loss), reverse healthy (passing)";
    let cases = [
        (Reach::Reachable, 0, format!("OK - nyc reachable since 3 s: {CARRIES}; {b}")),
        (
            Reach::Impaired,
            1,
            format!(
                "WARNING - nyc impaired since 3 s: traffic goes there and back, but not as usual: {ways}; {b}"
            ),
        ),
        (
            Reach::Isolated,
            2,
            format!(
                "CRITICAL - nyc isolated since 3 s: no path carries traffic there and back: {ways}; {b}"
            ),
        ),
    ];
    for (reach, code, line) in cases {
        assert_eq!(check(reach), (code, line));
    }
    for (reach, why) in [
        (Reach::Unknown, "nothing is known of it any more"),
        (Reach::SelfIsolated, "this node must be the one that is cut off"),
    ] {
        let (code, line) = check(reach);
        assert!(code == 3 && line.starts_with("UNKNOWN - nyc ") && line.contains(why), "{line}");
    }
    assert_eq!(
        check_region(&regions("nyc", Reach::Reachable), Some(&paths), "sin"),
        (3, "UNKNOWN - ams1 has no peer in region \"sin\"; its regions: nyc".to_owned())
    );
}

#[test]
fn many_sick_paths_are_counted() {
    let paths = (0..8).map(|i| sick(&format!("p{i}"), "nyc")).collect();
    let (code, line) = result(paths, Selection::All);
    assert_eq!(code, 2);
    assert!(line.contains("p4: forward") && !line.contains("p5"), "{line}");
    assert!(line.ends_with("; 3 more not healthy"), "{line}");
}

#[test]
fn the_line_stays_one_line_without_a_bar() {
    let problem = Some("first\nsecond | third".to_owned());
    let path = Path { problem, ..unresolved("sin1", "sin") };
    assert_eq!(
        result(vec![path], Selection::All),
        (3, "UNKNOWN - sin1: unknown (first second / third, since 0 s)".to_owned())
    );
}
