//! All paths of a node at one moment: whether it is itself that is cut off, and then the verdict on each.
//!
//! The agent and a replay go through this one loop, each with paths of its own kind. It looks at those that were woken, and
//! at those that are not calm. After the first tick of the same
//! members, none allocates.

use super::{
    Path, Settings, Transition, Verdict,
    isolation::{INSTANT, Isolation},
    region::Together,
    roster::Roster,
};
use crate::verdict::{Nanos, Reach};

/// A peer, whose path is judged once there is one.
pub trait Member {
    /// Its region, as a small number.
    fn region(&self) -> usize;
    /// Its path; `None` while it is not probed.
    fn path(&self) -> Option<&Path>;
    /// The same, to be judged.
    fn path_mut(&mut self) -> Option<&mut Path>;
}

/// What a tick has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum News<'m, M> {
    /// Whether the node holds itself for cut off.
    Isolated(bool),
    /// A verdict.
    Verdict {
        /// On the path to whom.
        member: &'m M,
        /// What has changed.
        transition: Transition,
        /// The verdict that it has become.
        verdict: Verdict,
    },
}

/// What a node thinks of itself.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub(super) isolation: Isolation,
    /// The last tick at which it was cut off, as it held itself or as no region was reached.
    pub(super) isolated_at: Option<Nanos>,
    pub(super) roster: Roster,
}

impl Node {
    /// The path of a member was told something: the next tick looks at it.
    #[inline]
    pub fn wake(&mut self, member: usize) {
        self.roster.wake(member);
    }

    /// The members are others now, or their paths or regions are: the next tick looks at all.
    pub fn wake_all(&mut self) {
        self.roster = Roster::default();
    }

    /// Judges all paths, and tells what has changed: the node first, then its paths in their order. `members` are those of
    /// the tick before, but for what [`Node::wake`] and [`Node::wake_all`] were told.
    pub fn tick<M: Member>(
        &mut self,
        members: &mut [M],
        now: Nanos,
        settings: &Settings,
        sink: &mut impl FnMut(News<'_, M>),
    ) {
        self.roster.begin(members.len(), now);
        let awake = self.roster.awake.iter().map(|member| &members[member]);
        let known = awake.filter_map(|member| Some((member.region(), member.path()?)));
        if self.isolation.look(&self.roster.calm, known, now, settings) {
            sink(News::Isolated(self.isolation.since().is_some()));
        }
        let isolated = self.isolation.since().is_some();
        if isolated {
            self.isolated_at = Some(now);
        }
        let mut awake = std::mem::take(&mut self.roster.awake);
        awake.retain(|place| {
            let member = &mut members[place];
            judge(member, now, isolated, settings, sink);
            let until = member.path().and_then(|path| path.calm_until(now, settings));
            if let Some(until) = until {
                self.roster.put_to_sleep(place, member.region(), until);
            }
            until.is_none()
        });
        self.roster.awake = awake;
    }

    /// The members of which the last tick did not find that they are calm, in order.
    pub fn awake(&self) -> impl Iterator<Item = usize> {
        self.roster.awake.iter()
    }

    /// How many other members of a region have a path; all of them are healthy.
    #[must_use]
    pub fn calm_in(&self, region: usize) -> u32 {
        self.roster.calm.get(region).copied().unwrap_or(0)
    }

    /// Since when the node has held itself for cut off.
    #[must_use]
    pub const fn isolated_since(&self) -> Option<Nanos> {
        self.isolation.since()
    }

    /// Takes in what all regions say together: where none is reached, this node is cut off, however that has come.
    pub fn note(&mut self, together: Together, now: Nanos) {
        if together.none_is_reached() {
            self.isolated_at = Some(now);
        }
    }

    /// Whether a region that this node does not reach, and that was this until now, is held for a victim of the node's own
    /// isolation.
    ///
    /// Regions that were cut off with this node do not come back in the same instant, and the last of them is not to blame
    /// for that: each has the time of a recovery, and one whose probes pass again that of the longest.
    #[must_use]
    pub fn excuses(&self, was: Reach, recovers: bool, now: Nanos, settings: &Settings) -> bool {
        let is_held = recovers && was == Reach::SelfIsolated;
        let doublings = if is_held { settings.damping } else { 0 };
        self.isolation.since().is_some() || self.was_isolated_lately(doublings, now, settings)
    }

    /// Whether the node was cut off until so lately that what has failed with it may still be recovering, where that takes
    /// twice as long so many times.
    fn was_isolated_lately(&self, doublings: u8, now: Nanos, settings: &Settings) -> bool {
        let recovery = u64::from(settings.recovery) << doublings;
        let grace = recovery.saturating_mul(settings.spacing).saturating_add(INSTANT);
        self.isolated_at.is_some_and(|at| at <= now && now - at <= grace)
    }
}

/// Judges the path of one member, if it has one.
fn judge<M: Member>(
    member: &mut M,
    now: Nanos,
    isolated: bool,
    settings: &Settings,
    sink: &mut impl FnMut(News<'_, M>),
) {
    // A tick changes a direction once at most.
    let mut changes = [None; 2];
    let Some(path) = member.path_mut() else { return };
    path.tick(now, isolated, settings, &mut |change| {
        changes[change.direction as usize] = Some(change);
    });
    let Some(path) = member.path() else { return };
    for transition in changes.into_iter().flatten() {
        let verdict = path.direction(transition.direction, settings);
        sink(News::Verdict { member, transition, verdict });
    }
}
