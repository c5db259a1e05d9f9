//! The sequential test: a bank of one-sided CUSUM statistics.
//!
//! Page's CUSUM adds up the log-likelihood ratio of every probe, "the loss is `alternative`" against "the loss is
//! what is accepted", and never falls below zero. Divided by what a pass takes away, it is a leaky counter in
//! whole numbers: **a loss adds `gain`, a pass takes one away**, and at `threshold` the test raises its alarm.
//! A lost probe out of a hundred is what the gain of 80 (alternative 1.5 %) just does not add up.
//!
//! Several alternatives run side by side, because a test is at its best only near its own: the one for 99 %
//! sees a blackhole after five probes and 5 % never, the one for 1.5 % the other way round.
//! Where thresholds come from is in [`super::threshold`].

/// How many tests a bank has.
pub const TESTS: usize = 8;

/// The odds of the alternatives, as multiples of the accepted loss's odds, but for the last one, which is as far
/// from certain loss as the accepted loss is from none. At 1 % accepted these are 1.5, 2.5, 5, 10, 20, 35,
/// 60 and 99 % loss.
const ODDS: [f64; TESTS - 1] = [1.51, 2.54, 5.2, 11.0, 24.8, 53.3, 149.0];

/// The first of the tests for heavy loss, 35 % and more where 1 % is accepted. They forget within some tens of passes.
const HEAVY: usize = 5;

/// What the tests of a bank are set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tests {
    /// What a loss adds; at least 1. A pass takes 1 away.
    pub gains: [i32; TESTS],
    /// Where the alarm is raised; at least 1.
    pub thresholds: [i32; TESTS],
}

/// The statistics of a bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bank {
    /// As of the last time that passes were taken off.
    pub(super) statistics: [i32; TESTS],
    /// Passes since then, which [`Bank::settle`] takes off: almost all probes pass, and one number is counted sooner than
    /// eight.
    pub(super) passes: i32,
}

impl Bank {
    /// So many passes are put off at most.
    pub(super) const UNSETTLED: i32 = 1_024;

    /// A probe passed.
    #[inline]
    pub fn pass(&mut self) {
        if self.passes >= Self::UNSETTLED {
            self.settle();
        }
        self.passes += 1;
    }

    /// So many probes passed.
    pub fn pass_all(&mut self, probes: u32) {
        self.passes = self.passes.saturating_add(i32::try_from(probes).unwrap_or(i32::MAX));
    }

    /// Takes the passes off.
    pub(super) fn settle(&mut self) {
        for statistic in &mut self.statistics {
            *statistic = (*statistic - self.passes).max(0);
        }
        self.passes = 0;
    }

    /// A probe was lost. Statistics stop at their thresholds: nothing that was before an alarm can outlast it.
    #[inline]
    pub fn lose(&mut self, tests: &Tests) {
        self.settle();
        for (test, statistic) in self.statistics.iter_mut().enumerate() {
            *statistic = (*statistic + tests.gains[test]).min(tests.thresholds[test]);
        }
    }

    /// A loss that was counted was none: the probe passed.
    pub fn take_back(&mut self, tests: &Tests) {
        self.settle();
        for (statistic, gain) in self.statistics.iter_mut().zip(tests.gains) {
            *statistic = (*statistic - gain - 1).max(0);
        }
    }

    /// The first test that has reached its threshold: that of the least loss.
    #[inline]
    #[must_use]
    pub fn alarm(&self, tests: &Tests) -> Option<usize> {
        let mut pairs = self.statistics.iter().zip(tests.thresholds);
        pairs.position(|(have, needed)| *have - self.passes >= needed)
    }

    /// Whether any test is half-way to its alarm.
    #[inline]
    #[must_use]
    pub fn is_near_alarm(&self, tests: &Tests) -> bool {
        self.is_half_way(tests, 0)
    }

    /// Whether a test for heavy loss is: something breaks down in this moment.
    #[inline]
    #[must_use]
    pub fn is_breaking_down(&self, tests: &Tests) -> bool {
        self.is_half_way(tests, HEAVY)
    }

    #[inline]
    fn is_half_way(&self, tests: &Tests, first: usize) -> bool {
        let pairs = self.statistics[first..].iter().zip(&tests.thresholds[first..]);
        // No history leads beyond a threshold, but an arbitrary state may. All are compared, without a branch.
        pairs.fold(false, |any, (have, needed)| {
            any | (2 * (have.min(needed) - self.passes) >= *needed)
        })
    }
}

/// The loss ratios that the tests of a bank look for, 0 to 1, in ascending order.
#[must_use]
pub fn alternatives(accepted: f64) -> [f64; TESTS] {
    let odds = accepted / (1.0 - accepted);
    let mut all = [1.0 - accepted; TESTS];
    for (alternative, multiple) in all.iter_mut().zip(ODDS) {
        let odds = odds * multiple;
        *alternative = (odds / (1.0 + odds)).min(1.0 - accepted);
    }
    all
}

/// What a loss adds in the test of an alternative: the ratio of both log-likelihood ratios, in whole numbers.
#[must_use]
pub fn gain(accepted: f64, alternative: f64) -> i32 {
    let loss = (alternative / accepted).ln();
    let pass = ((1.0 - accepted) / (1.0 - alternative)).ln();
    (loss / pass).round().max(1.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Tests = Tests { gains: [3; TESTS], thresholds: [5, 7, 9, 9, 9, 9, 9, 9] };

    #[test]
    fn a_loss_adds_the_gain_a_pass_takes_one_away_and_both_ends_are_clamped() {
        let mut bank = Bank::default();
        bank.pass();
        bank.settle();
        assert_eq!(bank.statistics, [0; TESTS]);
        bank.lose(&TWO);
        bank.pass();
        bank.settle();
        assert_eq!(bank.statistics, [2; TESTS]);
        assert_eq!(bank.alarm(&TWO), None);
        bank.lose(&TWO);
        assert_eq!(bank.statistics[..3], [5, 5, 5]);
        assert_eq!(bank.alarm(&TWO), Some(0));
        (0..100).for_each(|_| bank.lose(&TWO));
        assert_eq!(bank.statistics, TWO.thresholds);
        assert!(bank.is_near_alarm(&TWO));
    }

    #[test]
    fn what_is_taken_back_counts_as_a_pass() {
        let (mut bank, mut passed) = (Bank::default(), Bank::default());
        for bank in [&mut bank, &mut passed] {
            bank.lose(&TWO);
        }
        bank.lose(&TWO);
        bank.take_back(&TWO);
        passed.pass();
        passed.settle();
        assert_eq!(bank.statistics[2..], passed.statistics[2..]);
    }

    #[test]
    fn at_one_percent_the_alternatives_are_those_of_the_documentation() {
        let percent = alternatives(0.01).map(|ratio| (1000.0 * ratio).round() / 10.0);
        assert_eq!(percent, [1.5, 2.5, 5.0, 10.0, 20.0, 35.0, 60.1, 99.0]);
        let gains = alternatives(0.01).map(|alternative| gain(0.01, alternative));
        assert_eq!(gains, [80, 60, 39, 24, 14, 8, 5, 1]);
    }
}
