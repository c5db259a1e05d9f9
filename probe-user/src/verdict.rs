//! What the agent says of a path: states, directions, causes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A time on the monotonic clock, in nanoseconds. The core never asks for it; it is told.
pub type Nanos = u64;

/// Nanoseconds in a millisecond.
pub const MILLISECOND: Nanos = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: Nanos = 1_000_000_000;

/// What one direction is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is no fresh evidence.
    Unknown,
    /// Fit for use.
    Healthy,
    /// Some of its flows are not fit for use.
    Degraded,
    /// Not fit for use.
    Unhealthy,
}

impl State {
    /// All states, in the order of their names' first mention in the documentation.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// The name in the API, in metrics and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The worse of two: unhealthy before degraded before unknown before healthy.
    #[must_use]
    pub const fn worse(self, other: Self) -> Self {
        if self.severity() >= other.severity() { self } else { other }
    }

    const fn severity(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Unknown => 1,
            Self::Degraded => 2,
            Self::Unhealthy => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// What a region is to a node: whether traffic goes there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Nothing is known: the agent has just started, or its evidence is too old.
    Unknown,
    /// Every path of which anything is known carries traffic both ways.
    Reachable,
    /// Some path carries traffic both ways, but not every one, or not with the usual quality.
    Impaired,
    /// No path does, and this node is not to blame.
    Isolated,
    /// No path does, but most regions fail at once, or none is reached: this node is the one that is cut off.
    SelfIsolated,
}

impl Reach {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unknown, Self::Reachable, Self::Impaired, Self::Isolated, Self::SelfIsolated];

    /// The name in the API, in metrics and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Reachable => "reachable",
            Self::Impaired => "impaired",
            Self::Isolated => "isolated",
            Self::SelfIsolated => "self_isolated",
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// The two directions of a path, seen from the node that reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From this node to the peer: the way of our requests.
    Forward,
    /// From the peer to this node: the way of its replies.
    Reverse,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Reverse];

    /// The name in the API, in metrics and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// Why a direction is in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The agent has just started, or the peer is new.
    Starting,
    /// Probes pass.
    Passing,
    /// More probes are lost than are accepted.
    Loss,
    /// Some flows of the path lose more than is accepted, the others do not.
    FlowLoss,
    /// Some paths of the link lose more than is accepted, the others do not.
    PathLoss,
    /// Round trips are much longer than usual.
    Latency,
    /// So many peers fail at once that this node must be the one that is cut off.
    Isolated,
    /// Neither answers nor probes come from the peer, so nothing can be said of the way there.
    Silence,
    /// The last evidence is too old.
    Expired,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Starting,
        Self::Passing,
        Self::Loss,
        Self::FlowLoss,
        Self::PathLoss,
        Self::Latency,
        Self::Isolated,
        Self::Silence,
        Self::Expired,
    ];

    /// The name in the API, in metrics and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Passing => "passing",
            Self::Loss => "loss",
            Self::FlowLoss => "flow_loss",
            Self::PathLoss => "path_loss",
            Self::Latency => "latency",
            Self::Isolated => "isolated",
            Self::Silence => "silence",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_state_wins_whatever_the_order() {
        use State::{Degraded, Healthy, Unhealthy, Unknown};
        let order = [Healthy, Unknown, Degraded, Unhealthy];
        for (i, a) in order.into_iter().enumerate() {
            for (j, b) in order.into_iter().enumerate() {
                assert_eq!(a.worse(b), order[i.max(j)], "{a} and {b}");
            }
        }
    }
}
