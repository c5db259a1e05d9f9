//! `linkprobe status`: the paths as a table.

use super::columns;
use super::units::{age, percent, round_trip, span};
use crate::report::{Direction, ISOLATED, Path, Paths, Quantiles};
use crate::verdict::{Direction as Way, State};

const COLUMNS: usize = 13;

const HEADER: [&str; COLUMNS] = [
    "PEER", "REGION", "ADDRESS", "STATE", "FORWARD", "REVERSE", "LOSS>", "LOSS<", "RTT(p50)",
    "RTT(p99)", "AGE", "EXPIRES", "SINCE",
];

/// The columns that hold numbers; they are aligned to the right.
const NUMBERS: std::ops::RangeInclusive<usize> = 6..=11;

/// What stands where there is no value.
const NONE: &str = "-";

/// A line about the node, and a table with a row for each path. `>` is the way to the peer, `<` the way
/// back, each loss with the interval that holds the true one with 95 % confidence. AGE is that of the evidence of the
/// direction which has had none for longer, and EXPIRES when that one's verdict becomes unknown without any. Below a
/// path that is not healthy stands a line for each direction, and below one that is not probed, why.
#[must_use]
pub fn status_table(paths: &Paths) -> String {
    let mut text = summary(paths);
    if paths.paths.is_empty() {
        return text;
    }
    let header = HEADER.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(paths.paths.iter().map(row)).collect();
    let mut lines = columns::lines(&rows, &NUMBERS).into_iter();
    text += "\n";
    text += &lines.next().unwrap_or_default();
    for (line, path) in lines.zip(&paths.paths) {
        text += &line;
        if let Some(problem) = &path.problem {
            text += &format!("  problem: {problem}\n");
        }
        text += &reasons(path);
    }
    text
}

/// A line for each direction of a path that is not healthy though it was probed: the whole verdict.
fn reasons(path: &Path) -> String {
    if path.state == State::Healthy || path.probes.sent == 0 {
        return String::new();
    }
    let line = |(way, direction): (Way, &Direction)| {
        let verdict = format!("{} for {}", verdict(direction), span(direction.since_seconds));
        let parts: Vec<String> = std::iter::once(verdict)
            .chain(found(direction))
            .chain(sick_flows(path, way))
            .chain(direction.age_seconds.map(|seconds| format!("evidence {} old", age(seconds))))
            .chain(
                direction.expires_in_seconds.map(|seconds| format!("expires in {}", age(seconds))),
            )
            .chain(needed(direction))
            .collect();
        format!("  {way}: {}\n", parts.join("; "))
    };
    path.directions().map(line).concat()
}

/// `9 of 30 lost (17 % to 48 %)`.
fn found(direction: &Direction) -> Option<String> {
    let [low, high] = direction.evidence.loss_interval?;
    let (lost, probes) = (direction.evidence.lost, direction.evidence.probes);
    Some(format!("{lost} of {probes} lost ({} to {})", percent(low), percent(high)))
}

/// `flow 7 of 16`, unless there is but one.
fn sick_flows(path: &Path, way: Way) -> Option<String> {
    let (sick, all) = (path.sick_flows(way), path.flows.len());
    let places = || sick.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match sick.len() {
        _ if all < 2 => None,
        0 => None,
        1 => Some(format!("flow {} of {all}", places())),
        some if some < all => Some(format!("flows {} of {all}", places())),
        _ => Some(format!("all {all} flows")),
    }
}

/// `healthy after 60 clean probes, 1.5 s`.
fn needed(direction: &Direction) -> Option<String> {
    let needs = direction.needs?;
    Some(format!("healthy after {} clean probes, {:.1} s", needs.clean_probes, needs.seconds))
}

/// `ams1 (region ams): 3 paths: 2 healthy, 1 unhealthy`.
fn summary(paths: &Paths) -> String {
    let count = |state| paths.paths.iter().filter(|path| path.state == state).count();
    let worst_last = [State::Healthy, State::Unknown, State::Degraded, State::Unhealthy];
    let states: Vec<String> = worst_last
        .into_iter()
        .map(|state| (count(state), state))
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    let total = match paths.paths.len() {
        0 => "no paths; the config has no [[peer]]".to_owned(),
        1 => format!("1 path: {}", states.join(", ")),
        total => format!("{total} paths: {}", states.join(", ")),
    };
    let isolated = match paths.isolated_since {
        Some(since) => format!("{ISOLATED} (for {})\n", span(paths.at - since)),
        None => String::new(),
    };
    format!("{} (region {}): {total}\n{isolated}", paths.node, paths.region)
}

fn row(path: &Path) -> [String; COLUMNS] {
    let rtt = |of: fn(Quantiles) -> f64| {
        path.rtt_us.map_or(NONE.to_owned(), |quantiles| round_trip(of(quantiles)))
    };
    let directions = || [&path.forward, &path.reverse].into_iter();
    let oldest = directions().filter_map(|direction| direction.age_seconds).reduce(f64::max);
    let first = directions().filter_map(|direction| direction.expires_in_seconds).reduce(f64::min);
    [
        path.peer.clone(),
        path.region.clone(),
        address(path),
        path.state.to_string(),
        verdict(&path.forward),
        verdict(&path.reverse),
        loss(&path.forward),
        loss(&path.reverse),
        rtt(|quantiles| quantiles.p50),
        rtt(|quantiles| quantiles.p99),
        oldest.map_or(NONE.to_owned(), age),
        first.map_or(NONE.to_owned(), age),
        span(lasts(path)),
    ]
}

/// The address of the config, and what its name stands for if it is one.
fn address(path: &Path) -> String {
    match &path.resolved {
        Some(resolved) if !path.address.contains(resolved.as_str()) => {
            format!("{} ({resolved})", path.address)
        }
        _ => path.address.clone(),
    }
}

/// The verdict, and its cause unless all is well.
pub(super) fn verdict(direction: &Direction) -> String {
    match direction.verdict {
        State::Healthy => direction.verdict.to_string(),
        state => format!("{state} ({})", direction.cause),
    }
}

/// `31 % (24 % to 40 %)`.
pub(super) fn loss(direction: &Direction) -> String {
    let Some(ratio) = direction.evidence.loss_ratio else { return NONE.to_owned() };
    let interval = direction.evidence.loss_interval;
    let interval = interval.map(|[low, high]| format!(" ({} to {})", percent(low), percent(high)));
    percent(ratio) + &interval.unwrap_or_default()
}

/// For how many seconds the path has been in its state, at least. A path is healthy since the later of
/// its directions is, and has any other state since the first direction had it.
pub(super) fn lasts(path: &Path) -> f64 {
    let in_state = [&path.forward, &path.reverse]
        .into_iter()
        .filter(|direction| direction.verdict == path.state)
        .map(|direction| direction.since_seconds);
    let longest = match path.state {
        State::Healthy => in_state.reduce(f64::min),
        _ => in_state.reduce(f64::max),
    };
    longest.unwrap_or_default()
}
