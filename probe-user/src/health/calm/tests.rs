use super::*;
use crate::{
    account::{Lost, Outcome},
    config::{HealthConfig, ProbeConfig},
    health::{Transition, isolation::Vote},
    random::Random,
    verdict::{Direction, MILLISECOND, SECOND},
};

const STEP: Nanos = 10 * MILLISECOND;
const FLOWS: usize = 2;

/// Faults that come and go, told to two paths, of which one is looked at in every tick. They say the same, always.
fn play(seed: u64) -> (u64, u64) {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let mut random = Random::new(seed);
    let [mut lazy, mut eager] = [Path::new(FLOWS, 0), Path::new(FLOWS, 0)];
    let (mut loss, mut silent, mut delay) = (0.0, false, 20 * MILLISECOND);
    let (mut calm, mut ticks) = (0, 0);
    for step in 1..30_000 {
        let now = step * STEP;
        if step % 1_000 == 0 && step > 3_000 {
            loss = [0.0, 0.0, 0.02, 0.3, 1.0][random.below(5) as usize];
            silent = random.chance(0.15);
            delay = [20, 20, 20, 200][random.below(4) as usize] * MILLISECOND;
        }
        if step % 10 == 0 && !silent {
            let flow = random.below(FLOWS as u64) as usize;
            let lost = [Lost::Forward, Lost::Reverse, Lost::Unknown, Lost::Silent];
            let outcome = if random.chance(loss) {
                Outcome::Lost(lost[random.below(4) as usize])
            } else {
                Outcome::Answered { round_trip: delay as u32 }
            };
            for path in [&mut lazy, &mut eager] {
                path.observe(flow, now - 20 * MILLISECOND, outcome, now, &settings);
            }
        }
        eager.calm = None;
        let isolated = random.chance(0.01);
        let [said, expected] = [&mut lazy, &mut eager].map(|path| {
            let mut vote = Vote::default();
            vote.add(path, now, &settings);
            let mut said: Vec<Transition> = Vec::new();
            path.tick(now, isolated, &settings, &mut |transition| said.push(transition));
            let verdicts = Direction::ALL.map(|way| path.direction(way, &settings));
            (said, verdicts, path.verdicts(now, &settings), vote, path.is_recovering(&settings))
        });
        assert_eq!(said, expected, "seed {seed}, step {step}");
        calm += u64::from(lazy.is_calm(now, &settings));
        ticks += 1;
    }
    (calm, ticks)
}

#[test]
fn what_is_calm_says_what_it_would_have_said() {
    let (mut calm, mut ticks) = (0, 0);
    for seed in 0..40 {
        let (quiet, of) = play(seed);
        (calm, ticks) = (calm + quiet, ticks + of);
    }
    assert!(calm * 10 > ticks, "calm in {calm} of {ticks} ticks: that says little");
}

/// A path that is well, as of a time.
fn well(settings: &Settings) -> (Path, Nanos) {
    let (mut path, mut now) = (Path::new(1, 0), SECOND);
    for _ in 0..200 {
        now += 100 * MILLISECOND;
        path.observe(0, now, Outcome::Answered { round_trip: 1_000 }, now, settings);
        path.tick(now, false, settings, &mut |_| {});
    }
    assert!(path.is_calm(now, settings));
    (path, now)
}

#[test]
fn whatever_may_change_with_time_keeps_a_path_from_being_calm() {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let (calm, now) = well(&settings);
    let changes: [fn(&mut Path); 8] = [
        |path| path.directions[1].track.silences = 1,
        |path| path.directions[0].track.damping.recovered_at = Some(7),
        |path| path.directions[1].track.damping.doublings = 1,
        |path| path.directions[0].track.hushed_until = 7,
        |path| path.directions[1].track.alarmed = true,
        |path| path.directions[0].state = State::Degraded,
        |path| path.directions[1].transitions.healthy = 0,
        |path| path.latency.slow_since = Some(7),
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut path = calm.clone();
        change(&mut path);
        path.calm_down(&settings);
        assert!(!path.is_calm(now, &settings), "change {place}");
    }
}

#[test]
fn a_path_that_is_well_is_calm_until_its_evidence_is_too_old() {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let (mut path, now) = well(&settings);
    assert!(path.is_calm(now + settings.expiry, &settings));
    assert!(!path.is_calm(now + settings.expiry + 1, &settings));
    assert!(!path.is_calm(now - 1, &settings), "evidence from the future is none");
    path.observe(0, now, Outcome::Lost(Lost::Forward), now, &settings);
    assert!(!path.is_calm(now, &settings));
}
