//! The task of one hook: it takes in changes at any time, and tells of one after the other.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{sync::mpsc::UnboundedReceiver, time::sleep};

use super::{
    Counts, Failure, command,
    queue::{Next, Queue, Waiting},
    webhook,
};
use crate::{
    config::{HookAction, HookConfig},
    datapath::clock,
    verdict::Nanos,
};

/// Tells of changes until nobody is there to send any.
pub(super) async fn work(
    config: Arc<HookConfig>,
    mut changes: UnboundedReceiver<super::Change>,
    counts: Arc<Counts>,
) {
    let mut queue = Queue::new(config.min_interval.as_nanos() as Nanos, config.action.retries());
    let mut telling = None;
    loop {
        let mut pause = None;
        if telling.is_none() {
            match queue.next(clock::monotonic()) {
                Next::Tell(waiting) => telling = Some(Box::pin(tell(Arc::clone(&config), waiting))),
                Next::Wait(until) => pause = Some(until.saturating_sub(clock::monotonic())),
                Next::Idle => {}
            }
        }
        let told = async {
            match &mut telling {
                Some(telling) => telling.await,
                None => pending().await,
            }
        };
        let over = async {
            match pause {
                Some(pause) => sleep(Duration::from_nanos(pause)).await,
                None => pending().await,
            }
        };
        tokio::select! {
            change = changes.recv() => match change {
                Some(change) => queue.push(change),
                None => return,
            },
            (waiting, outcome) = told => {
                telling = None;
                counts.count(&outcome);
                report(&config.name, &mut queue, waiting, outcome);
            }
            () = over => {}
        }
    }
}

/// Tells of one change.
async fn tell(config: Arc<HookConfig>, waiting: Waiting) -> (Waiting, Result<(), Failure>) {
    let change = &waiting.change;
    let outcome = match serde_json::to_string(change) {
        Err(error) => Err(Failure::Failed(format!("the change cannot be written: {error}"))),
        Ok(document) => match &config.action {
            HookAction::Command(command) => {
                command::run(command, change, document + "\n", config.timeout).await
            }
            HookAction::Webhook { url, .. } => {
                let (url, limit) = (url.clone(), config.timeout);
                let post = move || webhook::post(&url, &document, limit);
                let posted = tokio::task::spawn_blocking(post).await;
                posted.unwrap_or_else(|error| Err(Failure::Failed(error.to_string())))
            }
        },
    };
    (waiting, outcome)
}

/// Says in the log how it went, and queues what has failed, to be tried again.
fn report(hook: &str, queue: &mut Queue, waiting: Waiting, outcome: Result<(), Failure>) {
    let (event, to) = (waiting.change.event.label(), waiting.change.to.clone());
    match outcome {
        Ok(()) => tracing::debug!(hook, event, %to, "told"),
        Err(failure) => {
            queue.failed(waiting, clock::monotonic());
            tracing::warn!(hook, event, %to, "{failure}; it is tried again");
        }
    }
}
