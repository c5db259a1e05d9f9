//! `lab bench reflector`: what a reflected packet costs.
//!
//! - [`program`]: in the kernel program alone.
//! - [`reflectors`]: in whole reflectors.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use figures::{Part, Samples, Unit};

use super::{deliver, program, reflectors};

/// What to measure reflectors with.
#[derive(Args)]
pub(crate) struct Options {
    /// The agent, `linkprobe`
    #[arg(long)]
    pub(super) agent: PathBuf,
    /// The program `stamp-suite`
    #[arg(long)]
    pub(super) stamp_suite: PathBuf,
    /// Fewer and shorter rounds: good for a look, not for a figure. No target is judged
    #[arg(long)]
    pub(super) quick: bool,
    /// Write all that was measured to this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// Measures, and prints what came out; true if it could be measured. A target that is missed is no failure: it is said.
///
/// # Errors
/// Those of the lab, of the kernel, and of the programs that are measured.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut part = Part {
        name: "reflector".to_owned(),
        title: "What a reflected packet costs".to_owned(),
        ..Part::default()
    };
    program::measure(options.quick)?.describe(options.quick, &mut part);
    reflectors::measure(options, &mut part)?;
    deliver(&part, options.json.as_deref())?;
    Ok(true)
}

/// How often one is the other, round by round.
pub(super) fn ratios(ones: &[f64], others: &[f64]) -> Samples {
    let ratios = ones.iter().zip(others).map(|(one, other)| one / other);
    Samples::new(Unit::Times, ratios.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        assert_eq!(ratios(&[2.0, 9.0], &[1.0, 3.0]).values, [2.0, 3.0]);
    }
}
