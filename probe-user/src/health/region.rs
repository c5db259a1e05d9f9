//! From paths to the links between regions.

use crate::verdict::{Cause, State};

/// The verdict on one direction of the link to a region, from that direction of the paths to its peers.
///
/// Paths of which nothing is known say nothing as long as others do. More than half of the others must be unhealthy
/// for the link to be. A node that is cut off itself says nothing of regions that it cannot reach.
#[must_use]
pub fn link(paths: impl IntoIterator<Item = State>, isolated: bool) -> (State, Cause) {
    let (mut healthy, mut unhealthy, mut known) = (0, 0, 0);
    for state in paths {
        known += usize::from(state != State::Unknown);
        healthy += usize::from(state == State::Healthy);
        unhealthy += usize::from(state == State::Unhealthy);
    }
    match () {
        () if known == 0 => (State::Unknown, Cause::Expired),
        () if healthy == known => (State::Healthy, Cause::Passing),
        () if 2 * unhealthy <= known => (State::Degraded, Cause::PathLoss),
        () if isolated => (State::Unknown, Cause::Isolated),
        () => (State::Unhealthy, Cause::Loss),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Degraded, Healthy, Unhealthy, Unknown};

    #[test]
    fn a_link_is_what_most_of_its_paths_are() {
        for (paths, expected) in [
            (&[][..], Unknown),
            (&[Unknown, Unknown], Unknown),
            (&[Healthy, Healthy], Healthy),
            (&[Healthy, Degraded], Degraded),
            (&[Healthy, Unhealthy], Degraded),
            (&[Healthy, Unhealthy, Unhealthy], Unhealthy),
            (&[Unhealthy], Unhealthy),
        ] {
            assert_eq!(link(paths.iter().copied(), false).0, expected, "{paths:?}");
        }
    }

    /// Invariant 6: unknown never overrides fresh direct evidence.
    #[test]
    fn unknown_paths_hide_nothing() {
        for known in [Healthy, Degraded, Unhealthy] {
            let with =
                |unknown| std::iter::once(known).chain(std::iter::repeat_n(Unknown, unknown));
            for unknown in 0..10 {
                assert_eq!(link(with(unknown), false), link([known], false));
            }
        }
    }

    /// Invariant 12: a node that is cut off blames nobody.
    #[test]
    fn a_node_that_is_cut_off_calls_no_region_unhealthy() {
        assert_eq!(link([Unhealthy; 3], true), (Unknown, Cause::Isolated));
        assert_eq!(link([Healthy, Unhealthy], true).0, Degraded);
    }
}
