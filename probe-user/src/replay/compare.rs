//! Where two configs differ over the same recording.

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, Write},
};

use serde_json::{Value, json};

use super::text;
use crate::{
    record::player::{Change, Totals},
    verdict::{Cause, Direction, State},
};

/// What one of the configs would have given.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Every change of a verdict, in order.
    pub changes: Vec<Change>,
    /// The sums.
    pub totals: Totals,
}

/// What makes two changes the same one; the probes that they rest on may differ.
type Key<'c> = (u64, &'c str, Direction, State, State, Cause);

fn key(change: &Change) -> Key<'_> {
    let transition = &change.transition;
    let (from, to) = (transition.from, transition.to);
    (change.unix, &change.peer, transition.direction, from, to, transition.cause)
}

/// The changes that only one of two lists has, in the order of time: which one, and what.
#[must_use]
pub fn differences<'c>(first: &'c [Change], second: &'c [Change]) -> Vec<(usize, &'c Change)> {
    let mut unmatched: HashMap<Key<'_>, usize> = HashMap::new();
    for change in second {
        *unmatched.entry(key(change)).or_default() += 1;
    }
    let mut matched: HashMap<Key<'_>, usize> = HashMap::new();
    let mut only = Vec::new();
    for change in first {
        match unmatched.get_mut(&key(change)).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                *matched.entry(key(change)).or_default() += 1;
            }
            None => only.push((0, change)),
        }
    }
    for change in second {
        match matched.get_mut(&key(change)).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => only.push((1, change)),
        }
    }
    only.sort_by_key(|(side, change)| (change.unix, *side));
    only
}

/// Prints what differs, and the sums of both.
///
/// # Errors
/// Where the output cannot be written.
pub fn print(
    names: &[String; 2],
    sides: &[Side; 2],
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    for (side, change) in differences(&sides[0].changes, &sides[1].changes) {
        if json {
            writeln!(out, "{}", text::json(change, Some(["first", "second"][side])))?;
        } else {
            writeln!(out, "{} {}", ['-', '+'][side], text::line(change))?;
        }
    }
    if json {
        let of = |side: usize| summary(&names[side], &sides[side].totals);
        return writeln!(out, "{}", json!({ "first": of(0), "second": of(1) }));
    }
    out.write_all(table(names, [&sides[0].totals, &sides[1].totals]).as_bytes())
}

fn summary(name: &str, totals: &Totals) -> Value {
    let seconds = |ms: u64| ms as f64 / 1e3;
    let unhealthy: HashMap<_, _> = totals
        .unhealthy
        .iter()
        .map(|(peer, [forward, reverse])| {
            (peer, json!({ "forward": seconds(*forward), "reverse": seconds(*reverse) }))
        })
        .collect();
    json!({ "config": name, "changes": totals.changes, "unhealthy_seconds": unhealthy })
}

fn table(names: &[String; 2], totals: [&Totals; 2]) -> String {
    let mut rows = vec![
        [String::new(), format!("- {}", names[0]), format!("+ {}", names[1])],
        ["changes".to_owned(), totals[0].changes.to_string(), totals[1].changes.to_string()],
    ];
    let peers: BTreeSet<&String> = totals.iter().flat_map(|side| side.unhealthy.keys()).collect();
    for peer in peers {
        for direction in Direction::ALL {
            let of = |side: usize| {
                totals[side].unhealthy.get(peer).map_or(0, |both| both[direction as usize])
            };
            let seconds = |side: usize| format!("{:.1} s", of(side) as f64 / 1e3);
            if of(0) > 0 || of(1) > 0 {
                rows.push([format!("{peer} {direction} unhealthy"), seconds(0), seconds(1)]);
            }
        }
    }
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2)];
    let line = |[what, first, second]: &[String; 3]| {
        let [w0, w1, w2] = widths;
        format!("{what:<w0$}  {first:>w1$}  {second:>w2$}\n")
    };
    rows.iter().map(line).collect()
}
