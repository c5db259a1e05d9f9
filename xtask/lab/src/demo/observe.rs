//! From what agents report to what has changed. Pure.

use std::{collections::BTreeMap, fmt};

use probe_user::{
    report::{self, Evidence, Needs, Paths},
    verdict::{Cause, Direction, State},
};

/// One of the things that agents give verdicts on: a direction of the path from one region to another,
/// as one of the two sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel {
    /// Region of the agent that reports.
    pub(crate) reporter: String,
    /// Region of its peer.
    pub(crate) peer: String,
    /// 0 forward, 1 reverse: in the order of [`Direction::ALL`].
    direction: usize,
}

impl Channel {
    /// The channel of a reporter, a peer and a direction.
    pub(crate) fn new(reporter: &str, peer: &str, direction: Direction) -> Self {
        let direction = direction as usize;
        Self { reporter: reporter.to_owned(), peer: peer.to_owned(), direction }
    }

    /// The direction, seen from the reporter.
    pub(crate) const fn direction(&self) -> Direction {
        Direction::ALL[self.direction]
    }

    /// From where to where its packets go.
    pub(crate) fn ends(&self) -> (&str, &str) {
        match self.direction() {
            Direction::Forward => (&self.reporter, &self.peer),
            Direction::Reverse => (&self.peer, &self.reporter),
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.ends();
        write!(f, "{from} → {to} as {} sees it ({})", self.reporter, self.direction())
    }
}

/// A verdict that has changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// On what.
    pub(crate) channel: Channel,
    /// When, as the agent says, in seconds since the Unix epoch.
    pub(crate) at: f64,
    /// The same as we saw it.
    pub(crate) seen_at: f64,
    /// The new verdict.
    pub(crate) to: State,
    /// Why, and on what evidence; of the last of several changes between two readings.
    pub(crate) cause: Cause,
    /// The probes that it rests on.
    pub(crate) evidence: Evidence,
    /// What would make it healthy.
    pub(crate) needs: Option<Needs>,
}

/// The latest verdict on every channel.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    latest: BTreeMap<Channel, report::Direction>,
}

impl Observer {
    /// Takes in a report, and says what has changed since the one before.
    pub(crate) fn take(&mut self, paths: &Paths, seen_at: f64) -> Vec<Change> {
        let mut changes = Vec::new();
        for path in &paths.paths {
            for (direction, now) in
                [(Direction::Forward, &path.forward), (Direction::Reverse, &path.reverse)]
            {
                let channel = Channel::new(&paths.region, &path.region, direction);
                let before = self.latest.insert(channel.clone(), now.clone());
                let states = before.map_or_else(Vec::new, |before| between(&before, now));
                changes.extend(states.into_iter().map(|to| Change {
                    channel: channel.clone(),
                    at: now.since,
                    seen_at,
                    to,
                    cause: now.cause,
                    evidence: now.evidence,
                    needs: now.needs,
                }));
            }
        }
        changes
    }

    /// How many channels are in a state.
    pub(crate) fn count(&self, state: State) -> usize {
        self.latest.values().filter(|direction| direction.verdict == state).count()
    }

    /// The latest verdict on a channel.
    pub(crate) fn latest(&self, channel: &Channel) -> Option<&report::Direction> {
        self.latest.get(channel)
    }
}

/// The states that a direction has changed to between two readings, the present one last. The counters
/// give away what came and went meanwhile.
fn between(before: &report::Direction, now: &report::Direction) -> Vec<State> {
    let mut states: Vec<State> = State::ALL
        .into_iter()
        .flat_map(|state| {
            let times = now.transitions.to(state).saturating_sub(before.transitions.to(state));
            (0..times).map(move |_| state)
        })
        .collect();
    if let Some(last) = states.iter().rposition(|state| *state == now.verdict) {
        states[last..].rotate_left(1);
    } else if now.verdict != before.verdict {
        // Not counted, but changed.
        states.push(now.verdict);
    }
    states
}

#[cfg(test)]
mod tests {
    use probe_user::report::{Path, Probes, Transitions};

    use super::*;

    fn direction(verdict: State, counts: [u64; 4]) -> report::Direction {
        let [unknown, healthy, degraded, unhealthy] = counts;
        report::Direction {
            verdict,
            cause: Cause::Loss,
            since: 7.0,
            since_seconds: 0.0,
            age_seconds: None,
            expires_in_seconds: None,
            evidence: Evidence::default(),
            needs: None,
            transitions: Transitions { unknown, healthy, degraded, unhealthy },
        }
    }

    fn report(forward: report::Direction) -> Paths {
        let reverse = direction(State::Healthy, [0, 1, 0, 0]);
        let path = Path {
            peer: "nyc1".to_owned(),
            region: "nyc".to_owned(),
            address: String::new(),
            resolved: None,
            problem: None,
            state: State::Healthy,
            forward,
            reverse,
            probes: Probes::default(),
            rtt_us: None,
            flows: Vec::new(),
        };
        Paths {
            node: "fra1".to_owned(),
            region: "fra".to_owned(),
            at: 0.0,
            revision: report::Revision::default(),
            isolated_since: None,
            paths: vec![path],
        }
    }

    #[test]
    fn changes_are_found_by_counter_even_if_they_are_gone() {
        use State::{Degraded, Healthy, Unhealthy, Unknown};
        let before = (Healthy, [0, 1, 0, 0]);
        for (now, expected) in [
            ((Healthy, [0, 1, 0, 0]), vec![]),
            ((Unhealthy, [0, 1, 0, 1]), vec![Unhealthy]),
            ((Healthy, [0, 2, 0, 1]), vec![Unhealthy, Healthy]),
            ((Degraded, [0, 1, 1, 1]), vec![Unhealthy, Degraded]),
            ((Unknown, [1, 2, 0, 1]), vec![Healthy, Unhealthy, Unknown]),
            // An agent that forgets to count is found out too.
            ((Unhealthy, [0, 1, 0, 0]), vec![Unhealthy]),
        ] {
            let mut observer = Observer::default();
            assert_eq!(observer.take(&report(direction(before.0, before.1)), 1.0), []);
            let changes = observer.take(&report(direction(now.0, now.1)), 8.0);
            let states: Vec<State> = changes.iter().map(|change| change.to).collect();
            assert_eq!(states, expected, "{now:?}");
            assert!(changes.iter().all(|c| (c.at, c.seen_at) == (7.0, 8.0)));
        }
    }

    #[test]
    fn a_channel_knows_where_its_packets_go() {
        assert_eq!(Channel::new("fra", "nyc", Direction::Forward).ends(), ("fra", "nyc"));
        assert_eq!(Channel::new("nyc", "fra", Direction::Reverse).ends(), ("fra", "nyc"));
        let mut observer = Observer::default();
        observer.take(&report(direction(State::Unknown, [0; 4])), 1.0);
        assert_eq!((observer.count(State::Unknown), observer.count(State::Healthy)), (1, 1));
    }
}
