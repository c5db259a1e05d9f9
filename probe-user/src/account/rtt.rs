//! How long an answer may take, and the distribution of round trips.

use super::PATIENCE;
use crate::{
    prefetch::prefetch,
    report::Quantiles,
    verdict::{MILLISECOND, Nanos},
};

/// The smoothed round trip of a flow and its variation, as TCP keeps them (RFC 6298, section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimator {
    pub(super) smoothed: Option<u32>,
    pub(super) variation: u32,
}

impl Estimator {
    /// Takes in one round trip, in nanoseconds.
    pub fn add(&mut self, round_trip: u32) {
        let Some(smoothed) = self.smoothed else {
            (self.smoothed, self.variation) = (Some(round_trip), round_trip / 2);
            return;
        };
        self.variation = mean(self.variation, smoothed.abs_diff(round_trip), 4);
        self.smoothed = Some(mean(smoothed, round_trip, 8));
    }

    /// After this time an answer has become improbable; at least [`PATIENCE`], at most `timeout`.
    #[must_use]
    pub fn deadline(&self, timeout: Nanos) -> Nanos {
        let Some(smoothed) = self.smoothed else { return timeout };
        let expected = Nanos::from(smoothed) + 8 * Nanos::from(self.variation) + 10 * MILLISECOND;
        expected.max(PATIENCE).min(timeout)
    }
}

/// An exponentially weighted mean, in which the new value weighs 1/`share`.
fn mean(mean: u32, new: u32, share: u64) -> u32 {
    (((share - 1) * u64::from(mean) + u64::from(new)) / share) as u32
}

/// The last round trips of a path, for quantiles, and when the peer last answered.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    nanos: Vec<u32>,
    next: usize,
    heard: Option<Nanos>,
    heard_since: Nanos,
}

impl Recent {
    /// Has the processor fetch what the next one is written to.
    pub(crate) fn fetch(&self) {
        self.nanos.get(self.next).into_iter().for_each(prefetch);
    }

    /// How many are kept.
    pub const CAPACITY: usize = 256;

    /// Takes in the round trip, in nanoseconds, of a probe that was sent then, in place of the oldest. After a time without an
    /// answer that is longer than `lull`, the peer is heard anew.
    #[inline]
    pub fn add(&mut self, sent_at: Nanos, round_trip: u32, now: Nanos, lull: Nanos) {
        let answered_at = sent_at + Nanos::from(round_trip / 2);
        // What is said to have been later than now was never so.
        let before = self.heard.filter(|at| *at <= now);
        if before.is_none_or(|before| answered_at > before + lull) {
            self.heard_since = answered_at;
        }
        self.heard = before.max(Some(answered_at));
        if self.nanos.len() < Self::CAPACITY {
            self.nanos.push(round_trip);
        } else {
            self.nanos[self.next] = round_trip;
            self.next = (self.next + 1) % Self::CAPACITY;
        }
    }

    /// When the peer answered the latest probe that was answered: half of a round trip before the answer came. `None` before
    /// the first.
    #[must_use]
    pub const fn heard(&self) -> Option<Nanos> {
        self.heard
    }

    /// Since when it has answered without a lull.
    #[must_use]
    pub const fn heard_since(&self) -> Nanos {
        self.heard_since
    }

    /// Their median in nanoseconds; `None` before the first.
    #[must_use]
    pub fn median(&self) -> Option<Nanos> {
        let mut nanos = [0; Self::CAPACITY];
        let nanos = &mut nanos[..self.nanos.len()];
        nanos.copy_from_slice(&self.nanos);
        let middle = nanos.len().checked_sub(1)? / 2;
        Some(u64::from(*nanos.select_nth_unstable(middle).1))
    }

    /// Their quantiles; `None` before the first.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let mut sorted = self.nanos.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|nanos| f64::from(*nanos) / 1e3)
        };
        Some(Quantiles { min: at(0)?, p50: at(50)?, p99: at(99)?, max: at(100)? })
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Recent {
    /// Puts it into any state that its type allows.
    pub fn scramble(&mut self, random: &mut crate::random::Random) {
        self.nanos =
            (0..random.below(Self::CAPACITY as u64 + 1)).map(|_| random.bits() as u32).collect();
        self.next = random.below(Self::CAPACITY as u64) as usize;
        self.heard = random.chance(0.7).then(|| random.bits() >> random.below(64));
        self.heard_since = random.bits() >> random.below(64);
    }
}

/// The upper bounds of the histogram's buckets, in seconds: from a rack to the far side of the world.
pub const BOUNDS: [f64; 16] = [
    25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 200e-3,
    300e-3, 500e-3, 1.0,
];

/// The same in nanoseconds.
const NANOS: [u32; BOUNDS.len()] = {
    let mut nanos = [0; BOUNDS.len()];
    let mut index = 0;
    while index < nanos.len() {
        nanos[index] = (BOUNDS[index] * 1e9 + 0.5) as u32;
        index += 1;
    }
    nanos
};

/// Times since the start, of round trips most of all, for Prometheus.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many are in each bucket of [`BOUNDS`], and in one behind the last; not cumulative.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Their sum in nanoseconds: of a large region, more within days than a whole number holds.
    pub sum: f64,
}

impl Histogram {
    /// Takes in one, in nanoseconds.
    #[inline]
    pub fn add(&mut self, nanos: u32) {
        let bucket = NANOS.partition_point(|bound| *bound < nanos);
        self.counts[bucket] += 1;
        self.sum += f64::from(nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_round_trip_an_answer_has_all_the_time() {
        assert_eq!(Estimator::default().deadline(1_000 * MILLISECOND), 1_000 * MILLISECOND);
    }

    #[test]
    fn a_steady_flow_is_given_the_floor_and_a_slow_one_its_own_time() {
        let (mut near, mut far) = (Estimator::default(), Estimator::default());
        for _ in 0..100 {
            near.add(1_000_000);
            far.add(250_000_000);
        }
        assert_eq!(near.deadline(1_000 * MILLISECOND), PATIENCE);
        let deadline = far.deadline(1_000 * MILLISECOND) / MILLISECOND;
        assert!((260..270).contains(&deadline), "{deadline} ms");
        assert_eq!(far.deadline(200 * MILLISECOND), 200 * MILLISECOND, "never beyond the timeout");
    }

    /// The present, in nanoseconds.
    const NOW: Nanos = 1_000_000_000_000;
    /// In nanoseconds.
    const LULL: Nanos = 200 * MILLISECOND;

    #[test]
    fn quantiles_of_the_last_round_trips() {
        let mut recent = Recent::default();
        assert_eq!(recent.quantiles(), None);
        for i in 0..1_000 {
            recent.add(u64::from(i) * 1_000_000, i * 1_000, NOW, LULL);
        }
        assert_eq!(recent.heard(), Some(999 * 1_000_000 + 999_000 / 2));
        let quantiles = recent.quantiles().unwrap();
        assert_eq!((quantiles.min, quantiles.max), (744.0, 999.0));
        assert_eq!((quantiles.p50, quantiles.p99), (871.0, 997.0));
    }

    /// Probes are judged flow by flow, and so an older one may come later.
    #[test]
    fn the_latest_answer_is_the_latest_whatever_comes_after_it() {
        let mut recent = Recent::default();
        for (sent_at, heard, since) in [
            (2_000, 2_050, 2_050),
            (1_000, 2_050, 2_050),
            (2_000 + LULL, 2_050 + LULL, 2_050),
            (2_001 + 2 * LULL, 2_051 + 2 * LULL, 2_051 + 2 * LULL),
        ] {
            recent.add(sent_at, 100, NOW, LULL);
            assert_eq!((recent.heard(), recent.heard_since()), (Some(heard), since));
        }
        recent.heard = Some(NOW + 1);
        recent.add(1_000, 100, NOW, LULL);
        assert_eq!((recent.heard(), recent.heard_since()), (Some(1_050), 1_050));
    }

    #[test]
    fn a_bucket_holds_its_upper_bound() {
        let mut histogram = Histogram::default();
        for nanos in [25_000, 25_001, 1_000_000_000, u32::MAX] {
            histogram.add(nanos);
        }
        assert_eq!(histogram.counts[..2], [1, 1]);
        assert_eq!(histogram.counts[15..], [1, 1]);
    }
}
