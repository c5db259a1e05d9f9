//! What one part of the benchmark has found.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::sample::{Samples, Unit};

/// All that one part has found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What `cargo xtask bench` calls it.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// What was measured and how: a paragraph each.
    pub method: Vec<String>,
    /// The figures.
    pub tables: Vec<Table>,
    /// The same as pictures.
    pub plots: Vec<Plot>,
    /// What has to be reached.
    pub targets: Vec<Target>,
    /// What else is to be said of the figures, such as who is ahead of us: a line each.
    pub notes: Vec<String>,
    /// Versions of the programs that were measured, such as `fping 5.1`.
    pub versions: Vec<String>,
}

impl Part {
    /// Writes it to a file, as JSON.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| file.display().to_string())
    }
}

/// A table of figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it is about.
    pub title: String,
    /// The heads of its columns.
    pub columns: Vec<String>,
    /// As many cells a row as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A figure.
    Samples(Samples),
    /// A name, or why there is no figure.
    Text(String),
}

impl Cell {
    /// As it stands in a table.
    #[must_use]
    pub fn show(&self) -> String {
        match self {
            Self::Samples(samples) => samples.show(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl From<Samples> for Cell {
    fn from(samples: Samples) -> Self {
        Self::Samples(samples)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Curves over one axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// What it is about.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The curves.
    pub series: Vec<Series>,
}

/// An axis of a plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What stands at it.
    pub label: String,
    /// What its values are measured in.
    pub unit: Unit,
    /// Whether each step multiplies.
    pub logarithmic: bool,
}

/// A curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Whose it is.
    pub name: String,
    /// From left to right. What is infinite never came: it is a gap. JSON has no infinity: `null` stands for it.
    #[serde(with = "finite")]
    pub points: Vec<(f64, f64)>,
}

mod finite {
    //! Points of which what is not finite becomes `null`, and comes back as infinite.

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        points: &[(f64, f64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let finite = |value: f64| value.is_finite().then_some(value);
        points.iter().map(|(x, y)| (finite(*x), finite(*y))).collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(f64, f64)>, D::Error> {
        let points = Vec::<(Option<f64>, Option<f64>)>::deserialize(from)?;
        let number = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
        Ok(points.into_iter().map(|(x, y)| (number(x), number(y))).collect())
    }
}

/// Something that has to be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What, with its limit.
    pub what: String,
    /// What was measured.
    pub measured: String,
    /// Whether that reaches it; `None` where a quick run cannot tell.
    pub met: Option<bool>,
}

impl Target {
    /// A target and what was measured of it.
    #[must_use]
    pub fn new(what: impl Into<String>, measured: impl Into<String>, met: bool) -> Self {
        Self { what: what.into(), measured: measured.into(), met: Some(met) }
    }

    /// What came of it, in a word.
    #[must_use]
    pub const fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not judged",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_same_after_json() {
        let cells = [
            Cell::from("fping"),
            Cell::from(Samples::new(Unit::Seconds, vec![0.1, f64::INFINITY])),
        ];
        let text = serde_json::to_string(&cells).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Cell>>(&text).unwrap(), cells);
    }
    #[test]
    fn a_gap_in_a_curve_survives_json() {
        let points = vec![(0.5, 1.0), (1.0, f64::INFINITY)];
        let series = Series { name: "fping".to_owned(), points };
        let text = serde_json::to_string(&series).unwrap();
        assert_eq!(text, r#"{"name":"fping","points":[[0.5,1.0],[1.0,null]]}"#);
        assert_eq!(serde_json::from_str::<Series>(&text).unwrap(), series);
    }
}
