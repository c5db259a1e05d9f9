//! What an agent tells the outside: the documents of the HTTP API, as `linkprobe status`, the tests
//! and every other client read them.
//!
//! - [`overlay`]: which way traffic goes, and why.
//! - `reach`: what a region is to a node, for those who send traffic there.

pub mod overlay;
mod reach;

use std::iter;

#[cfg(test)]
pub(crate) use reach::example;
pub use reach::{ReachTransitions, RegionHealth, Require};
use serde::{Deserialize, Serialize};

use crate::verdict::{Cause, Direction as Way, Reach, State};

/// What it means that a node holds itself for cut off.
pub const ISOLATED: &str =
    "isolated: most regions fail at once, so this node must be the one that is cut off";

/// The answer of `/api/v1/paths`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paths {
    /// Name of the node that reports.
    pub node: String,
    /// Its region.
    pub region: String,
    /// When this was true, in seconds since the Unix epoch.
    pub at: f64,
    /// The last event that is in it.
    pub revision: Revision,
    /// Since when the node holds itself for cut off, in seconds since the Unix epoch; `null` if it does not.
    pub isolated_since: Option<f64>,
    /// One for each peer, in the order of the config.
    pub paths: Vec<Path>,
}

/// The place of a document or an event in the history of an agent.
///
/// Whoever keeps what an agent tells, keeps the newer of two: the later run of the agent, and within one run the higher
/// number. So nothing old replaces anything new, whatever order it comes in, and a restart is accepted at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revision {
    /// When the agent was started, in nanoseconds since the Unix epoch.
    ///
    /// It is the only thing here that goes by the wall clock, since an agent remembers nothing of its last run. Where
    /// the clock was set back between two runs by more than the time between them, the later run has the lower epoch:
    /// whoever keeps the newer of two then keeps what is old, until it forgets this agent or the clock has caught up. So
    /// start agents after the clock is set (systemd: `After=time-sync.target`), and forget what has expired
    /// ([`Direction::expires_in_seconds`], [`Event::expires_in_seconds`]) whatever its revision.
    pub epoch: u64,
    /// How many events there were since.
    pub sequence: u64,
}

/// A verdict that has changed; what `/api/v1/events` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the history of the agent.
    pub revision: Revision,
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// Name of the peer.
    pub peer: String,
    /// Region of the peer.
    pub region: String,
    /// Of which direction.
    pub direction: Way,
    /// The verdict until then.
    pub from: State,
    /// The verdict from then on.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// Since when the verdict is so, in seconds since the Unix epoch.
    pub since: f64,
    /// Age of the newest evidence in seconds; `null` where there is none.
    pub age_seconds: Option<f64>,
    /// Seconds until the verdict becomes unknown if no evidence comes; `null` where it is unknown.
    pub expires_in_seconds: Option<f64>,
    /// The probes that it rests on.
    pub evidence: Evidence,
    /// Round-trip times of the last answered probes of the path; `null` before the first.
    pub rtt_us: Option<Quantiles>,
    /// How many flows the path has.
    pub flows: usize,
    /// Those that are unhealthy in this direction, by their places in [`Path::flows`], from 1 on.
    pub sick_flows: Vec<usize>,
    /// What would make it healthy; `null` where it is.
    pub needs: Option<Needs>,
}

/// The answer of `/api/v1/regions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regions {
    /// Name of the node that reports.
    pub node: String,
    /// Its region.
    pub region: String,
    /// When this was true, in seconds since the Unix epoch.
    pub at: f64,
    /// Since when the node holds itself for cut off, in seconds since the Unix epoch; `null` if it does not.
    pub isolated_since: Option<f64>,
    /// One for each region that has a peer.
    pub regions: Vec<Region>,
}

/// The link to a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Whether traffic goes there and back.
    pub reach: Reach,
    /// Since when that is so, in seconds since the Unix epoch.
    pub reach_since: f64,
    /// How often it has changed to each reach.
    pub reach_transitions: ReachTransitions,
    /// The worse of the two directions.
    pub state: State,
    /// From this node to the region.
    pub forward: Link,
    /// From the region to this node.
    pub reverse: Link,
    /// Paths to its peers.
    pub paths: usize,
}

/// The verdict on one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The verdict.
    pub verdict: State,
    /// Why.
    pub cause: Cause,
    /// Since when, in seconds since the Unix epoch.
    pub since: f64,
    /// Age of the newest evidence of any path in seconds; `null` where there is none.
    pub age_seconds: Option<f64>,
    /// Seconds until the verdict becomes unknown if no evidence comes on any path; `null` where it is unknown.
    pub expires_in_seconds: Option<f64>,
    /// The verdicts on its paths.
    pub paths: States,
    /// The probes that these rest on, of all paths together.
    pub evidence: Evidence,
    /// What would make it healthy: what the worst of its paths needs of which anything is known, or else what the first
    /// path needs to become known. `null` where it is healthy.
    pub needs: Option<Needs>,
}

/// How many there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct States {
    /// Unknown.
    pub unknown: usize,
    /// Healthy.
    pub healthy: usize,
    /// Degraded.
    pub degraded: usize,
    /// Unhealthy.
    pub unhealthy: usize,
}

impl States {
    /// Counts one more.
    pub const fn count(&mut self, state: State) {
        match state {
            State::Unknown => self.unknown += 1,
            State::Healthy => self.healthy += 1,
            State::Degraded => self.degraded += 1,
            State::Unhealthy => self.unhealthy += 1,
        }
    }

    /// How many are in a state.
    #[must_use]
    pub const fn of(self, state: State) -> usize {
        match state {
            State::Unknown => self.unknown,
            State::Healthy => self.healthy,
            State::Degraded => self.degraded,
            State::Unhealthy => self.unhealthy,
        }
    }

    /// The state of each, in any order.
    pub fn each(self) -> impl Iterator<Item = State> {
        let Self { unknown, healthy, degraded, unhealthy } = self;
        iter::repeat_n(State::Unknown, unknown)
            .chain(iter::repeat_n(State::Healthy, healthy))
            .chain(iter::repeat_n(State::Degraded, degraded))
            .chain(iter::repeat_n(State::Unhealthy, unhealthy))
    }
}

/// The direct path to a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// Name of the peer.
    pub peer: String,
    /// Region of the peer.
    pub region: String,
    /// The peer's address and port as the config has them.
    pub address: String,
    /// The address that is probed; `null` while the name does not resolve.
    pub resolved: Option<String>,
    /// What keeps this path from being probed, if anything does.
    pub problem: Option<String>,
    /// The worse of the two directions.
    pub state: State,
    /// From this node to the peer.
    pub forward: Direction,
    /// From the peer to this node.
    pub reverse: Direction,
    /// What became of the probes since the agent began to probe this peer.
    pub probes: Probes,
    /// Round-trip times of the last answered probes; `null` before the first.
    pub rtt_us: Option<Quantiles>,
    /// Every flow of the path.
    pub flows: Vec<Flow>,
}

impl Path {
    /// Both directions.
    #[must_use]
    pub const fn directions(&self) -> [(Way, &Direction); 2] {
        [(Way::Forward, &self.forward), (Way::Reverse, &self.reverse)]
    }

    /// The flows that are unhealthy in a direction, by their places, from 1 on.
    #[must_use]
    pub fn sick_flows(&self, way: Way) -> Vec<usize> {
        sick_flows(&self.flows, way)
    }
}

/// Which of the flows of a path are unhealthy in a direction, by their places, from 1 on.
#[must_use]
pub fn sick_flows(flows: &[Flow], way: Way) -> Vec<usize> {
    let is_sick = |flow: &Flow| flow.state_of(way) == State::Unhealthy;
    (1..).zip(flows).filter(|(_, flow)| is_sick(flow)).map(|(place, _)| place).collect()
}

/// The verdict on one direction, and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Direction {
    /// The verdict.
    pub verdict: State,
    /// Why.
    pub cause: Cause,
    /// Since when, in seconds since the Unix epoch.
    pub since: f64,
    /// For how long, in seconds.
    pub since_seconds: f64,
    /// Age of the newest evidence in seconds; `null` where there is none.
    pub age_seconds: Option<f64>,
    /// Seconds until the verdict becomes unknown if no evidence comes; `null` where it is unknown.
    pub expires_in_seconds: Option<f64>,
    /// The probes that it rests on.
    pub evidence: Evidence,
    /// What would make it healthy; `null` where it is.
    pub needs: Option<Needs>,
    /// How often it has changed to each state.
    pub transitions: Transitions,
}

/// The probes that a verdict rests on: the most recent ones since it came, at most 128; that of a loss
/// begins where the loss seems to have begun, and goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// How many there are.
    pub probes: u32,
    /// How many of them were lost.
    pub lost: u32,
    /// Lost divided by all; `null` where there are none.
    pub loss_ratio: Option<f64>,
    /// The interval that holds the true loss ratio with 95 % confidence; `null` where there are none.
    pub loss_interval: Option<[f64; 2]>,
}

/// What would make a direction healthy, if nothing were lost any more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// So many more probes have to pass...
    pub clean_probes: u32,
    /// ...which takes about so many seconds.
    pub seconds: f64,
}

/// How often a direction has changed to each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transitions {
    /// To unknown.
    pub unknown: u64,
    /// To healthy.
    pub healthy: u64,
    /// To degraded.
    pub degraded: u64,
    /// To unhealthy.
    pub unhealthy: u64,
}

impl Transitions {
    /// The count for a state.
    #[must_use]
    pub const fn to(&self, state: State) -> u64 {
        match state {
            State::Unknown => self.unknown,
            State::Healthy => self.healthy,
            State::Degraded => self.degraded,
            State::Unhealthy => self.unhealthy,
        }
    }

    /// Counts one more change to a state.
    pub const fn count(&mut self, state: State) {
        match state {
            State::Unknown => self.unknown += 1,
            State::Healthy => self.healthy += 1,
            State::Degraded => self.degraded += 1,
            State::Unhealthy => self.unhealthy += 1,
        }
    }
}

/// What became of the probes: running totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// Left this host, as the kernel counted them.
    pub sent: u64,
    /// Answered in time.
    pub answered: u64,
    /// Lost on the way to the peer.
    pub lost_forward: u64,
    /// Lost on the way back.
    pub lost_reverse: u64,
    /// Lost, and nothing tells where.
    pub lost_unknown: u64,
    /// Were due, but never left this host: no fault of the network.
    pub not_sent: u64,
    /// Given up early by the detector and answered after all; counted as answered too.
    pub late: u64,
}

impl std::ops::AddAssign for Probes {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.lost_forward += other.lost_forward;
        self.lost_reverse += other.lost_reverse;
        self.lost_unknown += other.lost_unknown;
        self.not_sent += other.not_sent;
        self.late += other.late;
    }
}

/// Quantiles in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The least.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

/// One flow of a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The STAMP session identifier.
    pub ssid: u16,
    /// The UDP port that it is sent from.
    pub source_port: u16,
    /// Whether its probes pass, in the worse direction.
    pub state: State,
    /// Whether they pass on the way to the peer.
    pub forward: State,
    /// Whether they pass on the way back.
    pub reverse: State,
    /// What became of its probes.
    pub probes: Probes,
}

impl Flow {
    /// Whether its probes pass in a direction.
    #[must_use]
    pub const fn state_of(&self, way: Way) -> State {
        match way {
            Way::Forward => self.forward,
            Way::Reverse => self.reverse,
        }
    }
}
