//! `lab bench agent`: what a probe costs, all in all, by who sends and who answers it.
//!
//! - [`contender`]: who probes, and how.
//! - [`run`]: one of them at one rate, for a few seconds.
//! - [`table`]: all of them at all rates, what has to be reached, and pictures.

mod contender;
mod run;
mod table;

use std::{
    io::{Write as _, stderr},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Args, builder::RangedU64ValueParser};
use contender::Contender;
use lab::Pair;
use run::Stage;
use table::Figures;

use super::{Common, cost::Softirqs, deliver, version, wide::PER_PATH};

/// What to measure, and with what.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// The program `stamp-suite`
    #[arg(long)]
    stamp_suite: PathBuf,
    /// Only these rates, in probes a second
    #[arg(long, value_delimiter = ',', value_parser = RangedU64ValueParser::<usize>::new().range(10..=600_000))]
    rates: Vec<usize>,
}

/// Probes in a second, and in a quick run.
const RATES: [&[usize]; 2] = [&[100, 1_000, 10_000, 100_000], &[1_000, 10_000]];

/// The rate at which ours is compared with others, and the one at which it has one core.
const COMPARED: usize = 10_000;
const PINNED: usize = 100_000;

impl Options {
    fn rates(&self) -> &[usize] {
        if self.rates.is_empty() { RATES[usize::from(self.common.quick)] } else { &self.rates }
    }

    /// How often each is measured at a rate. At the highest one, that others do not reach it is measured once; at the
    /// lowest one, what nobody would notice is measured less often.
    fn rounds(&self, contender: Contender, rate: usize) -> usize {
        match rate {
            _ if self.common.quick => 1,
            PINNED if contender == Contender::Ours => 3,
            PINNED => 1,
            100 => 3,
            // It waits for timers, and so reaches neither.
            _ if contender == Contender::IrttOne => 3,
            _ => 5,
        }
    }

    /// How long each is measured.
    const fn window(&self) -> Duration {
        Duration::from_secs(if self.common.quick { 2 } else { 3 })
    }
}

/// Measures, and prints what came out; true if ours could be measured at every rate. That others do not reach one is no
/// failure, and neither is a target that is missed: it is said.
///
/// # Errors
/// Those of the lab, and of our own agent.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let highest = options.rates().iter().max().copied().unwrap_or(0);
    let stage = Stage {
        pair: Pair::build(highest / PER_PATH)?,
        softirqs: Softirqs::find()?,
        agent: &options.common.agent,
        stamp_suite: &options.stamp_suite,
        window: options.window(),
    };
    let mut figures = Figures::default();
    for rate in options.rates() {
        measure(&stage, options, *rate, &mut figures)?;
    }
    let mut part = figures.part(options.common.quick, options.rates(), options.window());
    part.versions = versions(options);
    deliver(&part, options.common.json.as_deref())?;
    Ok(true)
}

/// All of them at one rate, in turn.
fn measure(stage: &Stage<'_>, options: &Options, rate: usize, figures: &mut Figures) -> Result<()> {
    let rounds = options.rounds(Contender::Ours, rate);
    for round in 0..rounds {
        for contender in Contender::ALL {
            if let Some(why) = contender.out_of_reach(rate) {
                figures.fail(contender, rate, why);
                continue;
            }
            if round >= options.rounds(contender, rate) || figures.has_failed(contender, rate) {
                continue;
            }
            writeln!(stderr(), "{rate}/s, round {} of {rounds}: {}", round + 1, contender.name())?;
            match stage.measure(contender, rate) {
                Ok(run) => figures.add(contender, rate, run),
                Err(error) if contender == Contender::Ours => {
                    return Err(error).with_context(|| format!("ours at {rate}/s"));
                }
                Err(error) => {
                    writeln!(stderr(), "  {error:#}")?;
                    figures.fail(contender, rate, first_line(&error));
                }
            }
        }
    }
    Ok(())
}

/// What stands in the table of an error.
fn first_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    format!("failed: {}", text.lines().next().unwrap_or_default())
}

fn versions(options: &Options) -> Vec<String> {
    let irtt = Command::new("irtt").arg("version").output().ok();
    let irtt = irtt.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let irtt = irtt.and_then(|text| Some(text.lines().next()?.replace(" version:", "")));
    [version("fping".as_ref()), irtt, version(&options.stamp_suite)].into_iter().flatten().collect()
}
