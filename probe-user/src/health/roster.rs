//! Whom a tick has to look at. Most paths are calm for most of the time, and of these it is enough to know how many there
//! are in each region: what a tick costs then depends on how many probes there are, not on how many paths.
//!
//! It is derived from the paths, and made anew four times a second: whatever it holds, it does not for long. What a node made
//! of it meanwhile is another matter, and ends as every verdict does.

use crate::{
    places::{Places, Renewal},
    verdict::Nanos,
};

/// Who is awake, and how many are not.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    /// Members whose paths are to be looked at.
    pub(super) awake: Places,
    /// The region of each of the others.
    pub(super) regions: Vec<usize>,
    /// How many of the others there are, by region.
    pub(super) calm: Vec<u32>,
    /// Until when all of these stay calm, unless one is woken.
    pub(super) until: Nanos,
    /// The tick before.
    pub(super) ticked_at: Nanos,
    pub(super) renewal: Renewal,
}

impl Roster {
    /// A tick begins, with so many members.
    pub(super) fn begin(&mut self, members: usize, now: Nanos) {
        let is_stale = self.regions.len() != members || now > self.until || now < self.ticked_at;
        if self.renewal.is_due(now) || is_stale {
            self.awake.fill(members);
            self.regions.clear();
            self.regions.resize(members, 0);
            self.calm.fill(0);
            self.until = Nanos::MAX;
        }
        self.ticked_at = now;
    }

    /// A member is to be looked at again.
    #[inline]
    pub(super) fn wake(&mut self, member: usize) {
        // Whoever is not known yet makes all be looked at.
        let Some(region) = self.regions.get(member) else { return };
        if self.awake.insert(member)
            && let Some(calm) = self.calm.get_mut(*region)
        {
            *calm = calm.saturating_sub(1);
        }
    }

    /// A member of a region need not be looked at until then. That it is not awake any more is for the caller to see to.
    pub(super) fn put_to_sleep(&mut self, member: usize, region: usize, until: Nanos) {
        if self.calm.len() <= region {
            self.calm.resize(region + 1, 0);
        }
        self.calm[region] = self.calm[region].saturating_add(1);
        self.regions[member] = region;
        self.until = self.until.min(until);
    }
}

#[cfg(test)]
mod tests;
