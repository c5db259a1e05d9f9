//! Quantiles over any number of values, in bounded memory.

use std::collections::BTreeMap;

use crate::report::Quantiles;

/// Significant bits that are kept of a value's distance from the first one: 1 part in 1,024.
const PRECISION: u32 = 10;

/// The distribution of times in nanoseconds, negative ones among them.
///
/// Values are kept by their distance from an origin, with ten bits of it, so that there are at
/// most some ten thousand different ones. The extremes are exact.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// `None` where the first value is to be it.
    origin: Option<i64>,
    counts: BTreeMap<i64, u64>,
    extremes: Option<(i64, i64)>,
    total: u64,
}

impl Distribution {
    /// A distribution of times whose size counts.
    #[must_use]
    pub fn from_zero() -> Self {
        Self { origin: Some(0), ..Self::from_first() }
    }

    /// A distribution of times whose differences from the first one count: that of one-way delays, however
    /// far apart the two clocks are.
    #[must_use]
    pub const fn from_first() -> Self {
        Self { origin: None, counts: BTreeMap::new(), extremes: None, total: 0 }
    }

    /// Takes in one value, in nanoseconds.
    pub fn add(&mut self, nanos: i64) {
        let origin = *self.origin.get_or_insert(nanos);
        *self.counts.entry(rounded(nanos.saturating_sub(origin))).or_default() += 1;
        let (least, most) = self.extremes.unwrap_or((nanos, nanos));
        self.extremes = Some((least.min(nanos), most.max(nanos)));
        self.total += 1;
    }

    /// The value of which this percentage of all are at most as large, in nanoseconds.
    fn percentile(&self, percent: u64) -> Option<i64> {
        let (origin, (least, most)) = (self.origin?, self.extremes?);
        let rank = (u128::from(self.total) * u128::from(percent)).div_ceil(100).max(1);
        let mut below = 0;
        let found = self.counts.iter().find(|(_, count)| {
            below += u128::from(**count);
            below >= rank
        });
        found.map(|(distance, _)| origin.saturating_add(*distance).clamp(least, most))
    }

    /// Minimum, median, 99th percentile and maximum, in microseconds; `None` before the first value.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let (least, most) = self.extremes?;
        let micros = |nanos: i64| nanos as f64 / 1e3;
        let [p50, p99] = [self.percentile(50)?, self.percentile(99)?].map(micros);
        Some(Quantiles { min: micros(least), p50, p99, max: micros(most) })
    }
}

/// The middle of all values that have the same sign and the same first bits.
const fn rounded(value: i64) -> i64 {
    let magnitude = value.unsigned_abs();
    let bits = u64::BITS - magnitude.leading_zeros();
    if bits <= PRECISION {
        return value;
    }
    let dropped = bits - PRECISION;
    let middle = (magnitude >> dropped << dropped) | 1 << (dropped - 1);
    // Below 2^63 + 2^53: only the most negative value has its magnitude outside.
    let middle = if middle > i64::MAX as u64 { i64::MAX } else { middle as i64 };
    if value < 0 { -middle } else { middle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_many_values() {
        let mut round_trips = Distribution::from_zero();
        assert_eq!(round_trips.quantiles(), None);
        for micros in 1..=1_000_000 {
            round_trips.add(micros * 1_000);
        }
        let Quantiles { min, p50, p99, max } = round_trips.quantiles().unwrap();
        assert_eq!((min, max), (1.0, 1e6));
        assert!((p50 / 500_000.0 - 1.0).abs() < 1e-3, "{p50}");
        assert!((p99 / 990_000.0 - 1.0).abs() < 1e-3, "{p99}");
        assert!(round_trips.counts.len() < 15_000, "{}", round_trips.counts.len());
    }

    #[test]
    fn one_value_is_all_of_its_quantiles() {
        let mut one = Distribution::from_zero();
        one.add(123_456_789);
        let micros = 123_456.789;
        let expected = Quantiles { min: micros, p50: micros, p99: micros, max: micros };
        assert_eq!(one.quantiles(), Some(expected));
    }

    /// Two clocks that are 37 s apart do not blur a variation of microseconds.
    #[test]
    fn a_great_offset_leaves_the_variation() {
        for offset in [37_000_000_000, -37_000_000_000] {
            let mut delays = Distribution::from_first();
            for nanos in 0..1_000 {
                delays.add(offset + nanos);
            }
            let p50 = delays.quantiles().unwrap().p50 * 1e3 - offset as f64;
            assert!((p50 - 499.0).abs() < 2.0, "{p50} ns");
        }
    }

    #[test]
    fn rounding_keeps_sign_and_size() {
        for value in [0, 1, -1, 1_023, 1_024, -1_025, 1 << 40, i64::MAX, i64::MIN] {
            let off = rounded(value).saturating_sub(value).unsigned_abs();
            assert!(off as f64 <= value.unsigned_abs() as f64 / 1_024.0, "{value}: {off}");
        }
    }
}
