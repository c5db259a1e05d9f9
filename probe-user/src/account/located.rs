//! Where losses are, for those of which nothing tells it.

use super::{Lost, visits::Visits};

/// Where a probe was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// On which way.
    pub lost: Lost,
    /// Only because others were lost there. A guess must not confirm itself.
    pub guessed: bool,
}

impl Place {
    /// What numbers or the peer's own probes tell.
    #[must_use]
    pub const fn known(lost: Lost) -> Self {
        Self { lost, guessed: false }
    }
}

/// Where the latest losses were whose place is known: forward and reverse.
#[derive(Clone, Copy, Debug, Default)]
pub struct Located {
    pub(super) forward: u32,
    pub(super) reverse: u32,
    /// Answers and guesses since the last of them.
    pub(super) age: u32,
}

impl Located {
    /// How many are remembered.
    const ENOUGH: u32 = 64;
    /// After so many answers and guesses they say nothing any more.
    const FORGOTTEN: u32 = 256;

    /// A probe was answered, or its loss guessed at, which tells nothing of where losses are.
    pub(super) const fn grow_older(&mut self) {
        self.age = self.age.saturating_add(1);
        if self.age >= Self::FORGOTTEN {
            *self = Self { forward: 0, reverse: 0, age: 0 };
        }
    }

    /// A probe was lost there.
    pub(super) const fn lost(&mut self, place: Place) {
        let count = match place {
            Place { guessed: true, .. } => return self.grow_older(),
            Place { lost: Lost::Unknown, .. } => return,
            Place { lost: Lost::Forward, .. } => &mut self.forward,
            Place { lost: Lost::Reverse | Lost::Silent, .. } => &mut self.reverse,
        };
        *count = count.saturating_add(1);
        self.age = 0;
        if self.forward.saturating_add(self.reverse) > Self::ENOUGH {
            (self.forward, self.reverse) = (self.forward / 2, self.reverse / 2);
        }
    }

    /// Whether hardly any is known.
    pub(super) const fn is_open(&self) -> bool {
        self.forward.saturating_add(self.reverse) < 2
    }

    /// Where a loss was of which nothing is known: as the others, if almost all of them agree. Otherwise heavy loss one
    /// way would be blamed on both. That it was on the way back does not make it arrive there: of that it says nothing.
    pub(super) const fn guess(&self) -> Place {
        let lost = match (self.forward, self.reverse) {
            (forward, reverse) if forward >= 2 && reverse <= forward / 8 => Lost::Forward,
            (forward, reverse) if reverse >= 2 && forward <= reverse / 8 => Lost::Silent,
            _ => Lost::Unknown,
        };
        Place { lost, guessed: true }
    }
}

/// All that tells where a flow's probes were lost besides its own answers.
#[derive(Debug)]
pub(super) struct Clues<'a> {
    /// What the whole path's silence means, if it is silent.
    pub(super) silence: Option<Place>,
    /// Where the path's losses were whose place is known.
    pub(super) located: &'a mut Located,
    pub(super) visits: &'a Visits,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(forward: u32, reverse: u32) -> Located {
        let mut located = Located::default();
        (0..forward).for_each(|_| located.lost(Place::known(Lost::Forward)));
        (0..reverse).for_each(|_| located.lost(Place::known(Lost::Reverse)));
        located
    }

    #[test]
    fn a_guess_follows_what_almost_all_losses_agree_on() {
        for (forward, reverse, expected) in [
            (0, 0, Lost::Unknown),
            (1, 0, Lost::Unknown),
            (2, 0, Lost::Forward),
            (4, 1, Lost::Unknown),
            (32, 4, Lost::Forward),
            (0, 2, Lost::Silent),
            (4, 32, Lost::Silent),
            (20, 20, Lost::Unknown),
        ] {
            assert_eq!(located(forward, reverse).guess().lost, expected, "{forward} {reverse}");
        }
    }

    #[test]
    fn a_guess_does_not_confirm_itself() {
        let mut located = located(0, 4);
        for age in 0..Located::FORGOTTEN {
            let guess = located.guess();
            assert_eq!(guess.lost, Lost::Silent, "after {age} guesses");
            located.lost(guess);
        }
        // With nothing but guesses, what they rest on grows old.
        assert_eq!(located.guess().lost, Lost::Unknown);
    }

    #[test]
    fn what_changes_is_believed_after_a_while() {
        let mut located = located(10_000, 0);
        (0..Located::ENOUGH * 4).for_each(|_| located.lost(Place::known(Lost::Reverse)));
        assert_eq!(located.guess().lost, Lost::Silent);
    }
}
