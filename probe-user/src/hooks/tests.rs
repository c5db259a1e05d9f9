mod command;
mod queue;
mod webhook;

use std::{thread, time::Duration};

use tokio::runtime::Runtime;

use super::{Change, Hooks, Kind, Runs};
use crate::config::{HookAction, HookConfig};

/// Nothing here takes so long, on the busiest host.
const LONG: Duration = Duration::from_secs(30);

/// The limit of what hangs: long enough for it to begin.
const SHORT: Duration = Duration::from_secs(5);

/// That a region has changed from one to the other.
fn change(region: &str, from: &'static str, to: &'static str) -> Change {
    Change {
        event: Kind::Region,
        node: "ams1".to_owned(),
        at: 1.5,
        region: Some(region.to_owned()),
        peer: None,
        direction: None,
        from: from.into(),
        to: to.into(),
        why: "it is a test".to_owned(),
        left_out: 0,
    }
}

fn hook(action: HookAction, timeout: Duration) -> HookConfig {
    let (name, on) = ("test".to_owned(), vec![Kind::Region]);
    HookConfig { name, action, on, timeout, min_interval: Duration::ZERO }
}

/// Hooks on a runtime, as in an agent.
struct Running {
    hooks: Option<Hooks>,
    runtime: Runtime,
}

impl Running {
    fn start(hooks: &[HookConfig]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let guard = runtime.enter();
        let hooks = Some(Hooks::start(hooks));
        drop(guard);
        Self { hooks, runtime }
    }

    fn tell(&self, change: &Change) {
        self.hooks.as_ref().unwrap().listeners().tell(change);
    }

    fn outcomes(&self) -> Vec<[u64; 3]> {
        let runs: Vec<Runs> = self.hooks.as_ref().unwrap().listeners().runs();
        runs.into_iter().map(|runs| runs.outcomes).collect()
    }

    /// Waits until the hooks have fared so.
    fn await_outcomes(&self, expected: &[[u64; 3]]) {
        eventually(&format!("{expected:?}"), || self.outcomes() == expected);
    }

    /// As an agent ends: it waits for no hook.
    fn end(mut self) {
        drop(self.hooks.take());
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let pause = Duration::from_millis(10);
    for _ in 0..LONG.as_millis() / pause.as_millis() {
        if is_so() {
            return;
        }
        thread::sleep(pause);
    }
    panic!("it is never so: {what}");
}
