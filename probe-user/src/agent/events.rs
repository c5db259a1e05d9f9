//! Changes of verdicts, as they happen: in the log, and for all who listen.

use tokio::sync::broadcast;

use crate::{
    config::PeerConfig,
    datapath::clock,
    health::{Transition, Verdict},
    report::{Event, Revision},
};

/// How many events a listener may be behind before it misses some.
const BACKLOG: usize = 1_024;

/// Where events come from.
pub(super) struct Events {
    sender: broadcast::Sender<Event>,
    revision: Revision,
}

impl Events {
    pub(super) fn new() -> Self {
        let epoch = clock::realtime();
        Self { sender: broadcast::channel(BACKLOG).0, revision: Revision { epoch, sequence: 0 } }
    }

    /// The last event that was told.
    pub(super) const fn revision(&self) -> Revision {
        self.revision
    }

    /// All events from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// Tells of a change, and what the verdict now rests on.
    pub(super) fn publish(&mut self, peer: &PeerConfig, change: &Transition, verdict: &Verdict) {
        let Transition { direction, from, to, cause, .. } = *change;
        tracing::info!(peer = peer.name, %direction, %from, %to, %cause, "verdict");
        self.revision.sequence += 1;
        // That nobody listens is no error.
        self.sender
            .send(Event {
                revision: self.revision,
                at: clock::realtime() as f64 / 1e9,
                peer: peer.name.clone(),
                region: peer.region.clone(),
                direction,
                from,
                to,
                cause,
                evidence: verdict.evidence,
                needs: verdict.needs,
            })
            .ok();
    }
}
