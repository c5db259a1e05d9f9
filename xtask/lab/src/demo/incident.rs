//! The incident, replayed: a region loses all its links for some seconds, with everything that depends on it, and what the
//! agents make of it.
//!
//! - [`burst`]: who is cut off, and when; [`crate::topology`]: the network.
//! - [`balancer`]: HAProxy in front of two regions, and a client.
//! - [`workers`]: controllers, and workers that guards keep where they can reach one.
//! - [`stage`]: all who take part; [`play`]: what happens to them.
//! - [`observe`]: what is seen.
//! - [`record`]: what was seen; [`limits`]: what must be, and what is stuck; [`table`]: how it is shown. These are pure.

mod balancer;
mod burst;
mod limits;
mod observe;
mod play;
mod record;
mod stage;
mod table;
pub(crate) mod workers;

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};
use play::Play;
use probe_user::verdict::State;
use record::Record;
use stage::Stage;

use super::{last_lines, screen::Screen};

/// Seconds for which recovery is waited for without a defect: longer than any limit, so that what is late is measured.
const PATIENCE: u64 = 40;
/// The variable by which the test-only build is told its defects, and what it says then.
const DEFECT: (&str, &str) = ("LINKPROBE_DEFECT", "THIS BUILD HAS THE DEFECTS OF THE INCIDENT");

/// What can be set at the command line.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for which the region is cut off from all others, 3 to 25: after more, a pause of TCP may outlast the streams
    #[arg(long, requires = "incident", value_name = "SECONDS", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u64).range(3..=25))]
    burst: u64,
    /// With agents that have defects of the incident; a test-only build of the agent has them
    #[arg(long, requires = "incident", value_enum)]
    defect: Option<Defect>,
    /// With a defect: seconds for which is looked whether things heal
    #[arg(long, requires = "defect", value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(15..=3600))]
    watch: u64,
}

/// The defects of the incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Defect {
    /// Probes are refused after a gap, until the path begins anew
    Validation,
    /// What nobody hears of is pinned to unreachable, until a probe is accepted
    Freshness,
    /// Each of the two holds the other in place
    Both,
}

impl Defect {
    const fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Freshness => "freshness",
            Self::Both => "both",
        }
    }
}

/// Runs it; true if all was as it must be: well without a defect, stuck with both.
///
/// # Errors
/// Where it cannot be played.
pub(crate) fn run(agent: &Path, keep_logs: bool, options: &Options) -> Result<bool> {
    let mut screen = Screen::new();
    let lab = crate::topology::build(keep_logs)?;
    let mut mesh = burst::mesh();
    if let Some(defect) = options.defect {
        mesh.environment.push((DEFECT.0.to_owned(), defect.name().to_owned()));
        let text =
            format!("THE AGENTS OF THIS RUN HAVE A DEFECT OF THE INCIDENT: {}", defect.name());
        screen.event(&screen.state(State::Unhealthy, &text));
    }
    screen.event(&format!(
        "{}: gateways with tunnels, hosts behind them, an agent in each with the profile balanced",
        crate::topology::SITES.join(", "),
    ));
    let stage = Stage::set(lab, &mesh, agent, options.defect.map(|_| DEFECT.1))?;
    let watch = if options.defect.is_some() { options.watch } else { PATIENCE };
    let mut play = Play::new(stage, screen, options.burst, watch);
    let record = play.play();
    if keep_logs {
        play.screen.line(&format!("logs: {}", play.stage.lab.directory().display()));
    }
    let record = match record {
        Ok(record) => record,
        Err(error) => {
            let logs = last_lines(&play.stage.agents);
            // Where agents fail because a signal has ended the lab, this is as far as we get.
            drop(play);
            eprintln!("{logs}");
            return Err(error);
        }
    };
    let Play { stage, mut screen, .. } = play;
    let ended = stage.end();
    for line in table::lines(&record) {
        screen.line(&line);
    }
    screen.line("");
    Ok(verdict(&mut screen, &record, ended, options))
}

/// Says what is to be thought of it all; true if that is as it must be.
fn verdict(screen: &mut Screen, record: &Record, ended: Vec<String>, options: &Options) -> bool {
    if let Some(defect) = options.defect {
        return defective_verdict(screen, record, ended, defect);
    }
    let problems = [record.problems(), ended].concat();
    if problems.is_empty() {
        let text = "Everything left what was sick and came back by itself, within the limits.";
        screen.line(&screen.state(State::Healthy, text));
    } else {
        screen.line(&screen.state(State::Unhealthy, "Not as it must be:"));
        list(screen, &problems);
    }
    problems.is_empty()
}

/// The same with a defect. What one alone does is shown, whatever it is; both must get stuck.
fn defective_verdict(
    screen: &mut Screen,
    record: &Record,
    ended: Vec<String>,
    defect: Defect,
) -> bool {
    let mut problems = [record.broken(), ended].concat();
    let (stuck, name) = (record.stuck(), defect.name());
    let seconds = record.times.until - record.times.ended;
    if record.is_stuck() {
        let text = format!(
            "STUCK with this defect ({name}): {seconds:.0} s after the end of the burst, with the network in order,"
        );
        screen.line(&screen.state(State::Unhealthy, &text));
        list(screen, &stuck);
        screen.line("It would be so until somebody restarts the agents. This is what we do not have: the same burst without");
        screen.line("--defect heals within seconds.");
        if record.is_flowing {
            screen.line("Streams flow even so, for where no way is healthy the overlay keeps one.");
        }
    } else if stuck.is_empty() {
        let text = format!("With this defect ({name}) everything healed by itself.");
        screen.line(&screen.state(State::Healthy, &text));
        if defect != Defect::Both {
            screen.line("In the incident either defect alone would have healed too; only both together did not.");
        }
    } else {
        let text = format!("Not healed after {seconds:.0} s with this defect ({name}):");
        screen.line(&screen.state(State::Unhealthy, &text));
        list(screen, &stuck);
    }
    if defect == Defect::Both && !record.is_stuck() {
        problems.push("with both defects it must be stuck, and is not".to_owned());
    }
    if !problems.is_empty() {
        screen.line(&screen.state(State::Unhealthy, "Not as it must be, even so:"));
        list(screen, &problems);
    }
    problems.is_empty()
}

fn list(screen: &mut Screen, items: &[String]) {
    items.iter().for_each(|item| screen.line(&format!("  - {item}")));
}
