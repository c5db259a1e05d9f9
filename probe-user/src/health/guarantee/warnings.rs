//! Where a config asks for what cannot be had, or for more than it seems.

use super::{Detection, Guarantees, Probing, seconds};
use crate::health::{Goals, Settings, settings::MOST_RECOVERY, threshold};

/// What there is to be warned of.
pub(super) fn all(
    settings: &Settings,
    probing: &Probing,
    goals: &Goals,
    guarantees: &Guarantees,
) -> Vec<String> {
    [
        too_few_probes(settings, goals, guarantees),
        accepted(goals, guarantees),
        blip(settings, guarantees),
        recovery(goals, guarantees),
        damping(goals, guarantees),
        clamped(settings, goals),
        expiry(settings, probing),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Of a loss, of 5 % and of half as much again as is accepted, the first that takes too long.
fn too_few_probes(settings: &Settings, goals: &Goals, guarantees: &Guarantees) -> Option<String> {
    let all = guarantees.detection.last().filter(|loss| is_late(loss.seconds.p99, 10.0));
    let five = at(guarantees, 0.05).filter(|loss| is_late(loss.seconds.p50, 60.0));
    let little = 1.5 * goals.accepted_loss;
    let mean = seconds(settings.spacing) * mean_delay(settings, little);
    let what = if let Some(loss) = all {
        format!("total loss is seen after {} only", time(loss, loss.seconds.p99))
    } else if let Some(loss) = five {
        format!("5 % loss is seen after {} only", time(loss, loss.seconds.p50))
    } else if mean > 600.0 {
        format!(
            "loss of {}, half as much again as is accepted, is seen after {} on the average",
            percent(little),
            words(mean)
        )
    } else {
        return None;
    };
    Some(format!(
        "too few probes for the false-alarm budget: {what}; shorten probe.interval, or allow more false alarms"
    ))
}

fn at(guarantees: &Guarantees, loss_ratio: f64) -> Option<&Detection> {
    let is_it = |loss: &&Detection| loss.loss_ratio == loss_ratio && !loss.accepted;
    guarantees.detection.iter().find(is_it)
}

fn is_late(found: Option<f64>, limit: f64) -> bool {
    found.is_none_or(|found| found > limit)
}

fn time(loss: &Detection, found: Option<f64>) -> String {
    let longer = || format!("more than {}", words(loss.more_than.map_or(0.0, |span| span.seconds)));
    found.map_or_else(longer, words)
}

/// The mean number of probes until the best of the path's tests sees this loss: all of them together are quicker.
fn mean_delay(settings: &Settings, loss_ratio: f64) -> f64 {
    let tests = settings.path.gains.into_iter().zip(settings.path.thresholds);
    let delays =
        tests.map(|(gain, threshold)| threshold::average_run_length(gain, threshold, loss_ratio));
    delays.fold(f64::INFINITY, f64::min)
}

fn accepted(goals: &Goals, guarantees: &Guarantees) -> Option<String> {
    guarantees.detection.first().is_some_and(|loss| loss.accepted).then(|| {
        let accepted = percent(goals.accepted_loss);
        format!("health.accepted_loss is {accepted}: as much and less is never an alarm, for as long as it may last")
    })
}

fn blip(settings: &Settings, guarantees: &Guarantees) -> Option<String> {
    if settings.blip <= settings.spacing {
        return None;
    }
    let unseen =
        guarantees.detection.iter().rfind(|loss| loss.probes.p50.is_none() && !loss.accepted);
    let rest = unseen.map_or_else(String::new, |loss| {
        format!(", and {} loss is seen after {} only", percent(loss.loss_ratio), time(loss, None))
    });
    Some(format!(
        "health.blip is longer than the time between two probes: of {} that are lost in a row, one counts{rest}",
        settings.blip / settings.spacing + 1
    ))
}

fn recovery(goals: &Goals, guarantees: &Guarantees) -> Option<String> {
    let takes = guarantees.recovery.seconds;
    let of_probes = takes > 2.0 * seconds(goals.recovery);
    let cure = if of_probes {
        "shorten probe.interval, or lower health.recovery_probes"
    } else {
        "lower health.recovery"
    };
    (takes > 60.0).then(|| {
        format!("recovery takes {} even of a path that never relapsed; {cure}", words(takes))
    })
}

/// Damping is counted in probes: it is them that tell a path which loses for good from one that has recovered.
fn damping(goals: &Goals, guarantees: &Guarantees) -> Option<String> {
    let grows_to =
        f64::from(guarantees.recovery.clean_probes_damped) / guarantees.probes_per_second;
    (grows_to > 1.01 * seconds(goals.damping)).then(|| {
        format!(
            "recovery grows to {}, more than health.damping, because health.recovery_probes asks for so many \
             probes; shorten probe.interval, or lower health.recovery_probes",
            words(grows_to)
        )
    })
}

fn clamped(settings: &Settings, goals: &Goals) -> Option<String> {
    (goals.recovery.div_ceil(settings.spacing) > u64::from(MOST_RECOVERY)).then(|| {
        format!(
            "health.recovery is cut to {}: no more than {MOST_RECOVERY} clean probes are waited for",
            words(seconds(settings.time_of(MOST_RECOVERY)))
        )
    })
}

/// An interval with its jitter, one more for a probe that is lost, and the time until that is known.
fn expiry(settings: &Settings, probing: &Probing) -> Option<String> {
    (settings.expiry < 2 * probing.interval + probing.timeout).then(|| {
        "health.expiry is less than two intervals and the timeout: one probe that is lost or late can make a \
         verdict unknown"
            .to_owned()
    })
}

fn percent(ratio: f64) -> String {
    format!("{} %", (ratio * 10_000.0).round() / 100.0)
}

/// A time in seconds as people say it.
fn words(time: f64) -> String {
    match time {
        _ if time >= 3.0 * 86_400.0 => format!("{:.0} days", time / 86_400.0),
        _ if time >= 3.0 * 3_600.0 => format!("{:.0} hours", time / 3_600.0),
        _ if time >= 300.0 => format!("{:.0} minutes", time / 60.0),
        _ if time >= 10.0 => format!("{time:.0} s"),
        _ => format!("{time:.1} s"),
    }
}
