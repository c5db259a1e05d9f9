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
    /// Why nothing came of it, each other time.
    pub(super) failures: Vec<String>,
}

impl Row {
    /// Without a trial.
    pub(super) const fn new(fault: Fault, contender: Contender) -> Self {
        Self { fault, contender, outcomes: Vec::new(), failures: Vec::new() }
    }
}

/// A figure that is the better the smaller it is.
#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    /// Else it is a time, in seconds.
    is_count: bool,
    /// Infinite where it never came, none where it does not apply.
    of: fn(&Outcome) -> Option<f64>,
}

impl Figure {
    const fn time(name: &'static str, of: fn(&Outcome) -> Option<f64>) -> Self {
        Self { name, is_count: false, of }
    }

    fn text(self, value: f64) -> String {
        if self.is_count { value.to_string() } else { seconds(value) }
    }
}

const STALL: Figure = Figure::time("stall", |outcome| Some(or_never(outcome.stall)));
const RELAYED: Figure = Figure::time("on a relay after", |outcome| Some(or_never(outcome.relayed)));
const DIRECT: Figure =
    Figure::time("direct after", |outcome| outcome.away.then(|| or_never(outcome.direct)));
const STALL_THEN: Figure =
    Figure::time("stall then", |outcome| Some(or_never(outcome.stall_after)));
const CHANGES: Figure =
    Figure { name: "changes", is_count: true, of: |outcome| Some(outcome.changes as f64) };

/// All that is shown.
const FIGURES: [Figure; 5] = [STALL, RELAYED, DIRECT, STALL_THEN, CHANGES];

/// What is compared with a fault: where there is none to speak of, it is good not to move.
const fn compared(fault: Fault) -> &'static [Figure] {
    if fault.is_tolerable() { &[STALL, CHANGES] } else { &[STALL, RELAYED, DIRECT, STALL_THEN] }
}

/// A median that is less than this much better is no better, in seconds: what the lab can tell.
const RESOLUTION: f64 = 0.02;

/// Lowest, median and highest of what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    lowest: f64,
    median: f64,
    highest: f64,
    /// In how many trials it applied, of how many.
    count: usize,
    of: usize,
}

impl Summary {
    fn new(row: &Row, figure: Figure) -> Option<Self> {
        let mut values: Vec<f64> = row.outcomes.iter().filter_map(figure.of).collect();
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (*values.first()?, *values.last()?);
        // The mean of the two in the middle, where there are two.
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        let (median, count, of) = (f64::midpoint(low, high), values.len(), row.outcomes.len());
        Some(Self { lowest, median, highest, count, of })
    }

    fn cell(self, figure: Figure, ours: Option<Self>) -> String {
        let Self { lowest, median, highest, count, of } = self;
        let [lowest, middle, highest] = [lowest, median, highest].map(|value| figure.text(value));
        let mut cell = format!("{middle} ({lowest} to {highest})");
        let has_ratio =
            |ours: &Self| median.is_finite() && (RESOLUTION..f64::INFINITY).contains(&ours.median);
        if let Some(ours) = ours.filter(has_ratio).filter(|_| !figure.is_count) {
            cell += &format!(" {:.1}x", median / ours.median);
        }
        if count < of {
            cell += &format!(", {count} of {of}");
        }
        cell
    }

    /// Whether it is better than another one by what counts.
    fn is_ahead(self, other: Self) -> bool {
        self.median + RESOLUTION < other.median
    }
}

const fn or_never(seconds: Option<f64>) -> f64 {
    match seconds {
        Some(seconds) => seconds,
        None => f64::INFINITY,
    }
}

fn seconds(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "never".to_owned() }
}

/// The table: a line for each row, and below it in what others are ahead of us, and in what nobody is.
pub(super) fn lines(rows: &[Row]) -> Vec<String> {
    let has_failures = rows.iter().any(|row| !row.failures.is_empty());
    let mut heads = vec!["fault", "routes by"];
    heads.extend(FIGURES.map(|figure| figure.name));
    heads.push("way back moved");
    heads.extend(has_failures.then_some("failed"));
    let mut table = vec![heads.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    table.extend(rows.iter().map(|row| {
        let mut cells = cells(row, ours(rows, row));
        cells.extend(has_failures.then(|| failed(row)));
        cells
    }));
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
    lines.extend(comparison(rows));
    lines
}

/// Our row with the same fault, where it is not this one.
fn ours<'a>(rows: &'a [Row], row: &Row) -> Option<&'a Row> {
    let ours = |other: &&Row| other.fault == row.fault && other.contender == Contender::Ours;
    rows.iter().find(ours).filter(|_| row.contender != Contender::Ours)
}

fn cells(row: &Row, ours: Option<&Row>) -> Vec<String> {
    let mut cells = vec![row.fault.to_string(), row.contender.to_string()];
    cells.extend(FIGURES.map(|figure| {
        let ours = ours.and_then(|ours| Summary::new(ours, figure));
        Summary::new(row, figure)
            .map_or_else(|| "-".to_owned(), |summary| summary.cell(figure, ours))
    }));
    let moved = row.outcomes.iter().filter(|outcome| outcome.reverse_moved).count();
    cells.push(if row.fault.is_both_ways() {
        "-".to_owned()
    } else {
        format!("{moved} of {}", row.outcomes.len())
    });
    cells
}

fn failed(row: &Row) -> String {
    let failed = row.failures.len();
    format!("{failed} of {}", failed + row.outcomes.len())
}

/// In what others are ahead of us, and in what nobody is: the medians of all that is compared.
fn comparison(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut best = Vec::new();
    for ours in rows.iter().filter(|row| row.contender == Contender::Ours) {
        let (fault, mut names) = (ours.fault, Vec::new());
        for figure in compared(fault) {
            let Some(our) = Summary::new(ours, *figure) else { continue };
            let theirs: Vec<(Contender, Summary)> = rows
                .iter()
                .filter(|row| row.fault == fault && row.contender != Contender::Ours)
                .filter_map(|row| Some((row.contender, Summary::new(row, *figure)?)))
                .collect();
            if theirs.is_empty() {
                continue;
            }
            let before = lines.len();
            lines.extend(theirs.iter().filter(|(_, their)| their.is_ahead(our)).map(
                |(who, their)| {
                    let (name, their, our) =
                        (figure.name, figure.text(their.median), figure.text(our.median));
                    format!("{who} is ahead of us: {fault}, {name}: {their} to {our}")
                },
            ));
            if lines.len() == before {
                names.push(figure.name);
            }
        }
        if !names.is_empty() {
            let names = names.join(", ");
            best.push(format!("With {fault} nobody's median is ahead of ours in: {names}"));
        }
    }
    lines.extend(best);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: Contender, stalls: &[f64], relayed: Option<f64>) -> Row {
        let outcome = |stall: &f64| Outcome {
            stall: Some(*stall),
            relayed,
            changes: 1,
            reverse_moved: false,
            direct: Some(1.0),
            stall_after: Some(0.01),
            away: relayed.is_some(),
        };
        let outcomes = stalls.iter().map(outcome).collect();
        Row { outcomes, ..Row::new(Fault::Loss10, contender) }
    }

    fn squeezed(line: &str) -> String {
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn medians_ranges_and_ratios_are_told() {
        let rows = [
            row(Contender::Ours, &[0.5, 0.7, 0.6, 2.0], Some(0.4)),
            row(Contender::Bfd, &[1.3, 1.3, 1.3], None),
        ];
        let lines = lines(&rows);
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
        // Nor is that compared.
        assert_eq!(
            lines[4..],
            [
                "With 10 % one-way nobody's median is ahead of ours in: stall, on a relay after, stall then"
            ]
        );
    }

    #[test]
    fn what_does_not_come_or_apply_or_succeed_is_told() {
        let mut ours = row(Contender::Ours, &[0.5, 0.7, 0.6], Some(0.4));
        ours.outcomes[0].away = false;
        ours.outcomes[1].stall = None;
        ours.failures.push("no tunnel".to_owned());
        let lines = lines(&[ours, row(Contender::Babel, &[0.5], Some(1.0))]);
        assert!(lines[0].ends_with("way back moved  failed"), "{}", lines[0]);
        assert_eq!(
            squeezed(&lines[2]),
            "10 % one-way linkprobe 0.60 (0.50 to never) 0.40 (0.40 to 0.40) 1.00 (1.00 to 1.00), 2 of 3 \
             0.01 (0.01 to 0.01) 1 (1 to 1) 0 of 3 1 of 4"
        );
        assert!(lines[3].ends_with("0 of 1          0 of 1"), "{}", lines[3]);
    }

    #[test]
    fn who_is_ahead_is_said() {
        let rows = [
            row(Contender::Ours, &[0.5], None),
            row(Contender::Babel, &[0.3], Some(9.0)),
            row(Contender::Bfd, &[0.49], None),
        ];
        assert_eq!(
            comparison(&rows),
            [
                "BIRD, Babel 16/16 is ahead of us: 10 % one-way, stall: 0.30 to 0.50",
                "BIRD, Babel 16/16 is ahead of us: 10 % one-way, on a relay after: 9.00 to never",
                "With 10 % one-way nobody's median is ahead of ours in: stall then",
            ]
        );
        assert_eq!(comparison(&rows[1..]), Vec::<String>::new());
        assert_eq!(comparison(&rows[..1]), Vec::<String>::new());
    }

    #[test]
    fn where_there_is_no_reason_to_move_moves_are_compared() {
        let mut rows = [row(Contender::Ours, &[0.5], Some(0.2)), row(Contender::Bfd, &[0.4], None)];
        rows.iter_mut().for_each(|row| row.fault = Fault::Loss1);
        rows[1].outcomes[0].changes = 0;
        assert_eq!(
            comparison(&rows),
            [
                "FRR, BFD and static is ahead of us: 1 % one-way, stall: 0.40 to 0.50",
                "FRR, BFD and static is ahead of us: 1 % one-way, changes: 0 to 1",
            ]
        );
    }
}
