//! Asking the agents, each on its own, so that one that hangs holds up no other.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use tokio::{sync::mpsc, task::AbortHandle};

use super::{
    choice::Look,
    standing::{Standing, View, standing},
    targets::{Target, Targets},
};
use crate::{
    client,
    datapath::clock,
    verdict::{Nanos, SECOND},
};

/// So old, an answer of the agent here is none any more. The next one comes within eight seconds, if it is asked five
/// after the last one and takes three.
const FRESH: Nanos = 10 * SECOND;

/// For so long, what an agent elsewhere said last holds while it does not answer: one that is cut off may answer only now
/// and then, and must not seem well in between.
const MEMORY: Nanos = 30 * SECOND;

/// All agents that are asked.
pub(super) struct Agents {
    interval: Duration,
    tell: mpsc::UnboundedSender<Heard>,
    told: mpsc::UnboundedReceiver<Heard>,
    known: HashMap<String, Known>,
}

/// What came of one question.
struct Heard {
    url: String,
    outcome: Result<View, String>,
}

/// An agent that is asked.
struct Known {
    task: AbortHandle,
    /// Whether it has been asked at all, and then why it does not answer at present.
    problem: Option<Option<String>>,
    /// What it said last, and when.
    view: Option<(View, Nanos)>,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agents {
    /// Nobody is asked yet.
    pub(super) fn new(interval: Duration) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self { interval, tell, told, known: HashMap::new() }
    }

    /// Asks the agents at these URLs from now on, and no others.
    pub(super) fn ask(&mut self, urls: &[&str]) {
        self.known.retain(|url, _| urls.contains(&url.as_str()));
        for url in urls {
            if !self.known.contains_key(*url) {
                let task = ask((*url).to_owned(), self.interval, self.tell.clone());
                let task = tokio::spawn(task).abort_handle();
                self.known.insert((*url).to_owned(), Known { task, problem: None, view: None });
            }
        }
    }

    /// Waits for what comes of the next question, and takes it in.
    pub(super) async fn hear(&mut self) {
        // There is always a sender: our own.
        if let Some(heard) = self.told.recv().await {
            self.take(heard, clock::monotonic());
        }
    }

    /// Takes in what came of a question.
    fn take(&mut self, Heard { url, outcome }: Heard, now: Nanos) {
        // One that is asked no longer may have had a question under way.
        let Some(known) = self.known.get_mut(&url) else { return };
        let was_silent = matches!(known.problem, Some(Some(_)));
        match outcome {
            Ok(view) => {
                if was_silent {
                    tracing::info!(agent = url, "answers again");
                }
                known.problem = Some(None);
                known.view = Some((view, now));
            }
            Err(error) => {
                if !was_silent {
                    tracing::warn!(agent = url, "cannot be asked: {error}");
                }
                known.problem = Some(Some(error));
            }
        }
    }

    /// Whether it is known of an agent if it answers.
    pub(super) fn has_heard(&self, url: &str) -> bool {
        self.known.get(url).is_some_and(|known| known.problem.is_some())
    }

    /// Whether that is known of all.
    pub(super) fn has_heard_all(&self) -> bool {
        self.known.values().all(|known| known.problem.is_some())
    }

    /// What the agent here says.
    ///
    /// # Errors
    /// Why it says nothing.
    pub(super) fn here(&self, url: &str, now: Nanos) -> Result<&View, &str> {
        self.answer(url, now).map(|(view, _)| view)
    }

    /// The same, and when it came.
    fn answer(&self, url: &str, now: Nanos) -> Result<(&View, Nanos), &str> {
        match self.known.get(url) {
            Some(Known { problem: Some(Some(problem)), .. }) => Err(problem),
            Some(Known { view: Some((view, at)), .. }) if now.saturating_sub(*at) <= FRESH => {
                Ok((view, *at))
            }
            _ => Err("has not answered"),
        }
    }

    /// What the agent at a target said last, if that is not too old.
    ///
    /// # Errors
    /// Why it says nothing.
    pub(super) fn there(&self, target: &Target, now: Nanos) -> Result<&View, String> {
        let url = target.agent.as_deref().ok_or("no agent to ask")?;
        let known = self.known.get(url).ok_or("not asked")?;
        match (&known.view, &known.problem) {
            (Some((view, at)), _) if now.saturating_sub(*at) <= MEMORY => {
                if view.region == target.region {
                    return Ok(view);
                }
                Err(format!("{url} is an agent of {}, not of {}", view.region, target.region))
            }
            (_, Some(Some(problem))) => Err(problem.clone()),
            _ => Err("has not answered".to_owned()),
        }
    }

    /// The region that the agent at a target is in, if that is not the target's.
    pub(super) fn is_elsewhere(&self, target: &Target) -> Option<&str> {
        let (view, _) = self.known.get(target.agent.as_ref()?)?.view.as_ref()?;
        Some(view.region.as_str()).filter(|region| *region != target.region)
    }

    /// All that is seen of the targets, by the agent at `url` and those at the targets, and when the answer came by which
    /// that is so.
    pub(super) fn look(&self, url: &str, targets: &Targets, now: Nanos) -> (Look, Nanos) {
        match self.answer(url, now) {
            Err(_) => (Look::Silent, now),
            Ok((here, at)) if here.isolated_since.is_some() => (Look::SelfIsolated, at),
            Ok((here, at)) => (Look::Standings(self.standings(here, targets, now)), at),
        }
    }

    /// What each target is good for as seen by `here`.
    pub(super) fn standings(&self, here: &View, targets: &Targets, now: Nanos) -> Vec<Standing> {
        let there = |target| self.there(target, now).ok();
        targets.list.iter().map(|target| standing(&target.region, here, there(target))).collect()
    }
}

/// Asks an agent again and again, whatever comes of it.
async fn ask(url: String, interval: Duration, tell: mpsc::UnboundedSender<Heard>) {
    loop {
        let of = url.clone();
        let question = move || client::fetch(&of, "/api/v1/regions");
        let outcome = match tokio::task::spawn_blocking(question).await {
            Ok(outcome) => outcome.map_err(|error| format!("{error:#}")),
            Err(error) => Err(error.to_string()),
        };
        if tell.send(Heard { url: url.clone(), outcome }).is_err() {
            return;
        }
        tokio::time::sleep(interval).await;
    }
}
