//! Arbitrary states, for tests and the simulator: no memory of the past may hold up what comes.

use super::{
    Lost,
    awaited::Awaited,
    flow::{Anchor, Flow, GivenUp, Silence},
    located::{Located, Place},
    path::Path,
    rtt::Estimator,
    visits::{Mark, Sums, Visits},
};
use crate::{
    places::{Places, Renewal},
    random::Random,
    verdict::Nanos,
};

impl Path {
    /// Puts the account into any state that its types allow, with times up to `now`.
    pub fn scramble(&mut self, random: &mut Random, now: Nanos) {
        for flow in &mut self.flows {
            flow.scramble(random, now);
        }
        self.located = Located {
            forward: random.bits() as u32 >> random.below(32),
            reverse: random.bits() as u32 >> random.below(32),
            age: random.bits() as u32 >> random.below(32),
        };
        self.overdue_since = random.chance(0.5).then(|| random.below(now));
        self.visits = Visits {
            packets: random.bits() >> random.below(64),
            last_at: random.below(now),
            since: (random.bits() >> random.below(64), random.below(now)),
            answered_at: random.below(now),
            packets_then: random.bits() >> random.below(64),
            before: (random.bits() >> random.below(64), random.below(now)),
            sums: Sums { sent: random.bits() as u32, answered: random.bits() as u32 },
            answers: random.bits() as u32 >> random.below(32),
            marks: [mark(random, now), mark(random, now)],
            gap: random.chance(0.7).then(|| random.bits() >> (10 + random.below(54))),
        };
    }
}

impl Awaited {
    /// Has it await nobody, since a time that may be in the future.
    pub fn scramble(&mut self, random: &mut Random) {
        let renewal = Renewal(random.bits() >> random.below(64));
        *self = Self { paths: Places::default(), renewal };
    }
}

impl Flow {
    fn scramble(&mut self, random: &mut Random, now: Nanos) {
        self.next = random.bits() as u32;
        self.anchor = random.chance(0.7).then(|| Anchor {
            sequence: random.bits() as u32,
            reflector_sequence: random.bits() as u32,
        });
        self.silence = random.chance(0.3).then(|| Silence {
            place: Place { lost: lost(random), guessed: random.chance(0.5) },
            seen_at: random.below(now),
        });
        self.missed.given_up = (0..random.below(20))
            .map(|_| GivenUp {
                sequence: random.bits() as u32,
                sent_at: random.below(now),
                lost: lost(random),
            })
            .collect();
        self.has_given_up = !self.missed.given_up.is_empty();
        self.missed.answered_seen = random.bits();
        self.rtt = Estimator {
            smoothed: random.chance(0.8).then(|| random.bits() as u32 >> random.below(32)),
            variation: random.bits() as u32 >> random.below(32),
        };
    }
}

fn mark(random: &mut Random, now: Nanos) -> Mark {
    Mark { packets: random.bits() >> random.below(64), at: random.below(now) }
}

fn lost(random: &mut Random) -> Lost {
    [Lost::Forward, Lost::Reverse, Lost::Unknown, Lost::Silent][random.below(4) as usize]
}
