//! Delays as tables and plots, and the information-theoretic bound beside ours.

use figures::{Axis, Cell as Shown, Plot, Series, Unit};
use probe_user::{config::Profile, verdict::SECOND};

use super::{
    BACKGROUND, FROM, TARGET,
    alarms::probes_per_year,
    delays::{self, Cell, Contestant, LOSSES, Ours},
    findings::{Findings, figure},
};

/// The loss at which delays are shown beside false alarms, by its place in [`LOSSES`].
const MIDDLE: usize = 3;

/// A loss in percent.
fn percent(loss: f64) -> String {
    Unit::Share.show(loss)
}

/// A table of medians and p99s, and a plot of the medians. Rows are by loss; `spacing` is the time between two probes,
/// in nanoseconds.
pub(super) fn delays(
    title: &str,
    contestants: &[Contestant],
    cells: &[Vec<Cell>],
    spacing: u64,
    findings: &mut Findings,
) {
    let columns: Vec<&str> =
        ["loss"].into_iter().chain(contestants.iter().map(|contestant| contestant.name)).collect();
    let show = |probes: Option<u32>| probes.map_or("-".to_owned(), |probes| probes.to_string());
    let row = |(loss, cells): (&f64, &Vec<Cell>)| {
        let both = |cell: &Cell| format!("{} / {}", show(cell.p50), show(cell.p99)).into();
        [percent(*loss).into()].into_iter().chain(cells.iter().map(both)).collect()
    };
    let rows = LOSSES.iter().zip(cells).map(row).collect();
    findings.table(format!("{title}: probes until it is seen, median / p99"), &columns, rows);
    let seconds = spacing as f64 / SECOND as f64;
    let curve = |(index, contestant): (usize, &Contestant)| {
        let point = |(loss, cells): (&f64, &Vec<Cell>)| (*loss, seconds * median(&cells[index]));
        let points = LOSSES.iter().zip(cells).map(point).collect();
        Series { name: contestant.name.to_owned(), points }
    };
    findings.part.plots.push(Plot {
        title: format!("{title}: median time until it is seen"),
        x: axis("loss that begins", Unit::Share),
        y: axis("median", Unit::Seconds),
        series: contestants.iter().enumerate().map(curve).collect(),
    });
}

fn axis(label: &str, unit: Unit) -> Axis {
    Axis { label: label.to_owned(), unit, logarithmic: true }
}

/// What took too long to be known is longer than all else.
fn median(cell: &Cell) -> f64 {
    cell.p50.map_or(f64::INFINITY, f64::from)
}

/// A table of the information-theoretic bound and what was measured beside it, with its targets.
pub(super) fn bounds(title: &str, ours: &[Ours], cells: &[Vec<Cell>], findings: &mut Findings) {
    let losses = LOSSES.map(percent);
    let columns: Vec<&str> =
        ["", ""].into_iter().chain(losses.iter().map(String::as_str)).collect();
    let mut rows = Vec::new();
    for (index, ours) in ours.iter().enumerate() {
        let cells: Vec<Cell> = cells.iter().map(|row| row[index]).collect();
        rows.extend(bound(ours, &cells, findings));
    }
    findings.table(format!("{title}: the bound in probes, and what was measured"), &columns, rows);
}

/// One of ours: the bound, the best, and what was measured.
fn bound(ours: &Ours, cells: &[Cell], findings: &mut Findings) -> [Vec<Shown>; 5] {
    let run_length = probes_per_year(&ours.settings) / ours.computed;
    let bounds = LOSSES.map(|loss| delays::bound(run_length, loss, BACKGROUND));
    let best = LOSSES.map(|loss| delays::best(run_length, loss, BACKGROUND));
    let medians: Vec<f64> = cells.iter().map(median).collect();
    let means: Vec<f64> = cells.iter().map(|cell| cell.mean.unwrap_or(f64::INFINITY)).collect();
    let ratios: Vec<f64> =
        medians.iter().zip(bounds).map(|(median, bound)| median / bound).collect();
    judge(ours, &bounds, &medians, findings);
    let row = |what: &str, unit: Unit, values: &[f64]| {
        let names = [ours.profile.label(), what].map(Shown::from);
        names.into_iter().chain(values.iter().map(|value| figure(unit, *value))).collect()
    };
    [
        row("bound", Unit::Number, &bounds),
        row("best", Unit::Number, &best),
        row("mean", Unit::Number, &means),
        row("median", Unit::Number, &medians),
        row("median to bound", Unit::Times, &ratios),
    ]
}

/// The targets of one of ours.
fn judge(ours: &Ours, bounds: &[f64], medians: &[f64], findings: &mut Findings) {
    let name = ours.profile.label();
    let judged = LOSSES.iter().zip(bounds).zip(medians).filter(|((loss, _), _)| **loss >= FROM);
    let missed: Vec<String> = judged
        .filter(|((_, bound), median)| **median > TARGET * *bound + 1.0)
        .map(|((loss, bound), median)| format!("{median} for {bound:.1} at {}", percent(*loss)))
        .collect();
    let said = if missed.is_empty() { "all are".to_owned() } else { missed.join(", ") };
    let target = format!(
        "{name}, {} flow(s): medians at most {TARGET} x the bound and one probe from {} up",
        ours.flows,
        percent(FROM)
    );
    findings.sampled(&target, &said, missed.is_empty());
    if ours.profile == Profile::Balanced {
        let target =
            format!("{name}, {} flow(s): at most one false alarm a year and path", ours.flows);
        findings.exact(&target, &format!("computed {:.3}", ours.computed), ours.computed <= 1.0);
    }
}

/// A plot of how fast each is, over how often it is wrong in a year. Who was never seen to be wrong is not in it, which
/// is told.
pub(super) fn trade(
    contestants: &[Contestant],
    alarms: &[f64],
    cells: &[Vec<Cell>],
    spacing: u64,
    findings: &mut Findings,
) {
    let seconds = spacing as f64 / SECOND as f64;
    let all = contestants.iter().zip(alarms).zip(&cells[MIDDLE]);
    let (wrong, never): (Vec<_>, Vec<_>) = all.partition(|((_, alarms), _)| **alarms > 0.0);
    let point = |((contestant, alarms), cell): ((&Contestant, &f64), &Cell)| Series {
        name: contestant.name.to_owned(),
        points: vec![(*alarms, seconds * median(cell))],
    };
    let loss = percent(LOSSES[MIDDLE]);
    findings.part.plots.push(Plot {
        title: format!("One flow: false alarms, and the median time until {loss} is seen"),
        x: axis("false alarms in a year, one direction", Unit::Number),
        y: axis("median", Unit::Seconds),
        series: wrong.into_iter().map(point).collect(),
    });
    if !never.is_empty() {
        let names: Vec<&str> = never.iter().map(|((contestant, _), _)| contestant.name).collect();
        let note =
            format!("Not in the plot of false alarms, for want of any: {}.", names.join(", "));
        findings.part.notes.push(note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::detectors::Misses;

    fn contestants() -> [Contestant; 2] {
        ["BFD x3", "BFD x5"].map(|name| Contestant::new(name, || Box::new(Misses::new(3))))
    }

    fn cells() -> Vec<Vec<Cell>> {
        let cell = |p50| Cell { p50, p99: None, mean: None };
        vec![vec![cell(Some(20)), cell(None)]; LOSSES.len()]
    }

    #[test]
    fn delays_are_probes_in_the_table_and_seconds_in_the_plot() {
        let mut findings = Findings::new(false);
        delays("One flow", &contestants(), &cells(), SECOND / 10, &mut findings);
        let row: Vec<String> = findings.part.tables[0].rows[0].iter().map(Shown::show).collect();
        assert_eq!(row, ["1.5 %", "20 / -", "- / -"]);
        let series = &findings.part.plots[0].series;
        assert_eq!(
            (series[0].points[0], series[1].points[0]),
            ((0.015, 2.0), (0.015, f64::INFINITY))
        );
    }

    #[test]
    fn who_is_never_wrong_has_no_place_on_the_axis() {
        let mut findings = Findings::new(false);
        trade(&contestants(), &[0.0, 40.0], &cells(), SECOND, &mut findings);
        let series = &findings.part.plots[0].series;
        assert_eq!((series.len(), series[0].name.as_str()), (1, "BFD x5"));
        assert_eq!(findings.part.notes.len(), 1);
        assert!(findings.part.notes[0].contains("BFD x3"));
    }

    #[test]
    fn a_median_above_the_bound_is_missed() {
        let ours = Ours::all(1)[1];
        let met = |ratio: f64| {
            let mut findings = Findings::new(false);
            judge(&ours, &[40.0; 8], &[ratio * 40.0; 8], &mut findings);
            findings.is_met()
        };
        assert!(met(1.25) && !met(1.3));
    }
}
