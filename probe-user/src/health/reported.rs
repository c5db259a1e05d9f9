//! What is reported of a direction, and how it changes.

use super::{isolation::INSTANT, track::Track};
use crate::{
    report::Transitions,
    verdict::{Cause, Nanos, State},
};

/// A direction's own track, and what is reported once its flows are looked at too.
#[derive(Clone, Debug)]
pub(super) struct Reported {
    pub track: Track,
    pub state: State,
    pub cause: Cause,
    pub since: Nanos,
    pub transitions: Transitions,
    /// How many of its flows were sick at the last tick, and what those have lost since that are: while that is 0, a tick
    /// need not look at the flows.
    pub sick_flows: usize,
    /// Flows alone have made it bad, and it has not been healthy since.
    pub by_flows: bool,
}

impl Reported {
    /// Nothing is known of it yet.
    pub(super) fn unknown(now: Nanos) -> Self {
        Self {
            track: Track::default(),
            state: State::Unknown,
            cause: Cause::Starting,
            since: now,
            transitions: Transitions::default(),
            sick_flows: 0,
            by_flows: false,
        }
    }

    /// Reports what the direction is now. Returns the verdicts before and after, if that has changed them.
    pub(super) fn change(
        &mut self,
        (state, cause): (State, Cause),
        isolated: bool,
        recovered: bool,
        now: Nanos,
    ) -> Option<(State, State)> {
        let (from, because) = (self.state, self.cause);
        self.by_flows |= cause == Cause::FlowLoss;
        if state != from {
            (self.state, self.since, self.cause) = (state, now, cause);
            self.transitions.count(state);
        } else if state != State::Unhealthy || because != Cause::Isolated {
            // Why a node that is cut off has called something unhealthy does not change: connected again, it blames nobody.
            self.cause = cause;
        }
        if state == State::Healthy {
            self.track.damping.resume(now);
        }
        // What has failed in the same instant has failed for the same reason, also where it was seen a little earlier.
        let at_once = now.saturating_sub(self.since) < INSTANT;
        if isolated && state == State::Unhealthy && at_once {
            self.cause = Cause::Isolated;
        }
        if state == from {
            return None;
        }
        if state == State::Healthy {
            self.doubt_recovery(recovered, now);
        }
        Some((from, state))
    }

    /// It has become healthy: what [`Track::judge`] could not know of how doubtful that is. `recovered` is whether the track
    /// has come from an alarm of its own.
    fn doubt_recovery(&mut self, recovered: bool, now: Nanos) {
        if std::mem::take(&mut self.by_flows) && !recovered {
            // What flows lose is never unmistakable for the path.
            self.track.damping.recover(now, false);
        }
    }
}
