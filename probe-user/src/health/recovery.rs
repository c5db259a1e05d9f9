//! The test in the other direction: when losses have ended.
//!
//! A pass adds one; a loss takes away so much that the count stands still in the long run where just what is accepted
//! is lost. Short recoveries are therefore nothing but "so many in a row", while a long one, of a direction that is
//! held back, ends only where less is lost. The count stops at what is needed: nothing before can make it longer.

/// Clean probes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The count of the test.
    pub(super) clean: u32,
    /// Probes in a row that passed.
    pub(super) row: u32,
    /// What the last loss has taken away from both.
    pub(super) taken: (u32, u32),
}

impl Recovery {
    /// A probe passed; `enough` is where the count ends.
    #[inline]
    pub fn pass(&mut self, enough: u32) {
        self.clean = self.clean.saturating_add(1).min(enough);
        self.row = self.row.saturating_add(1);
    }

    /// A probe was lost.
    #[inline]
    pub fn lose(&mut self, penalty: u32) {
        self.taken = (self.clean.min(penalty), self.row);
        self.clean -= self.taken.0;
        self.row = 0;
    }

    /// The last loss was none: the probe passed, and the row that it seemed to end goes on.
    pub fn take_back(&mut self, enough: u32) {
        let (clean, row) = std::mem::take(&mut self.taken);
        self.clean = self.clean.saturating_add(clean).saturating_add(1).min(enough);
        self.row = self.row.saturating_add(row).saturating_add(1);
    }

    /// What passed before an alarm does not count after it.
    pub const fn restart(&mut self) {
        (self.clean, self.taken.0) = (0, 0);
    }

    /// Of the row, no more than so many count.
    pub fn shorten(&mut self, row: u32) {
        self.row = self.row.min(row);
        self.taken.1 = self.taken.1.min(row);
    }

    /// How many are missing to so many.
    #[must_use]
    pub const fn missing(&self, enough: u32) -> u32 {
        enough.saturating_sub(self.clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_taken_back_does_not_bring_back_a_row_that_was_cut_short() {
        let mut recovery = Recovery::default();
        (0..100).for_each(|_| recovery.pass(60));
        recovery.lose(99);
        recovery.shorten(2);
        recovery.take_back(60);
        assert_eq!((recovery.clean, recovery.row), (60, 3));
    }
}
