//! The figures of all trials, as a table and as JSON. Pure.

use serde::Serialize;

use super::{
    contender::Contender,
    trial::{Fault, Outcome},
};

/// All trials of one contender with one fault.
#[derive(Serialize)]
pub(super) struct Row {
    /// What happened.
    pub(super) fault: Fault,
    /// To whom.
    pub(super) contender: Contender,
    /// What came of it, each time.
    pub(super) outcomes: Vec<Outcome>,
}

/// A figure that is the better the smaller it is; infinite where it never came, none where it does not apply.
type Figure = (&'static str, fn(&Outcome) -> Option<f64>);

const FIGURES: [Figure; 4] = [
    ("stall", |outcome| Some(outcome.stall)),
    ("on a relay after", |outcome| Some(outcome.relayed.unwrap_or(f64::INFINITY))),
    ("direct after", |outcome| outcome.away.then(|| outcome.direct.unwrap_or(f64::INFINITY))),
    ("stall then", |outcome| Some(outcome.stall_after)),
];

/// A median that is less than this much better is no better, in seconds: what the lab can tell.
const RESOLUTION: f64 = 0.02;

/// Lowest, median and highest of what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Summary {
    fn of(outcomes: &[Outcome], figure: fn(&Outcome) -> Option<f64>) -> Option<Self> {
        let mut values: Vec<f64> = outcomes.iter().filter_map(figure).collect();
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (*values.first()?, *values.last()?);
        // The mean of the two in the middle, where there are two.
        let middle = |index: usize| values[index.min(values.len() - 1)];
        let (low, high) = (middle((values.len() - 1) / 2), middle(values.len() / 2));
        Some(Self { lowest, median: f64::midpoint(low, high), highest })
    }

    fn cell(self, ours: Option<Self>) -> String {
        let Self { lowest, median, highest } = self;
        let ratio = ours.filter(|ours| median.is_finite() && ours.median >= RESOLUTION);
        let ratio = ratio.map_or_else(String::new, |ours| format!(" {:.1}x", median / ours.median));
        format!("{} ({} to {}){ratio}", seconds(median), seconds(lowest), seconds(highest))
    }
}

fn seconds(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "never".to_owned() }
}

/// The table: a line for each row, and below it in what others are ahead of us.
pub(super) fn lines(rows: &[Row]) -> Vec<String> {
    let mut heads = vec!["fault", "routes by"];
    heads.extend(FIGURES.iter().map(|(name, _)| *name));
    heads.extend(["changes", "way back moved"]);
    let mut table = vec![heads.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    table.extend(rows.iter().map(|row| cells(row, ours(rows, row))));
    let columns = table[0].len();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = table.iter().map(line).collect();
    lines.insert(1, "─".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1)));
    lines.extend(behind(rows));
    lines
}

/// Our row with the same fault, where it is not this one.
fn ours<'a>(rows: &'a [Row], row: &Row) -> Option<&'a Row> {
    let ours = |other: &&Row| other.fault == row.fault && other.contender == Contender::Ours;
    rows.iter().find(ours).filter(|_| row.contender != Contender::Ours)
}

fn cells(row: &Row, ours: Option<&Row>) -> Vec<String> {
    let mut cells = vec![row.fault.to_string(), row.contender.to_string()];
    cells.extend(FIGURES.iter().map(|(_, figure)| {
        let ours = ours.and_then(|ours| Summary::of(&ours.outcomes, *figure));
        Summary::of(&row.outcomes, *figure)
            .map_or_else(|| "-".to_owned(), |summary| summary.cell(ours))
    }));
    let changes = Summary::of(&row.outcomes, |outcome| Some(outcome.changes as f64));
    cells.push(changes.map_or_else(String::new, |Summary { lowest, median, highest }| {
        format!("{median:.0} ({lowest:.0} to {highest:.0})")
    }));
    let moved = row.outcomes.iter().filter(|outcome| outcome.reverse_moved).count();
    let count = row.outcomes.len();
    cells.push(if row.fault.is_both_ways() {
        "-".to_owned()
    } else {
        format!("{moved} of {count}")
    });
    cells
}

/// In what others are ahead of us.
fn behind(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let Some(ours) = ours(rows, row).filter(|_| !row.fault.is_tolerable()) else { continue };
        for (name, figure) in FIGURES {
            let (Some(theirs), Some(ours)) =
                (Summary::of(&row.outcomes, figure), Summary::of(&ours.outcomes, figure))
            else {
                continue;
            };
            if theirs.median + RESOLUTION < ours.median {
                let (theirs, ours) = (seconds(theirs.median), seconds(ours.median));
                let (fault, who) = (row.fault, row.contender);
                lines.push(format!("{who} is ahead of us: {fault}, {name}: {theirs} to {ours}"));
            }
        }
    }
    if lines.is_empty() && rows.iter().any(|row| ours(rows, row).is_some()) {
        lines.push("Nobody is ahead of us in any of these figures.".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: Contender, stalls: &[f64], relayed: Option<f64>) -> Row {
        let outcome = |stall: &f64| Outcome {
            stall: *stall,
            relayed,
            changes: 1,
            reverse_moved: false,
            direct: Some(1.0),
            stall_after: 0.01,
            away: relayed.is_some(),
        };
        Row { fault: Fault::Loss10, contender, outcomes: stalls.iter().map(outcome).collect() }
    }

    #[test]
    fn medians_ranges_and_ratios_are_told() {
        let rows = [
            row(Contender::Ours, &[0.5, 0.7, 0.6, 2.0], Some(0.4)),
            row(Contender::Bfd, &[1.3, 1.3, 1.3], None),
        ];
        let lines = lines(&rows);
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            squeezed(&lines[2]),
            "10 % one-way linkprobe 0.65 (0.50 to 2.00) 0.40 (0.40 to 0.40) 1.00 (1.00 to 1.00) \
             0.01 (0.01 to 0.01) 1 (1 to 1) 0 of 4"
        );
        // Who never left does not come back.
        assert_eq!(
            squeezed(&lines[3]),
            "10 % one-way FRR, BFD and static 1.30 (1.30 to 1.30) 2.0x never (never to never) - \
             0.01 (0.01 to 0.01) 1 (1 to 1) 0 of 3"
        );
        assert_eq!(lines[2].find("0.01"), lines[3].find("0.01"));
        assert_eq!(lines[4..], ["Nobody is ahead of us in any of these figures."]);
    }

    #[test]
    fn who_is_ahead_is_said() {
        let rows = [
            row(Contender::Ours, &[0.5], None),
            row(Contender::Babel, &[0.3], Some(9.0)),
            row(Contender::Bfd, &[0.49], None),
        ];
        assert_eq!(
            behind(&rows),
            [
                "BIRD, Babel 16/16 is ahead of us: 10 % one-way, stall: 0.30 to 0.50",
                "BIRD, Babel 16/16 is ahead of us: 10 % one-way, on a relay after: 9.00 to never",
            ]
        );
        assert_eq!(behind(&rows[1..]), Vec::<String>::new());
    }
}
