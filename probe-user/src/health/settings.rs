//! From what is asked for to what the engine is set to.

use serde::{Deserialize, Serialize};

use super::{cusum::Tests, defect::Defects, threshold};
use crate::verdict::{Nanos, SECOND};

/// What is asked of the verdicts; within [`limits`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goals {
    /// The loss ratio that is accepted.
    pub accepted_loss: f64,
    /// False alarms in a year on a path that loses as much as is accepted.
    pub false_alarms_per_year: f64,
    /// So long all probes must pass to make a direction healthy, in nanoseconds...
    pub recovery: Nanos,
    /// ...and at least so many of them.
    pub recovery_probes: u32,
    /// The most that this time grows to for a direction that relapses, in nanoseconds. Where `recovery_probes` take longer
    /// than `recovery`, it grows to as many times more.
    pub damping: Nanos,
    /// Losses of probes that were sent within so many nanoseconds count as one.
    pub blip: Nanos,
    /// Age of the last evidence at which a verdict becomes unknown, in nanoseconds.
    pub expiry: Nanos,
    /// Round trips beyond so many times their usual length are slow; 0 where they are not looked at.
    pub latency_factor: f64,
}

/// What goals can be, both ends included. The config, its schema and its documentation say the same.
pub mod limits {
    use std::ops::RangeInclusive;

    use crate::verdict::{MILLISECOND, Nanos, SECOND};

    /// [`Goals::accepted_loss`](super::Goals::accepted_loss).
    pub const ACCEPTED_LOSS: RangeInclusive<f64> = 0.0001..=0.2;
    /// [`Goals::false_alarms_per_year`](super::Goals::false_alarms_per_year).
    pub const FALSE_ALARMS: RangeInclusive<f64> = 0.0001..=100_000.0;
    /// [`Goals::recovery`](super::Goals::recovery) and [`Goals::damping`](super::Goals::damping), which is not less than it.
    pub const RECOVERY: RangeInclusive<Nanos> = 10 * MILLISECOND..=3_600 * SECOND;
    /// [`Goals::recovery_probes`](super::Goals::recovery_probes).
    pub const RECOVERY_PROBES: RangeInclusive<u32> = 1..=10_000;
    /// [`Goals::blip`](super::Goals::blip).
    pub const BLIP: RangeInclusive<Nanos> = 0..=10 * SECOND;
    /// [`Goals::expiry`](super::Goals::expiry), which is not less than interval and timeout together.
    pub const EXPIRY: RangeInclusive<Nanos> = 100 * MILLISECOND..=3_600 * SECOND;
    /// [`Goals::latency_factor`](super::Goals::latency_factor), where it is not 0.
    pub const LATENCY_FACTOR: RangeInclusive<f64> = 1.1..=100.0;
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

/// Clean probes that are waited for at most. Doubled as often as can be, they can still be counted.
pub const MOST_RECOVERY: u32 = 1 << 20;

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
        let recovery = in_time.max(goals.recovery_probes).clamp(1, MOST_RECOVERY);
        // By the goal, not by what the probes make of it: where few probes make recovery longer than the damping, it would
        // not be held back at all, and a path that loses 5 % for good would flap.
        let doublings = (goals.damping / goals.recovery.max(1)).max(1).ilog2();
        Self {
            path,
            flow,
            latency,
            recovery,
            recovery_per_flow: recovery.div_ceil(flows as u32),
            penalty: (1.0 / goals.accepted_loss - 1.0).round() as u32,
            damping: doublings.min(10) as u8,
            blip: goals.blip,
            expiry: goals.expiry,
            latency_factor: goals.latency_factor,
            spacing,
            defects: Defects::NONE,
        }
    }

    /// A path of which nothing is heard for longer is silent for a while at least, in nanoseconds: eight probes.
    #[must_use]
    pub const fn lull(&self) -> Nanos {
        self.time_of(8)
    }

    /// Time that so many probes of the path take, in nanoseconds.
    #[must_use]
    pub const fn time_of(&self, probes: u32) -> Nanos {
        probes as u64 * self.spacing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{Lost, Outcome},
        config::HealthConfig,
        health::Path,
        random::Random,
    };

    fn settings(recovery: Nanos, damping: Nanos, interval: Nanos) -> Settings {
        let goals = Goals { recovery, damping, ..HealthConfig::default().goals() };
        Settings::new(&goals, interval, 1)
    }

    #[test]
    fn recovery_grows_to_no_more_than_the_damping() {
        for (recovery, damping, doublings) in
            [(1, 1, 0), (1, 2, 1), (2, 3, 0), (1, 40, 5), (3, 95, 4), (3, 96, 5), (1, 3_600, 10)]
        {
            let settings = settings(recovery * SECOND, damping * SECOND, SECOND / 1_000);
            assert_eq!(settings.damping, doublings, "{recovery} {damping}");
            let grown = settings.time_of(settings.recovery << settings.damping);
            assert!(grown <= damping * SECOND, "{recovery} {damping}");
        }
    }

    /// Changes in a day of 5 % loss, at a probe a second.
    fn changes(settings: &Settings) -> u32 {
        let (mut path, mut random, mut changes) = (Path::new(1, 0), Random::new(1), 0);
        for second in 1..=86_400 {
            let (now, lost) = (second * SECOND, random.chance(0.05));
            let passed = Outcome::Answered { round_trip: 0 };
            let outcome = if lost { Outcome::Lost(Lost::Forward) } else { passed };
            path.observe(0, now, outcome, now, settings);
            path.tick(now, false, settings, &mut |_| changes += 1);
        }
        changes
    }

    /// Why the doublings do not depend on how long the probes of a recovery take: sixty of them pass in a row now and
    /// then though 5 % are lost for good, however long it takes.
    #[test]
    fn a_path_that_is_probed_seldom_is_held_back_too() {
        let held =
            Settings { expiry: 10 * SECOND, ..settings(SECOND * 3 / 2, 48 * SECOND, SECOND) };
        assert_eq!((held.recovery, held.damping), (60, 5));
        assert!(changes(&held) <= 4 * 24, "{}", changes(&held));
        let free = Settings { damping: 0, ..held };
        assert!(changes(&free) > 4 * 24, "{}", changes(&free));
    }
}
