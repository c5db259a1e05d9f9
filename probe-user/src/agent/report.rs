//! What the outside is told of an agent's state.

use super::{
    paths::{Flow, Path},
    peers::Peer,
    regions::{Link, Reached, Region},
    state::State,
};
use crate::{
    account::rtt,
    datapath::{attach::Attachment, clock},
    health::{
        self, Settings,
        evidence::Evidence,
        region::{Tally, Together},
    },
    metrics::{Interface, RegionRtt, Snapshot},
    report,
    verdict::{Cause, Direction, Nanos, Reach, State as Verdict},
};

impl State {
    /// The paths as they are now. `now` is monotonic, `unix` the same moment since the Unix epoch;
    /// both in nanoseconds.
    #[must_use]
    pub fn paths(&self, now: Nanos, unix: Nanos) -> report::Paths {
        let mut report = self.paths_head(now, unix);
        self.add_paths(&mut report.paths, self.peers.len(), now, unix);
        report
    }

    /// The same without a path, to begin with.
    pub(super) fn paths_head(&self, now: Nanos, unix: Nanos) -> report::Paths {
        let moment = Moment { now, unix, settings: &self.settings };
        report::Paths {
            node: self.config.node.name.clone(),
            region: self.config.node.region.clone(),
            at: seconds(unix),
            revision: self.events.revision(),
            isolated_since: self.isolated_since(&moment),
            paths: Vec::with_capacity(self.peers.len()),
        }
    }

    /// Adds the paths that follow, as many as that. Returns whether there were any.
    pub(super) fn add_paths(
        &self,
        paths: &mut Vec<report::Path>,
        count: usize,
        now: Nanos,
        unix: Nanos,
    ) -> bool {
        let moment = Moment { now, unix, settings: &self.settings };
        let before = paths.len();
        paths.extend(self.peers.iter().skip(before).take(count).map(|peer| moment.path(peer)));
        paths.len() > before
    }

    /// The links to the regions as they are now; times as in [`State::paths`].
    #[must_use]
    pub fn region_links(&self, now: Nanos, unix: Nanos) -> report::Regions {
        let moment = Moment { now, unix, settings: &self.settings };
        let mut links = vec![[Paths::default(); 2]; self.regions.len()];
        let mut tallies = vec![Tally::default(); self.regions.len()];
        let mut counts = vec![0; self.regions.len()];
        for peer in &self.peers {
            let path = Direction::ALL.map(|direction| moment.direction(peer, direction));
            for (paths, direction) in links[peer.region].iter_mut().zip(&path) {
                paths.add(direction);
            }
            let detours = peer.relayed.iter().map(|relayed| {
                Direction::ALL.map(|way| {
                    let verdict = moment.verdict(&relayed.path, way);
                    (verdict.state, verdict.cause)
                })
            });
            let direct = path.map(|direction| (direction.verdict, direction.cause));
            tallies[peer.region].add(direct, detours);
            counts[peer.region] += 1;
        }
        let isolated_since = self.isolated_since(&moment);
        let isolated = isolated_since.is_some();
        let none_is_reached = Together::of(&tallies).none_is_reached();
        let region = |(index, region): (usize, &Region)| {
            let paths = &links[index];
            let [forward, reverse] = Direction::ALL
                .map(|way| paths[way as usize].link(region.link[way as usize], isolated, &moment));
            let reach = tallies[index].reach(region.is_excused || none_is_reached);
            report::Region {
                name: region.name.clone(),
                paths: counts[index],
                reach,
                reach_since: reach_since(reach, region.reached, paths, &moment),
                reach_transitions: region.reached.transitions,
                state: forward.verdict.worse(reverse.verdict),
                forward,
                reverse,
            }
        };
        report::Regions {
            node: self.config.node.name.clone(),
            region: self.config.node.region.clone(),
            at: seconds(unix),
            isolated_since,
            regions: self.regions.iter().enumerate().map(region).collect(),
        }
    }

    /// Since when the node holds itself for cut off, in seconds since the Unix epoch. That too is a verdict, and none if
    /// nobody has made it for so long.
    pub(super) fn isolated_since(&self, moment: &Moment<'_>) -> Option<f64> {
        let is_stale = self.heartbeat.age(moment.now) > moment.settings.expiry;
        self.node.isolated_since().filter(|_| !is_stale).map(|since| moment.unix(since))
    }

    /// What one scrape needs, with the paths.
    #[must_use]
    pub fn snapshot(&self, paths: report::Paths, now: Nanos, unix: Nanos) -> Snapshot {
        let interface = |attachment: &Attachment| Interface {
            name: attachment.interface.clone(),
            mode: attachment.mode.label().to_owned(),
        };
        let region = |region: &Region| RegionRtt {
            region: region.name.clone(),
            bounds: &rtt::BOUNDS,
            counts: region.round_trips.counts.to_vec(),
            sum: region.round_trips.sum / 1e9,
        };
        Snapshot {
            paths,
            overlay: self.overlay_metrics(now, unix),
            counters: self.datapath.counters(),
            interfaces: self.datapath.attachments().iter().map(interface).collect(),
            last_reload_successful: self.last_reload_successful,
            rtt: self.regions.iter().map(region).collect(),
            regions: self.region_links(now, unix).regions,
            hooks: self.events.hooks.runs(),
            lateness: self.lateness.clone(),
        }
    }
}

/// When the state is read, and by which numbers. What has expired by then is unknown, whether or not the judge has come to
/// say so: a verdict must not outlive who made it.
pub(super) struct Moment<'s> {
    now: Nanos,
    unix: Nanos,
    settings: &'s Settings,
}

impl<'s> Moment<'s> {
    /// Such a moment; `now` is monotonic, and `unix` the same since the Unix epoch.
    pub(super) const fn new(now: Nanos, unix: Nanos, settings: &'s Settings) -> Self {
        Self { now, unix, settings }
    }

    /// The present; `now` is monotonic, in nanoseconds.
    pub(super) fn now(now: Nanos, settings: &'s Settings) -> Self {
        Self { now, unix: clock::realtime(), settings }
    }

    /// In seconds since the Unix epoch.
    pub(super) fn at(&self) -> f64 {
        seconds(self.unix)
    }

    /// A monotonic time in seconds since the Unix epoch.
    pub(super) fn unix(&self, then: Nanos) -> f64 {
        seconds(self.unix) - self.age(then)
    }

    pub(super) fn age(&self, then: Nanos) -> f64 {
        seconds(self.now.saturating_sub(then))
    }

    fn path(&self, peer: &Peer) -> report::Path {
        let known = peer.path.as_ref();
        let flows = self.flows(peer);
        let mut probes = report::Probes::default();
        for flow in &flows {
            probes += flow.probes;
        }
        let [forward, reverse] = Direction::ALL.map(|way| self.direction(peer, way));
        report::Path {
            peer: peer.config.name.clone(),
            region: peer.config.region.clone(),
            address: peer.config.address.to_string(),
            resolved: known.map(|path| path.address.to_string()),
            problem: peer.problem.clone(),
            state: forward.verdict.worse(reverse.verdict),
            forward,
            reverse,
            probes,
            rtt_us: known.and_then(|path| path.recent.quantiles()),
            flows,
        }
    }

    /// Every flow of the path to a peer; none while it is not probed.
    pub(super) fn flows(&self, peer: &Peer) -> Vec<report::Flow> {
        let Some(path) = &peer.path else { return Vec::new() };
        let is_stale = Direction::ALL.map(|way| self.verdict(path, way).cause == Cause::Expired);
        let state = |index: usize, way: Direction| match is_stale[way as usize] {
            true => Verdict::Unknown,
            false => path.health.flow_direction(index, way),
        };
        let flow = |(index, flow): (usize, &Flow)| {
            let [forward, reverse] = Direction::ALL.map(|way| state(index, way));
            report::Flow {
                ssid: flow.ssid,
                source_port: flow.source_port,
                state: forward.worse(reverse),
                forward,
                reverse,
                probes: path.probes(index),
            }
        };
        path.flows.iter().enumerate().map(flow).collect()
    }

    /// One direction of the path to a peer.
    pub(super) fn direction(&self, peer: &Peer, direction: Direction) -> report::Direction {
        peer.path.as_ref().map_or_else(|| self.unstarted(peer), |path| self.of(path, direction))
    }

    /// One direction of a path.
    pub(super) fn of(&self, path: &Path, direction: Direction) -> report::Direction {
        let verdict = self.verdict(path, direction);
        let age = verdict.evidence_at.map(|at| self.age(at));
        let expires = age.map(|age| (seconds(self.settings.expiry) - age).max(0.0));
        report::Direction {
            verdict: verdict.state,
            cause: verdict.cause,
            since: self.unix(verdict.since),
            since_seconds: self.age(verdict.since),
            age_seconds: age,
            expires_in_seconds: expires.filter(|_| verdict.state != Verdict::Unknown),
            evidence: verdict.evidence,
            needs: verdict.needs,
            transitions: verdict.transitions,
        }
    }

    /// Of a peer that is not probed yet.
    pub(super) fn unstarted(&self, peer: &Peer) -> report::Direction {
        report::Direction {
            verdict: Verdict::Unknown,
            cause: Cause::Starting,
            since: self.unix(peer.since),
            since_seconds: self.age(peer.since),
            age_seconds: None,
            expires_in_seconds: None,
            evidence: report::Evidence::default(),
            needs: None,
            transitions: report::Transitions::default(),
        }
    }

    /// The last verdict of the judge, unless what it rests on has expired since.
    pub(super) fn verdict(&self, path: &Path, direction: Direction) -> health::Verdict {
        let last = path.health.direction(direction, self.settings);
        let expiry = self.settings.expiry;
        let is_fresh = |at: Nanos| at <= self.now && self.now - at <= expiry;
        if last.state == Verdict::Unknown || last.evidence_at.is_some_and(is_fresh) {
            return last;
        }
        let expired = last.evidence_at.map_or(last.since, |at| at.saturating_add(expiry));
        // Nothing is known any more, as of a path that is new.
        let new = health::Path::new(path.flows.len(), expired.max(last.since).min(self.now));
        health::Verdict {
            cause: Cause::Expired,
            evidence_at: last.evidence_at,
            transitions: last.transitions,
            ..new.direction(direction, self.settings)
        }
    }
}

/// What the paths of a link say of one direction, all together.
#[derive(Clone, Copy, Default)]
struct Paths {
    states: report::States,
    probes: u32,
    lost: u32,
    /// The age of the newest evidence in seconds.
    age: Option<f64>,
    /// When nothing more is known, in seconds from now.
    expires: Option<f64>,
    /// What the paths need: the one of which something is known that needs most, and the unknown one that needs least.
    known_needs: Option<report::Needs>,
    unknown_needs: Option<report::Needs>,
    /// Since when the last of the unknown ones has been so, in seconds.
    unknown_for: Option<f64>,
}

impl Paths {
    fn add(&mut self, path: &report::Direction) {
        self.states.count(path.verdict);
        self.probes = self.probes.saturating_add(path.evidence.probes);
        self.lost = self.lost.saturating_add(path.evidence.lost);
        self.age = self.age.into_iter().chain(path.age_seconds).reduce(f64::min);
        self.expires = self.expires.into_iter().chain(path.expires_in_seconds).reduce(f64::max);
        let probes = |needs: &report::Needs| needs.clean_probes;
        if path.verdict == Verdict::Unknown {
            let least = self.unknown_needs.into_iter().chain(path.needs).min_by_key(probes);
            self.unknown_needs = least;
            let since = path.since_seconds;
            self.unknown_for = self.unknown_for.into_iter().chain([since]).reduce(f64::min);
        } else {
            self.known_needs = self.known_needs.into_iter().chain(path.needs).max_by_key(probes);
        }
    }

    /// The verdict on the link, which was this one at the last tick.
    fn link(&self, last: Link, isolated: bool, moment: &Moment<'_>) -> report::Link {
        let link = last.next(self.states, isolated, moment.now);
        // What differs from the last tick has expired since.
        let expired_for = self.unknown_for.filter(|_| link.state != last.state);
        report::Link {
            verdict: link.state,
            cause: link.cause,
            since: expired_for.map_or(moment.unix(link.since), |lasts| moment.at() - lasts),
            age_seconds: self.age,
            expires_in_seconds: self.expires.filter(|_| link.state != Verdict::Unknown),
            paths: self.states,
            evidence: evidence(self.probes, self.lost),
            needs: match link.state {
                Verdict::Healthy => None,
                _ => self.known_needs.or(self.unknown_needs),
            },
        }
    }
}

/// Since when a region has been what it is, which was something else at the last tick if some of its paths have expired
/// since.
fn reach_since(reach: Reach, last: Reached, paths: &[Paths; 2], moment: &Moment<'_>) -> f64 {
    let expired_for = paths.iter().filter_map(|way| way.unknown_for).reduce(f64::min);
    match expired_for {
        Some(lasts) if reach != last.reach => moment.at() - lasts,
        _ => moment.unix(last.since),
    }
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

/// So many probes, of which so many were lost.
fn evidence(probes: u32, lost: u32) -> report::Evidence {
    let mut evidence = Evidence::default();
    evidence.begin(probes, lost);
    evidence.report()
}
