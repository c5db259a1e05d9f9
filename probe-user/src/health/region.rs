//! From paths to the links between regions.

use crate::verdict::{Cause, Reach, State};

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

/// One direction of a path: its state, and why.
pub type Verdict = (State, Cause);

/// The paths to a region, counted by what they carry.
///
/// A peer that has fallen silent counts as one that cannot be reached, though nothing can be said of the way there: what
/// a region is good for is there and back. What is unknown for any other reason says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    known: u32,
    usable: u32,
    healthy: u32,
}

impl Tally {
    /// Counts one more peer: the direct path to it, and where that carries no traffic, those that lead there through other
    /// regions. Where one of these does, the region can be reached; where none does, that says nothing of the region.
    pub fn add(&mut self, direct: [Verdict; 2], detours: impl IntoIterator<Item = [Verdict; 2]>) {
        let fails = |(state, cause)| match state {
            State::Unhealthy => true,
            State::Unknown => cause == Cause::Silence || cause == Cause::Isolated,
            State::Healthy | State::Degraded => false,
        };
        let carries = |path: [Verdict; 2]| {
            path.iter().all(|(state, _)| matches!(state, State::Healthy | State::Degraded))
        };
        let is_carried = carries(direct);
        self.known += u32::from(is_carried || direct.into_iter().any(fails));
        self.usable += u32::from(is_carried || detours.into_iter().any(carries));
        self.healthy += u32::from(direct.iter().all(|(state, _)| *state == State::Healthy));
    }

    /// What the region is. `isolated` says that this node is cut off itself, or was until a moment ago.
    #[must_use]
    pub const fn reach(self, isolated: bool) -> Reach {
        match self {
            Self { known: 0, usable: 0, .. } => Reach::Unknown,
            Self { known, healthy, .. } if known > 0 && healthy == known => Reach::Reachable,
            Self { usable: 1.., .. } => Reach::Impaired,
            _ if isolated => Reach::SelfIsolated,
            _ => Reach::Isolated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Degraded, Healthy, Unhealthy, Unknown};

    fn reach(paths: &[[Verdict; 2]], isolated: bool) -> Reach {
        let mut tally = Tally::default();
        for path in paths {
            tally.add(*path, []);
        }
        tally.reach(isolated)
    }

    #[test]
    fn a_region_is_reached_by_what_goes_there_and_back() {
        let well = [(Healthy, Cause::Passing); 2];
        let one_way = [(Healthy, Cause::Passing), (Unhealthy, Cause::Loss)];
        let silent = [(Unknown, Cause::Silence), (Unhealthy, Cause::Loss)];
        let slow = [(Degraded, Cause::Latency), (Healthy, Cause::Passing)];
        let new = [(Unknown, Cause::Starting); 2];
        let stale = [(Unknown, Cause::Expired), (Healthy, Cause::Passing)];
        for (paths, expected, when_isolated) in [
            (&[][..], Reach::Unknown, Reach::Unknown),
            (&[new, stale], Reach::Unknown, Reach::Unknown),
            (&[well, new], Reach::Reachable, Reach::Reachable),
            (&[well, slow], Reach::Impaired, Reach::Impaired),
            (&[well, silent], Reach::Impaired, Reach::Impaired),
            (&[one_way], Reach::Isolated, Reach::SelfIsolated),
            (&[silent, new], Reach::Isolated, Reach::SelfIsolated),
        ] {
            assert_eq!(reach(paths, false), expected, "{paths:?}");
            assert_eq!(reach(paths, true), when_isolated, "{paths:?}");
        }
    }

    #[test]
    fn a_detour_makes_a_region_that_is_not_reached_directly_impaired() {
        let well = [(Healthy, Cause::Passing); 2];
        let silent = [(Unknown, Cause::Silence), (Unhealthy, Cause::Loss)];
        let new = [(Unknown, Cause::Starting); 2];
        for (direct, detour, expected) in [
            (well, well, Reach::Reachable),
            (well, silent, Reach::Reachable),
            (silent, well, Reach::Impaired),
            (silent, silent, Reach::Isolated),
            (silent, new, Reach::Isolated),
            (new, well, Reach::Impaired),
            (new, silent, Reach::Unknown),
        ] {
            let mut tally = Tally::default();
            tally.add(direct, [detour]);
            assert_eq!(tally.reach(false), expected, "{direct:?} {detour:?}");
        }
    }

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
