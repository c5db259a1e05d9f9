//! Hooks: commands and servers that are told of changes, one task for each.
//!
//! Who finds a change hands it over and goes on: nothing that a hook does or does not do holds up anybody else.
//!
//! - `change`: what a hook is told.
//! - `queue`: what it has yet to be told; pure.
//! - `worker`: its task.
//! - `command`, `webhook`: the two kinds of hooks.

mod change;
mod command;
mod queue;
#[cfg(test)]
mod tests;
mod webhook;
mod worker;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use change::{Change, Kind};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use crate::config::HookConfig;

/// The tasks of all hooks. With this, they end, and the commands that they run.
#[derive(Debug)]
pub struct Hooks {
    _tasks: JoinSet<()>,
    listeners: Listeners,
}

impl Hooks {
    /// Starts the tasks on the runtime that this is called on.
    #[must_use]
    pub fn start(hooks: &[HookConfig]) -> Self {
        let mut tasks = JoinSet::new();
        let listener = |hook: &HookConfig| {
            let (changes, receiver) = unbounded_channel();
            let (config, counts) = (Arc::new(hook.clone()), Arc::default());
            tasks.spawn(worker::work(Arc::clone(&config), receiver, Arc::clone(&counts)));
            Listener { config, changes, counts }
        };
        let listeners = Listeners(hooks.iter().map(listener).collect());
        Self { _tasks: tasks, listeners }
    }

    /// Where changes are to be handed over.
    #[must_use]
    pub fn listeners(&self) -> Listeners {
        self.listeners.clone()
    }
}

/// The hooks, for those who find changes; by default there are none.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Vec<Listener>);

#[derive(Clone, Debug)]
struct Listener {
    config: Arc<HookConfig>,
    changes: UnboundedSender<Change>,
    counts: Arc<Counts>,
}

impl Listeners {
    /// One that does nothing with changes of these kinds but to pass them on.
    #[cfg(test)]
    pub(crate) fn listen(on: &[Kind]) -> (Self, tokio::sync::mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = unbounded_channel();
        let config = Arc::new(HookConfig {
            name: "test".to_owned(),
            action: crate::config::HookAction::Command(Vec::new()),
            on: on.to_vec(),
            timeout: std::time::Duration::ZERO,
            min_interval: std::time::Duration::ZERO,
        });
        (Self(vec![Listener { config, changes, counts: Arc::default() }]), receiver)
    }

    /// Whether anybody wants to be told of changes of a kind.
    #[must_use]
    pub fn want(&self, kind: Kind) -> bool {
        self.0.iter().any(|listener| listener.config.on.contains(&kind))
    }

    /// Hands a change over, without waiting for anything.
    pub fn tell(&self, change: &Change) {
        for listener in self.0.iter().filter(|hook| hook.config.on.contains(&change.event)) {
            // Fails at the end of the agent only.
            listener.changes.send(change.clone()).ok();
        }
    }

    /// How the hooks have fared so far, in the order of the config.
    #[must_use]
    pub fn runs(&self) -> Vec<Runs> {
        let runs = |listener: &Listener| Runs {
            hook: listener.config.name.clone(),
            outcomes: listener.counts.0.each_ref().map(|count| count.load(Ordering::Relaxed)),
        };
        self.0.iter().map(runs).collect()
    }
}

/// How often a hook was run, by what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Its name.
    pub hook: String,
    /// As often as each of [`Runs::OUTCOMES`] says.
    pub outcomes: [u64; 3],
}

impl Runs {
    /// What can come of a run. A hook that is tried three times until it succeeds has failed twice: what has failed is told
    /// again, so no count says that anything was given up.
    pub const OUTCOMES: [&'static str; 3] = ["succeeded", "failed", "timed_out"];
}

/// In the order of [`Runs::OUTCOMES`].
#[derive(Debug, Default)]
struct Counts([AtomicU64; 3]);

impl Counts {
    fn count(&self, outcome: &Result<(), Failure>) {
        let index = match outcome {
            Ok(()) => 0,
            Err(Failure::Failed(_)) => 1,
            Err(Failure::TimedOut(_)) => 2,
        };
        self.0[index].fetch_add(1, Ordering::Relaxed);
    }
}

/// Why a run came to nothing, for people.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Failed(String),
    TimedOut(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed(why) | Self::TimedOut(why)) = self;
        f.write_str(why)
    }
}
