use proptest::prelude::*;

use super::*;
use crate::{
    account::model::{Answer, Kernel},
    health::guarantee::{Probing, recovery_bound},
    random::Random,
    report::Revision,
};

const PROBING: Probing = Probing { interval: 100 * MILLISECOND, timeout: SECOND, flows: 4 };

/// Clean probes until both directions are healthy.
fn recovery(world: &mut World) -> u32 {
    let mut probes = 0;
    while world.states() != (Healthy, Healthy) {
        world.observe(ANSWERED, 1);
        probes += 1;
        assert!(probes < 100_000, "never");
    }
    probes
}

#[test]
fn invariant_1_recovery_is_bounded_from_any_state() {
    let mut random = Random::new(1);
    let bound = recovery_bound(&World::new().settings, &PROBING, World::new().settings.damping);
    for _ in 0..5_000 {
        let mut world = World::new();
        world.path.scramble(&mut random, world.now);
        let probes = recovery(&mut world);
        assert!(u64::from(probes) * STEP <= bound, "{probes} probes");
    }
}

#[test]
fn invariant_1_without_damping_recovery_takes_u_and_one_round() {
    let mut random = Random::new(2);
    for _ in 0..5_000 {
        let mut world = World::new();
        world.path.scramble(&mut random, world.now);
        world.path.latency = Latency::default();
        for reported in &mut world.path.directions {
            reported.track.damping = damping::Damping::default();
        }
        let probes = recovery(&mut world);
        assert!(probes <= world.settings.recovery + 4, "{probes}");
    }
}

#[test]
fn invariant_2_recovery_does_not_depend_on_history() {
    let settings = World::new().settings;
    let bound = (settings.recovery << settings.damping) + 8;
    let mut world = World::healthy();
    for outage in 0..2_000 {
        world.observe(Outcome::Lost(Lost::Unknown), 50);
        assert_eq!(world.states(), (Unhealthy, Unhealthy));
        let probes = recovery(&mut world);
        assert!(probes <= bound, "{probes} after outage {outage}");
    }
    // And an hour of health makes it as if nothing had been.
    world.observe(ANSWERED, 3_601 * 40);
    world.observe(Outcome::Lost(Lost::Unknown), 50);
    assert_eq!(recovery(&mut world), settings.recovery);
}

#[test]
fn invariant_3_detection_of_total_loss_is_bounded() {
    for flows in [1, 2, 4, 16, 64] {
        let mut world = World::with_flows(flows);
        world.observe(ANSWERED, 4_000);
        // Seven blips, where more than one probe is sent in each.
        let probes = 7 * (world.settings.blip / world.settings.spacing + 1);
        world.observe(Outcome::Lost(Lost::Forward), probes as usize);
        assert_eq!(world.states(), (Unhealthy, Healthy), "{flows} flows");
    }
}

#[test]
fn invariant_5_no_reply_is_refused_for_what_was_before() {
    // What refuses is the kernel's slot, which has no memory but itself: `account::flow::tests`. Here: no outcome is
    // left out of the verdict, whatever the state.
    let mut random = Random::new(5);
    for _ in 0..1_000 {
        let mut world = World::new();
        world.path.scramble(&mut random, world.now);
        world.observe_of(0, ANSWERED);
        for direction in Direction::ALL {
            assert_eq!(world.verdict(direction).evidence_at, Some(world.now));
        }
    }
}

#[test]
fn invariant_6_stale_is_unknown_and_never_unhealthy() {
    for outcome in [ANSWERED, Outcome::Lost(Lost::Unknown)] {
        let mut world = World::healthy();
        world.observe(outcome, 20);
        let last = world.now;
        for (after, unknown) in [(0, false), (1, true), (1_000 * SECOND, true)] {
            world.now = last + world.settings.expiry + after;
            world.tick();
            assert_eq!(world.states().0 == Unknown, unknown, "{after} ns after expiry");
        }
    }
}

#[test]
fn invariant_7_what_passes_here_is_healthy_whatever_others_say() {
    // All that comes from others are the peer's own probes, which have a say only where answers are missing.
    use probe_ebpf::maps::Arrivals;
    let mut random = Random::new(7);
    let mut world = World::healthy();
    let mut account = crate::account::path::Path::new(
        crate::account::Rules {
            interval: PROBING.interval,
            timeout: PROBING.timeout,
            slots: 32,
            stateful: true,
            defects: defect::Defects::NONE,
        },
        4,
    );
    let kernel: Vec<_> = (0..4).map(|_| Kernel::new(32)).collect();
    for probe in 0..4_000_u64 {
        world.now += STEP - 11 * MILLISECOND;
        let flow = (probe % 4) as usize;
        let sequence = (probe / 4) as u32;
        kernel[flow].send(world.now);
        let answer = Answer {
            sequence,
            sent_at: world.now,
            reflector_sequence: sequence,
            round_trip: 10 * MILLISECOND as u32,
        };
        kernel[flow].answer(answer, world.now + 10 * MILLISECOND);
        let arrivals = Arrivals { packets: random.bits() >> 40, last_at: random.bits() >> 20 };
        world.now += 11 * MILLISECOND;
        let now = world.now;
        account.judge(&kernel, arrivals, now, &mut |flow, sent_at, outcome| {
            world.path.observe(flow, sent_at, outcome, now, &world.settings);
        });
        world.tick();
    }
    assert_eq!((world.changes.len(), world.states()), (0, (Healthy, Healthy)));
}

#[test]
fn invariant_8_with_all_evidence_gone_everything_is_unknown() {
    let mut random = Random::new(8);
    for _ in 0..2_000 {
        let mut world = World::new();
        world.path.scramble(&mut random, world.now);
        world.tick();
        world.now += world.settings.expiry + 1;
        world.tick();
        assert_eq!(world.states(), (Unknown, Unknown), "{:?}", world.path);
        let regions = [world.states().0; 3];
        assert_eq!(region::link(regions, false).0, Unknown);
    }
}

#[test]
fn invariant_10_an_older_revision_never_replaces_a_newer_one() {
    let mut random = Random::new(10);
    let mut kept = Revision::default();
    for _ in 0..10_000 {
        let new = Revision { epoch: random.below(5), sequence: random.below(50) };
        let before = kept;
        kept = kept.max(new);
        assert!(kept.epoch >= before.epoch);
        assert!(kept.epoch > before.epoch || kept.sequence >= before.sequence);
    }
    // A restart is accepted at once, though it counts from zero again.
    let restarted = Revision { epoch: kept.epoch + 1, sequence: 0 };
    assert_eq!(kept.max(restarted), restarted);
}

#[test]
fn invariant_11_no_clock_but_the_monotonic_one_reaches_a_verdict() {
    // All times are differences of `now` and `sent_at`: the same history a year later gives the same transitions.
    let run = |start: Nanos| {
        let mut world = World::new();
        world.now = start;
        let mut random = Random::new(11);
        for probe in 0..40_000 {
            let lost = random.chance(if probe / 4_000 % 2 == 1 { 0.2 } else { 0.005 });
            world.observe(if lost { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
        }
        let relative = |change: &Transition| (change.at - start, change.direction, change.to);
        world.changes.iter().map(relative).collect::<Vec<_>>()
    };
    let changes = run(10 * SECOND);
    assert!(changes.len() > 8, "{changes:?}");
    assert_eq!(changes, run(31_536_000 * SECOND));
}

#[test]
fn invariant_12_a_node_that_is_cut_off_says_so_of_itself() {
    let mut world = World::healthy();
    for _ in 0..12 {
        world.now += STEP;
        let (flow, lost) = (world.probes % 4, Outcome::Lost(Lost::Unknown));
        world.probes += 1;
        world.path.observe(flow, world.now, lost, world.now, &world.settings);
    }
    assert!(world.path.is_breaking_down(&world.settings));
    world.path.tick(world.now, true, &world.settings, &mut |_| {});
    assert_eq!(world.verdict(Direction::Forward).cause, Cause::Isolated);
}

/// The rates at which alarm and recovery are both likely are the ones between what is accepted and a few percent.
#[test]
fn invariant_15_constant_loss_makes_no_path_flap() {
    for permille in (0..=30).chain([40, 50, 70, 100, 150, 200, 300, 500, 700, 900, 990, 1_000]) {
        let mut world = World::new();
        let mut random = Random::new(permille);
        for _ in 0..3 * 3_600 * 40 {
            let lost = random.chance(permille as f64 / 1_000.0);
            world.observe(if lost { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
        }
        let of =
            |direction| world.changes.iter().filter(move |change| change.direction == direction);
        for direction in Direction::ALL {
            let times: Vec<Nanos> = of(direction).map(|change| change.at).collect();
            let hour = 3_600 * SECOND;
            let flapping = times.windows(5).any(|window| window[4] - window[0] < hour);
            assert!(!flapping, "{permille} per mille: {:?}", world.changes);
        }
    }
}

#[test]
fn invariant_18_a_restart_reaches_no_better_verdict_than_waiting() {
    let mut world = World::new();
    let settings = world.settings;
    assert_eq!(recovery(&mut world), settings.recovery);
    let mut unhealthy = World::healthy();
    unhealthy.observe(Outcome::Lost(Lost::Unknown), 50);
    assert_eq!(recovery(&mut unhealthy), settings.recovery);
}

#[test]
fn invariant_20_the_same_outcomes_give_the_same_transitions() {
    let run = || {
        let mut world = World::new();
        let mut random = Random::new(20);
        for i in 0..40_000 {
            let lost = random.chance(if i / 5_000 % 2 == 1 { 0.3 } else { 0.01 });
            world.observe(if lost { Outcome::Lost(Lost::Forward) } else { ANSWERED }, 1);
        }
        world.changes
    };
    let changes = run();
    assert!(changes.len() > 3, "{changes:?}");
    assert_eq!(changes, run());
}

proptest! {
    #[test]
    fn invariant_9_loss_in_one_direction_leaves_the_other_alone(
        outcomes in prop::collection::vec(prop_oneof![
            Just(ANSWERED),
            Just(Outcome::Lost(Lost::Forward)),
            Just(Outcome::TakenBack(Lost::Forward)),
        ], 1..500),
    ) {
        let mut world = World::healthy();
        for outcome in outcomes {
            world.observe(outcome, 1);
            prop_assert!(matches!(world.states().1, Healthy | Unknown), "{:?}", world.states());
        }
    }
}
