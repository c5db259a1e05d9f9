//! One direction of a path.

use super::Settings;
use crate::{
    report::Evidence,
    verdict::{Cause, Nanos, State},
};

/// What the last probes of one direction say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The last probes, the newest in bit 0; a set bit is a lost one.
    lost: u128,
    /// How many of the bits mean something.
    probes: u32,
    /// Probes in a row that passed.
    passes_in_a_row: u32,
    /// Probes in a row of which nothing can be said, because the peer is silent.
    silences_in_a_row: u32,
    evidence_at: Option<Nanos>,
    state: State,
    cause: Cause,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            lost: 0,
            probes: 0,
            passes_in_a_row: 0,
            silences_in_a_row: 0,
            evidence_at: None,
            state: State::Unknown,
            cause: Cause::Starting,
        }
    }
}

impl Track {
    /// The longest window.
    pub const MAX_WINDOW: u32 = u128::BITS;

    /// The verdict and its cause, as of the last [`Track::judge`].
    #[must_use]
    pub const fn state(&self) -> (State, Cause) {
        (self.state, self.cause)
    }

    /// When the newest evidence came.
    #[must_use]
    pub const fn evidence_at(&self) -> Option<Nanos> {
        self.evidence_at
    }

    /// All probes that are remembered.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let lost = self.lost.count_ones();
        let loss_ratio = (self.probes > 0).then(|| f64::from(lost) / f64::from(self.probes));
        Evidence { probes: self.probes, lost, loss_ratio }
    }

    /// A probe passed.
    pub fn pass(&mut self, now: Nanos, settings: &Settings) {
        self.remember(0);
        // Clamped: nothing that was before may make the way back any longer or shorter than this.
        self.passes_in_a_row = (self.passes_in_a_row + 1).min(settings.recovery_probes);
        self.silences_in_a_row = 0;
        self.evidence_at = Some(now);
    }

    /// A probe was lost.
    pub fn fail(&mut self, now: Nanos) {
        self.remember(1);
        self.passes_in_a_row = 0;
        self.silences_in_a_row = 0;
        self.evidence_at = Some(now);
    }

    /// There is a sign of life, though no probe of ours.
    pub const fn alive(&mut self, now: Nanos) {
        self.evidence_at = Some(now);
    }

    /// Nothing can be said of a probe.
    pub const fn silence(&mut self) {
        self.passes_in_a_row = 0;
        self.silences_in_a_row = self.silences_in_a_row.saturating_add(1);
    }

    /// The last loss was none: the probe passed, and with it the row that it seemed to end goes on.
    pub fn forgive(&mut self) {
        self.lost &= self.lost.wrapping_sub(1);
        let row = self.lost.trailing_zeros().min(self.probes);
        self.passes_in_a_row = self.passes_in_a_row.max(row);
    }

    /// Decides.
    pub fn judge(&mut self, now: Nanos, settings: &Settings) {
        let expired = self.evidence_at.is_none_or(|at| now.saturating_sub(at) > settings.expiry);
        let lost = (self.lost & mask(settings.window)).count_ones();
        let (state, cause) = if self.silences_in_a_row >= settings.unhealthy_losses {
            (State::Unknown, Cause::Silence)
        } else if expired {
            match self.cause {
                Cause::Starting | Cause::Silence => (State::Unknown, self.cause),
                _ => (State::Unknown, Cause::Expired),
            }
        } else if self.passes_in_a_row >= settings.recovery_probes {
            (State::Healthy, Cause::Passing)
        } else if lost >= settings.unhealthy_losses {
            (State::Unhealthy, Cause::Loss)
        } else {
            (self.state, self.cause)
        };
        if state != self.state {
            self.forget(state, settings);
        }
        (self.state, self.cause) = (state, cause);
    }

    /// A new verdict rests on new evidence; that of loss begins with the first loss of the window.
    fn forget(&mut self, state: State, settings: &Settings) {
        match state {
            State::Healthy => (self.lost, self.probes) = (0, 0),
            State::Unknown => (self.lost, self.probes, self.passes_in_a_row) = (0, 0, 0),
            State::Degraded | State::Unhealthy => {
                self.lost &= mask(settings.window);
                self.probes = u128::BITS - self.lost.leading_zeros();
            }
        }
    }

    fn remember(&mut self, lost: u128) {
        self.lost = (self.lost << 1) | lost;
        self.probes = (self.probes + 1).min(Self::MAX_WINDOW);
    }
}

const fn mask(window: u32) -> u128 {
    if window >= u128::BITS { u128::MAX } else { (1 << window) - 1 }
}

#[cfg(test)]
pub(crate) mod arbitrary {
    use super::{Cause, State, Track};

    /// A track in any state that its type allows, from a stream of numbers.
    pub(crate) fn track(mut next: impl FnMut() -> u64) -> Track {
        let causes = [Cause::Starting, Cause::Passing, Cause::Loss, Cause::Silence, Cause::Expired];
        Track {
            lost: u128::from(next()) << 64 | u128::from(next()),
            probes: (next() % 129) as u32,
            passes_in_a_row: next() as u32 >> 1,
            silences_in_a_row: next() as u32,
            evidence_at: next().is_multiple_of(2).then(&mut next),
            state: State::ALL[(next() % 4) as usize],
            cause: causes[(next() % 5) as usize],
        }
    }
}
