//! Looks at a destination again and again, at as little cost as can be.

use super::{Choice, DIRECT, Move, View};
use crate::{
    account::rtt,
    health::{self, Settings},
    verdict::{Cause, Direction, MILLISECOND, Nanos, State},
};

/// How often a destination is looked at of whose candidates no verdict changes, in nanoseconds: loss and round trips change
/// slowly, and to find them out costs more than all else of a tick.
const LOOK: Nanos = 100 * MILLISECOND;

/// The choice for a destination, and what was seen of its candidates the last time.
#[derive(Clone, Debug)]
pub struct Lookout {
    /// The choice.
    pub choice: Choice,
    seen: Glance,
    /// When all are looked at again though no verdict has changed.
    due: Nanos,
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
        Self { choice, seen: Glance::default(), due: 0 }
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
        // A time that is further away than it can be set was never set.
        let is_due = now >= self.due || self.due - now > LOOK;
        if seen == self.seen && !is_due {
            return None;
        }
        (self.seen, self.due) = (seen, now + LOOK);
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
        let code = candidate.verdict().map_or(0, |(state, cause)| {
            1 + ((state as u64) << 4 | cause as u64) * 2 + u64::from(candidate.is_down)
        });
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
    }
}
