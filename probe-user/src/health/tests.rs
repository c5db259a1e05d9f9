use proptest::prelude::*;

use super::*;
use crate::verdict::{MILLISECOND, SECOND};

const SETTINGS: Settings =
    Settings { window: 40, unhealthy_losses: 5, recovery_probes: 60, expiry: 3 * SECOND };
const FLOWS: usize = 4;
/// Four flows, each probed every 100 ms.
const STEP: Nanos = 25 * MILLISECOND;

const ANSWERED: Outcome = Outcome::Answered { round_trip: 1_000_000 };

struct World {
    path: Path,
    now: Nanos,
    probes: usize,
    changes: Vec<Transition>,
}

impl World {
    fn new() -> Self {
        let now = SECOND;
        Self { path: Path::new(SETTINGS, FLOWS, now), now, probes: 0, changes: Vec::new() }
    }

    fn healthy() -> Self {
        let mut world = Self::new();
        world.observe(ANSWERED, 100);
        world.changes.clear();
        world
    }

    fn observe(&mut self, outcome: Outcome, times: usize) {
        for _ in 0..times {
            self.now += STEP;
            let flow = self.probes % FLOWS;
            self.probes += 1;
            self.path.observe(flow, outcome, self.now, &mut |change| self.changes.push(change));
        }
    }

    fn states(&self) -> (State, State) {
        let state = |direction| self.path.direction(direction).state;
        (state(Direction::Forward), state(Direction::Reverse))
    }
}

use State::{Degraded, Healthy, Unhealthy, Unknown};

#[test]
fn a_new_path_is_unknown_until_the_recovery_test_has_passed() {
    let mut world = World::new();
    world.observe(ANSWERED, 59);
    assert_eq!(world.states(), (Unknown, Unknown));
    world.observe(ANSWERED, 1);
    assert_eq!(world.states(), (Healthy, Healthy));
}

/// Each kind of outcome, what it makes of both directions, and the cause that is given.
#[test]
fn each_outcome_speaks_of_its_own_direction_only() {
    for (outcome, expected) in [
        (ANSWERED, (Healthy, Healthy)),
        (Outcome::Lost(Lost::Forward), (Unhealthy, Healthy)),
        (Outcome::Lost(Lost::Reverse), (Healthy, Unhealthy)),
        (Outcome::Lost(Lost::Unknown), (Unhealthy, Unhealthy)),
        (Outcome::Lost(Lost::Silent), (Unknown, Unhealthy)),
    ] {
        let mut world = World::healthy();
        world.observe(outcome, 12);
        assert_eq!(world.states(), expected, "after {outcome:?}");
    }
}

#[test]
fn five_losses_of_forty_are_too_many_and_four_are_not() {
    let mut world = World::healthy();
    for _ in 0..100 {
        world.observe(Outcome::Lost(Lost::Forward), 1);
        world.observe(ANSWERED, 9);
    }
    assert_eq!(world.changes, [], "one in ten is four of forty");
    world.observe(Outcome::Lost(Lost::Forward), 2);
    assert_eq!(world.states(), (Unhealthy, Healthy));
}

/// A late answer now and then must not keep a direction unhealthy.
#[test]
fn late_answers_do_not_hold_up_recovery() {
    let mut world = World::healthy();
    world.observe(Outcome::Lost(Lost::Forward), 20);
    for _ in 0..3 {
        world.observe(ANSWERED, 30);
        world.observe(Outcome::Lost(Lost::Forward), 1);
        world.observe(Outcome::TakenBack(Lost::Forward), 1);
    }
    assert_eq!(world.states(), (Healthy, Healthy));
}

#[test]
fn one_dead_flow_of_four_degrades_and_four_are_a_dead_path() {
    let mut world = World::healthy();
    for probe in 0..400 {
        let outcome = if probe % 4 == 2 { Outcome::Lost(Lost::Unknown) } else { ANSWERED };
        world.observe(outcome, 1);
    }
    assert_eq!(world.states(), (Degraded, Degraded));
    assert!(world.changes.iter().all(|change| change.to == Degraded), "{:?}", world.changes);
    world.observe(Outcome::Lost(Lost::Unknown), 20);
    assert_eq!(world.states(), (Unhealthy, Unhealthy));
    world.observe(Outcome::Lost(Lost::Unknown), 400);
    assert_eq!(world.states(), (Unhealthy, Unhealthy), "and stay so");
}

/// What was before the loss began must not make it look smaller.
#[test]
fn the_evidence_of_loss_begins_with_the_first_loss() {
    let mut world = World::healthy();
    world.observe(ANSWERED, 200);
    for lost in [true, false, false, true, false, true, false, false, false, true, true] {
        world.observe(if lost { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
    }
    let verdict = world.path.direction(Direction::Forward);
    assert_eq!(verdict.state, Unhealthy);
    assert_eq!((verdict.evidence.lost, verdict.evidence.probes), (5, 11));
}

#[test]
fn a_dead_flow_degrades_the_path_and_is_not_averaged_away() {
    let mut world = World::healthy();
    // Beside many good flows one dead one stays below the threshold of the path.
    world.path = Path::new(SETTINGS, 16, world.now);
    let round = |world: &mut World, dead: bool| {
        for flow in 0..16 {
            world.now += STEP;
            let outcome = if dead && flow == 7 { Outcome::Lost(Lost::Forward) } else { ANSWERED };
            let changes = &mut world.changes;
            world.path.observe(flow, outcome, world.now, &mut |change| changes.push(change));
        }
    };
    (0..10).for_each(|_| round(&mut world, false));
    (0..9).for_each(|_| round(&mut world, true));
    assert_eq!(world.states(), (Degraded, Healthy));
    assert_eq!(world.path.direction(Direction::Forward).cause, Cause::FlowLoss);
    assert_eq!(world.path.flow(7), Unhealthy);
    (0..8).for_each(|_| round(&mut world, false));
    assert_eq!(world.states(), (Healthy, Healthy));
}

/// Invariant 6: stale is unknown, never unhealthy.
#[test]
fn without_evidence_every_verdict_becomes_unknown() {
    for outcome in [ANSWERED, Outcome::Lost(Lost::Unknown)] {
        let mut world = World::healthy();
        world.observe(outcome, 20);
        let mut tick = |after: Nanos| {
            world.path.tick(world.now + after, &mut |_| {});
            world.path.direction(Direction::Forward).state
        };
        assert_ne!(tick(SETTINGS.expiry), Unknown);
        assert_eq!(tick(SETTINGS.expiry + 1), Unknown);
        assert_eq!(tick(1_000 * SECOND), Unknown);
    }
}

#[test]
fn a_loss_that_is_taken_back_does_not_count() {
    let mut world = World::healthy();
    for _ in 0..50 {
        world.observe(Outcome::Lost(Lost::Forward), 1);
        world.probes -= 1; // Of the same flow.
        world.observe(Outcome::TakenBack(Lost::Forward), 1);
    }
    assert_eq!(world.changes, []);
}

/// Invariant 2: the way back is as long after a million outages as after one.
#[test]
fn recovery_does_not_depend_on_history() {
    for outages in [1, 1_000] {
        let mut world = World::healthy();
        for _ in 0..outages {
            world.observe(Outcome::Lost(Lost::Unknown), 500);
            world.observe(ANSWERED, 59);
            assert_eq!(world.states(), (Unhealthy, Unhealthy));
            world.observe(ANSWERED, 1);
            assert_eq!(world.states(), (Healthy, Healthy));
        }
    }
}

/// Invariant 20.
#[test]
fn the_same_outcomes_give_the_same_transitions() {
    let run = || {
        let mut world = World::new();
        for i in 0..10_000_u32 {
            let lost = i.wrapping_mul(2_654_435_761) >> 24 == 0 || i / 500 % 2 == 1;
            world.observe(if lost { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
        }
        world.changes
    };
    let changes = run();
    assert!(changes.len() > 10);
    assert_eq!(changes, run());
}

proptest! {
    /// Invariant 1: from any state whatsoever, `recovery_probes` + 1 clean probes give healthy.
    #[test]
    fn recovery_is_bounded_from_any_state(numbers in prop::collection::vec(any::<u64>(), 64)) {
        let mut world = World::new();
        let mut numbers = numbers.into_iter().cycle();
        for reported in &mut world.path.directions {
            reported.track = track::arbitrary::track(|| numbers.next().unwrap());
            reported.state = State::ALL[(numbers.next().unwrap() % 4) as usize];
        }
        for flow in world.path.flows.iter_mut().flatten() {
            *flow = FlowTrack {
                losses_in_a_row: numbers.next().unwrap() as u32,
                passes_in_a_row: numbers.next().unwrap() as u32,
                dead: numbers.next().unwrap() % 2 == 0,
            };
        }
        world.observe(ANSWERED, SETTINGS.recovery_probes as usize + 1);
        prop_assert_eq!(world.states(), (Healthy, Healthy));
    }

    /// Invariant 9: nothing that happens to one direction makes the other one unhealthy or degraded.
    #[test]
    fn loss_in_one_direction_leaves_the_other_alone(
        outcomes in prop::collection::vec(prop_oneof![
            Just(ANSWERED),
            Just(Outcome::Lost(Lost::Forward)),
            Just(Outcome::TakenBack(Lost::Forward)),
        ], 1..500),
    ) {
        let mut world = World::healthy();
        for outcome in outcomes {
            world.observe(outcome, 1);
            let reverse = world.path.direction(Direction::Reverse).state;
            prop_assert!(matches!(reverse, Healthy | Unknown), "{}", reverse);
        }
    }
}
