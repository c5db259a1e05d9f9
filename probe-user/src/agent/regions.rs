//! The regions of the peers: what is known of the links to them.

use super::{peers::Peer, state::State};
use crate::{
    account::rtt,
    health::region,
    report::States,
    verdict::{Cause, Direction, Nanos, State as Verdict},
};

/// One region.
pub(super) struct Region {
    pub(super) name: String,
    /// Round trips to all its peers.
    pub(super) round_trips: rtt::Histogram,
    /// The verdicts on the link, by direction.
    pub(super) link: [Link; 2],
    /// Those on its paths as of the last tick, by direction.
    paths: [States; 2],
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
            paths: Default::default(),
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
    /// Judges the links to all regions, in one pass over the peers.
    pub(super) fn judge_links(&mut self, now: Nanos) {
        for region in &mut self.regions {
            region.paths = Default::default();
        }
        for Peer { region, path, .. } in &self.peers {
            let Some(path) = path else { continue };
            for direction in Direction::ALL {
                let states = &mut self.regions[*region].paths[direction as usize];
                states.count(path.health.state_of(direction));
            }
        }
        let isolated = self.node.isolated_since().is_some();
        for region in &mut self.regions {
            region.judge(isolated, now);
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
