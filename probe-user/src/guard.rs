//! `linkprobe guard`: keeps a command, such as a worker that registers with a controller, running against a target that can
//! be reached.
//!
//! - `arguments`: the command line.
//! - `targets`: the file of targets.
//! - `standing`: what a target is good for, from what the agents say; pure.
//! - `choice`: where the command runs, and when it moves; pure.
//! - `back_off`: how long to wait before it is started again; pure.
//! - `look`: asking the agents.
//! - `log`: what of all that is logged.
//! - `process`: the command and its process group.
//! - `signals`: those that the guard takes.
//! - `dry_run`: what would be done.

mod arguments;
mod back_off;
mod choice;
mod dry_run;
mod log;
mod look;
mod process;
mod signals;
mod standing;
mod targets;

use std::{
    io::{self, Write as _},
    process::ExitStatus,
    time::Duration,
};

use anyhow::Context as _;
pub use arguments::{Arguments, HELP, Restart};
use back_off::BackOff;
pub use choice::Return;
use choice::{Choice, Rules};
use dry_run::DryRun;
use log::Log;
use look::Agents;
use process::Process;
use signals::Signals;
use targets::{Target, Targets};

use crate::{
    client,
    datapath::clock,
    verdict::{MILLISECOND, Nanos, SECOND},
};

/// How long the start waits for agents at targets that do not answer.
const FIRST_LOOK: Nanos = SECOND;

/// How long it waits for the agent here, whose questions are given up after three seconds.
const LONGEST_LOOK: Nanos = 5 * SECOND;

/// How often it is looked whether that time is over.
const GLANCE: Nanos = 100 * MILLISECOND;

/// The exit code where the guard itself fails before it starts anything.
pub const FAILED: u8 = 125;

/// Why the guard cannot do its work.
#[derive(Debug)]
pub struct Failure {
    /// The exit code that says so.
    pub code: u8,
    /// What is wrong.
    pub error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: FAILED, error: error.into() }
    }
}

/// Guards a command until it ends for good, or until SIGTERM or SIGINT. Returns the exit code: that of the command.
///
/// It must be called by the main thread: the kernel kills the command as soon as the thread has gone that started it.
///
/// # Errors
/// Where nothing can be started: the file of targets, the command.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let targets = Targets::load(&arguments.targets)?;
    // One thread, so that it is the main thread which starts the command.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let code = runtime.block_on(async {
        if arguments.dry_run {
            return dry_run(arguments, &targets).await;
        }
        Guard::new(arguments, targets)?.run().await
    });
    // An agent that hangs must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn dry_run(arguments: &Arguments, targets: &Targets) -> Result<u8, Failure> {
    let url = here(arguments, targets);
    let mut agents = Agents::new(arguments.interval);
    agents.ask(&urls(&url, targets));
    let all = async {
        while !agents.has_heard_all() {
            agents.hear().await;
        }
    };
    // Who has not answered by then is shown as such.
    tokio::time::timeout(Duration::from_nanos(LONGEST_LOOK), all).await.ok();
    let choice = Choice::new(rules(arguments), targets.list.len());
    let found = DryRun::new(&url, &agents, targets, choice, clock::monotonic());
    let text =
        if arguments.json { serde_json::to_string_pretty(&found)? + "\n" } else { found.table() };
    // The exit code is the answer, whether or not somebody reads the table.
    io::stdout().lock().write_all(text.as_bytes()).ok();
    Ok(u8::from(!found.is_any_good()))
}

/// The URL of the agent of this host.
fn here(arguments: &Arguments, targets: &Targets) -> String {
    let url = arguments.agent.as_ref().or(targets.agent.as_ref());
    url.map_or_else(|| client::DEFAULT_URL.to_owned(), Clone::clone)
}

/// The URLs of all agents that are to be asked.
fn urls<'a>(here: &'a str, targets: &'a Targets) -> Vec<&'a str> {
    let there = targets.list.iter().filter_map(|target| target.agent.as_deref());
    std::iter::once(here).chain(there).collect()
}

fn rules(arguments: &Arguments) -> Rules {
    Rules { back: arguments.back, patience: arguments.patience, dwell: arguments.min_dwell }
}

/// What the command does.
enum Phase {
    /// It has not been started, for the agents have not been heard. Since when that is so.
    Looking(Nanos),
    /// It has ended, and is started again at this time.
    Waiting(Nanos),
    /// It runs, or ends.
    Running(Box<Process>, Next),
}

/// What follows when the command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It does so by itself; what follows is as the user says.
    Own,
    /// It was told to, and is started elsewhere.
    Move,
    /// It was told to, and the guard ends.
    End,
}

enum Event {
    /// An agent has been heard.
    Heard,
    /// It may be time to start the command.
    Due,
    /// Nothing of the command is left.
    Ended(io::Result<ExitStatus>),
    /// A signal has come.
    Signal(i32),
}

/// A guard at work.
struct Guard<'a> {
    arguments: &'a Arguments,
    targets: Targets,
    url: String,
    agents: Agents,
    signals: Signals,
    choice: Choice,
    back_off: BackOff,
    phase: Phase,
    /// Whom the command was started against last.
    at: Option<Target>,
    log: Log,
}

impl<'a> Guard<'a> {
    fn new(arguments: &'a Arguments, targets: Targets) -> Result<Self, Failure> {
        let signals = Signals::take().context("cannot take signals")?;
        let choice = Choice::new(rules(arguments), targets.list.len());
        let url = here(arguments, &targets);
        let mut agents = Agents::new(arguments.interval);
        agents.ask(&urls(&url, &targets));
        Ok(Self {
            arguments,
            targets,
            url,
            agents,
            signals,
            choice,
            back_off: BackOff::new(arguments.back_off, arguments.back_off_cap),
            phase: Phase::Looking(clock::monotonic()),
            at: None,
            log: Log::new(),
        })
    }

    async fn run(mut self) -> Result<u8, Failure> {
        loop {
            let code = match self.next().await {
                Event::Heard => {
                    self.look();
                    self.leave();
                    if self.is_time() { self.start()? } else { None }
                }
                Event::Due if self.is_time() => self.start()?,
                Event::Due => None,
                Event::Ended(status) => {
                    let status = status.context("cannot tell what became of the command")?;
                    self.ended(status)?
                }
                Event::Signal(signal) => self.signal(signal),
            };
            if let Some(code) = code {
                return Ok(code);
            }
        }
    }

    async fn next(&mut self) -> Event {
        let phase = async {
            match &mut self.phase {
                Phase::Looking(_) => {
                    tokio::time::sleep(Duration::from_nanos(GLANCE)).await;
                    Event::Due
                }
                Phase::Waiting(until) => {
                    let left = until.saturating_sub(clock::monotonic());
                    tokio::time::sleep(Duration::from_nanos(left)).await;
                    Event::Due
                }
                Phase::Running(process, _) => Event::Ended(process.ended().await),
            }
        };
        tokio::select! {
            event = phase => event,
            () = self.agents.hear() => Event::Heard,
            signal = self.signals.next() => Event::Signal(signal),
        }
    }

    /// Takes in what is seen now, and logs what of it is new.
    fn look(&mut self) {
        let now = clock::monotonic();
        let (look, at) = self.agents.look(&self.url, &self.targets, now);
        self.choice.observe(look, at);
        self.log.look(self.choice.look(), &self.targets);
        if let Ok(here) = self.agents.here(&self.url, now) {
            self.log.mistakes(here, &self.agents, &self.targets);
        }
    }

    /// Whether the command is to be started.
    fn is_time(&self) -> bool {
        let now = clock::monotonic();
        match self.phase {
            Phase::Looking(since) => {
                let waited = now.saturating_sub(since);
                self.agents.has_heard_all()
                    || waited >= FIRST_LOOK && self.agents.has_heard(&self.url)
                    || waited >= LONGEST_LOOK
            }
            Phase::Waiting(until) => now >= until,
            Phase::Running(..) => false,
        }
    }

    /// Starts the command where it is best. Returns the exit code if that ends the guard.
    fn start(&mut self) -> Result<Option<u8>, Failure> {
        self.look();
        let (index, why) = self.choice.pick();
        let target = self.targets.list[index].clone();
        let line = &self.arguments.command;
        match Process::start(line, &target, self.arguments.grace) {
            Ok(process) => {
                log::start(&target, why, process.id());
                self.phase = Phase::Running(Box::new(process), Next::Own);
            }
            Err(error) => {
                let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
                let command = line[0].to_string_lossy();
                let context = format!("cannot start {command}");
                if self.at.is_none() || self.arguments.restart == Restart::Never {
                    return Err(Failure {
                        code,
                        error: anyhow::Error::new(error).context(context),
                    });
                }
                // It ran before, and may be there again soon: while a new version is installed, it is not.
                tracing::error!("{context}: {error}");
                self.wait(Duration::ZERO);
            }
        }
        self.choice.started(index, clock::monotonic());
        self.at = Some(target);
        Ok(None)
    }

    /// Waits before the command is started again, whose last run lasted so long.
    fn wait(&mut self, run: Duration) {
        let wait = self.back_off.after(run);
        tracing::info!(again_in = %humantime::format_duration(wait), "waiting");
        self.phase = Phase::Waiting(clock::monotonic().saturating_add(wait.as_nanos() as u64));
    }

    /// Ends the command, or the wait for its next start, if it is to be started elsewhere.
    fn leave(&mut self) {
        let can_leave = match &mut self.phase {
            // Of one that has ended by itself, it is not yet known if it is started again.
            Phase::Running(process, Next::Own) => !process.has_ended(),
            Phase::Running(..) | Phase::Looking(_) => false,
            Phase::Waiting(_) => true,
        };
        let now = clock::monotonic();
        let Some((index, why)) = can_leave.then(|| self.choice.leave(now)).flatten() else {
            return;
        };
        log::moving(self.at.as_ref(), &self.targets.list[index], why);
        // That the command failed where it was says nothing of where it goes.
        self.back_off.reset();
        match &mut self.phase {
            Phase::Running(process, next) => {
                *next = Next::Move;
                process.stop(self.arguments.signal);
            }
            phase => *phase = Phase::Waiting(now),
        }
    }

    /// What follows when nothing of the command is left. Returns the exit code if that ends the guard.
    fn ended(&mut self, status: ExitStatus) -> Result<Option<u8>, Failure> {
        let Phase::Running(process, next) = &self.phase else { return Ok(None) };
        let run = clock::monotonic().saturating_sub(process.started_at());
        let (run, next) = (Duration::from_nanos(run), *next);
        let target = self.at.as_ref().map(|target| target.name.as_str());
        tracing::info!(target, %status, "ended");
        match (next, self.arguments.restart) {
            (Next::Move, _) => return self.start(),
            (Next::End, _) | (Next::Own, Restart::Never) => return Ok(Some(process::code(status))),
            (Next::Own, Restart::OnFailure) if status.success() => return Ok(Some(0)),
            (Next::Own, Restart::OnFailure | Restart::Always) => self.wait(run),
        }
        Ok(None)
    }

    /// Does what a signal asks for. Returns the exit code if that ends the guard.
    fn signal(&mut self, signal: i32) -> Option<u8> {
        if signal == signals::RELOAD {
            self.reload();
            return None;
        }
        let is_end = signals::END.contains(&signal);
        match &mut self.phase {
            Phase::Running(process, next) if is_end => {
                *next = Next::End;
                process.stop(signal);
                None
            }
            Phase::Running(process, _) => {
                process.signal(signal);
                None
            }
            // As if the signal had ended the command.
            Phase::Looking(_) | Phase::Waiting(_) => {
                is_end.then(|| u8::try_from(128 + signal).unwrap_or(u8::MAX))
            }
        }
    }

    /// Reads the file of targets again.
    fn reload(&mut self) {
        let targets = match Targets::load(&self.arguments.targets) {
            Ok(targets) => targets,
            Err(error) => {
                tracing::error!("not reloaded, the old targets stay: {error}");
                return;
            }
        };
        let old = |new: &Target| self.targets.list.iter().position(|old| old.is_same(new));
        let from: Vec<Option<usize>> = targets.list.iter().map(old).collect();
        let kept = from.iter().flatten().count();
        let (all, before) = (from.len(), self.targets.list.len());
        self.choice.relisted(&from);
        self.url = here(self.arguments, &targets);
        self.agents.ask(&urls(&self.url, &targets));
        self.targets = targets;
        self.log.forget();
        tracing::info!(kept, new = all - kept, removed = before - kept, "reloaded");
        self.look();
        self.leave();
    }
}
