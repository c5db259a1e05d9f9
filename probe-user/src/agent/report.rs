//! What the outside is told of an agent's state.

use super::{
    peers::{Flow, Path, Peer},
    regions::Region,
    state::State,
};
use crate::{
    account::rtt,
    datapath::attach::Attachment,
    health::Settings,
    metrics::{Interface, RegionRtt, Snapshot},
    report,
    verdict::{Cause, Direction, Nanos, State as Verdict},
};

impl State {
    /// The paths as they are now. `now` is monotonic, `unix` the same moment since the Unix epoch;
    /// both in nanoseconds.
    #[must_use]
    pub fn paths(&self, now: Nanos, unix: Nanos) -> report::Paths {
        let moment = Moment { now, unix, settings: &self.settings };
        report::Paths {
            node: self.config.node.name.clone(),
            region: self.config.node.region.clone(),
            at: seconds(unix),
            revision: self.events.revision(),
            isolated_since: self.node.isolated_since().map(|since| moment.unix(since)),
            paths: self.peers.iter().map(|peer| path(peer, &moment)).collect(),
        }
    }

    /// The links to the regions as they are now; times as in [`State::paths`].
    #[must_use]
    pub fn region_links(&self, now: Nanos, unix: Nanos) -> report::Regions {
        let moment = Moment { now, unix, settings: &self.settings };
        let region = |(index, region): (usize, &Region)| {
            let [forward, reverse] = region.link.map(|(since, verdict, cause)| report::Link {
                verdict,
                cause,
                since: moment.unix(since),
            });
            report::Region {
                name: region.name.clone(),
                state: forward.verdict.worse(reverse.verdict),
                forward,
                reverse,
                paths: self.peers.iter().filter(|peer| peer.region == index).count(),
            }
        };
        report::Regions {
            node: self.config.node.name.clone(),
            region: self.config.node.region.clone(),
            at: seconds(unix),
            isolated_since: self.node.isolated_since().map(|since| moment.unix(since)),
            regions: self.regions.iter().enumerate().map(region).collect(),
        }
    }

    /// What one scrape needs.
    #[must_use]
    pub fn snapshot(&self, now: Nanos, unix: Nanos) -> Snapshot {
        let interface = |attachment: &Attachment| Interface {
            name: attachment.interface.clone(),
            mode: attachment.mode.label().to_owned(),
        };
        let region = |region: &Region| RegionRtt {
            region: region.name.clone(),
            bounds: &rtt::BOUNDS,
            counts: region.round_trips.counts.to_vec(),
            sum: region.round_trips.sum,
        };
        Snapshot {
            paths: self.paths(now, unix),
            counters: self.datapath.counters(),
            interfaces: self.datapath.attachments().iter().map(interface).collect(),
            last_reload_successful: self.last_reload_successful,
            rtt: self.regions.iter().map(region).collect(),
        }
    }
}

struct Moment<'s> {
    now: Nanos,
    unix: Nanos,
    settings: &'s Settings,
}

impl Moment<'_> {
    /// A monotonic time in seconds since the Unix epoch.
    fn unix(&self, then: Nanos) -> f64 {
        seconds(self.unix) - self.age(then)
    }

    fn age(&self, then: Nanos) -> f64 {
        seconds(self.now.saturating_sub(then))
    }
}

fn path(peer: &Peer, moment: &Moment<'_>) -> report::Path {
    let known = peer.path.as_ref();
    let flows: Vec<report::Flow> = known.map(flows).unwrap_or_default();
    let mut probes = report::Probes::default();
    for flow in &flows {
        probes += flow.probes;
    }
    report::Path {
        peer: peer.config.name.clone(),
        region: peer.config.region.clone(),
        address: peer.config.address.to_string(),
        resolved: known.map(|path| path.address.to_string()),
        problem: peer.problem.clone(),
        state: known.map_or(Verdict::Unknown, |path| path.health.state()),
        forward: direction(known, Direction::Forward, moment),
        reverse: direction(known, Direction::Reverse, moment),
        probes,
        rtt_us: known.and_then(|path| path.recent.quantiles()),
        flows,
    }
}

fn flows(path: &Path) -> Vec<report::Flow> {
    let flow = |(index, flow): (usize, &Flow)| report::Flow {
        ssid: flow.ssid,
        source_port: flow.source_port,
        state: path.health.flow(index),
        probes: path.probes(index),
    };
    path.flows.iter().enumerate().map(flow).collect()
}

fn direction(path: Option<&Path>, direction: Direction, moment: &Moment<'_>) -> report::Direction {
    let Some(path) = path else {
        return report::Direction {
            verdict: Verdict::Unknown,
            cause: Cause::Starting,
            since: seconds(moment.unix),
            since_seconds: 0.0,
            age_seconds: None,
            expires_in_seconds: None,
            evidence: report::Evidence::default(),
            needs: None,
            transitions: report::Transitions::default(),
        };
    };
    let verdict = path.health.direction(direction, moment.settings);
    let lasts = moment.age(verdict.since);
    let age = verdict.evidence_at.map(|at| moment.age(at));
    let expires = age.map(|age| (seconds(moment.settings.expiry) - age).max(0.0));
    report::Direction {
        verdict: verdict.state,
        cause: verdict.cause,
        since: moment.unix(verdict.since),
        since_seconds: lasts,
        age_seconds: age,
        expires_in_seconds: expires.filter(|_| verdict.state != Verdict::Unknown),
        evidence: verdict.evidence,
        needs: verdict.needs,
        transitions: verdict.transitions,
    }
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}
