//! What happens: all is well, a link fails, a region is cut off, the network is in order again.

use std::{
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use lab::clock;
use probe_user::verdict::State;

use super::{
    super::{plan::Plan, screen::Screen},
    burst::{self, FIRST, OTHER, SICK, VERDICTS},
    observe::News,
    record::{Record, Times},
    stage::Stage,
};

/// How long is waited at most for all to be well at the start.
const START_LIMIT: Duration = Duration::from_secs(45);
/// How long all is well before the burst, and again at the end.
const CALM: Duration = Duration::from_secs(2);
/// How long sightings are waited for until something else is looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// The incident as it happens.
pub(super) struct Play {
    pub(super) stage: Stage,
    pub(super) screen: Screen,
    plan: Plan,
    burst: Duration,
    watch: Duration,
    /// Whether all has been well once, and what changes is news.
    is_begun: bool,
    /// Whether all verdicts were healthy when last counted.
    was_healthy: bool,
}

impl Play {
    /// With a region that is cut off for so many seconds, and so many that are waited for recovery at most.
    pub(super) fn new(stage: Stage, screen: Screen, burst: u64, watch: u64) -> Self {
        let plan = Plan::new(&[
            ("waiting for verdicts", 6.0),
            ("all is well", CALM.as_secs_f64()),
            ("one link is lost", FIRST.as_secs_f64()),
            ("cut off", burst as f64),
            ("the network is in order", 12.0),
            ("calm", CALM.as_secs_f64()),
        ]);
        let (burst, watch) = (Duration::from_secs(burst), Duration::from_secs(watch));
        Self { stage, screen, plan, burst, watch, is_begun: false, was_healthy: false }
    }

    /// All of it. Returns what was seen.
    ///
    /// # Errors
    /// Where all is not well at the start, or an agent fails.
    pub(super) fn play(&mut self) -> Result<Record> {
        if !self.watch(START_LIMIT, |stage| stage.observer.is_all_well())? {
            bail!("not well after {START_LIMIT:?}: {}", self.stage.observer.missing());
        }
        (self.is_begun, self.was_healthy) = (true, true);
        let text = format!(
            "all {VERDICTS} verdicts are healthy, all routes direct; {SICK} serves and has the workers"
        );
        self.say((State::Healthy, text));
        self.stage.start_streams()?;
        self.stage.observer.forget_requests();
        self.plan.advance();
        self.watch(CALM, |_| false)?;

        let (begun, begun_at) = (clock::now(), clock::unix());
        burst::cut_first(&self.stage.lab)?;
        self.step(&format!("all is lost between {SICK} and {OTHER}"));
        self.watch(FIRST, |_| false)?;
        let (cut, cut_at) = (clock::now(), clock::unix());
        burst::cut(&self.stage.lab)?;
        self.step(&format!("all is lost between {SICK} and everybody"));
        self.watch(self.burst, |_| false)?;
        let ended_at = clock::unix();
        burst::mend(&self.stage.lab)?;
        self.step("the network is in order again");
        self.watch(self.watch, |stage| stage.observer.is_all_well() && stage.is_flowing())?;
        self.plan.advance();
        self.watch(CALM, |_| false)?;

        let times = Times { begun: begun_at, cut: cut_at, ended: ended_at, until: clock::unix() };
        let seen = self.stage.observer.seen();
        let is_flowing = self.stage.is_flowing();
        let connections = self.stage.finish_streams(begun, cut);
        let undelivered = self.stage.lab.undelivered();
        self.screen.line("");
        Ok(Record { times, seen, connections, is_flowing, undelivered })
    }

    /// Goes on to the next step.
    fn step(&mut self, text: &str) {
        self.plan.advance();
        self.screen.event(&self.screen.bold(text));
    }

    /// Takes in what is seen until a condition holds (true) or the time is over (false).
    fn watch(&mut self, at_most: Duration, until: impl Fn(&Stage) -> bool) -> Result<bool> {
        let deadline: Instant = clock::now() + at_most;
        loop {
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(false);
            }
            let mut news = self.stage.observer.look_at_routes()?;
            match self.stage.sightings.recv_timeout(left.min(PERIOD)) {
                Ok(sighting) => news.extend(self.stage.observer.take(sighting)?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("nobody is left who sees anything"),
            }
            news.extend(self.healthy());
            if self.is_begun {
                news.into_iter().for_each(|news| self.say(news));
            }
            self.screen.progress(&self.plan, |state| self.stage.observer.count(state));
            if until(&self.stage) {
                return Ok(true);
            }
        }
    }

    /// Whether it is news that all verdicts are healthy.
    fn healthy(&mut self) -> Option<News> {
        let is_healthy = self.stage.observer.count(State::Healthy) == VERDICTS;
        let was_healthy = std::mem::replace(&mut self.was_healthy, is_healthy);
        let text = || format!("all {VERDICTS} verdicts are healthy");
        (is_healthy && !was_healthy).then(|| (State::Healthy, text()))
    }

    /// A line of the timeline.
    fn say(&mut self, (state, text): News) {
        self.screen.event(&self.screen.state(state, &format!("  {text}")));
    }
}
