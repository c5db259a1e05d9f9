//! The regions of the peers: what is known of the links to them.

use super::{paths::Path, peers::Peer, state::State};
use crate::{
    account::rtt,
    datapath::clock,
    health::region::{self, Tally, Together},
    report::{ReachTransitions, States},
    verdict::{Cause, Direction, Nanos, Reach, State as Verdict},
};

/// One region.
pub(super) struct Region {
    pub(super) name: String,
    /// Round trips to all its peers.
    pub(super) round_trips: rtt::Histogram,
    /// The verdicts on the link, by direction.
    pub(super) link: [Link; 2],
    /// Whether traffic goes there and back.
    pub(super) reached: Reached,
    /// The verdicts on its paths as of the last tick, by direction.
    paths: [States; 2],
    /// The same, both directions of each path together.
    tally: Tally,
    /// Whether a direct path recovers.
    recovers: bool,
    /// Whether this node was to blame for what it did not reach of it, at the last tick.
    pub(super) is_excused: bool,
}

/// What a region is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) reach: Reach,
    pub(super) since: Nanos,
    pub(super) transitions: ReachTransitions,
    /// Whether it was ever told of.
    is_told: bool,
}

impl Reached {
    fn new(now: Nanos) -> Self {
        let transitions = ReachTransitions::default();
        Self { reach: Reach::Unknown, since: now, transitions, is_told: false }
    }

    /// Takes in what it is now, and returns what it was if that is to be told of: if it is something else now, or if nothing
    /// has been known of it for so long since the start. Who was told of it by an agent before may still hold that for true.
    fn change(&mut self, reach: Reach, now: Nanos, patience: Nanos) -> Option<Reach> {
        if reach == self.reach {
            let is_due = !self.is_told && now.saturating_sub(self.since) > patience;
            self.is_told |= is_due;
            return is_due.then_some(reach);
        }
        self.is_told = true;
        self.since = now;
        self.transitions.count(reach);
        Some(std::mem::replace(&mut self.reach, reach))
    }
}

/// The verdict on one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) state: Verdict,
    pub(super) cause: Cause,
    pub(super) since: Nanos,
}

impl Region {
    pub(super) fn new(name: &str, now: Nanos) -> Self {
        let link = Link { state: Verdict::Unknown, cause: Cause::Starting, since: now };
        Self {
            name: name.to_owned(),
            round_trips: rtt::Histogram::default(),
            link: [link; 2],
            reached: Reached::new(now),
            paths: Default::default(),
            tally: Tally::default(),
            recovers: false,
            is_excused: false,
        }
    }

    /// Judges the link by its paths.
    fn judge(&mut self, isolated: bool, now: Nanos) {
        for direction in Direction::ALL {
            let index = direction as usize;
            let link = &mut self.link[index];
            let next = link.next(self.paths[index], isolated, now);
            if next.state != link.state {
                let (from, to, cause) = (link.state, next.state, next.cause);
                tracing::debug!(region = self.name, %direction, %from, %to, %cause, "link");
            }
            *link = next;
        }
    }
}

impl Link {
    /// What it is with these paths. Where that is another state, it is so since `now`.
    pub(super) fn next(self, paths: States, isolated: bool, now: Nanos) -> Self {
        let (state, cause) = region::link(paths.each(), isolated);
        let is_still_new = self.cause == Cause::Starting && cause == Cause::Expired;
        Self {
            state,
            cause: if is_still_new { Cause::Starting } else { cause },
            since: if state == self.state { self.since } else { now },
        }
    }
}

impl State {
    /// Judges the links to all regions, in one pass over the peers that are not calm, and what the regions are to this node.
    pub(super) fn judge_links(&mut self, now: Nanos) {
        for (place, region) in self.regions.iter_mut().enumerate() {
            let calm = self.node.calm_in(place);
            region.paths = [States { healthy: calm as usize, ..States::default() }; 2];
            region.tally = Tally::all_healthy(calm);
            region.recovers = false;
        }
        for peer in self.node.awake() {
            let Peer { region, path, relayed, .. } = &self.peers[peer];
            let Some(path) = path else { continue };
            let region = &mut self.regions[*region];
            let of = |path: &Path| path.health.verdicts(now, &self.settings);
            let verdicts = of(path);
            for (states, (state, _)) in region.paths.iter_mut().zip(verdicts) {
                states.count(state);
            }
            region.tally.add(verdicts, relayed.iter().map(|relayed| of(&relayed.path)));
            region.recovers |= verdicts.iter().any(|(state, _)| *state != Verdict::Healthy)
                && path.health.is_recovering(&self.settings);
        }
        let isolated = self.node.isolated_since().is_some();
        let together = Together::of(self.regions.iter().map(|region| &region.tally));
        self.node.note(together, now);
        let mut changes = Vec::new();
        for (index, region) in self.regions.iter_mut().enumerate() {
            region.judge(isolated, now);
            let was = region.reached.reach;
            region.is_excused = self.node.excuses(was, region.recovers, now, &self.settings)
                || (together.perhaps_none_is_reached() && was != Reach::Isolated);
            let reach = region.tally.reach(region.is_excused);
            if let Some(from) = region.reached.change(reach, now, self.settings.expiry) {
                changes.push((index, from));
            }
        }
        if !changes.is_empty() {
            let mut told = self.region_links(now, clock::realtime());
            for (index, from) in changes {
                let region = &mut told.regions[index];
                // What was judged is what is told of.
                region.reach = self.regions[index].reached.reach;
                self.events.reach(region, from, told.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(states: &[Verdict]) -> States {
        let mut paths = States::default();
        for state in states {
            paths.count(*state);
        }
        paths
    }

    #[test]
    fn a_link_that_was_never_known_is_starting_since_it_was_told_of() {
        let mut region = Region::new("nyc", 7);
        for now in 8..20 {
            region.judge(false, now);
        }
        let new = Link { state: Verdict::Unknown, cause: Cause::Starting, since: 7 };
        assert_eq!(region.link, [new; 2]);
        assert_eq!(new.next(paths(&[Verdict::Unknown; 3]), false, 20), new);
    }

    #[test]
    fn what_is_never_known_is_told_once() {
        let mut reached = Reached::new(7);
        let told: Vec<u64> = (8..40)
            .filter(|now| reached.change(Reach::Unknown, *now, 10) == Some(Reach::Unknown))
            .collect();
        assert_eq!(told, [18]);
        assert_eq!((reached.since, reached.transitions), (7, ReachTransitions::default()));
        assert_eq!(reached.change(Reach::Reachable, 40, 10), Some(Reach::Unknown));
        assert_eq!(reached.change(Reach::Unknown, 41, 10), Some(Reach::Reachable));
        assert_eq!(reached.change(Reach::Unknown, 99, 10), None);
    }

    #[test]
    fn since_is_that_of_the_state_and_the_cause_is_the_latest() {
        use Verdict::{Healthy, Unhealthy, Unknown};
        let new = Link { state: Unknown, cause: Cause::Starting, since: 7 };
        let healthy = new.next(paths(&[Healthy, Unknown]), false, 8);
        assert_eq!(healthy, Link { state: Healthy, cause: Cause::Passing, since: 8 });
        assert_eq!(healthy.next(paths(&[Healthy]), false, 9), healthy);
        let isolated = healthy.next(paths(&[Unhealthy]), true, 10);
        assert_eq!(isolated, Link { state: Unknown, cause: Cause::Isolated, since: 10 });
        // What was known once is no longer new.
        let expired = isolated.next(paths(&[Unknown]), false, 11);
        assert_eq!(expired, Link { state: Unknown, cause: Cause::Expired, since: 10 });
    }
}
