//! What the outside is told of the overlay.

use super::{super::report::Moment, Overlay, Path, Peer, State};
use crate::{
    report::{
        Probes,
        overlay::{Candidate, Destination, Overlay as Document},
    },
    verdict::{Direction, Nanos, State as Verdict},
};

impl State {
    /// The routes as they are now; `None` where nothing is routed. `now` is monotonic, `unix` the same moment since the Unix
    /// epoch; both in nanoseconds.
    #[must_use]
    pub fn overlay_report(&self, now: Nanos, unix: Nanos) -> Option<Document> {
        let overlay = self.overlay.as_ref()?;
        let moment = Moment::new(now, unix, &self.settings);
        let status = overlay.actuator.status().clone();
        let destination = |number: usize| {
            let is_up = |via: usize| status.up.get(via).copied().unwrap_or(false);
            let installed = status.installed.get(number).copied().unwrap_or(false);
            overlay.destination(number, &self.peers, &is_up, installed, &moment)
        };
        Some(Document {
            node: self.config.node.name.clone(),
            region: self.config.node.region.clone(),
            at: moment.at(),
            isolated_since: self.isolated_since(&moment),
            destinations: (0..overlay.choices.len()).filter_map(destination).collect(),
            problems: status.problems,
            repairs: status.repairs,
        })
    }
}

impl Overlay {
    fn destination(
        &self,
        number: usize,
        peers: &[Peer],
        is_up: &dyn Fn(usize) -> bool,
        installed: bool,
        moment: &Moment<'_>,
    ) -> Option<Destination> {
        let (gateway, choice) = (&self.plan.gateways[number], &self.choices[number]);
        let peer = peers.iter().find(|peer| peer.config.name == gateway.peer)?;
        let name = |via: usize| (via != number).then(|| self.plan.gateways[via].peer.clone());
        let in_use = self.via(number);
        let candidate = |via: usize| {
            let path = path(peer, number, via);
            let direction =
                |way| path.map_or_else(|| moment.unstarted(peer), |path| moment.of(path, way));
            let mut probes = Probes::default();
            for (path, flow) in
                path.iter().flat_map(|path| (0..path.flows.len()).map(move |flow| (path, flow)))
            {
                probes += path.probes(flow);
            }
            Candidate {
                via: name(via),
                in_use: via == in_use,
                interface: self.plan.gateways[via].interface.clone(),
                up: is_up(via),
                forward: direction(Direction::Forward),
                reverse: direction(Direction::Reverse),
                rtt_us: path.and_then(|path| path.recent.quantiles()),
                probes,
            }
        };
        let candidates: Vec<_> = self.plan.candidates(number).map(candidate).collect();
        let used = candidates.iter().find(|candidate| candidate.in_use);
        Some(Destination {
            peer: gateway.peer.clone(),
            region: peer.config.region.clone(),
            prefixes: gateway.prefixes.iter().map(ToString::to_string).collect(),
            via: name(in_use),
            state: used.map_or(Verdict::Unknown, |candidate| candidate.forward.verdict),
            reason: choice.reason(),
            since: moment.unix(choice.since()),
            since_seconds: moment.age(choice.since()),
            moves: choice.moves(),
            installed,
            candidates,
        })
    }
}

/// The path to the gateway of a destination that goes through another one; `None` while it is not probed.
pub(super) fn path(peer: &Peer, number: usize, via: usize) -> Option<&Path> {
    if via == number {
        return peer.path.as_ref();
    }
    peer.relayed.iter().find(|relayed| relayed.via == via).map(|relayed| &relayed.path)
}
