//! `linkprobe check`: one line and an exit code, as monitoring plugins have them.

use super::table::lasts;
use super::units::{percent, span};
use crate::report::{Direction, Path, Paths, Regions};
use crate::verdict::{Reach, State};

/// So many paths that are not healthy are named; the others are counted.
const NAMED: usize = 5;

/// Which paths count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All of them; the worst one decides.
    All,
    /// The path to the peer with this name.
    Path(&'a str),
}

/// The exit code and the line: 0 healthy, 1 degraded, 2 unhealthy, 3 unknown.
#[must_use]
pub fn check(paths: &Paths, selection: Selection<'_>) -> (u8, String) {
    let counts = |path: &&Path| match selection {
        Selection::All => true,
        Selection::Path(peer) => path.peer == peer,
    };
    let selected: Vec<&Path> = paths.paths.iter().filter(counts).collect();
    let Some(worst) = selected.iter().map(|path| path.state).reduce(State::worse) else {
        return unknown(&nothing_selected(paths, selection));
    };
    let code = match worst {
        State::Healthy => 0,
        State::Degraded => 1,
        State::Unhealthy => 2,
        State::Unknown => 3,
    };
    line(code, &details(&selected))
}

/// The exit code and the line for a region: 0 reachable, 1 impaired, 2 isolated, and 3 where nothing is known or this node is
/// the one that is cut off. The paths make no difference to the code.
#[must_use]
pub fn check_region(regions: &Regions, paths: Option<&Paths>, name: &str) -> (u8, String) {
    let Some(region) = regions.regions.iter().find(|region| region.name == name) else {
        return unknown(&regions.no_such_region(name));
    };
    let code = match region.reach {
        Reach::Reachable => 0,
        Reach::Impaired => 1,
        Reach::Isolated => 2,
        Reach::Unknown | Reach::SelfIsolated => 3,
    };
    let (reach, lasts) = (region.reach, span((regions.at - region.reach_since).max(0.0)));
    let text = format!("{name} {reach} since {lasts}: {}", region.why());
    let Some(paths) = paths else { return line(code, &text) };
    let selected: Vec<&Path> = paths.paths.iter().filter(|path| path.region == name).collect();
    line(code, &format!("{text}; {}", details(&selected)))
}

fn line(code: u8, text: &str) -> (u8, String) {
    let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::from(code)];
    (code, single_line(&format!("{word} - {text}")))
}

/// The answer where nothing is known.
pub(super) fn unknown(why: &str) -> (u8, String) {
    line(3, why)
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
