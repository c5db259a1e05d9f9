//! The engine by its invariants. Numbers are those of `ARCHITECTURE.md`.

mod flows;
mod invariants;
mod reach;

use std::{collections::BTreeMap, sync::Mutex};

use super::{latency::Latency, *};
use crate::{
    account::{Lost, Outcome},
    config::{HealthConfig, ProbeConfig},
    verdict::{MILLISECOND, SECOND},
};
use State::{Degraded, Healthy, Unhealthy, Unknown};

/// Four flows, each probed every 100 ms.
const STEP: Nanos = 25 * MILLISECOND;
const ROUND_TRIP: u32 = 20_000_000;
const ANSWERED: Outcome = Outcome::Answered { round_trip: ROUND_TRIP };

struct World {
    settings: Settings,
    path: Path,
    flows: usize,
    now: Nanos,
    probes: usize,
    changes: Vec<Transition>,
}

/// The settings of the profile "balanced"; thresholds take a while in a build that is not optimised.
fn settings(flows: u16) -> Settings {
    static KNOWN: Mutex<BTreeMap<u16, Settings>> = Mutex::new(BTreeMap::new());
    let probe = ProbeConfig { flows, ..ProbeConfig::default() };
    let make = || HealthConfig::default().settings(&probe);
    *KNOWN.lock().unwrap().entry(flows).or_insert_with(make)
}

impl World {
    fn with_flows(flows: u16) -> Self {
        let settings = settings(flows);
        let (now, flows) = (1_000 * SECOND, usize::from(flows));
        Self { settings, path: Path::new(flows, now), flows, now, probes: 0, changes: Vec::new() }
    }

    fn new() -> Self {
        Self::with_flows(4)
    }

    fn healthy() -> Self {
        let mut world = Self::new();
        world.observe(ANSWERED, 200);
        assert_eq!(world.states(), (Healthy, Healthy));
        world.changes.clear();
        world
    }

    fn observe(&mut self, outcome: Outcome, times: usize) {
        for _ in 0..times {
            self.now += self.settings.spacing;
            let flow = self.probes % self.flows;
            self.probes += 1;
            self.observe_of(flow, outcome);
        }
    }

    fn observe_of(&mut self, flow: usize, outcome: Outcome) {
        self.path.observe(flow, self.now, outcome, self.now, &self.settings);
        self.tick();
    }

    fn tick(&mut self) {
        self.path.tick(self.now, false, &self.settings, &mut |change| self.changes.push(change));
    }

    fn states(&self) -> (State, State) {
        (self.path.state_of(Direction::Forward), self.path.state_of(Direction::Reverse))
    }

    fn verdict(&self, direction: Direction) -> Verdict {
        self.path.direction(direction, &self.settings)
    }
}

/// Each kind of outcome, what it makes of both directions.
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
fn what_would_make_it_healthy_does() {
    let mut world = World::healthy();
    assert_eq!(world.verdict(Direction::Forward).needs, None);
    world.observe(Outcome::Lost(Lost::Forward), 20);
    let needs = world.verdict(Direction::Forward).needs.unwrap();
    assert_eq!(needs, Needs { clean_probes: 60, seconds: 1.5 });
    assert_eq!(world.verdict(Direction::Reverse).needs, None);
    world.observe(ANSWERED, 37);
    let needs = world.verdict(Direction::Forward).needs.unwrap();
    assert!((20..=24).contains(&needs.clean_probes), "{needs:?}");
    world.observe(ANSWERED, needs.clean_probes as usize - 4);
    assert_eq!(world.states(), (Unhealthy, Healthy));
    world.observe(ANSWERED, 4);
    assert_eq!(world.states(), (Healthy, Healthy));
}

/// And so it does from any state.
#[test]
fn what_would_make_it_healthy_is_no_promise_that_is_broken() {
    let mut random = crate::random::Random::new(3);
    let mut kept = 0;
    while kept < 2_000 {
        let mut world = World::new();
        world.path.scramble(&mut random, world.now);
        // Slow round trips of an arbitrary state are not a matter of clean probes.
        world.path.latency = Latency::default();
        world.observe(ANSWERED, 4);
        // Nor is it one that a path seems to fail as a whole, and flows therefore are not singled out, without any loss.
        let hides_flows = |direction: Direction| {
            let any_sick = world.path.flows.iter().any(|flow| flow[direction as usize].sick);
            world.path.state_of(direction) == Healthy && any_sick
        };
        if Direction::ALL.into_iter().any(hides_flows) {
            continue;
        }
        kept += 1;
        let needed = Direction::ALL.map(|direction| {
            world.verdict(direction).needs.map_or(0, |needs| needs.clean_probes as usize)
        });
        world.observe(ANSWERED, needed[0].max(needed[1]) + 4);
        assert_eq!(world.states(), (Healthy, Healthy), "{needed:?} {:?}", world.path);
    }
}

#[test]
fn the_evidence_of_loss_begins_where_the_loss_began() {
    let mut world = World::healthy();
    world.observe(ANSWERED, 200);
    let mut lost = 0;
    let mut probes = 0;
    while world.states().0 == Healthy {
        world.observe(Outcome::Lost(Lost::Forward), 1);
        (lost, probes) = (lost + 1, probes + 1);
        if world.states().0 == Healthy {
            world.observe(ANSWERED, 2);
            probes += 2;
        }
    }
    let evidence = world.verdict(Direction::Forward).evidence;
    assert_eq!((evidence.lost, evidence.probes), (lost, probes));
    let [low, high] = evidence.loss_interval.unwrap();
    assert!(low < 1.0 / 3.0 && 1.0 / 3.0 < high, "{evidence:?}");
}

/// A late answer now and then must not keep a direction unhealthy.
#[test]
fn late_answers_do_not_hold_up_recovery() {
    let mut world = World::healthy();
    world.observe(Outcome::Lost(Lost::Forward), 20);
    for _ in 0..3 {
        world.observe(ANSWERED, 28);
        world.observe(Outcome::Lost(Lost::Forward), 1);
        world.probes -= 1; // Of the same flow.
        world.observe(Outcome::TakenBack(Lost::Forward), 1);
    }
    assert_eq!(world.states(), (Healthy, Healthy));
}

#[test]
fn a_loss_that_is_taken_back_does_not_count() {
    let mut world = World::healthy();
    for _ in 0..200 {
        world.observe(Outcome::Lost(Lost::Forward), 1);
        world.probes -= 1;
        world.observe(Outcome::TakenBack(Lost::Forward), 1);
    }
    assert_eq!(world.changes, []);
}

#[test]
fn one_blip_counts_once() {
    let mut world = World::healthy();
    world.settings.blip = 50 * MILLISECOND;
    for blip in 0..20 {
        let sent_at = world.now + blip;
        for flow in 0..4 {
            let lost = Outcome::Lost(Lost::Forward);
            world.path.observe(flow, sent_at + flow as u64, lost, world.now, &world.settings);
        }
        world.tick();
        world.observe(ANSWERED, 200);
    }
    assert_eq!(world.changes, [], "four losses in a row, twenty times");
    world.observe(Outcome::Lost(Lost::Forward), 20);
    assert_eq!(world.states(), (Unhealthy, Healthy), "but not what lasts");
}

#[test]
fn round_trips_that_are_much_longer_degrade_until_they_are_usual() {
    let mut world = World::healthy();
    world.observe(ANSWERED, 1_000);
    let slow = Outcome::Answered { round_trip: 5 * ROUND_TRIP };
    world.observe(slow, 20);
    assert_eq!(world.states(), (Degraded, Degraded));
    assert_eq!(world.verdict(Direction::Forward).cause, Cause::Latency);
    world.observe(ANSWERED, 60);
    assert_eq!(world.states(), (Healthy, Healthy));
    // For good: the new usual, after half of the damping's cap of 48 s.
    world.observe(slow, 23 * 40);
    assert_eq!(world.states(), (Degraded, Degraded));
    world.observe(slow, 3 * 40);
    assert_eq!(world.states(), (Healthy, Healthy));
}

/// Invariant 6: slow round trips make no direction bad for ever when there are none any more.
#[test]
fn round_trips_that_were_slow_before_they_ended_are_forgotten() {
    let mut world = World::healthy();
    world.observe(ANSWERED, 1_000);
    world.observe(Outcome::Answered { round_trip: 5 * ROUND_TRIP }, 20);
    assert_eq!(world.states(), (Degraded, Degraded));
    world.observe(Outcome::Lost(Lost::Forward), 40);
    assert_eq!(world.states(), (Unhealthy, Degraded), "for a second");
    world.observe(Outcome::Lost(Lost::Forward), 100);
    assert_eq!(world.states(), (Unhealthy, Healthy));
}

/// Invariant 15: where almost all is lost on the way there and the rest is slow, round trips come and go.
#[test]
fn slow_round_trips_that_come_seldom_make_no_way_back_flap() {
    let (mut world, mut random) = (World::healthy(), crate::random::Random::new(5));
    world.observe(ANSWERED, 1_000);
    world.changes.clear();
    for _ in 0..3_600 * 40 {
        let slow = Outcome::Answered { round_trip: 5 * ROUND_TRIP };
        let lost = random.chance(0.985);
        world.observe(if lost { Outcome::Lost(Lost::Forward) } else { slow }, 1);
    }
    let of_reverse = world.changes.iter().filter(|change| change.direction == Direction::Reverse);
    assert!((1..=4).contains(&of_reverse.count()), "{:?}", world.changes);
}

#[test]
fn an_outage_that_was_over_before_anybody_looked_is_not_told() {
    let mut world = World::healthy();
    for outcome in [Outcome::Lost(Lost::Unknown), ANSWERED] {
        for probe in 0..100 {
            world.now += STEP;
            world.path.observe(probe % 4, world.now, outcome, world.now, &world.settings);
        }
    }
    world.tick();
    assert_eq!((world.changes.len(), world.states()), (0, (Healthy, Healthy)));
}

/// Loses some of the probes until the way there is unhealthy, and says how many clean ones make it healthy again.
fn lose_until_unhealthy(world: &mut World, is_lost: impl Fn(usize) -> bool) -> u32 {
    for _ in 0..2_000 {
        let lost = is_lost(world.probes);
        world.observe(if lost { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
        if world.states().0 == Unhealthy {
            return world.verdict(Direction::Forward).needs.unwrap().clean_probes;
        }
    }
    panic!("not within 2,000 probes: {:?}", world.path);
}

/// Whether that is seen at the start or later: a peer that is not there yet loses all.
#[test]
fn a_recovery_is_doubted_where_so_little_was_lost_that_it_may_have_been_chance() {
    for world in [World::new as fn() -> World, World::healthy] {
        for (one_of, doublings) in [(1, 1), (5, 5)] {
            let (mut world, is_lost) = (world(), |probe: usize| probe.is_multiple_of(one_of));
            lose_until_unhealthy(&mut world, is_lost);
            world.observe(ANSWERED, 64);
            assert_eq!(world.states(), (Healthy, Healthy));
            let needed = lose_until_unhealthy(&mut world, is_lost);
            assert_eq!(needed, 60 << doublings, "one of {one_of} was lost");
        }
    }
}

/// Invariant 15, where nothing can be said of the way there.
#[test]
fn a_direction_that_falls_silent_again_and_again_is_held_back() {
    let mut world = World::healthy();
    for doublings in [0, 1, 2, 3, 4, 5, 5] {
        world.observe(Outcome::Lost(Lost::Silent), 12);
        let first = doublings == 0;
        assert_eq!(world.states(), (if first { Unknown } else { Healthy }, Unhealthy));
        world.observe(Outcome::Lost(Lost::Silent), 100);
        assert_eq!(world.states(), (Unknown, Unhealthy));
        for direction in Direction::ALL {
            let needs = world.verdict(direction).needs.unwrap();
            assert_eq!(needs.clean_probes, 60 << doublings, "{direction}");
        }
        world.observe(ANSWERED, (60 << doublings) + 4);
        assert_eq!(world.states(), (Healthy, Healthy));
    }
}

/// Invariant 15, from the start: alarm and recovery are both likely at such rates.
#[test]
fn loss_that_was_there_from_the_start_makes_no_path_flap() {
    let mut random = crate::random::Random::new(4);
    for permille in [40_u64, 50, 60, 70, 80, 100].repeat(10) {
        let mut world = World::new();
        for _ in 0..3_600 * 40 {
            let lost = random.chance(permille as f64 / 1_000.0);
            world.observe(if lost { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
        }
        let changes = &mut world.changes;
        changes.retain(|change| change.direction == Direction::Forward);
        assert!(changes.len() <= 4, "{permille} per mille: {changes:?}");
    }
}

#[test]
fn a_blip_of_late_answers_takes_back_what_it_has_counted_and_no_more() {
    let (lost, late) = (Outcome::Lost(Lost::Forward), Outcome::TakenBack(Lost::Forward));
    let mut world = World::healthy();
    world.settings.blip = 20 * MILLISECOND;
    for _ in 0..3 {
        world.observe(lost, 1);
        world.observe(ANSWERED, 4);
    }
    world.now += SECOND;
    let statistics = |world: &mut World| {
        world.path.directions[0].track.bank.settle();
        world.path.directions[0].track.bank.statistics
    };
    let before = statistics(&mut world);
    assert!(before[0] > 100, "{before:?}");
    for outcome in [lost, late] {
        for flow in 0..4 {
            let sent_at = world.now + flow as u64 * MILLISECOND;
            world.path.observe(flow, sent_at, outcome, world.now, &world.settings);
        }
    }
    // Counted once, and then passed once.
    assert_eq!(statistics(&mut world), before.map(|statistic| (statistic - 1).max(0)));
    // What else is lost at that time is lost.
    let sent_at = world.now + 4 * MILLISECOND;
    world.path.observe(0, sent_at, lost, world.now, &world.settings);
    assert!(statistics(&mut world) > before);
}
