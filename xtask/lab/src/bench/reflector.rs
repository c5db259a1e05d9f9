//! `lab bench reflector`: what a reflected packet costs.
//!
//! - [`program`]: in the kernel program alone.
//! - [`reflectors`]: in whole reflectors.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use figures::{Part, Samples, Unit};

use super::{Common, deliver, program, reflectors};

/// What to measure reflectors with.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// The program `stamp-suite`
    #[arg(long)]
    pub(super) stamp_suite: PathBuf,
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
    program::measure(options.common.quick)?.describe(options.common.quick, &mut part);
    reflectors::measure(options, &mut part)?;
    deliver(&part, options.common.json.as_deref())?;
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
