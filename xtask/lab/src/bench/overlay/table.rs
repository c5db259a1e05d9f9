//! The figures of all trials, as tables, and who is ahead. Pure.

use figures::{Cell, Part, Samples, Table, Unit};

use super::{
    contender::Contender,
    trial::{Fault, HELD, Outcome, RETURN},
};

/// All trials of one contender with one fault.
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
    unit: Unit,
    /// Infinite where it never came, none where it does not apply.
    of: fn(&Outcome) -> Option<f64>,
}

impl Figure {
    const fn time(name: &'static str, of: fn(&Outcome) -> Option<f64>) -> Self {
        Self { name, unit: Unit::Seconds, of }
    }

    /// Of all trials in which it applied.
    fn samples(self, row: &Row) -> Samples {
        Samples::new(self.unit, row.outcomes.iter().filter_map(self.of).collect())
    }

    /// So many times what it is in our row, by medians; none where that says nothing.
    fn ratio(self, row: &Row, ours: &Row) -> Option<Samples> {
        let [their, our] = [self.samples(row).median()?, self.samples(ours).median()?];
        let is_told = their.is_finite() && (RESOLUTION..f64::INFINITY).contains(&our);
        is_told.then(|| Samples::new(Unit::Times, vec![their / our]))
    }

    /// Whether a median is better than another one by what counts.
    fn is_ahead(their: f64, our: f64) -> bool {
        their + RESOLUTION < our
    }
}

const STALL: Figure = Figure::time("stall", |outcome| Some(or_never(outcome.stall)));
const RELAYED: Figure = Figure::time("on a relay after", |outcome| Some(or_never(outcome.relayed)));
const DIRECT: Figure =
    Figure::time("direct after", |outcome| outcome.away.then(|| or_never(outcome.direct)));
const STALL_THEN: Figure =
    Figure::time("stall then", |outcome| Some(or_never(outcome.stall_after)));
const CHANGES: Figure =
    Figure { name: "changes", unit: Unit::Number, of: |outcome| Some(outcome.changes as f64) };

/// Those in seconds.
const TIMES: [Figure; 4] = [STALL, RELAYED, DIRECT, STALL_THEN];

/// All that is shown.
const FIGURES: [Figure; 5] = [STALL, RELAYED, DIRECT, STALL_THEN, CHANGES];

/// What is compared with a fault: where there is none to speak of, it is good not to move.
const fn compared(fault: Fault) -> &'static [Figure] {
    if fault.is_tolerable() { &[STALL, CHANGES] } else { &[STALL, RELAYED, DIRECT, STALL_THEN] }
}

/// A median that is less than this much better is no better, in seconds: what the lab can tell.
const RESOLUTION: f64 = 0.02;

const fn or_never(seconds: Option<f64>) -> f64 {
    match seconds {
        Some(seconds) => seconds,
        None => f64::INFINITY,
    }
}

/// All that was found: a table for each fault, one of ratios, and notes on who is ahead.
pub(super) fn part(rows: &[Row], contenders: &[Contender]) -> Part {
    let mut method = vec![format!(
        "The same network and the same faults for each of those who can choose routes there, side by side, each in a network of \
         its own; a TCP stream of small records goes over the path that falls sick. The fault lasts {} s; what has not come while \
         it lasted, or within {} s after it, came never. stall: how long the stream stood still at most while the fault lasted; \
         stall then: from its end on; on a relay after, direct after: from its beginning and from its end until packets go that way.",
        HELD.as_secs(),
        RETURN.as_secs(),
    )];
    method.extend(contenders.iter().map(|who| format!("{who}: {}.", who.configuration())));
    let faults = Fault::ALL.into_iter().filter(|fault| rows.iter().any(|row| row.fault == *fault));
    let mut tables: Vec<Table> = faults.map(|fault| of_fault(rows, fault)).collect();
    tables.extend(ratios(rows));
    let mut notes = comparison(rows);
    notes.extend(rows.iter().flat_map(reservations));
    Part {
        name: "overlay".to_owned(),
        title: "What a TCP stream feels of a sick path, by who chooses its route".to_owned(),
        method,
        tables,
        notes,
        ..Part::default()
    }
}

/// A row for each contender.
fn of_fault(rows: &[Row], fault: Fault) -> Table {
    let rows = || rows.iter().filter(move |row| row.fault == fault);
    let has_failures = rows().any(|row| !row.failures.is_empty());
    let mut columns = vec!["routes by"];
    columns.extend(FIGURES.map(|figure| figure.name));
    columns.extend((!fault.is_both_ways()).then_some("way back moved"));
    columns.extend(has_failures.then_some("failed"));
    let cells = |row: &Row| {
        let mut cells = vec![Cell::from(row.contender.to_string())];
        cells.extend(FIGURES.map(|figure| Cell::from(figure.samples(row))));
        let (moved, count) = (
            row.outcomes.iter().filter(|outcome| outcome.reverse_moved).count(),
            row.outcomes.len(),
        );
        cells.extend((!fault.is_both_ways()).then(|| format!("{moved} of {count}").into()));
        let failed = row.failures.len();
        cells.extend(has_failures.then(|| format!("{failed} of {}", failed + count).into()));
        cells
    };
    Table {
        title: format!("Fault: {fault}"),
        columns: columns.into_iter().map(str::to_owned).collect(),
        rows: rows().map(cells).collect(),
    }
}

/// The medians of others as multiples of ours, where there are others and ours.
fn ratios(rows: &[Row]) -> Option<Table> {
    let mut columns = vec!["fault".to_owned(), "routes by".to_owned()];
    columns.extend(TIMES.map(|figure| figure.name.to_owned()));
    let cells = |row: &Row| {
        let ours = ours(rows, row)?;
        let ratio = |figure: Figure| figure.ratio(row, ours).map_or("-".into(), Cell::from);
        let mut cells = vec![row.fault.to_string().into(), row.contender.to_string().into()];
        cells.extend(TIMES.map(ratio));
        Some(cells)
    };
    let rows: Vec<Vec<Cell>> = rows.iter().filter_map(cells).collect();
    let title = "Medians, as multiples of ours".to_owned();
    (!rows.is_empty()).then_some(Table { title, columns, rows })
}

/// Our row with the same fault, where it is not this one.
fn ours<'a>(rows: &'a [Row], row: &Row) -> Option<&'a Row> {
    let ours = |other: &&Row| other.fault == row.fault && other.contender == Contender::Ours;
    rows.iter().find(ours).filter(|_| row.contender != Contender::Ours)
}

/// What a row does not show: figures that did not apply in all trials, and why trials have failed.
fn reservations(row: &Row) -> Vec<String> {
    let Row { fault, contender, outcomes, failures } = row;
    let applied = |figure: &Figure| {
        let count = figure.samples(row).values.len();
        let is_partial = count > 0 && count < outcomes.len();
        let name = figure.name;
        is_partial.then(|| {
            format!(
                "{contender}, {fault}: \"{name}\" applies to {count} of {} trials",
                outcomes.len()
            )
        })
    };
    let failed = failures.iter().map(|why| format!("{contender}, {fault}: a trial failed: {why}"));
    FIGURES.iter().filter_map(applied).chain(failed).collect()
}

/// In what others are ahead of us, and in what nobody is: the medians of all that is compared.
fn comparison(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut best = Vec::new();
    for ours in rows.iter().filter(|row| row.contender == Contender::Ours) {
        let (fault, mut names) = (ours.fault, Vec::new());
        for figure in compared(fault) {
            let Some(our) = figure.samples(ours).median() else { continue };
            let theirs: Vec<(Contender, f64)> = rows
                .iter()
                .filter(|row| row.fault == fault && row.contender != Contender::Ours)
                .filter_map(|row| Some((row.contender, figure.samples(row).median()?)))
                .collect();
            if theirs.is_empty() {
                continue;
            }
            let before = lines.len();
            lines.extend(theirs.iter().filter(|(_, their)| Figure::is_ahead(*their, our)).map(
                |(who, their)| {
                    let (name, their, our) =
                        (figure.name, figure.unit.show(*their), figure.unit.show(our));
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

    fn shown(table: &Table) -> Vec<Vec<String>> {
        table.rows.iter().map(|row| row.iter().map(Cell::show).collect()).collect()
    }

    #[test]
    fn medians_ranges_and_ratios_are_told() {
        let rows = [
            row(Contender::Ours, &[0.5, 0.7, 0.6, 2.0], Some(0.4)),
            row(Contender::Bfd, &[1.3, 1.3, 1.3], None),
        ];
        let part = part(&rows, &[Contender::Ours, Contender::Bfd]);
        let [times, ratios] = &part.tables[..] else { panic!("{:?}", part.tables) };
        assert_eq!(times.title, "Fault: 10 % one-way");
        let heads = [
            "routes by",
            "stall",
            "on a relay after",
            "direct after",
            "stall then",
            "changes",
            "way back moved",
        ];
        assert_eq!(times.columns, heads);
        let same = |value: &str| format!("{value} ({value} to {value})");
        let ours = [
            "linkprobe",
            "650 ms (500 ms to 2 s)",
            &same("400 ms"),
            &same("1 s"),
            &same("10 ms"),
            &same("1"),
            "0 of 4",
        ];
        // Who never left does not come back.
        let theirs = [
            "FRR, BFD and static",
            &same("1.3 s"),
            &same("never"),
            "-",
            &same("10 ms"),
            &same("1"),
            "0 of 3",
        ];
        assert_eq!(shown(times), [ours, theirs]);
        // Nor is that compared, nor what the lab cannot tell from nothing.
        assert_eq!(shown(ratios), [["10 % one-way", "FRR, BFD and static", "2 x", "-", "-", "-"]]);
        assert_eq!(
            part.notes,
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
        let rows = [ours, row(Contender::Babel, &[0.5], Some(1.0))];
        let table = of_fault(&rows, Fault::Loss10);
        assert_eq!(table.columns.last().unwrap(), "failed");
        let [ours, theirs] = &shown(&table)[..] else { panic!("{table:?}") };
        assert_eq!((ours[1].as_str(), ours[7].as_str()), ("600 ms (500 ms to never)", "1 of 4"));
        assert_eq!((theirs[1].as_str(), theirs[7].as_str()), ("500 ms", "0 of 1"));
        assert_eq!(
            reservations(&rows[0]),
            [
                "linkprobe, 10 % one-way: \"direct after\" applies to 2 of 3 trials",
                "linkprobe, 10 % one-way: a trial failed: no tunnel",
            ]
        );
        assert_eq!(reservations(&rows[1]), Vec::<String>::new());
    }

    #[test]
    fn who_is_alone_is_compared_with_nobody() {
        let rows = [row(Contender::Ours, &[0.5], None)];
        assert_eq!(part(&rows, &[Contender::Ours]).tables.len(), 1);
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
                "BIRD, Babel 16/16 is ahead of us: 10 % one-way, stall: 300 ms to 500 ms",
                "BIRD, Babel 16/16 is ahead of us: 10 % one-way, on a relay after: 9 s to never",
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
                "FRR, BFD and static is ahead of us: 1 % one-way, stall: 400 ms to 500 ms",
                "FRR, BFD and static is ahead of us: 1 % one-way, changes: 0 to 1",
            ]
        );
    }
}
