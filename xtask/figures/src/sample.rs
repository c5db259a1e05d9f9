//! Measured values, their unit, and how the two are written.

use serde::{Deserialize, Serialize};

/// What a value is measured in. Values are kept in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds, shown with a prefix.
    Seconds,
    /// Octets, shown with a binary prefix.
    Octets,
    /// Times as much as something else.
    Times,
    /// A share of 1, shown in percent.
    Share,
    /// Events in a second.
    PerSecond,
    /// A number of things, or an exponent.
    Number,
}

impl Unit {
    /// A value as people read it, with three digits that mean something.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return "never".to_owned();
        }
        match self {
            Self::Seconds => {
                prefixed(value, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")])
            }
            Self::Octets => prefixed(
                value,
                &[
                    (f64::from(1 << 30), "GiB"),
                    (f64::from(1 << 20), "MiB"),
                    (1024.0, "KiB"),
                    (1.0, "B"),
                ],
            ),
            Self::Times => format!("{} x", digits(value)),
            Self::Share => format!("{} %", digits(100.0 * value)),
            Self::PerSecond => format!("{}/s", digits(value)),
            Self::Number => digits(value),
        }
    }
}

/// A value in the largest of some units that it reaches, or the smallest.
fn prefixed(value: f64, units: &[(f64, &str)]) -> String {
    let reached = units.iter().find(|(size, _)| value.abs() >= *size);
    let (size, name) = reached.or(units.last()).copied().unwrap_or((1.0, ""));
    format!("{} {name}", digits(value / size))
}

/// Three digits that mean something; thousands are set apart.
fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if magnitude >= 3.0 {
        return thousands(value.round() as i64);
    }
    let behind = (2.0 - magnitude).clamp(0.0, 4.0) as usize;
    let text = format!("{value:.behind$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn thousands(value: i64) -> String {
    let plain = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in plain.chars().enumerate() {
        if place > 0 && (plain.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// The same figure, measured several times. Infinite where what was waited for never came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Of all values.
    pub unit: Unit,
    /// In the order in which they were measured. JSON has no infinity: `null` stands for it.
    #[serde(with = "finite")]
    pub values: Vec<f64>,
}

impl Samples {
    /// Samples of a unit.
    #[must_use]
    pub const fn new(unit: Unit, values: Vec<f64>) -> Self {
        Self { unit, values }
    }

    /// Lowest, median and highest; `None` without values. Of an even number, the mean of the two in the middle is the
    /// median.
    #[must_use]
    pub fn spread(&self) -> Option<[f64; 3]> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some([lowest, f64::midpoint(low, high), highest])
    }

    /// The median; `None` without values.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.spread().map(|[_, median, _]| median)
    }

    /// Median and, if there are several, lowest and highest; `-` without values.
    #[must_use]
    pub fn show(&self) -> String {
        let Some(spread) = self.spread() else { return "-".to_owned() };
        let [lowest, median, highest] = spread.map(|value| self.unit.show(value));
        match self.values.len() {
            1 => median,
            _ => format!("{median} ({lowest} to {highest})"),
        }
    }
}

mod finite {
    //! Values of which those that are not finite become `null`, and come back as infinite.

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        let finite = |value: &f64| value.is_finite().then_some(*value);
        values.iter().map(finite).collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<Option<f64>>::deserialize(from)?;
        Ok(values.into_iter().map(|value| value.unwrap_or(f64::INFINITY)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_with_three_digits_and_a_prefix() {
        let shown = [
            (Unit::Seconds, 1.5, "1.5 s"),
            (Unit::Seconds, 0.000_123_4, "123 µs"),
            (Unit::Seconds, 2.69e-7, "269 ns"),
            (Unit::Seconds, 0.0, "0 ns"),
            (Unit::Octets, 268_435_456.0, "256 MiB"),
            (Unit::Octets, 12.0, "12 B"),
            (Unit::Times, 0.0654, "0.0654 x"),
            (Unit::Times, 14_947.0, "14,947 x"),
            (Unit::Share, 0.0123, "1.23 %"),
            (Unit::PerSecond, 100_000.0, "100,000/s"),
            (Unit::Number, -1234.0, "-1,234"),
            (Unit::Seconds, f64::INFINITY, "never"),
        ];
        for (unit, value, text) in shown {
            assert_eq!(unit.show(value), text);
        }
    }

    #[test]
    fn a_spread_is_lowest_median_and_highest() {
        let samples = |values: &[f64]| Samples::new(Unit::Number, values.to_vec());
        assert_eq!(samples(&[]).spread(), None);
        assert_eq!(samples(&[3.0, 1.0, 2.0]).spread(), Some([1.0, 2.0, 3.0]));
        assert_eq!(samples(&[4.0, 1.0]).spread(), Some([1.0, 2.5, 4.0]));
        assert_eq!(samples(&[3.0, 1.0, f64::INFINITY]).show(), "3 (1 to never)");
        assert_eq!(samples(&[7.0]).show(), "7");
        assert_eq!(samples(&[]).show(), "-");
    }

    #[test]
    fn what_never_came_survives_json() {
        let samples = Samples::new(Unit::Seconds, vec![0.5, f64::INFINITY]);
        let text = serde_json::to_string(&samples).unwrap();
        assert_eq!(text, r#"{"unit":"seconds","values":[0.5,null]}"#);
        assert_eq!(serde_json::from_str::<Samples>(&text).unwrap(), samples);
    }
}
