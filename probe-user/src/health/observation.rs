//! What the engine is fed, as coarse as it is recorded.
//!
//! A replay has to find exactly what the agent has found, so the agent feeds its engine with nothing that a recording
//! would not keep, whether or not it records. What is left out is far below anything that a verdict depends on.

use super::{Path, Settings};
use crate::{
    account::Outcome,
    verdict::{MILLISECOND, Nanos},
};

/// The unit of the times at which paths are judged, in nanoseconds.
pub const MOMENT: Nanos = MILLISECOND;
/// The unit of the ages of probes that were given up, in nanoseconds.
pub const AGE: Nanos = 100_000;
/// The unit of round trips, in nanoseconds.
pub const ROUND_TRIP: u32 = 10_000;

/// The time at which paths are judged, as the engine is told it: down to a whole [`MOMENT`].
#[must_use]
pub const fn moment(now: Nanos) -> Nanos {
    now - now % MOMENT
}

/// What became of one probe, as the engine is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The flow that it belongs to, as an index.
    pub flow: usize,
    /// When it was sent. Of an answered probe: its round trip ago, since no test asks for more.
    pub sent_at: Nanos,
    /// The outcome.
    pub outcome: Outcome,
}

impl Observation {
    /// What the engine is to be told at a [`moment`] of a probe that was sent then.
    #[inline]
    #[must_use]
    pub fn new(flow: usize, sent_at: Nanos, outcome: Outcome, now: Nanos) -> Self {
        let (age, outcome) = match outcome {
            Outcome::Answered { round_trip } => {
                let round_trip = round_trip - round_trip % ROUND_TRIP;
                (Nanos::from(round_trip).min(now), Outcome::Answered { round_trip })
            }
            other => {
                let age = now.saturating_sub(sent_at);
                (age - age % AGE, other)
            }
        };
        Self { flow, sent_at: now - age, outcome }
    }

    /// Feeds the engine.
    ///
    /// # Panics
    /// Where there is no such flow.
    #[inline]
    pub fn feed(&self, path: &mut Path, now: Nanos, settings: &Settings) {
        path.observe(self.flow, self.sent_at, self.outcome, now, settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Lost;

    #[test]
    fn what_is_fed_is_coarse_and_stays_so() {
        let now = moment(1_234_567_890);
        assert_eq!(now, 1_234_000_000);
        let answered = Outcome::Answered { round_trip: 31_234_567 };
        let seen = Observation::new(3, 1_200_000_001, answered, now);
        assert_eq!(seen.outcome, Outcome::Answered { round_trip: 31_230_000 });
        assert_eq!(seen.sent_at, now - 31_230_000);
        let lost = Outcome::Lost(Lost::Forward);
        let given_up = Observation::new(3, 1_000_012_345, lost, now);
        assert_eq!((now - given_up.sent_at, given_up.outcome), (233_900_000, lost));
        for seen in [seen, given_up] {
            assert_eq!(Observation::new(seen.flow, seen.sent_at, seen.outcome, now), seen);
        }
    }

    #[test]
    fn probes_from_the_future_have_no_age() {
        assert_eq!(Observation::new(0, 9, Outcome::Lost(Lost::Silent), 7).sent_at, 7);
        let answered = Outcome::Answered { round_trip: u32::MAX };
        assert_eq!(Observation::new(0, 9, answered, 7).sent_at, 0);
    }
}
