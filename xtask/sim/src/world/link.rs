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
    /// Flows of which nothing arrives, as bits: those that the fabric sends over a dead link.
    pub dead_flows: u64,
    /// Flows that take a longer way, as bits, and how much longer.
    pub slow_flows: (u64, Nanos),
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
            dead_flows: 0,
            slow_flows: (0, 0),
        }
    }

    /// Takes every fault away.
    pub const fn heal(&mut self) {
        *self = Self::good(self.delay);
    }

    /// Whether every packet has passed since then, and none took longer than it must.
    #[must_use]
    pub fn is_good(&self, since: Nanos) -> bool {
        let Self { jitter, lossy, late, dead_flows, slow_flows, black_until, .. } = self;
        let delays = *jitter > 0 || late.0 > 0.0 || slow_flows.0 != 0;
        let loses = *dead_flows != 0 || lossy.loss() != Loss::Independent(0.0);
        !delays && !loses && *black_until <= since
    }

    /// Whether most packets have passed since then: no more than a fifth was lost, by chance.
    #[must_use]
    pub fn carries(&self, since: Nanos) -> bool {
        let little = matches!(self.lossy.loss(), Loss::Independent(ratio) if ratio <= 0.2);
        little && self.dead_flows == 0 && self.black_until <= since
    }

    /// Whether no packet passes.
    #[must_use]
    pub fn is_dead(&self, now: Nanos) -> bool {
        self.black_until > now || self.lossy.loss() == Loss::Independent(1.0)
    }

    /// When a packet of a flow arrives that is sent now: once, not at all, or twice.
    pub fn carry(&mut self, flow: usize, now: Nanos, random: &mut Random) -> [Option<Nanos>; 2] {
        let is_in = |flows: u64| flows & (1 << flow) != 0;
        if self.black_until > now || self.lossy.loses(random) || is_in(self.dead_flows) {
            return [None, None];
        }
        let late = if self.late.0 > 0.0 && random.chance(self.late.0) { self.late.1 } else { 0 };
        let slow = if is_in(self.slow_flows.0) { self.slow_flows.1 } else { 0 };
        let at = now + self.delay + random.below(self.jitter + 1) + late + slow;
        let twice = self.duplicates > 0.0 && random.chance(self.duplicates);
        [Some(at), twice.then(|| at + random.below(50_000_000))]
    }
}
