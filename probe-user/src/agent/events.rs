//! Changes of verdicts, as they happen: in the log, and for all who listen.

use tokio::sync::broadcast;

use super::{peers::Peer, report::Moment};
use crate::{
    config::PeerConfig,
    datapath::clock,
    health::Transition,
    report::{Event, Revision, sick_flows},
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

    /// Tells of a change, and of the verdict as it is now.
    pub(super) fn publish(&mut self, peer: &Peer, change: &Transition, moment: &Moment<'_>) {
        let Transition { direction, from, to, cause, .. } = *change;
        let PeerConfig { name, region, .. } = &peer.config;
        tracing::info!(peer = name, %direction, %from, %to, %cause, "verdict");
        self.revision.sequence += 1;
        let verdict = moment.direction(peer, direction);
        let flows = moment.flows(peer);
        // That nobody listens is no error.
        self.sender
            .send(Event {
                revision: self.revision,
                at: moment.at(),
                peer: name.clone(),
                region: region.clone(),
                direction,
                from,
                to,
                cause,
                since: verdict.since,
                age_seconds: verdict.age_seconds,
                expires_in_seconds: verdict.expires_in_seconds,
                evidence: verdict.evidence,
                rtt_us: peer.path.as_ref().and_then(|path| path.recent.quantiles()),
                flows: flows.len(),
                sick_flows: sick_flows(&flows, direction),
                needs: verdict.needs,
            })
            .ok();
    }
}
