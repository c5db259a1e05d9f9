//! Whether this node is the one that is cut off.
//!
//! Peers fail one by one. When more than half of them seem to fail in the same instant, what they have in common is to
//! blame, and that is this node. It is said of a node before it is said of any peer: half an alarm of heavy loss is enough
//! here.
//!
//! What was never reached has no say here, and neither has what failed before that instant. That of several regions none at
//! all is reached is told by `region::Together`.

use super::{Path, Settings, defect::Defect};
use crate::verdict::{Nanos, SECOND, State};

/// What counts as the same instant.
pub const INSTANT: Nanos = 2 * SECOND;

/// What a node thinks of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    pub(super) since: Option<Nanos>,
    /// By region; kept for its memory.
    votes: Vec<Vote>,
}

/// What the paths to one region, whose peers share their fate, say at one moment. Most of them count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vote {
    /// Paths that were ever healthy.
    pub known: u32,
    /// Those of them that are not now.
    pub down: u32,
    /// Paths that are healthy, or were until an instant ago.
    pub lately_healthy: u32,
    /// Those of them that fail, or break down in this moment.
    pub failing: u32,
}

impl Vote {
    /// So many paths that are calm.
    const fn of_calm(paths: u32) -> Self {
        Self { known: paths, down: 0, lately_healthy: paths, failing: 0 }
    }

    /// Counts a path.
    #[inline]
    pub fn add(&mut self, path: &Path, now: Nanos, settings: &Settings) {
        if path.is_calm(now, settings) {
            self.known += 1;
            self.lately_healthy += 1;
            return;
        }
        if !path.was_ever_healthy() {
            return;
        }
        self.known += 1;
        let down = matches!(path.state(), State::Unhealthy | State::Unknown);
        self.down += u32::from(down);
        if !down || now.saturating_sub(path.since()) < INSTANT {
            self.lately_healthy += 1;
            self.failing += u32::from(down || path.is_breaking_down(settings));
        }
    }

    const fn was_lately_healthy(self) -> bool {
        self.lately_healthy > 0
    }

    const fn is_failing(self) -> bool {
        2 * self.failing > self.lately_healthy
    }

    const fn is_down(self) -> bool {
        2 * self.down > self.known
    }
}

impl Isolation {
    /// Takes in all paths: how many are calm, by region, and the others, each with the index of its region. Returns whether
    /// that has changed anything.
    pub(super) fn look<'p>(
        &mut self,
        calm: &[u32],
        others: impl Iterator<Item = (usize, &'p Path)>,
        now: Nanos,
        settings: &Settings,
    ) -> bool {
        let mut votes = std::mem::take(&mut self.votes);
        votes.clear();
        votes.extend(calm.iter().map(|calm| Vote::of_calm(*calm)));
        for (region, path) in others {
            if votes.len() <= region {
                votes.resize(region + 1, Vote::default());
            }
            votes[region].add(path, now, settings);
        }
        let before = self.since.is_some();
        self.update(votes.iter().copied(), now);
        self.votes = votes;
        if settings.defects.has(Defect::NeverIsolated) {
            self.since = None;
        }
        if settings.defects.has(Defect::AlwaysIsolated) {
            self.since = Some(now);
        }
        before != self.since.is_some()
    }

    /// Takes in what the regions say now.
    ///
    /// A single region says nothing: whether it is the one that is cut off or this node, nobody can tell from here.
    pub fn update(&mut self, regions: impl Iterator<Item = Vote>, now: Nanos) {
        let (mut known, mut down, mut lately_healthy, mut failing) = (0, 0, 0, 0);
        for region in regions.filter(|region| region.known > 0) {
            known += 1;
            down += u32::from(region.is_down());
            lately_healthy += u32::from(region.was_lately_healthy());
            failing += u32::from(region.was_lately_healthy() && region.is_failing());
        }
        let begins = lately_healthy >= 2 && 2 * failing > lately_healthy;
        let lasts = known >= 2 && 2 * down > known;
        self.since = match self.since {
            None if begins => Some(now),
            Some(since) if begins || lasts => Some(since.min(now)),
            _ => None,
        };
    }

    /// Since when the node has held itself for cut off.
    #[must_use]
    pub const fn since(&self) -> Option<Nanos> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(total: u32, failing: u32) -> impl Iterator<Item = Vote> {
        (0..total).map(move |region| {
            let fails = u32::from(region < failing);
            Vote { known: 1, down: fails, lately_healthy: 1, failing: fails }
        })
    }

    /// Invariant 12: more than half of the regions at once is this node.
    #[test]
    fn more_than_half_of_at_least_two_regions_at_once_is_this_node() {
        for total in 0..12 {
            for failing in 0..=total {
                let mut isolation = Isolation::default();
                isolation.update(votes(total, failing), 7);
                let expected = total >= 2 && failing > total / 2;
                assert_eq!(isolation.since().is_some(), expected, "{failing} of {total}");
            }
        }
    }

    #[test]
    fn peers_of_one_region_count_as_one() {
        let mut isolation = Isolation::default();
        let crowd = Vote { known: 10, down: 10, lately_healthy: 10, failing: 10 };
        isolation.update(std::iter::once(crowd).chain(votes(2, 0)), 7);
        assert_eq!(isolation.since(), None);
    }

    #[test]
    fn regions_that_fail_one_after_the_other_are_to_blame_themselves() {
        let gone = Vote { known: 1, down: 1, lately_healthy: 0, failing: 0 };
        let mut isolation = Isolation::default();
        for down in 0..4 {
            isolation.update(std::iter::repeat_n(gone, down).chain(votes(7 - down as u32, 1)), 7);
            assert_eq!(isolation.since(), None, "{down} are gone, one more goes");
        }
    }

    #[test]
    fn it_lasts_for_as_long_as_most_are_down() {
        let mut isolation = Isolation::default();
        isolation.update(votes(5, 4), 7);
        let gone = Vote { known: 1, down: 1, lately_healthy: 0, failing: 0 };
        isolation.update(std::iter::repeat_n(gone, 4).chain(votes(1, 0)), 9);
        assert_eq!(isolation.since(), Some(7));
        isolation.update(std::iter::repeat_n(gone, 2).chain(votes(3, 0)), 10);
        assert_eq!(isolation.since(), None);
    }
}
