//! Looks at a destination again and again, at as little cost as can be.

use super::{Choice, DIRECT, Move, View};
use crate::{
    account::rtt,
    health::{self, Settings},
    verdict::{Cause, Direction, MILLISECOND, Nanos, State},
};

/// How soon a destination is looked at again once a verdict on one of its candidates has changed, in nanoseconds: what tells
/// for another one may come with its next answer. Each further look comes after twice the time...
const SOONEST: Nanos = 10 * MILLISECOND;
/// ...up to this: loss and round trips change slowly, and to find them out costs more than all else of a tick.
const LATEST: Nanos = 100 * MILLISECOND;

/// The choice for a destination, and what was seen of its candidates the last time.
#[derive(Clone, Debug)]
pub struct Lookout {
    /// The choice.
    pub choice: Choice,
    seen: Glance,
    /// When all are looked at again though no verdict has changed.
    due: Nanos,
    /// How long that was after the last look.
    pause: Nanos,
}

/// A candidate, as it is looked at.
#[derive(Clone, Copy)]
pub struct Candidate<'p> {
    /// Its verdicts and its latest round trips, once it is probed.
    pub path: Option<(&'p health::Path, &'p rtt::Recent)>,
    /// Whether its interface carries nothing: it is gone, or down.
    pub is_down: bool,
}

impl Candidate<'_> {
    fn verdict(&self) -> Option<(State, Cause)> {
        self.path.map(|(health, _)| health.verdict_of(Direction::Forward))
    }

    /// Whether it is fit for use.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.is_down && self.verdict().is_some_and(|(state, _)| state == State::Healthy)
    }

    /// All that is known of it.
    #[must_use]
    pub fn view(&self, settings: &Settings) -> View {
        let is_down = self.is_down;
        self.path.map_or(View { is_down, ..View::NEW }, |(health, recent)| {
            View::of(health, recent, is_down, settings)
        })
    }
}

impl Lookout {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(choice: Choice) -> Self {
        Self { choice, seen: Glance::default(), due: 0, pause: 0 }
    }

    /// Looks at the candidates as far as there is reason to, and chooses ([`Choice::look`]). `views` is kept for its memory.
    pub fn look<'p>(
        &mut self,
        candidates: impl Iterator<Item = Candidate<'p>> + Clone,
        isolated: bool,
        now: Nanos,
        settings: &Settings,
        views: &mut Vec<View>,
    ) -> Option<Move> {
        let is_direct = self.choice.current() == DIRECT;
        if is_direct && candidates.clone().next().is_some_and(|direct| direct.is_healthy()) {
            return None;
        }
        let seen = candidates.clone().fold(Glance::default(), Glance::add);
        let has_changed = seen != self.seen;
        // A time that is further away than it can be set was never set.
        let is_due = now >= self.due || self.due - now > LATEST;
        if !has_changed && !is_due {
            return None;
        }
        let next = if has_changed { SOONEST } else { self.pause.saturating_mul(2) };
        self.pause = next.clamp(SOONEST, LATEST);
        (self.seen, self.due) = (seen, now + self.pause);
        views.clear();
        views.extend(candidates.map(|candidate| candidate.view(settings)));
        self.choice.look(views, isolated, now, settings)
    }
}

/// The verdicts on all candidates, and which of them are down, as a number that changes if they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Glance(u64);

impl Glance {
    /// Takes in one candidate (FNV-1a).
    fn add(self, candidate: Candidate<'_>) -> Self {
        let verdict = candidate.verdict();
        let verdict = verdict.map_or(0, |(state, cause)| 1 + ((state as u64) << 4 | cause as u64));
        let code = verdict * 2 + u64::from(candidate.is_down);
        Self((self.0 ^ code).wrapping_mul(0x0100_0000_01b3))
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Lookout {
    /// Puts it into any state that its type allows.
    pub fn scramble(&mut self, random: &mut crate::random::Random) {
        self.choice.scramble(random);
        self.seen = Glance(random.bits());
        self.due = random.bits() >> random.below(64);
        self.pause = random.bits() >> random.below(64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HealthConfig, ProbeConfig};

    /// When two candidates of which nothing is known are looked at within so many ticks, in milliseconds; at some time the
    /// tunnel of the second goes down.
    fn looks(lookout: &mut Lookout, ticks: u64, down_at: u64) -> Vec<u64> {
        let settings = HealthConfig::default().settings(&ProbeConfig::default());
        let looked = |tick: &u64| {
            let now = 10 * tick;
            let candidates =
                [false, now >= down_at].map(|is_down| Candidate { path: None, is_down });
            let mut views = Vec::new();
            lookout.look(candidates.into_iter(), false, now * MILLISECOND, &settings, &mut views);
            !views.is_empty()
        };
        (0..ticks).filter(looked).map(|tick| 10 * tick).collect()
    }

    #[test]
    fn after_a_change_it_looks_at_once_and_then_ever_more_slowly() {
        let mut lookout = Lookout::new(Choice::new(None, 0));
        let expected = [0, 10, 30, 70, 150, 250, 350, 420, 430, 450, 490, 570, 670];
        assert_eq!(looks(&mut lookout, 70, 420), expected);
    }

    #[test]
    fn times_that_were_never_set_hold_nothing() {
        let choice = Choice::new(None, 0);
        let mut lookout = Lookout { due: u64::MAX, pause: u64::MAX, ..Lookout::new(choice) };
        assert_eq!(looks(&mut lookout, 30, u64::MAX), [0, 100, 200]);
    }
}
