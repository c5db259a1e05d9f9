use std::cell::Cell;

use probe_ebpf::maps::{Arrivals, Slot};

use super::{super::flow::tests::RULES, *};
use crate::{
    account::{
        Outcome,
        model::{Answer, Kernel},
    },
    random::Random,
    report::Probes,
    verdict::MILLISECOND,
};

const STEP: Nanos = 10 * MILLISECOND;
const FLOWS: usize = 2;

/// Two paths with one history: one rests when it may, and is left alone while nothing is awaited; the other never.
struct Twins {
    paths: [Path; 2],
    /// Whether the first is to be looked at.
    is_awaited: bool,
    kernels: [Vec<Kernel>; 2],
    arrivals: Arrivals,
    looks: [Cell<u64>; 2],
}

/// A memory that counts how often its slots are read.
struct Counted<'k>(&'k Kernel, &'k Cell<u64>);

impl Memory for Counted<'_> {
    fn sent(&self) -> u32 {
        self.0.sent()
    }

    fn answered(&self) -> u64 {
        self.0.answered()
    }

    fn answered_at(&self) -> Nanos {
        self.0.answered_at()
    }

    fn slot(&self, sequence: u32) -> Slot {
        self.1.set(self.1.get() + 1);
        self.0.slot(sequence)
    }

    fn close(&self, sequence: u32) -> bool {
        self.0.close(sequence)
    }
}

impl Twins {
    fn new() -> Self {
        let kernels = || (0..FLOWS).map(|_| Kernel::new(RULES.slots)).collect();
        Self {
            paths: [Path::new(RULES, FLOWS), Path::new(RULES, FLOWS)],
            is_awaited: true,
            kernels: [kernels(), kernels()],
            arrivals: Arrivals::default(),
            looks: Default::default(),
        }
    }

    /// What each says of what has happened by now.
    fn judge(&mut self, now: Nanos) -> [Vec<(usize, Nanos, Outcome)>; 2] {
        let mut said = [const { Vec::new() }; 2];
        self.paths[1].rest.end();
        for (index, path) in self.paths.iter_mut().enumerate() {
            if index == 0 && !self.is_awaited {
                continue;
            }
            let looks = &self.looks[index];
            let memories: Vec<Counted<'_>> =
                self.kernels[index].iter().map(|kernel| Counted(kernel, looks)).collect();
            path.judge(&memories, self.arrivals, now, &mut |flow, sent_at, outcome| {
                said[index].push((flow, sent_at, outcome));
            });
            if index == 0 {
                self.is_awaited = path.expects(&memories);
            }
        }
        said
    }
}

fn totals(path: &Path) -> Vec<Probes> {
    path.flows.iter().map(Flow::totals).collect()
}

/// An answer on its way.
struct Coming {
    at: Nanos,
    flow: usize,
    answer: Answer,
}

/// Plays a history with faults that come and go, and compares what the two say at every tick.
fn play(seed: u64) -> [u64; 2] {
    let mut random = Random::new(seed);
    let mut twins = Twins::new();
    let mut reflected = [0; FLOWS];
    let mut coming: Vec<Coming> = Vec::new();
    let (mut loss, mut delay, mut visits) = ([0.0; 2], 20 * MILLISECOND, true);
    for step in 100..6_000 {
        let now = step * STEP;
        if step % 300 == 0 {
            let chances = [0.0, 0.0, 0.02, 0.3, 1.0];
            loss = [0, 1].map(|_| chances[random.below(5) as usize]);
            delay = [1, 20, 90, 300][random.below(4) as usize] * MILLISECOND;
            visits = random.chance(0.6);
        }
        for (flow, count) in reflected.iter_mut().enumerate() {
            let phase = flow as u64 * RULES.interval / FLOWS as u64 / STEP * STEP;
            // The peer's probes come between ours.
            let visits = visits && now % RULES.interval == (phase + 3 * STEP) % RULES.interval;
            if visits && !random.chance(loss[1]) {
                (twins.arrivals.packets, twins.arrivals.last_at) =
                    (twins.arrivals.packets + 1, now);
            }
            if now % RULES.interval != phase {
                continue;
            }
            twins.is_awaited = true;
            let [first, second] = &twins.kernels;
            let sequence = first[flow].send(now);
            assert_eq!(second[flow].send(now), sequence);
            if random.chance(loss[0]) {
                continue;
            }
            let round_trip = (delay + random.below(5 * MILLISECOND)) as u32;
            let answer = Answer { sequence, sent_at: now, reflector_sequence: *count, round_trip };
            *count += 1;
            if !random.chance(loss[1]) {
                coming.push(Coming { at: now + Nanos::from(round_trip), flow, answer });
            }
        }
        for Coming { at, flow, answer } in coming.extract_if(.., |coming| coming.at <= now) {
            for kernels in &twins.kernels {
                kernels[flow].answer(answer, at);
            }
        }
        let [rested, restless] = twins.judge(now);
        assert_eq!(rested, restless, "seed {seed}, step {step}");
        let [rested, restless] = twins.paths.each_ref().map(totals);
        assert_eq!(rested, restless, "seed {seed}, step {step}");
    }
    twins.looks.map(Cell::into_inner)
}

#[test]
fn whoever_rests_says_the_same_at_the_same_time() {
    for seed in 0..300 {
        play(seed);
    }
}

#[test]
fn most_looks_at_a_path_that_is_well_need_no_slots() {
    let mut twins = Twins::new();
    for step in 100..1_100 {
        let now = step * STEP;
        if now.is_multiple_of(RULES.interval) {
            twins.is_awaited = true;
            for kernels in &twins.kernels {
                let sequence = kernels[0].send(now - MILLISECOND);
                let sent_at = now - MILLISECOND;
                let answer =
                    Answer { sequence, sent_at, reflector_sequence: sequence, round_trip: 9_000 };
                assert!(kernels[0].answer(answer, now));
            }
        }
        twins.judge(now);
    }
    let [rested, restless] = twins.looks.map(Cell::into_inner);
    assert!(rested <= restless, "{rested} of {restless}");
    let probes = 1_000 * STEP / RULES.interval;
    assert!((probes..=2 * probes).contains(&rested), "{rested} slots read");
}

#[test]
fn what_was_counted_a_moment_before_its_slot_is_not_missed() {
    let seen = Seen { packets: 7, ..Seen::default() };
    let mut rest = Rest::default();
    rest.begin(seen, 100, 1_000);
    assert!(!rest.lasts(seen, 110), "seen once");
    rest.begin(seen, 110, 1_000);
    assert!(rest.lasts(seen, 999));
    assert!(!rest.lasts(seen, 1_000), "time is up");
    assert!(!rest.lasts(Seen { packets: 8, ..seen }, 120), "somebody came");
    rest.begin(seen, 120, Nanos::MAX);
    assert!(!rest.lasts(seen, 120 + LOOK), "whatever is known");
    rest.end();
    assert!(!rest.lasts(seen, 121));
}
