//! Where an axis has its labels, and where a value stands on it.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::{part::Axis, sample::Unit};

/// As many labels as an axis has room for.
const ROOM: usize = 9;

/// An axis whose ends are known. Positions on it are values, or their logarithms to base 2 where the axis is
/// logarithmic.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    /// Positions of its ends.
    ends: [f64; 2],
    /// Positions of its labels, in order.
    ticks: Vec<f64>,
    unit: Unit,
    is_logarithmic: bool,
}

impl Scale {
    /// One that has room for all values that can stand on it.
    pub(crate) fn new(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let (unit, is_logarithmic) = (axis.unit, axis.logarithmic);
        let mut scale = Self { ends: [0.0, 1.0], ticks: Vec::new(), unit, is_logarithmic };
        let positions: Vec<f64> = values.filter_map(|value| scale.position(value)).collect();
        let lowest = positions.iter().copied().reduce(f64::min);
        let highest = positions.iter().copied().reduce(f64::max);
        if let (Some(lowest), Some(highest)) = (lowest, highest) {
            scale.ends = if is_logarithmic {
                // A value alone stands in the middle of a factor of ten.
                let margin = if highest > lowest { 0.04 * (highest - lowest) } else { 1.66 };
                [lowest - margin, highest + margin]
            } else {
                // What is measured is seldom below zero, and no difference is to look larger than it is.
                let margin =
                    if highest > lowest { 0.04 * (highest - lowest.min(0.0)) } else { 0.5 };
                [if lowest < 0.0 { lowest - margin } else { 0.0 }, highest + margin]
            };
        }
        scale.ticks = if is_logarithmic { scale.factors() } else { scale.steps() };
        scale
    }

    /// Where a value stands; `None` where it cannot.
    pub(crate) fn position(&self, value: f64) -> Option<f64> {
        let position = if self.is_logarithmic { value.log2() } else { value };
        position.is_finite().then_some(position)
    }

    /// The label of a position.
    pub(crate) fn label(&self, position: f64) -> String {
        self.unit.show(if self.is_logarithmic { position.exp2() } else { position })
    }

    /// Labels that are equally far from each other.
    fn steps(&self) -> Vec<f64> {
        let [low, high] = self.ends;
        let least = (high - low) / ROOM as f64;
        let step = if self.unit == Unit::Octets {
            least.log2().ceil().exp2()
        } else {
            let decade = 10_f64.powf(least.log10().floor());
            let reaches = |factor: &f64| factor * decade >= least;
            [1.0, 2.0, 5.0].into_iter().find(reaches).unwrap_or(10.0) * decade
        };
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        (first..=last).map(|number| number as f64 * step).collect()
    }

    /// Labels of which each is so many times the one before: powers of two of octets; else powers of ten, and what is
    /// between them where there is room.
    fn factors(&self) -> Vec<f64> {
        let all: Vec<f64> = if self.unit == Unit::Octets {
            self.between(&self.powers(2.0), &[1.0])
        } else {
            let decades = self.powers(10.0);
            [&[1.0, 2.0, 5.0][..], &[1.0, 3.0]]
                .into_iter()
                .map(|factors| self.between(&decades, factors))
                .find(|ticks| ticks.len() <= ROOM)
                .unwrap_or_else(|| self.between(&decades, &[1.0]))
        };
        let every = all.len().div_ceil(ROOM).max(1);
        all.into_iter().step_by(every).collect()
    }

    /// Powers of a base from below the axis to above it.
    fn powers(&self, base: f64) -> Vec<f64> {
        let [low, high] = self.ends.map(|end| end / base.log2());
        (low.floor() as i32..=high.ceil() as i32).map(|power| base.powi(power)).collect()
    }

    /// Positions on the axis of so many times the powers.
    fn between(&self, powers: &[f64], factors: &[f64]) -> Vec<f64> {
        let [low, high] = self.ends;
        let times = |power: &f64| factors.iter().map(|factor| (factor * power).log2()).collect();
        let positions = powers.iter().flat_map(|power| -> Vec<f64> { times(power) });
        positions.filter(|position| (low..=high).contains(position)).collect()
    }
}

/// Of positions, not of values.
impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, position: &f64, (first, last): (i32, i32)) -> i32 {
        let [low, high] = self.ends;
        let share = (position - low) / (high - low);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light lines would stand between the labels.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        let [low, high] = self.ends;
        low..high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(unit: Unit, logarithmic: bool, values: &[f64]) -> Vec<String> {
        let axis = Axis { label: String::new(), unit, logarithmic };
        let scale = Scale::new(&axis, values.iter().copied());
        let [low, high] = scale.ends;
        assert!(scale.ticks.iter().all(|tick| (low..=high).contains(tick)), "{scale:?}");
        assert!(scale.ticks.len() <= ROOM, "{scale:?}");
        scale.ticks.iter().map(|tick| scale.label(*tick)).collect()
    }

    #[test]
    fn linear_axes_begin_at_zero_and_have_round_steps() {
        let expected = ["0 ns", "500 µs", "1 ms", "1.5 ms", "2 ms", "2.5 ms", "3 ms"];
        assert_eq!(labels(Unit::Seconds, false, &[0.001, 0.003]), expected);
        assert_eq!(
            labels(Unit::Octets, false, &[3.0 * 1024.0, 5.0 * 1024.0]).last().unwrap(),
            "5 KiB"
        );
        assert_eq!(
            labels(Unit::Number, false, &[-2.0, 2.0]),
            ["-2", "-1.5", "-1", "-0.5", "0", "0.5", "1", "1.5", "2"]
        );
    }

    #[test]
    fn logarithmic_axes_have_round_factors_as_dense_as_there_is_room() {
        let shares = ["2 %", "5 %", "10 %", "20 %", "50 %", "100 %"];
        assert_eq!(labels(Unit::Share, true, &[0.015, 1.0]), shares);
        let rates = ["0.0001", "0.001", "0.01", "0.1", "1", "10", "100"];
        assert_eq!(labels(Unit::Number, true, &[0.0001, 100.0]), rates);
        assert_eq!(
            labels(Unit::Octets, true, &[1024.0, 8192.0]),
            ["1 KiB", "2 KiB", "4 KiB", "8 KiB"]
        );
        assert!(labels(Unit::Number, true, &[1e-30, 1e30]).len() > 3);
    }

    #[test]
    fn what_cannot_stand_on_an_axis_is_left_out() {
        assert_eq!(
            labels(Unit::Number, true, &[0.0, -1.0, f64::INFINITY, 10.0]),
            ["5", "10", "20"]
        );
        assert!(!labels(Unit::Number, false, &[]).is_empty());
        assert!(!labels(Unit::Number, true, &[f64::NAN]).is_empty());
        assert!(!labels(Unit::Number, false, &[0.0, 0.0]).is_empty());
        assert!(!labels(Unit::Seconds, false, &[1e-9]).is_empty());
    }
}
