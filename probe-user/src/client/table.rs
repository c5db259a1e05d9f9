//! `linkprobe status`: the paths as a table.

use super::units::{percent, round_trip, span};
use crate::report::{Direction, Path, Paths};
use crate::verdict::{Cause, State};

const HEADER: [&str; 10] = [
    "PEER", "REGION", "ADDRESS", "STATE", "FORWARD", "REVERSE", "LOSS>", "LOSS<", "RTT(p50)",
    "SINCE",
];

/// The columns that hold numbers; they are aligned to the right.
const NUMBERS: std::ops::RangeInclusive<usize> = 6..=8;

/// What stands where there is no value.
const NONE: &str = "-";

/// A line about the node, and a table with a row for each path. `>` is the way to the peer, `<` the way
/// back. Below a path that is not probed stands why.
#[must_use]
pub fn status_table(paths: &Paths) -> String {
    let mut text = summary(paths);
    if paths.paths.is_empty() {
        return text;
    }
    let rows: Vec<[String; 10]> = paths.paths.iter().map(row).collect();
    let mut widths = HEADER.map(width);
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    text += "\n";
    text += &line(&HEADER.map(str::to_owned), &widths);
    for (row, path) in rows.iter().zip(&paths.paths) {
        text += &line(row, &widths);
        if let Some(problem) = &path.problem {
            text += &format!("  problem: {problem}\n");
        }
        text += &reasons(path);
    }
    text
}

/// A line for each direction that is not healthy though it was measured: what it rests on, and what it takes.
fn reasons(path: &Path) -> String {
    let mut text = String::new();
    for (name, direction) in [("forward", &path.forward), ("reverse", &path.reverse)] {
        let Some(needs) = direction.needs.filter(|_| path.probes.sent > 0) else { continue };
        let evidence = &direction.evidence;
        let found = match (evidence.lost, evidence.loss_interval) {
            (1.., Some([low, high])) => {
                let (lost, probes) = (evidence.lost, evidence.probes);
                format!("{lost} of {probes} lost ({} to {}); ", percent(low), percent(high))
            }
            _ => String::new(),
        };
        let sick: Vec<String> = (1..)
            .zip(&path.flows)
            .filter(|(_, flow)| flow.state == State::Unhealthy)
            .map(|(index, _): (usize, _)| index.to_string())
            .collect();
        let flows = match (direction.cause, sick.len()) {
            (Cause::FlowLoss, 1..) => format!("flow {} of {}; ", sick.join(", "), path.flows.len()),
            _ => String::new(),
        };
        text += &format!(
            "  {name}: {found}{flows}healthy after {} clean probes, {:.1} s\n",
            needs.clean_probes, needs.seconds
        );
    }
    text
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
        Some(since) => {
            let lasts = span(paths.at - since);
            format!(
                "isolated: most regions fail at once, for {lasts}, so this node must be the one that is cut off\n"
            )
        }
        None => String::new(),
    };
    format!("{} (region {}): {total}\n{isolated}", paths.node, paths.region)
}

fn row(path: &Path) -> [String; 10] {
    [
        path.peer.clone(),
        path.region.clone(),
        address(path),
        path.state.to_string(),
        verdict(&path.forward),
        verdict(&path.reverse),
        loss(&path.forward),
        loss(&path.reverse),
        path.rtt_us.map_or(NONE.to_owned(), |rtt| round_trip(rtt.p50)),
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
fn verdict(direction: &Direction) -> String {
    match direction.verdict {
        State::Healthy => direction.verdict.to_string(),
        state => format!("{state} ({})", direction.cause),
    }
}

fn loss(direction: &Direction) -> String {
    direction.evidence.loss_ratio.map_or(NONE.to_owned(), percent)
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

fn line(cells: &[String; 10], widths: &[usize; 10]) -> String {
    let mut text = String::new();
    for (index, (cell, widest)) in cells.iter().zip(widths).enumerate() {
        let padding = " ".repeat(widest - width(cell));
        if NUMBERS.contains(&index) {
            text += &padding;
            text += cell;
        } else {
            text += cell;
            text += &padding;
        }
        text += "  ";
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn width(text: &str) -> usize {
    text.chars().count()
}
