//! From what is asked for to what the engine is set to.

use serde::{Deserialize, Serialize};

use super::{cusum::Tests, defect::Defects, threshold};
use crate::verdict::{Nanos, SECOND};

/// What is asked of the verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goals {
    /// The loss ratio that is accepted, more than 0 and less than 0.3.
    pub accepted_loss: f64,
    /// False alarms in a year on a path that loses as much as is accepted.
    pub false_alarms_per_year: f64,
    /// So long all probes must pass to make a direction healthy, in nanoseconds...
    pub recovery: Nanos,
    /// ...and at least so many of them.
    pub recovery_probes: u32,
    /// The most that this time grows to for a direction that relapses, in nanoseconds.
    pub damping: Nanos,
    /// Losses of probes that were sent within so many nanoseconds count as one.
    pub blip: Nanos,
    /// Age of the last evidence at which a verdict becomes unknown, in nanoseconds.
    pub expiry: Nanos,
    /// Round trips beyond so many times their usual length are slow; 0 where they are not looked at.
    pub latency_factor: f64,
}

/// What the engine of a path is set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The tests of a direction of the path.
    pub path: Tests,
    /// The tests of a direction of one of its flows.
    pub flow: Tests,
    /// The tests of its round trips.
    pub latency: Tests,
    /// Clean probes that make a direction healthy.
    pub recovery: u32,
    /// Of these, how many each flow must contribute.
    pub recovery_per_flow: u32,
    /// What a loss takes away from the clean probes.
    pub penalty: u32,
    /// How often the recovery can double.
    pub damping: u8,
    /// See [`Goals::blip`].
    pub blip: Nanos,
    /// See [`Goals::expiry`].
    pub expiry: Nanos,
    /// See [`Goals::latency_factor`].
    pub latency_factor: f64,
    /// Mean time between two probes of the path, in nanoseconds.
    pub spacing: Nanos,
    /// For the simulator's negative controls; nothing in the product.
    pub defects: Defects,
}

const YEAR: f64 = 365.25 * 86_400.0;

/// The share of the false-alarm budget that the tests of one direction of the path have, those of one direction
/// of all its flows together, and those of its round trips. Together with both directions that is all.
const SHARES: [f64; 3] = [0.4, 0.08, 0.04];

impl Settings {
    /// The settings that keep the goals for a path of `flows` flows, each probed every `interval`.
    #[must_use]
    pub fn new(goals: &Goals, interval: Nanos, flows: u16) -> Self {
        let flows = u64::from(flows.max(1));
        let spacing = (interval / flows).max(1);
        let probes_per_year = YEAR * SECOND as f64 / spacing as f64;
        let run_lengths =
            SHARES.map(|share| probes_per_year / (goals.false_alarms_per_year * share));
        let [path, flow, latency] = threshold::banks(goals.accepted_loss, run_lengths);
        let in_time = u32::try_from(goals.recovery.div_ceil(spacing)).unwrap_or(u32::MAX);
        let recovery = in_time.max(goals.recovery_probes).clamp(1, 1 << 20);
        let doublings = goals.damping.max(1).div_ceil(goals.recovery.max(1));
        Self {
            path,
            flow,
            latency,
            recovery,
            recovery_per_flow: recovery.div_ceil(flows as u32),
            penalty: (1.0 / goals.accepted_loss - 1.0).round() as u32,
            damping: doublings.next_power_of_two().trailing_zeros().min(10) as u8,
            blip: goals.blip,
            expiry: goals.expiry,
            latency_factor: goals.latency_factor,
            spacing,
            defects: Defects::NONE,
        }
    }

    /// Time that so many probes of the path take, in nanoseconds.
    #[must_use]
    pub const fn time_of(&self, probes: u32) -> Nanos {
        probes as u64 * self.spacing
    }
}
