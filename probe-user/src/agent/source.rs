//! How HTTP reads an agent, and never holds up the judge for long.

use std::{
    sync::{Arc, TryLockError, atomic::Ordering},
    thread,
    time::Duration,
};

use tokio::sync::broadcast;

use super::{Agent, judge::TICK};
use crate::{
    config::Config,
    datapath::clock,
    metrics::Snapshot,
    report::{self, overlay::Overlay},
    web,
};

/// So many paths are read at once, which takes far less than the judge may be late.
const PATHS_AT_ONCE: usize = 64;

/// How often somebody who reads looks whether the judge has passed.
const COURTESY: Duration = Duration::from_micros(100);

impl Agent {
    /// The paths, read in parts, between which the judge may come round. What becomes of a path meanwhile comes after the
    /// document's revision, and so it does as an event.
    fn read_paths(&self) -> report::Paths {
        loop {
            if let Some(report) = self.read_paths_of_one_config() {
                return report;
            }
        }
    }

    /// The same; `None` where the peers are others than in the beginning.
    fn read_paths_of_one_config(&self) -> Option<report::Paths> {
        let state = self.lock();
        let version = state.version;
        let mut report = state.paths_head(clock::monotonic(), clock::realtime());
        drop(state);
        loop {
            // A lock goes to whoever asks first, and that would be this thread again.
            while self.judge_waits.load(Ordering::Relaxed) {
                thread::sleep(COURTESY);
            }
            let state = self.lock();
            if state.version != version {
                return None;
            }
            let (now, unix) = (clock::monotonic(), clock::realtime());
            if !state.add_paths(&mut report.paths, PATHS_AT_ONCE, now, unix) {
                return Some(report);
            }
        }
    }
}

impl web::Source for Arc<Agent> {
    fn snapshot(&self) -> Snapshot {
        let paths = self.read_paths();
        self.lock().snapshot(paths, clock::monotonic(), clock::realtime())
    }

    fn paths(&self) -> report::Paths {
        self.read_paths()
    }

    fn regions(&self) -> report::Regions {
        self.lock().region_links(clock::monotonic(), clock::realtime())
    }

    fn overlay(&self) -> Option<Overlay> {
        self.lock().overlay_report(clock::monotonic(), clock::realtime())
    }

    fn events(&self) -> broadcast::Receiver<report::Event> {
        self.lock().events.listen()
    }

    fn judges(&self) -> bool {
        self.heartbeat.check(clock::monotonic()).is_ok()
    }

    /// A judge that hangs, hangs with the lock. So this does not wait for it any longer than for the judge.
    fn ready(&self) -> Result<(), String> {
        loop {
            self.heartbeat.check(clock::monotonic())?;
            match self.state.try_lock() {
                Ok(state) => return state.ready(),
                Err(TryLockError::Poisoned(state)) => return state.into_inner().ready(),
                Err(TryLockError::WouldBlock) => thread::sleep(TICK),
            }
        }
    }

    fn reload(&self) -> Result<String, String> {
        let loaded = Config::load(&self.file).map_err(|error| error.to_string());
        let loaded = loaded.map(|config| {
            let settings = config.health.settings(&config.probe);
            (config, settings)
        });
        let applied = self.lock().reload(loaded);
        match &applied {
            Ok(what) => {
                tracing::info!(file = %self.file.display(), "reloaded: {what}");
                self.resolve_names();
            }
            Err(why) => tracing::error!(file = %self.file.display(), "not reloaded: {why}"),
        }
        applied
    }
}

#[cfg(test)]
mod tests;
