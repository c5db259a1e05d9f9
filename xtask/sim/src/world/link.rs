//! What happens to a packet on its way.

use probe_user::{random::Random, verdict::Nanos};

use crate::loss::{Loss, Lossy};

/// One direction between two nodes.
#[derive(Clone, Debug)]
pub struct Link {
    /// How long a packet takes at least.
    pub delay: Nanos,
    /// How much longer at most.
    pub jitter: Nanos,
    /// Which packets are lost.
    pub lossy: Lossy,
    /// The share of packets that take `late` longer, and how long that is.
    pub late: (f64, Nanos),
    /// The share of packets that arrive twice.
    pub duplicates: f64,
    /// Nothing arrives until then.
    pub black_until: Nanos,
}

impl Link {
    /// A link that loses nothing.
    #[must_use]
    pub const fn good(delay: Nanos) -> Self {
        Self {
            delay,
            jitter: 0,
            lossy: Lossy::new(Loss::Independent(0.0)),
            late: (0.0, 0),
            duplicates: 0.0,
            black_until: 0,
        }
    }

    /// Takes every fault away.
    pub const fn heal(&mut self) {
        *self = Self::good(self.delay);
    }

    /// When a packet arrives that is sent now: once, not at all, or twice.
    pub fn carry(&mut self, now: Nanos, random: &mut Random) -> [Option<Nanos>; 2] {
        if self.black_until > now || self.lossy.loses(random) {
            return [None, None];
        }
        let late = if self.late.0 > 0.0 && random.chance(self.late.0) { self.late.1 } else { 0 };
        let at = now + self.delay + random.below(self.jitter + 1) + late;
        let twice = self.duplicates > 0.0 && random.chance(self.duplicates);
        [Some(at), twice.then(|| at + random.below(50_000_000))]
    }
}
