//! Flows that are worse off than others of their path.

use super::*;

#[test]
fn one_dead_flow_of_four_degrades_and_two_are_a_dead_path() {
    for (dead, expected) in [(1, Degraded), (2, Unhealthy)] {
        let mut world = World::healthy();
        for probe in 0..400 {
            let outcome = if probe % 4 < dead { Outcome::Lost(Lost::Unknown) } else { ANSWERED };
            world.observe(outcome, 1);
        }
        assert_eq!(world.states(), (expected, expected), "{dead} of 4 flows");
        world.observe(ANSWERED, 64);
        assert_eq!(world.states(), (Healthy, Healthy));
    }
}

#[test]
fn a_dead_flow_of_sixteen_is_named_and_not_averaged_away() {
    let mut world = World::with_flows(16);
    world.observe(ANSWERED, 400);
    assert_eq!(world.states(), (Healthy, Healthy));
    for probe in 0..16 * 8 {
        let outcome = if probe % 16 == 7 { Outcome::Lost(Lost::Forward) } else { ANSWERED };
        world.observe(outcome, 1);
    }
    assert_eq!(world.states(), (Degraded, Healthy));
    assert_eq!(world.verdict(Direction::Forward).cause, Cause::FlowLoss);
    let sick: Vec<usize> = (0..16)
        .filter(|flow| world.path.flow_direction(*flow, Direction::Forward) != Healthy)
        .collect();
    assert_eq!(sick, [7]);
}

#[test]
fn when_other_flows_come_back_the_dead_one_does_not_hold_them() {
    let mut world = World::healthy();
    world.observe(Outcome::Lost(Lost::Unknown), 100);
    assert_eq!(world.states(), (Unhealthy, Unhealthy));
    for probe in 0..400 {
        let outcome = if probe % 4 == 1 { Outcome::Lost(Lost::Unknown) } else { ANSWERED };
        world.observe(outcome, 1);
    }
    assert_eq!(world.states(), (Degraded, Degraded));
}

/// What passed before an alarm says nothing of how it goes on.
#[test]
fn a_flow_that_passed_for_long_before_an_alarm_does_not_end_it() {
    let mut world = World::healthy();
    world.observe(ANSWERED, 2_000);
    let mut passes_since_alarm = None;
    for probe in 0..4_000 {
        // Three of four flows are dead.
        let is_lost = probe % 4 < 3;
        world.observe(if is_lost { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
        let alarmed = world.path.directions[Direction::Forward as usize].track.alarmed;
        match &mut passes_since_alarm {
            None if alarmed => passes_since_alarm = Some(0),
            Some(_) if !alarmed => break,
            Some(passes) => *passes += u32::from(!is_lost),
            None => {}
        }
    }
    // That one flow alone is fine takes what it takes to tell it from luck. Two just before the alarm may count.
    let enough = 4 * world.settings.recovery;
    let passes = passes_since_alarm.expect("three dead flows of four are a dead path");
    assert_eq!(passes, enough - 3, "and the last one, which ends it");
}

#[test]
fn a_path_that_flows_alone_make_bad_is_held_back_when_they_do_it_again() {
    let mut world = World::healthy();
    let is_lost = |probe: usize| probe % 4 < 2;
    lose_until_unhealthy(&mut world, is_lost);
    assert_eq!(world.verdict(Direction::Forward).cause, Cause::FlowLoss);
    let states = |world: &World| {
        [0, 1, 2, 3].map(|flow| world.path.flow_direction(flow, Direction::Forward))
    };
    assert_eq!(states(&world), [Unhealthy, Unhealthy, Healthy, Healthy]);
    world.observe(ANSWERED, 64);
    assert_eq!((world.states().0, states(&world)), (Healthy, [Healthy; 4]));
    assert_eq!(lose_until_unhealthy(&mut world, is_lost), 60 << 5);
}

#[test]
fn flows_of_a_path_that_is_slow_are_slow() {
    let mut world = World::healthy();
    world.observe(ANSWERED, 1_000);
    // One of them is sick before.
    for probe in 0..400 {
        world.observe(if probe % 4 == 1 { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
    }
    world.observe(Outcome::Answered { round_trip: 5 * ROUND_TRIP }, 200);
    assert_eq!(world.states(), (Degraded, Degraded));
    for direction in Direction::ALL {
        assert_eq!(world.verdict(direction).cause, Cause::Latency);
        assert_eq!(world.path.flow_direction(3, direction), Degraded);
    }
}

/// No history leads there.
#[test]
fn without_an_alarm_there_is_no_onset() {
    for fit in [true, false] {
        let mut world = World::healthy();
        let track = &mut world.path.directions[Direction::Forward as usize].track;
        (track.evidence.since_onset, track.fit) = (Some((100_000, 100_000)), fit);
        world.observe(ANSWERED, 1);
        let evidence = world.verdict(Direction::Forward).evidence;
        assert_eq!((evidence.probes, evidence.lost), (0, 0), "{fit}");
    }
}

/// No history leads there.
#[test]
fn a_sick_flow_that_was_not_counted_is_seen_when_it_loses() {
    let mut world = World::healthy();
    world.path.flows[1][Direction::Forward as usize].sick = true;
    world.observe(ANSWERED, 1);
    world.observe_of(1, Outcome::Lost(Lost::Forward));
    assert_eq!(world.states(), (Degraded, Healthy));
}

#[test]
fn a_flow_of_which_nothing_was_ever_heard_does_not_hold_the_others() {
    let mut world = World::new();
    for probe in 0..400 {
        world.observe(if probe % 4 == 1 { Outcome::Lost(Lost::Silent) } else { ANSWERED }, 1);
    }
    assert_eq!(world.states(), (Healthy, Degraded));
}

#[test]
fn only_losses_of_which_nothing_is_known_are_unheard() {
    let mut world = World::healthy();
    for outcome in [Outcome::Lost(Lost::Forward), Outcome::TakenBack(Lost::Forward)].repeat(2) {
        world.observe_of(1, outcome);
    }
    assert!(world.path.flows[1].iter().all(flow::Flow::is_heard));
    // What is lost on the way there says nothing of the way back.
    world.observe_of(1, Outcome::Lost(Lost::Forward));
    assert!(!world.path.flows[1][Direction::Reverse as usize].is_heard());
}
