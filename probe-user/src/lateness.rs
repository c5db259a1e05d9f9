//! How late something began that is to begin at set times. Pure.

use crate::verdict::Nanos;

/// The upper bounds of the buckets in seconds; behind them is one without.
pub const BOUNDS: [f64; 10] = [0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0];

/// The distribution since the agent began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lateness {
    /// How many are in each bucket and in none before it.
    pub counts: [u64; BOUNDS.len() + 1],
    /// The sum of all, in seconds.
    pub sum: f64,
}

impl Lateness {
    /// Takes in what was due and has begun, both in nanoseconds of one clock.
    pub fn add(&mut self, due: Nanos, begun: Nanos) {
        let late = begun.saturating_sub(due) as f64 / 1e9;
        let bucket = BOUNDS.iter().position(|bound| late <= *bound).unwrap_or(BOUNDS.len());
        self.counts[bucket] += 1;
        self.sum += late;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{MILLISECOND, SECOND};

    #[test]
    fn each_goes_into_the_first_bucket_that_holds_it() {
        let mut lateness = Lateness::default();
        for late in [0, MILLISECOND, 2 * SECOND] {
            lateness.add(SECOND, SECOND + late);
        }
        lateness.add(SECOND, 0);
        assert_eq!(lateness.counts, [2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!((lateness.sum - 2.001).abs() < 1e-9, "{}", lateness.sum);
    }
}
