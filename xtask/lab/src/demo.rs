//! The demo: three regions, three agents, real packets, two faults, and what was seen of them.
//!
//! - [`observe`]: from what agents report to what has changed.
//! - [`expect`]: what must be seen of a fault, and what was.
//! - [`plan`]: the steps.
//! - [`watch`]: asks the agents.
//! - [`screen`] and [`table`]: what is shown.
//! - [`incident`]: another one: a whole region that is cut off, and all that is to move and to come back.

mod expect;
pub(crate) mod incident;
mod observe;
mod plan;
mod screen;
mod table;
mod watch;

use std::{
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use expect::{Episode, Fault, Finding};
use lab::{Agent, Lab, Loss, Mesh, agent, clock};
use observe::{Change, Observer};
use plan::{Plan, Step};
use probe_user::verdict::State;
use screen::Screen;
use watch::Sample;

const REGIONS: [&str; 3] = ["fra", "nyc", "sin"];
/// Two directions for each ordered pair of regions.
const CHANNELS: usize = 2 * REGIONS.len() * (REGIONS.len() - 1);
/// One-way delays in milliseconds. The two ways differ, as they do out there.
const DELAYS: [(&str, &str, u64); 6] = [
    ("fra", "nyc", 9),
    ("nyc", "fra", 11),
    ("fra", "sin", 4),
    ("sin", "fra", 3),
    ("nyc", "sin", 6),
    ("sin", "nyc", 7),
];
/// What happens, and the seconds that it usually takes.
const STEPS: [Step; 8] = [
    ("waiting for verdicts", 3.0),
    ("all is well", 3.0),
    ("30 % loss", 4.0),
    ("cleared", 2.0),
    ("calm", 1.5),
    ("blackhole", 3.5),
    ("cleared", 2.0),
    ("calm", 1.5),
];
/// How long is waited at most for all to be healthy at the start.
const START_LIMIT: Duration = Duration::from_secs(15);
/// How long is waited at most for recovery, so that a slow one is measured.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(6);

/// What can be set at the command line.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The agent: the binary `linkprobe` [default: $LINKPROBE_BIN]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Leaves configs and logs of the agents, and says where
    #[arg(long)]
    keep_logs: bool,
    /// Instead: a whole region is cut off for some seconds, with all that depends on it
    #[arg(long)]
    incident: bool,
    #[command(flatten)]
    of_incident: incident::Options,
}

/// Runs one; true if all was seen that had to be, and nothing else.
pub(crate) fn run(options: Options) -> Result<bool> {
    if options.incident {
        let binary = agent::binary(options.agent)?;
        return incident::run(&binary, options.keep_logs, &options.of_incident);
    }
    let mut screen = Screen::new();
    let binary = agent::binary(options.agent)?;
    let lab = Lab::builder().sites(&REGIONS).keep_files(options.keep_logs).build()?;
    for (from, to, milliseconds) in DELAYS {
        lab.delay(from, to, Duration::from_millis(milliseconds))?;
    }
    // Nothing is lost here by itself, as between good data centers.
    let mesh = Mesh { more: "\n[health]\nprofile = \"fast\"\n".to_owned(), ..Mesh::default() };
    screen.event(&format!(
        "{}: an agent in each probes the others, {} flows a path, a probe every {} ms and flow; profile fast",
        REGIONS.join(", "),
        mesh.flows,
        mesh.interval.as_millis(),
    ));
    let agents = mesh.start(&lab, &binary)?;
    let samples = watch::start(&agents);
    let (observer, plan) = (Observer::default(), Plan::new(&STEPS));
    let mut demo =
        Demo { lab, screen, samples, observer, plan, changes: Vec::new(), started: false };
    let outcome = demo.play();
    if options.keep_logs {
        demo.screen.line(&format!("logs: {}", demo.lab.directory().display()));
    }
    let mut problems = match outcome {
        Ok(problems) => problems,
        Err(error) => {
            let logs = last_lines(&agents);
            // Where agents fail because a signal has ended the lab, this is as far as we get.
            drop(demo);
            eprintln!("{logs}");
            return Err(error);
        }
    };
    drop(demo.samples);
    for agent in &agents {
        problems.extend(agent.stop().err().map(|error| format!("{error:#}")));
    }
    if problems.is_empty() {
        let text = "Every expected change was seen, and no other.";
        demo.screen.line(&demo.screen.state(State::Healthy, text));
    } else {
        demo.screen.line(&demo.screen.state(State::Unhealthy, "Not as expected:"));
        for problem in &problems {
            demo.screen.line(&format!("  - {problem}"));
        }
    }
    Ok(problems.is_empty())
}

/// The last lines of each agent's log, for when one fails.
fn last_lines(agents: &[Agent]) -> String {
    let last = |agent: &Agent| {
        let logs = agent.process().logs().unwrap_or_default();
        let lines: Vec<&str> = logs.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n");
        format!("--- {}\n{last}", agent.node())
    };
    agents.iter().map(last).collect::<Vec<_>>().join("\n")
}

/// A running demo.
struct Demo {
    lab: Lab,
    screen: Screen,
    samples: mpsc::Receiver<Sample>,
    observer: Observer,
    plan: Plan,
    /// What has changed since all were healthy for the first time.
    changes: Vec<Change>,
    started: bool,
}

impl Demo {
    /// All steps. Returns what was not as it must be.
    fn play(&mut self) -> Result<Vec<String>> {
        if !self.watch(START_LIMIT, |observer| observer.count(State::Healthy) == CHANNELS)? {
            let healthy = self.observer.count(State::Healthy);
            bail!("{healthy} of {CHANNELS} directions are healthy after {START_LIMIT:?}");
        }
        // How it got there is the start's business.
        self.changes.clear();
        self.started = true;
        let all = format!("all {CHANNELS} directions are healthy");
        self.screen.event(&self.screen.state(State::Healthy, &all));
        self.step()?;

        let mut episodes = Vec::new();
        let mut losses = Vec::new();
        for fault in [Fault::Loss(30, "fra", "nyc"), Fault::Blackhole("fra", "sin")] {
            let (episode, loss) = self.suffer(fault)?;
            episodes.push(episode);
            losses.push(loss);
        }

        let judgements: Vec<_> = episodes.iter().map(|e| e.judge(&self.changes)).collect();
        let rows: Vec<_> = episodes
            .iter()
            .zip(&judgements)
            .zip(losses)
            .map(|((episode, judgement), losses)| (episode.fault.title(), judgement, losses))
            .collect();
        self.screen.line("");
        for line in table::lines(&rows) {
            self.screen.line(&line);
        }
        self.screen.line("");
        let mut problems: Vec<String> =
            judgements.into_iter().flat_map(|judgement| judgement.problems).collect();
        problems.extend(expect::outside(&episodes, &self.changes));
        if self.lab.undelivered() > 0 {
            problems.push(format!("the lab itself lost {} packets", self.lab.undelivered()));
        }
        Ok(problems)
    }

    /// One fault: injected, held, cleared, and calm again.
    fn suffer(&mut self, fault: Fault) -> Result<(Episode, Vec<table::Loss>)> {
        let directions = fault.directions();
        let counters = |lab: &Lab| {
            directions.iter().map(|(from, to)| lab.counters(from, to)).collect::<Result<Vec<_>>>()
        };
        let title = fault.title();
        self.plan.advance();
        let before = counters(&self.lab)?;
        let injected = clock::unix();
        for (from, to) in &directions {
            let loss = match fault {
                Fault::Loss(percent, ..) => Loss::Random(f64::from(percent) / 100.0),
                Fault::Blackhole(..) => Loss::Blackhole,
            };
            self.lab.loss(from, to, loss)?;
        }
        self.screen.event(&self.screen.bold(&title));
        self.watch(self.plan.usual(), |_| false)?;

        // What the verdicts rest on, before the end of the fault washes it out.
        let mut episode = Episode { fault, injected, cleared: f64::MAX, ended: f64::MAX };
        let estimates: Vec<_> = episode
            .judge(&self.changes)
            .findings
            .into_iter()
            .map(|Finding { detected, .. }| {
                detected.and_then(|(channel, _)| Some(self.observer.latest(&channel)?.evidence))
            })
            .collect();
        let after = counters(&self.lab)?;
        episode.cleared = clock::unix();
        for (from, to) in &directions {
            self.lab.clear(from, to)?;
        }
        self.plan.advance();
        self.screen.event(&self.screen.bold(&format!("{title}: cleared")));
        self.watch(RECOVERY_PATIENCE, |observer| observer.count(State::Healthy) == CHANNELS)?;
        self.step()?;
        episode.ended = clock::unix();
        let losses = before
            .into_iter()
            .zip(after)
            .zip(estimates)
            .map(|((before, after), estimated)| table::Loss { injected: after - before, estimated })
            .collect();
        Ok((episode, losses))
    }

    /// The next step, for as long as it usually takes.
    fn step(&mut self) -> Result<()> {
        self.plan.advance();
        self.watch(self.plan.usual(), |_| false).map(drop)
    }

    /// Takes in what agents say until a condition holds (true) or the time is over (false).
    fn watch(&mut self, at_most: Duration, until: impl Fn(&Observer) -> bool) -> Result<bool> {
        let deadline: Instant = clock::now() + at_most;
        loop {
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(false);
            }
            match self.samples.recv_timeout(left.min(Duration::from_millis(50))) {
                Ok((answer, seen_at)) => {
                    let paths = answer.context("an agent has failed")?;
                    for change in self.observer.take(&paths, seen_at) {
                        if self.started {
                            self.show(&change);
                        }
                        self.changes.push(change);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => bail!("no agent is left"),
            }
            self.screen.progress(&self.plan, |state| self.observer.count(state));
            if until(&self.observer) {
                return Ok(true);
            }
        }
    }

    /// A change, as a line of the timeline.
    fn show(&mut self, change: &Change) {
        let state = self.screen.state(change.to, &format!("{:9}", change.to));
        let (from, to) = change.channel.ends();
        let seen = format!("seen by {} ({})", change.channel.reporter, change.channel.direction());
        let evidence = &change.evidence;
        let loss = evidence.loss_ratio.map_or_else(String::new, |ratio| {
            format!(", {} of {} lost ({:.0} %)", evidence.lost, evidence.probes, 100.0 * ratio)
        });
        let needs = change.needs.map_or_else(String::new, |needs| {
            format!("; healthy after {} clean probes, {:.1} s", needs.clean_probes, needs.seconds)
        });
        let cause = change.cause;
        self.screen.event(&format!("  {from} → {to}  {state}  {seen:21}  {cause}{loss}{needs}"));
    }
}
