use probe_user::{
    report::Evidence,
    verdict::{
        Cause,
        Direction::{Forward, Reverse},
        State::{Degraded, Healthy, Unhealthy, Unknown},
    },
};

use super::*;

fn change(reporter: &str, peer: &str, direction: Direction, at: f64, to: State) -> Change {
    let channel = Channel::new(reporter, peer, direction);
    let (cause, evidence) = (Cause::Loss, Evidence::default());
    Change { channel, at, seen_at: at + 0.01, to, cause, evidence, needs: None }
}

fn episode(fault: Fault) -> Episode {
    Episode { fault, injected: 100.0, cleared: 104.0, ended: 108.0 }
}

fn loss() -> Episode {
    episode(Fault::Loss(30, "fra", "nyc"))
}

/// As it should be, after 30 % loss.
fn seen_loss() -> Vec<Change> {
    vec![
        change("nyc", "fra", Reverse, 100.8, Unhealthy),
        change("fra", "nyc", Forward, 100.6, Unhealthy),
        change("fra", "nyc", Forward, 105.0, Healthy),
        change("nyc", "fra", Reverse, 105.5, Healthy),
    ]
}

fn blackhole() -> Episode {
    episode(Fault::Blackhole("fra", "sin"))
}

/// As it should be, after a blackhole.
fn seen_blackhole() -> Vec<Change> {
    let ends = [("fra", "sin"), ("sin", "fra")];
    ends.into_iter()
        .flat_map(|(here, there)| {
            [
                change(here, there, Reverse, 100.4, Unhealthy),
                change(here, there, Forward, 100.5, Unknown),
                change(here, there, Reverse, 105.0, Healthy),
                change(here, there, Forward, 106.0, Healthy),
            ]
        })
        .collect()
}

#[test]
fn loss_seen_at_both_ends_and_let_go_is_well() {
    let judgement = loss().judge(&seen_loss());
    assert_eq!(judgement.problems, Vec::<String>::new());
    assert_eq!(judgement.disturbed, 0);
    let [finding] = &judgement.findings[..] else { panic!("one direction") };
    let (by, seconds) = finding.detected.clone().expect("it was seen");
    assert_eq!(by, Channel::new("fra", "nyc", Forward));
    assert!((seconds - 0.6).abs() < 1e-6);
    assert!((finding.recovered.expect("it was let go") - 1.5).abs() < 1e-6);
}

#[test]
fn a_blackhole_is_detected_in_each_direction_by_the_end_that_hears_nothing() {
    let judgement = blackhole().judge(&seen_blackhole());
    assert_eq!(judgement.problems, Vec::<String>::new());
    let by: Vec<_> = judgement
        .findings
        .iter()
        .map(|f| (f.from, f.to, f.detected.clone().expect("it was seen").0))
        .collect();
    assert_eq!(
        by,
        [
            ("fra", "sin", Channel::new("sin", "fra", Reverse)),
            ("sin", "fra", Channel::new("fra", "sin", Reverse)),
        ]
    );
}

#[test]
fn every_missing_change_is_a_problem() {
    for (episode, seen) in [(loss(), seen_loss()), (blackhole(), seen_blackhole())] {
        for missing in 0..seen.len() {
            let mut rest = seen.clone();
            let gone = rest.remove(missing);
            let judgement = episode.judge(&rest);
            let name = gone.channel.to_string();
            assert!(judgement.problems.iter().any(|p| p.starts_with(&name)), "{gone:?}");
        }
    }
}

#[test]
fn every_change_too_many_is_a_problem() {
    for extra in [
        // Another path, the other direction, and the direction itself once more.
        change("fra", "sin", Forward, 101.0, Unhealthy),
        change("fra", "nyc", Reverse, 101.0, Unknown),
        change("fra", "nyc", Forward, 102.0, Healthy),
        change("fra", "nyc", Forward, 100.1, Degraded),
        change("fra", "nyc", Forward, 107.0, Unhealthy),
    ] {
        let mut seen = seen_loss();
        seen.push(extra.clone());
        seen.sort_by(|a, b| a.at.total_cmp(&b.at));
        let judgement = loss().judge(&seen);
        assert!(!judgement.problems.is_empty(), "{extra:?}");
        let other = extra.channel != Channel::new("fra", "nyc", Forward);
        assert_eq!(judgement.disturbed, usize::from(other), "{extra:?}");
    }
}

#[test]
fn the_limits_are_those_of_the_fault() {
    let slow = |seen: Vec<Change>, detection: f64, recovery: f64| -> Vec<Change> {
        let shift = |c: Change| {
            let by = if c.at < 104.0 { detection } else { recovery };
            Change { at: c.at + by, seen_at: c.seen_at + by, ..c }
        };
        seen.into_iter().map(shift).collect()
    };
    let problems = |episode: Episode, seen: Vec<Change>| episode.judge(&seen).problems.len();
    assert_eq!(problems(loss(), slow(seen_loss(), 0.89, 1.49)), 0);
    assert_eq!(problems(loss(), slow(seen_loss(), 0.91, 0.0)), 1);
    assert_eq!(problems(loss(), slow(seen_loss(), 0.0, 1.51)), 1);
    assert_eq!(problems(blackhole(), slow(seen_blackhole(), 0.19, 0.9)), 0);
    assert_eq!(problems(blackhole(), slow(seen_blackhole(), 0.21, 0.0)), 2);
}

#[test]
fn a_since_that_contradicts_our_eyes_is_a_problem() {
    for lag in [0.4, -0.4] {
        let mut seen = seen_loss();
        seen[0].seen_at = seen[0].at + lag;
        assert_eq!(loss().judge(&seen).problems.len(), 1);
    }
}

#[test]
fn a_change_without_a_fault_is_a_problem() {
    let mut seen = seen_loss();
    assert_eq!(outside(&[loss()], &seen), Vec::<String>::new());
    seen.push(change("nyc", "sin", Forward, 99.9, Unhealthy));
    seen.push(change("nyc", "sin", Forward, 108.1, Healthy));
    assert_eq!(outside(&[loss()], &seen).len(), 2);
}
