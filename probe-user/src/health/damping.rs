//! What a direction that relapses has to wait for.
//!
//! Every relapse within an hour of the last recovery doubles the clean probes that the next recovery takes, up to a cap.
//! Where the outage before was not unmistakable, it goes to the cap at once: alarm and recovery may both have been luck,
//! and the relapse says that they were. So a link that goes down and comes back is held back a little, and one that loses
//! 2 % for good does not flap.

use super::{Settings, defect::Defect};
use crate::verdict::{Nanos, SECOND};

/// A relapse after this is none.
pub const MEMORY: Nanos = 3_600 * SECOND;

/// How a direction is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damping {
    pub(super) doublings: u8,
    /// When it was last healthy again, until it is bad again.
    pub(super) recovered_at: Option<Nanos>,
    /// Whether that may have been luck.
    pub(super) doubtful: bool,
}

impl Damping {
    /// How often the recovery doubles now.
    #[inline]
    #[must_use]
    pub fn doublings(&self, settings: &Settings) -> u8 {
        if self.doublings == 0 {
            return 0;
        }
        if settings.defects.has(Defect::NoDamping) {
            return 0;
        }
        self.doublings.min(if settings.defects.has(Defect::EndlessDamping) {
            20
        } else {
            settings.damping
        })
    }

    /// So many clean probes are enough where `base` of them would be without damping.
    #[inline]
    #[must_use]
    pub fn enough(&self, base: u32, settings: &Settings) -> u32 {
        base << self.doublings(settings)
    }

    /// It is bad again. What follows until the next recovery belongs to the same outage.
    pub fn relapse(&mut self, now: Nanos, settings: &Settings) {
        let Some(recovered_at) = self.recovered_at.take() else { return };
        let endless = settings.defects.has(Defect::EndlessDamping);
        let cap = if endless { 20 } else { settings.damping };
        self.doublings = if now.saturating_sub(recovered_at) >= memory(settings) {
            0
        } else if self.doubtful && !endless {
            cap
        } else {
            self.doublings.saturating_add(1).min(cap)
        };
    }

    /// Forgets everything an hour after it became good again. A recovery in the future never was.
    pub fn forget(&mut self, now: Nanos, settings: &Settings) {
        if self.recovered_at.is_some_and(|at| at > now || now - at >= memory(settings)) {
            *self = Self::default();
        }
    }

    /// It is good, however it has come to be: the hour begins, if it has not yet.
    pub fn resume(&mut self, now: Nanos) {
        if self.doublings > 0 {
            self.recovered_at.get_or_insert(now);
        }
    }

    /// It is good again, after an outage that was unmistakable or not.
    pub const fn recover(&mut self, now: Nanos, unmistakable: bool) {
        self.recovered_at = Some(now);
        self.doubtful = !unmistakable;
    }
}

const fn memory(settings: &Settings) -> Nanos {
    if settings.defects.has(Defect::LongMemory) { Nanos::MAX } else { MEMORY }
}
