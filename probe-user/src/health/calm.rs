//! When a tick cannot change a path: most of the time. Of a path that is calm, no more than that is looked at, which is what
//! makes ten thousand of them affordable. It is derived from the rest, and changes nothing but the cost.

use super::{Path, Settings, reported::Reported};
use crate::verdict::{Cause, Direction, Nanos, State};

/// Since when and until when a path is calm unless an outcome comes: the newest and the oldest evidence of its directions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calm {
    newest: Nanos,
    oldest: Nanos,
}

impl Path {
    /// Whether it is healthy, nothing speaks against that, and no tick at this time would change anything.
    #[inline]
    #[must_use]
    pub fn is_calm(&self, now: Nanos, settings: &Settings) -> bool {
        self.calm.is_some_and(|Calm { newest, oldest }| {
            let age = now.checked_sub(oldest);
            newest <= now && age.is_some_and(|age| age <= settings.expiry)
        })
    }

    /// Until when it is calm, if it is calm now.
    pub(super) fn calm_until(&self, now: Nanos, settings: &Settings) -> Option<Nanos> {
        let calm = self.calm.filter(|_| self.is_calm(now, settings))?;
        Some(calm.oldest.saturating_add(settings.expiry))
    }

    /// The verdicts on both directions, and why.
    #[inline]
    #[must_use]
    pub fn verdicts(&self, now: Nanos, settings: &Settings) -> [(State, Cause); 2] {
        if self.is_calm(now, settings) {
            return [(State::Healthy, Cause::Passing); 2];
        }
        Direction::ALL.map(|direction| self.verdict_of(direction))
    }

    /// Looks whether it is calm from now on.
    pub(super) fn calm_down(&mut self, settings: &Settings) {
        let [forward, reverse] = &self.directions;
        let of_directions = quiet(forward, settings).zip(quiet(reverse, settings));
        let is_slow = self.latency.is_slow();
        self.calm = of_directions.filter(|_| !is_slow).map(|(forward, reverse)| Calm {
            newest: forward.max(reverse),
            oldest: forward.min(reverse),
        });
    }
}

/// The evidence of a direction that is healthy, with nothing that grows, fades or ends by time alone but that evidence, and
/// nothing that speaks against it.
fn quiet(reported: &Reported, settings: &Settings) -> Option<Nanos> {
    let Reported { track, state, cause, transitions, .. } = reported;
    let is_healthy = (*state, *cause) == (State::Healthy, Cause::Passing)
        && transitions.healthy > 0
        && (track.fit, track.alarmed) == (true, false);
    let is_failing = track.silences > 0 || track.bank.is_breaking_down(&settings.path);
    let remembers = track.damping.doublings > 0
        || track.damping.recovered_at.is_some()
        || track.hushed_until > 0;
    track.evidence_at.filter(|_| is_healthy && !is_failing && !remembers)
}

#[cfg(test)]
mod tests;
