//! What the choice sees of a candidate.

use super::{Reason, is_over, patience, steadiness};
use crate::{
    account::rtt,
    health::{self, Settings},
    verdict::{Cause, Direction, MILLISECOND, Nanos, State},
};

/// A candidate is faster by far if its round trip is shorter by so much, in nanoseconds...
pub const LEAST_GAIN: Nanos = 10 * MILLISECOND;

/// ...and at most so much of the other's: two thirds.
const GAIN: (Nanos, Nanos) = (2, 3);

/// What is known of one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The verdict on the way there.
    pub state: State,
    /// Why it is so.
    pub cause: Cause,
    /// Since when.
    pub since: Nanos,
    /// The loss on the way there, from 0 to 1, without flows that are dead: it lies between these with 95 % confidence. `None`
    /// without evidence.
    pub loss: Option<[f64; 2]>,
    /// The share of the flows of which nothing passes, from 0 to 1.
    pub dead_flows: f64,
    /// Median of the latest round trips, in nanoseconds.
    pub round_trip: Option<Nanos>,
    /// When the far end answered the latest probe that was answered, half of a round trip before the answer came here: so ways
    /// of different lengths tell the same. `None` if none ever was.
    pub heard: Option<Nanos>,
    /// Since when it has answered without a lull.
    pub heard_since: Nanos,
    /// Whether the way there seems to fail though that is no verdict yet.
    pub is_failing: bool,
    /// Whether its interface carries nothing: it is gone, or down.
    pub is_down: bool,
}

impl View {
    /// Of a candidate of which nothing is known yet.
    pub const NEW: Self = Self {
        state: State::Unknown,
        cause: Cause::Starting,
        since: 0,
        loss: None,
        dead_flows: 0.0,
        round_trip: None,
        heard: None,
        heard_since: 0,
        is_failing: false,
        is_down: false,
    };

    /// Of a path that is probed: its verdict, its latest round trips.
    #[must_use]
    pub fn of(
        path: &health::Path,
        recent: &rtt::Recent,
        is_down: bool,
        settings: &Settings,
    ) -> Self {
        let verdict = path.direction(Direction::Forward, settings);
        Self {
            state: verdict.state,
            cause: verdict.cause,
            since: verdict.since,
            loss: verdict.evidence.loss_interval,
            dead_flows: path.dead_flows(Direction::Forward),
            round_trip: recent.median(),
            heard: recent.heard(),
            heard_since: recent.heard_since(),
            is_failing: path.is_failing(Direction::Forward, settings),
            is_down,
        }
    }

    /// Whether it is fit for use.
    pub(super) fn is_healthy(&self) -> bool {
        self.state == State::Healthy && !self.is_down
    }

    /// How much of the traffic it is good for, at first sight: the more the better.
    pub(super) const fn rank(&self) -> u8 {
        match (self.is_down, self.state) {
            (true, _) => 0,
            (_, State::Unhealthy | State::Unknown) => 1,
            (_, State::Degraded) => 2,
            (_, State::Healthy) => 3,
        }
    }

    /// The loss that can be told of it.
    ///
    /// What has fallen silent loses all until it has been heard of without a lull for as long as a recovery takes. Where much
    /// is lost there are lulls now and again, and no route must follow them: of the one in use nothing can be told until then,
    /// unless nothing at all is heard of it for as long. What was not heard of for long loses all too, though it may be that it
    /// was not even asked: where a neighbour is missing, no probe leaves.
    pub(super) fn loss(&self, in_use: bool, now: Nanos, settings: &Settings) -> Option<[f64; 2]> {
        const ALL: Option<[f64; 2]> = Some([1.0, 1.0]);
        let silent_for = self.silent_for(now);
        match (self.state, self.cause) {
            (State::Unknown, Cause::Silence) if !self.is_heard_steadily(now, settings) => {
                ALL.filter(|_| !in_use || silent_for > steadiness(settings) + self.half_way())
            }
            (State::Unknown, _) if silent_for >= patience(settings) => ALL,
            // Too little for a verdict may be enough to tell which of two loses less.
            _ => self.loss.map(|ends| ends.map(|loss| loss + (1.0 - loss) * self.dead_flows)),
        }
    }

    /// How long ago the far end last answered, as far as is known here.
    pub(super) fn silent_for(&self, now: Nanos) -> Nanos {
        self.heard.map_or(Nanos::MAX, |heard| now.saturating_sub(heard))
    }

    /// How long an answer is on its way.
    pub(super) fn half_way(&self) -> Nanos {
        self.round_trip.unwrap_or(0) / 2
    }

    /// Whether all that is wrong with it is its latency.
    pub(super) fn is_merely_slow(&self) -> bool {
        self.state == State::Degraded && self.cause == Cause::Latency && !self.is_down
    }

    /// So long nothing may be heard of what is well, in nanoseconds.
    pub(super) fn lull(&self, settings: &Settings) -> Nanos {
        settings.lull() + self.half_way()
    }

    /// Whether it has been heard without a lull for as long as it must ([`steadiness`]).
    pub(super) fn is_heard_steadily(&self, now: Nanos, settings: &Settings) -> bool {
        let is_heard = self.silent_for(now) <= self.lull(settings);
        is_heard && is_over(self.heard_since, steadiness(settings), now)
    }

    /// Whether its round trip is shorter than another's by a margin that is worth a change.
    pub(super) fn is_faster_by_far(&self, other: &Self) -> bool {
        let (Some(one), Some(other)) = (self.round_trip, other.round_trip) else { return false };
        one.saturating_add(LEAST_GAIN) <= other
            && u128::from(one) * u128::from(GAIN.1) <= u128::from(other) * u128::from(GAIN.0)
    }

    /// Why it is left, where it is not fit for use.
    pub(super) const fn why_left(&self) -> Reason {
        match self.state {
            State::Unhealthy | State::Degraded => Reason::Loss,
            State::Unknown | State::Healthy => Reason::Silence,
        }
    }
}
