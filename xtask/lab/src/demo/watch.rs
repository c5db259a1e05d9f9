//! Threads that ask the agents for their verdicts again and again.

use std::{sync::mpsc, thread, time::Duration};

use anyhow::Result;
use lab::{Agent, clock};
use probe_user::report::Paths;

/// Time between two questions to the same agent.
const PERIOD: Duration = Duration::from_millis(15);

/// An answer, and when it came, in seconds since the Unix epoch.
pub(crate) type Sample = (Result<Paths>, f64);

/// Asks each agent until it does not answer or nobody listens any more.
pub(crate) fn start(agents: &[Agent]) -> mpsc::Receiver<Sample> {
    let (sender, samples) = mpsc::channel();
    for agent in agents {
        let agent = agent.clone();
        let sender = sender.clone();
        thread::spawn(move || {
            loop {
                let answer = agent.paths();
                let failed = answer.is_err();
                if sender.send((answer, clock::unix())).is_err() || failed {
                    return;
                }
                thread::sleep(PERIOD);
            }
        });
    }
    samples
}
