//! Arbitrary choices, for the simulator: whatever was chosen, and whenever that is said to have been.

use super::{Choice, Reason};
use crate::random::Random;

impl Choice {
    /// Puts the choice into any state that its type allows: places that do not exist, times that have not come yet.
    pub fn scramble(&mut self, random: &mut Random) {
        // Most often one that there may be.
        self.current =
            (random.bits() as usize) >> if random.chance(0.8) { 61 } else { random.below(64) };
        self.reason = [
            Reason::Start,
            Reason::Adopted,
            Reason::Direct,
            Reason::Loss,
            Reason::Silence,
            Reason::Latency,
            Reason::Down,
            Reason::LeastBad,
        ][random.below(8) as usize];
        self.since = random.bits() >> random.below(64);
        self.begun = random.bits() >> random.below(64);
        self.moves = random.bits() >> random.below(64);
    }
}
