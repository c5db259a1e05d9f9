//! `linkprobe check`: one line and an exit code, as monitoring plugins have them.

use super::table::lasts;
use super::units::{percent, span};
use crate::report::{Direction, Path, Paths};
use crate::verdict::State;

/// So many paths that are not healthy are named; the others are counted.
const NAMED: usize = 5;

/// Which paths count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All of them; the worst one decides.
    All,
    /// The path to the peer with this name.
    Path(&'a str),
    /// The paths to this region. It is unhealthy when none of them is fit for use, and degraded as long
    /// as one is.
    Region(&'a str),
}

/// The exit code and the line: 0 healthy, 1 degraded, 2 unhealthy, 3 unknown.
#[must_use]
pub fn check(paths: &Paths, selection: Selection<'_>) -> (u8, String) {
    let counts = |path: &&Path| match selection {
        Selection::All => true,
        Selection::Path(peer) => path.peer == peer,
        Selection::Region(region) => path.region == region,
    };
    let selected: Vec<&Path> = paths.paths.iter().filter(counts).collect();
    let Some(worst) = selected.iter().map(|path| path.state).reduce(State::worse) else {
        return unknown(&nothing_selected(paths, selection));
    };
    let usable = |path: &&Path| matches!(path.state, State::Healthy | State::Degraded);
    let state = match (selection, worst) {
        (Selection::Region(_), State::Unhealthy) if selected.iter().any(usable) => State::Degraded,
        _ => worst,
    };
    let (code, word) = match state {
        State::Healthy => (0, "OK"),
        State::Degraded => (1, "WARNING"),
        State::Unhealthy => (2, "CRITICAL"),
        State::Unknown => (3, "UNKNOWN"),
    };
    (code, single_line(&format!("{word} - {}", details(&selected))))
}

/// The answer where nothing is known.
pub(super) fn unknown(why: &str) -> (u8, String) {
    (3, single_line(&format!("UNKNOWN - {why}")))
}

/// The protocol ends the message at a line break, and at a bar, behind which it wants numbers.
fn single_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "/")
}

fn nothing_selected(paths: &Paths, selection: Selection<'_>) -> String {
    let list = |names: Vec<&str>| {
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    match selection {
        Selection::All => format!("{} probes no peer", paths.node),
        Selection::Path(peer) => {
            let names = paths.paths.iter().map(|path| path.peer.as_str()).collect();
            format!("{} has no peer {peer:?}; its peers: {}", paths.node, list(names))
        }
        Selection::Region(region) => {
            let mut names: Vec<&str> =
                paths.paths.iter().map(|path| path.region.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            format!("{} has no peer in region {region:?}; its regions: {}", paths.node, list(names))
        }
    }
}

/// `nyc1: forward unhealthy (loss 31 % of 128 probes, since 3 s); 3 paths healthy`.
fn details(selected: &[&Path]) -> String {
    let mut sick: Vec<&Path> =
        selected.iter().filter(|path| path.state != State::Healthy).copied().collect();
    let healthy = selected.len() - sick.len();
    // Stable, so that paths of one state stay in the order of the config.
    sick.sort_by_key(|path| match path.state {
        State::Unhealthy => 0,
        State::Degraded => 1,
        _ => 2,
    });
    let mut parts: Vec<String> = sick.iter().take(NAMED).map(|path| describe(path)).collect();
    if sick.len() > NAMED {
        parts.push(format!("{} more not healthy", sick.len() - NAMED));
    }
    if healthy > 0 {
        let paths = if healthy == 1 { "path" } else { "paths" };
        parts.push(format!("{healthy} {paths} healthy"));
    }
    parts.join("; ")
}

fn describe(path: &Path) -> String {
    if let Some(problem) = &path.problem {
        return format!("{}: {} ({problem}, since {})", path.peer, path.state, span(lasts(path)));
    }
    let sick: Vec<String> = path
        .directions()
        .into_iter()
        .filter(|(_, direction)| direction.verdict != State::Healthy)
        .map(|(way, direction)| format!("{way} {}", verdict(direction)))
        .collect();
    format!("{}: {}", path.peer, sick.join(", "))
}

fn verdict(direction: &Direction) -> String {
    let evidence = direction.evidence;
    let why = match evidence.loss_ratio {
        Some(ratio) if evidence.lost > 0 => {
            format!("loss {} of {} probes", percent(ratio), evidence.probes)
        }
        _ => direction.cause.to_string(),
    };
    format!("{} ({why}, since {})", direction.verdict, span(direction.since_seconds))
}
