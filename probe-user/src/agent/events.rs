//! Changes of verdicts, as they happen: in the log, for all who listen, and for hooks.

use std::borrow::Cow;

use tokio::sync::broadcast;

use super::{peers::Peer, report::Moment};
use crate::{
    config::PeerConfig,
    datapath::clock,
    health::{self, Transition},
    hooks::{Change, Kind, Listeners},
    overlay::choice::Reason,
    report::{self, Event, ISOLATED, Revision, sick_flows},
    verdict::{Direction, Reach, State as Verdict},
};

/// How many events a listener may be behind before it misses some.
const BACKLOG: usize = 1_024;

/// Where events come from.
pub(super) struct Events {
    sender: broadcast::Sender<Event>,
    revision: Revision,
    /// Name of this node.
    node: String,
    /// None until the agent has started them.
    pub(super) hooks: Listeners,
}

impl Events {
    pub(super) fn new(node: &str) -> Self {
        let epoch = clock::realtime();
        Self {
            sender: broadcast::channel(BACKLOG).0,
            revision: Revision { epoch, sequence: 0 },
            node: node.to_owned(),
            hooks: Listeners::default(),
        }
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
        if self.hooks.want(Kind::Path) {
            self.hooks.tell(&Change {
                region: Some(region.clone()),
                peer: Some(name.clone()),
                direction: Some(direction),
                ..self.change(Kind::Path, moment.at(), from.label(), to.label(), cause.to_string())
            });
        }
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

    /// Tells of what a region has become. `at` is in seconds since the Unix epoch.
    pub(super) fn reach(&self, region: &report::Region, from: Reach, at: f64) {
        let (name, to, why) = (&region.name, region.reach, region.why());
        match to {
            Reach::Isolated | Reach::SelfIsolated => {
                tracing::warn!(region = name, %from, %to, "reach: {why}");
            }
            _ => tracing::info!(region = name, %from, %to, "reach: {why}"),
        }
        self.hooks.tell(&Change {
            region: Some(name.clone()),
            ..self.change(Kind::Region, at, from.label(), to.label(), why)
        });
    }

    /// Tells of a region that has left the config: what it was is no longer known.
    pub(super) fn forget(&self, region: &str, from: Reach, at: f64) {
        if from != Reach::Unknown {
            let why = "it is not in the config any more".to_owned();
            tracing::info!(region, %from, "reach: {why}");
            self.hooks.tell(&Change {
                region: Some(region.to_owned()),
                ..self.change(Kind::Region, at, from.label(), Reach::Unknown.label(), why)
            });
        }
    }

    /// Tells of a path that ends, or begins anew: what it was is no longer known.
    pub(super) fn forget_path(&self, peer: &PeerConfig, path: &health::Path, why: &str) {
        if !self.hooks.want(Kind::Path) {
            return;
        }
        let at = clock::realtime() as f64 / 1e9;
        for direction in Direction::ALL {
            let from = path.state_of(direction);
            if from != Verdict::Unknown {
                let to = Verdict::Unknown.label();
                self.hooks.tell(&Change {
                    region: Some(peer.region.clone()),
                    peer: Some(peer.name.clone()),
                    direction: Some(direction),
                    ..self.change(Kind::Path, at, from.label(), to, why.to_owned())
                });
            }
        }
    }

    /// Tells whether this node holds itself for cut off.
    pub(super) fn isolated(&self, isolated: bool, at: f64) {
        let states = ["connected", "isolated"];
        let (from, to) = (states[usize::from(!isolated)], states[usize::from(isolated)]);
        let why = if isolated { ISOLATED } else { "no longer isolated" };
        if isolated {
            tracing::warn!("{why}");
        } else {
            tracing::info!("{why}");
        }
        self.hooks.tell(&self.change(Kind::Isolated, at, from, to, why.to_owned()));
    }

    /// Tells of the way that the traffic to a peer goes from now on: through a relay, or `direct`.
    pub(super) fn route(&self, peer: &PeerConfig, way: [&str; 2], reason: Reason, at: f64) {
        let [from, to] = way;
        tracing::info!(peer = peer.name, from, to, %reason, "route");
        if self.hooks.want(Kind::Route) {
            let (from, to) = (from.to_owned(), to.to_owned());
            self.hooks.tell(&Change {
                region: Some(peer.region.clone()),
                peer: Some(peer.name.clone()),
                ..self.change(Kind::Route, at, from, to, reason.to_string())
            });
        }
    }

    fn change(
        &self,
        event: Kind,
        at: f64,
        from: impl Into<Cow<'static, str>>,
        to: impl Into<Cow<'static, str>>,
        why: String,
    ) -> Change {
        let node = self.node.clone();
        Change {
            event,
            node,
            at,
            region: None,
            peer: None,
            direction: None,
            from: from.into(),
            to: to.into(),
            why,
            left_out: 0,
        }
    }
}
