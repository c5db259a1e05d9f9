//! `linkprobe overlay status`: which way traffic goes, and why.

use super::columns;
use super::table::{loss, verdict};
use super::units::{age, round_trip, span};
use crate::report::ISOLATED;
use crate::report::overlay::{Candidate, Destination, Overlay};

const COLUMNS: usize = 9;

const HEADER: [&str; COLUMNS] =
    ["", "WAY", "TUNNEL", "FORWARD", "LOSS>", "RTT(p50)", "AGE", "REVERSE", "LOSS<"];

/// The columns that hold numbers.
const NUMBERS: std::ops::RangeInclusive<usize> = 4..=6;

/// What stands where there is no value.
const NONE: &str = "-";

/// A line about the node, one for each problem, and for each destination a line and a table of its candidates: `*` marks the
/// one in use. What is measured of the way there decides; that of the way back decides at the other end.
#[must_use]
pub fn overlay_table(overlay: &Overlay) -> String {
    let Overlay { node, region, destinations, .. } = overlay;
    let direct = destinations.iter().filter(|destination| destination.via.is_none()).count();
    let mut text = format!(
        "{node} (region {region}): {} destinations: {direct} direct, {} through a relay\n",
        destinations.len(),
        destinations.len() - direct,
    );
    if let Some(since) = overlay.isolated_since {
        text += &format!("{ISOLATED} (for {})\n", span(overlay.at - since));
    }
    for problem in &overlay.problems {
        text += &format!("problem: {problem}\n");
    }
    if overlay.repairs > 0 {
        text +=
            &format!("{} routes and rules were mended that others had changed\n", overlay.repairs);
    }
    for destination in destinations {
        text += "\n";
        text += &headline(destination);
        let header = HEADER.map(str::to_owned);
        let rows: Vec<_> =
            std::iter::once(header).chain(destination.candidates.iter().map(row)).collect();
        text += &columns::lines(&rows, &NUMBERS).concat();
    }
    text
}

/// `nyc1 (region nyc): 10.2.0.0/16: through sin1 since 12 s (loss), 3 changes`.
fn headline(destination: &Destination) -> String {
    let Destination { peer, region, prefixes, via, reason, since_seconds, moves, .. } = destination;
    let way = via.as_ref().map_or_else(|| "direct".to_owned(), |relay| format!("through {relay}"));
    let prefixes = match prefixes.is_empty() {
        true => "a relay only".to_owned(),
        false => prefixes.join(", "),
    };
    let changes = if *moves == 1 { "1 change".to_owned() } else { format!("{moves} changes") };
    let installed = if destination.installed { "" } else { "; THE KERNEL ROUTES OTHERWISE" };
    let since = span(*since_seconds);
    format!(
        "{peer} (region {region}): {prefixes}: {way} for {since} ({reason}), {changes}{installed}\n"
    )
}

fn row(candidate: &Candidate) -> [String; COLUMNS] {
    let Candidate { via, in_use, interface, up, forward, reverse, rtt_us, .. } = candidate;
    let tunnel = if *up { interface.clone() } else { format!("{interface} (down)") };
    [
        if *in_use { "*" } else { "" }.to_owned(),
        via.clone().unwrap_or_else(|| "direct".to_owned()),
        tunnel,
        verdict(forward),
        loss(forward),
        rtt_us.map_or(NONE.to_owned(), |quantiles| round_trip(quantiles.p50)),
        forward.age_seconds.map_or(NONE.to_owned(), age),
        verdict(reverse),
        loss(reverse),
    ]
}
