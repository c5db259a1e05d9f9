//! What the outside is told of the overlay.

use super::{super::report::Moment, Overlay, Path, Peer, State, candidates};
use crate::{
    metrics::{Route, Routes},
    overlay::actuator::Status,
    report::{
        Probes, States,
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
        let numbers = 0..overlay.destinations.len();
        let destination =
            |number: usize| overlay.destination(number, &self.peers, &status, &moment);
        Some(Document {
            node: self.config.node.name.clone(),
            region: self.config.node.region.clone(),
            at: moment.at(),
            isolated_since: self.isolated_since(&moment),
            destinations: numbers.filter_map(destination).collect(),
            problems: status.problems,
            repairs: status.repairs,
        })
    }

    /// The same, as far as metrics go: a scrape must not hold up the judge for long.
    pub(in crate::agent) fn overlay_metrics(&self, now: Nanos, unix: Nanos) -> Option<Routes> {
        let overlay = self.overlay.as_ref()?;
        let moment = Moment::new(now, unix, &self.settings);
        let status = overlay.actuator.status();
        let route = |(number, destination): (usize, &super::Destination)| {
            let peer = self.peers.get(destination.peer?)?;
            let mut states = States::default();
            for (_, path) in candidates(&overlay.plan, number, peer) {
                let verdict = path.map(|path| moment.verdict(path, Direction::Forward).state);
                states.count(verdict.unwrap_or(Verdict::Unknown));
            }
            Some(Route {
                peer: peer.config.name.clone(),
                via: overlay.relay(number, overlay.via(number)),
                candidates: states,
                moves: destination.lookout.choice.moves(),
            })
        };
        Some(Routes {
            destinations: overlay.destinations.iter().enumerate().filter_map(route).collect(),
            problems: status.problems.len(),
            repairs: status.repairs,
        })
    }
}

impl Overlay {
    /// The name of the relay that a gateway is for a destination; `None` if it is its own.
    fn relay(&self, number: usize, via: usize) -> Option<String> {
        (via != number).then(|| self.plan.gateways[via].peer.clone())
    }

    fn destination(
        &self,
        number: usize,
        peers: &[Peer],
        status: &Status,
        moment: &Moment<'_>,
    ) -> Option<Destination> {
        let super::Destination { lookout, peer } = &self.destinations[number];
        let choice = &lookout.choice;
        let (gateway, peer) = (&self.plan.gateways[number], peers.get((*peer)?)?);
        let in_use = self.via(number);
        let candidate = |(via, path): (usize, Option<&Path>)| {
            let direction =
                |way| path.map_or_else(|| moment.unstarted(peer), |path| moment.of(path, way));
            Candidate {
                via: self.relay(number, via),
                in_use: via == in_use,
                interface: self.plan.gateways[via].interface.clone(),
                up: status.up.get(via).copied().unwrap_or(false),
                forward: direction(Direction::Forward),
                reverse: direction(Direction::Reverse),
                rtt_us: path.and_then(|path| path.recent.quantiles()),
                probes: path.map_or_else(Probes::default, Path::all_probes),
            }
        };
        let candidates: Vec<_> = candidates(&self.plan, number, peer).map(candidate).collect();
        let used = candidates.iter().find(|candidate| candidate.in_use);
        Some(Destination {
            peer: gateway.peer.clone(),
            region: peer.config.region.clone(),
            prefixes: gateway.prefixes.iter().map(ToString::to_string).collect(),
            via: self.relay(number, in_use),
            state: used.map_or(Verdict::Unknown, |candidate| candidate.forward.verdict),
            reason: choice.reason(),
            since: moment.unix(choice.since()),
            since_seconds: moment.age(choice.since()),
            moves: choice.moves(),
            installed: status.installed.get(number).copied().unwrap_or(false),
            candidates,
        })
    }
}
