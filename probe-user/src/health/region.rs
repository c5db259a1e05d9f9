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
    starting: u32,
    usable: u32,
    healthy: u32,
}

impl Tally {
    /// So many peers whose direct paths are healthy.
    #[must_use]
    pub const fn all_healthy(peers: u32) -> Self {
        Self { known: peers, starting: 0, usable: peers, healthy: peers }
    }

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
        let is_known = is_carried || direct.into_iter().any(fails);
        let is_starting = |(_, cause)| cause == Cause::Starting;
        self.known += u32::from(is_known);
        self.starting += u32::from(!is_known && direct.into_iter().any(is_starting));
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

/// What all regions together say of this node.
///
/// Of at least two regions none is reached: that says more of this node than of them, however long ago they were lost, and
/// also if they were never reached. Of a single region nothing can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Together {
    known: u32,
    starting: u32,
    reached: u32,
}

impl Together {
    /// Counts the regions.
    #[must_use]
    pub fn of<'t>(regions: impl IntoIterator<Item = &'t Tally>) -> Self {
        let mut all = Self::default();
        for region in regions {
            all.known += u32::from(region.known > 0);
            all.starting += u32::from(region.known == 0 && region.starting > 0);
            all.reached += u32::from(region.usable > 0);
        }
        all
    }

    /// Whether none is reached.
    #[must_use]
    pub const fn none_is_reached(self) -> bool {
        self.reached == 0 && self.known >= 2
    }

    /// Whether it may turn out that none is, once something is known of those that are probed since a moment ago. The first
    /// that fails after a start is not the only one that does.
    #[must_use]
    pub const fn perhaps_none_is_reached(self) -> bool {
        self.reached == 0 && self.known >= 1 && self.known + self.starting >= 2
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

    /// Invariant 12, for what was never reached or was lost piece by piece.
    #[test]
    fn of_two_regions_none_is_reached_and_this_node_is_to_blame() {
        let tally = |paths: &[[Verdict; 2]], detour| {
            let mut tally = Tally::default();
            paths.iter().for_each(|path| tally.add(*path, [detour]));
            tally
        };
        let well = [(Healthy, Cause::Passing); 2];
        let dead = [(Unhealthy, Cause::Loss); 2];
        let silent = [(Unknown, Cause::Silence), (Unhealthy, Cause::Loss)];
        let new = [(Unknown, Cause::Starting); 2];
        let stale = [(Unknown, Cause::Expired); 2];
        for (regions, expected) in [
            (&[][..], (false, false)),
            (&[&[dead][..]], (false, false)),
            (&[&[dead, silent]], (false, false)),
            (&[&[dead], &[silent]], (true, true)),
            (&[&[dead, dead], &[silent, new], &[stale]], (true, true)),
            (&[&[dead], &[well]], (false, false)),
            (&[&[dead], &[silent], &[dead, well]], (false, false)),
            // Whether the other one is reached, nobody can tell: for a while, or not at all.
            (&[&[dead], &[new, stale]], (false, true)),
            (&[&[dead], &[stale]], (false, false)),
            (&[&[dead], &[]], (false, false)),
            (&[&[new], &[new]], (false, false)),
        ] {
            let tallies: Vec<Tally> = regions.iter().map(|paths| tally(paths, dead)).collect();
            let together = Together::of(&tallies);
            let told = (together.none_is_reached(), together.perhaps_none_is_reached());
            assert_eq!(told, expected, "{regions:?}");
        }
        // One that is reached through another region is reached.
        let together = Together::of(&[tally(&[dead], dead), tally(&[dead], well)]);
        assert!(!together.none_is_reached());
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
