//! What settings guarantee, as numbers: how soon loss is seen, how soon its end, how often an alarm is false.
//!
//! Recovery and false alarms are bounds, from the settings alone. Detection is played out.
//!
//! - [`detection`]: how soon loss is seen.
//! - `warnings`: where a config asks for what cannot be had.

pub mod detection;
mod warnings;

use serde::Serialize;

pub use self::detection::{Detection, Quantiles, Span};
use super::{Goals, Settings, threshold};
use crate::verdict::{Nanos, SECOND};

/// The loss ratios for which the detection is told.
pub const LOSSES: [f64; 7] = [0.015, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// How a path is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Time between two probes of one flow, in nanoseconds.
    pub interval: Nanos,
    /// After this a probe is lost for good, in nanoseconds.
    pub timeout: Nanos,
    /// Flows of the path.
    pub flows: u16,
}

/// What settings guarantee.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guarantees {
    /// Probes of the path in a second.
    pub probes_per_second: f64,
    /// By loss ratio, in ascending order.
    pub detection: Vec<Detection>,
    /// The way back.
    pub recovery: Recovery,
    /// False alarms of a path in a year at most, at the accepted loss.
    pub false_alarms_per_year: f64,
    /// Seconds after the last evidence until a verdict becomes unknown.
    pub expiry_seconds: f64,
    /// Where the config asks for what cannot be had.
    pub warnings: Vec<String>,
}

/// How soon a path is healthy once no probe is lost any more, from whatever state. A round trip comes on top.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recovery {
    /// Clean probes that it takes.
    pub clean_probes: u32,
    /// Seconds that it takes at most.
    pub seconds: f64,
    /// Clean probes that it takes after relapse upon relapse.
    pub clean_probes_damped: u32,
    /// Seconds that it takes then, at most.
    pub seconds_damped: f64,
}

/// The guarantees of settings that come of these goals. Detection is played in `budget` steps for each loss;
/// [`detection::BUDGET`] takes about a second.
#[must_use]
pub fn guarantees(
    settings: &Settings,
    probing: &Probing,
    goals: &Goals,
    budget: u64,
) -> Guarantees {
    let detection = detection::table(settings, probing, goals.accepted_loss, budget);
    let mut guarantees = Guarantees {
        probes_per_second: SECOND as f64 / settings.spacing as f64,
        detection,
        recovery: Recovery {
            clean_probes: settings.recovery,
            seconds: seconds(recovery_bound(settings, probing, 0)),
            clean_probes_damped: settings.recovery << settings.damping,
            seconds_damped: seconds(recovery_bound(settings, probing, settings.damping)),
        },
        false_alarms_per_year: false_alarms_per_year(settings, probing.flows, goals.accepted_loss),
        expiry_seconds: seconds(settings.expiry),
        warnings: Vec::new(),
    };
    guarantees.warnings = warnings::all(settings, probing, goals, &guarantees);
    guarantees
}

/// The time after which a path is healthy, if no probe is lost from now on, whatever its state is now; without the round
/// trip, in nanoseconds. `doublings` is how much it is held back at most.
#[must_use]
pub const fn recovery_bound(settings: &Settings, probing: &Probing, doublings: u8) -> Nanos {
    // Flows are sent with a jitter of a tenth of the interval to either side, and the first probe may have just left.
    let first = probing.interval * 12 / 10;
    let rounds = (settings.recovery_per_flow as u64) << doublings;
    let clean = first + rounds * probing.interval;
    if doublings == 0 {
        // Losses from before are known after the timeout at the latest, and do not count against what came later.
        return if clean > probing.timeout { clean } else { probing.timeout };
    }
    // All flows together are counted as they become known.
    let pace = probing.interval / probing.flows as u64;
    clean + probing.timeout + pace
}

/// The bound that all tests of a path of so many flows keep together, by their exact run lengths.
#[must_use]
pub fn false_alarms_per_year(settings: &Settings, flows: u16, loss_ratio: f64) -> f64 {
    let year = 365.25 * 86_400.0 * SECOND as f64 / settings.spacing as f64;
    let of = |tests, are_used: bool| {
        if are_used { threshold::false_alarms(tests, loss_ratio) } else { 0.0 }
    };
    // The tests of a path with one flow are those of the flow.
    let direction = of(&settings.path, true) + of(&settings.flow, flows > 1);
    year * (2.0 * direction + of(&settings.latency, settings.latency_factor > 0.0))
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HealthConfig;

    /// Even where one clean probe is enough for recovery, so that each flow's share is the whole.
    #[test]
    fn false_alarms_count_the_tests_that_are_used() {
        let goals = Goals { recovery: 1, recovery_probes: 1, ..HealthConfig::default().goals() };
        let settings = Settings::new(&goals, SECOND, 64);
        let one = false_alarms_per_year(&settings, 1, 0.01);
        let many = false_alarms_per_year(&settings, 64, 0.01);
        assert!(many > 1.05 * one, "{one} {many}");
        let blind = Settings { latency_factor: 0.0, ..settings };
        assert!(false_alarms_per_year(&blind, 64, 0.01) < many);
    }
}
