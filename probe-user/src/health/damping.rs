//! What a direction that relapses has to wait for.
//!
//! Every relapse within an hour of the last recovery doubles the clean probes that the next recovery takes, up to a cap.
//! One kind goes to the cap at once: where fewer than a fifth of the probes were lost, the recovery may
//! have been luck, and the relapse says that it was. Where more are lost, luck has no chance: a row of
//! sixty passes happens once in a million at 20 % loss. So a link that goes down and comes back is held back a
//! little, and one that loses 2 % for good does not flap.

use super::{Settings, defect::Defect};
use crate::verdict::{Nanos, SECOND};

/// A relapse after this is none.
pub const MEMORY: Nanos = 3_600 * SECOND;

/// Loss ratio below which a recovery may have been luck.
const DOUBTFUL: f64 = 0.2;

/// How a direction is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damping {
    pub(super) doublings: u8,
    /// When it was last healthy again.
    pub(super) recovered_at: Option<Nanos>,
    /// Whether that may have been luck.
    pub(super) doubtful: bool,
}

impl Damping {
    /// How often the recovery doubles now.
    #[inline]
    #[must_use]
    pub fn doublings(&self, settings: &Settings) -> u8 {
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

    /// It is bad again.
    pub fn relapse(&mut self, now: Nanos, settings: &Settings) {
        let recent = self.recovered_at.is_some_and(|at| now.saturating_sub(at) < MEMORY);
        let endless = settings.defects.has(Defect::EndlessDamping);
        self.doublings = match (recent, self.doubtful) {
            (false, _) => 0,
            (true, true) if !endless => settings.damping,
            (true, _) => {
                self.doublings.saturating_add(1).min(if endless { 20 } else { settings.damping })
            }
        };
    }

    /// It is good again, after so large a part of its probes was lost.
    pub fn recover(&mut self, now: Nanos, loss_ratio: f64) {
        self.recovered_at = Some(now);
        self.doubtful = loss_ratio < DOUBTFUL;
    }
}
