//! What settings guarantee, as numbers: how soon loss is seen, how soon its end, how often an alarm is false.
//!
//! Recovery and false alarms are bounds, from the settings alone. Detection is played out with the engine itself, always
//! with the same seed.

use serde::Serialize;

use super::{Path, Settings, threshold};
use crate::{
    account::{Lost, Outcome, PATIENCE, SILENT_PROBES},
    random::Random,
    verdict::{Direction, Nanos, SECOND, State},
};

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

/// How soon a loss is seen that begins on a healthy path and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// The share that is lost, in one direction.
    pub loss_ratio: f64,
    /// Probes from its beginning until the alarm: half of all times, and 99 of 100 times, not more than so many.
    pub probes: Quantiles<u32>,
    /// The same in seconds, with the time for which answers are waited for.
    pub seconds: Quantiles<f64>,
}

/// Two quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles<T> {
    /// The median.
    pub p50: T,
    /// 99 of 100 are at most this.
    pub p99: T,
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

/// Runs for each loss ratio.
const RUNS: usize = 1_000;

/// The guarantees of settings.
#[must_use]
pub fn guarantees(settings: &Settings, probing: &Probing, accepted_loss: f64) -> Guarantees {
    let detection = LOSSES.map(|loss_ratio| detection(settings, probing, loss_ratio)).to_vec();
    let mut guarantees = Guarantees {
        probes_per_second: SECOND as f64 / settings.spacing as f64,
        detection,
        recovery: Recovery {
            clean_probes: settings.recovery,
            seconds: seconds(recovery_bound(settings, probing, 0)),
            clean_probes_damped: settings.recovery << settings.damping,
            seconds_damped: seconds(recovery_bound(settings, probing, settings.damping)),
        },
        false_alarms_per_year: false_alarms_per_year(settings, accepted_loss),
        expiry_seconds: seconds(settings.expiry),
        warnings: Vec::new(),
    };
    guarantees.warnings = warnings(settings, probing, &guarantees);
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

/// The bound that all tests of a path keep together, by their exact run lengths.
#[must_use]
pub fn false_alarms_per_year(settings: &Settings, loss_ratio: f64) -> f64 {
    let year = 365.25 * 86_400.0 * SECOND as f64 / settings.spacing as f64;
    let of = |tests| threshold::false_alarms(tests, loss_ratio);
    let flows =
        if settings.recovery_per_flow < settings.recovery { of(&settings.flow) } else { 0.0 };
    year * (2.0 * (of(&settings.path) + flows) + of(&settings.latency))
}

fn detection(settings: &Settings, probing: &Probing, loss_ratio: f64) -> Detection {
    let mut random = Random::new(loss_ratio.to_bits());
    let mut runs: Vec<u32> = (0..RUNS)
        .map(|_| {
            probes_to_alarm(settings, usize::from(probing.flows), || random.chance(loss_ratio))
        })
        .collect();
    runs.sort_unstable();
    let probes = Quantiles { p50: runs[RUNS / 2], p99: runs[RUNS * 99 / 100] };
    let time = |probes: u32| {
        let silence = if loss_ratio >= 1.0 { SILENT_PROBES } else { 0 };
        seconds(settings.time_of(probes.max(silence)) + PATIENCE.min(probing.timeout))
    };
    let seconds = Quantiles { p50: time(probes.p50), p99: time(probes.p99) };
    Detection { loss_ratio, probes, seconds }
}

/// How many probes it takes from a healthy path to one that is not, flow by flow in turn, where `lost` says which are lost.
pub fn probes_to_alarm(settings: &Settings, flows: usize, mut lost: impl FnMut() -> bool) -> u32 {
    let mut path = Path::new(flows, 0);
    let mut now = 0;
    let mut probes = 0;
    let mut turn = 0;
    let mut observe = |path: &mut Path, lost: bool| {
        now += settings.spacing;
        turn = (turn + 1) % flows;
        let outcome =
            if lost { Outcome::Lost(Lost::Forward) } else { Outcome::Answered { round_trip: 0 } };
        path.observe(turn, now, outcome, now, settings);
        if lost || path.state_of(Direction::Forward) != State::Healthy {
            path.tick(now, false, settings, &mut |_| {});
        }
    };
    while path.state_of(Direction::Forward) != State::Healthy {
        observe(&mut path, false);
    }
    while path.state_of(Direction::Forward) == State::Healthy {
        observe(&mut path, lost());
        probes += 1;
    }
    probes
}

fn warnings(settings: &Settings, probing: &Probing, guarantees: &Guarantees) -> Vec<String> {
    let mut warnings = Vec::new();
    let total = guarantees.detection.last().map_or(0.0, |detection| detection.seconds.p99);
    if total > 10.0 {
        warnings.push(format!(
            "too few probes for the false-alarm budget: total loss is seen after {total:.0} s only; \
             shorten probe.interval, or allow more false alarms"
        ));
    }
    let five = guarantees.detection[2].seconds.p50;
    if total <= 10.0 && five > 600.0 {
        warnings.push(format!(
            "5 % loss is seen after {:.0} minutes only; shorten probe.interval, or allow more false alarms",
            five / 60.0
        ));
    }
    if settings.blip > settings.spacing {
        let hidden = settings.blip / settings.spacing;
        warnings.push(format!(
            "health.blip is longer than the time between two probes: of {} that are lost in a row, one counts",
            hidden + 1
        ));
    }
    if guarantees.recovery.seconds > 60.0 {
        warnings.push(format!(
            "recovery takes {:.0} s even of a path that never relapsed; shorten probe.interval, or lower \
             health.recovery_probes",
            guarantees.recovery.seconds
        ));
    }
    if settings.expiry < 2 * probing.interval {
        warnings.push(
            "health.expiry is less than two intervals: one probe that is late makes a verdict unknown".to_owned(),
        );
    }
    warnings
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}
