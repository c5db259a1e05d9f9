//! The table at the end. Pure.

use lab::Counters;
use probe_user::report::Evidence;

use super::expect::{Finding, Judgement};

/// One direction of a fault, and the loss there: true, and as the agents judged it.
pub(crate) struct Loss {
    /// Counted by the lab while the fault lasted.
    pub(crate) injected: Counters,
    /// What the verdict rested on at its end, at whoever saw it first.
    pub(crate) estimated: Option<Evidence>,
}

/// The table, one line for each direction of each fault.
pub(crate) fn lines(rows: &[(String, &Judgement, Vec<Loss>)]) -> Vec<String> {
    let heads = [
        "event",
        "direction",
        "detected by",
        "detection",
        "injected",
        "estimated",
        "recovery",
        "others disturbed",
    ];
    let mut table = vec![heads.map(str::to_owned)];
    for (title, judgement, losses) in rows {
        for (Finding { from, to, detected, recovered }, loss) in
            judgement.findings.iter().zip(losses)
        {
            let by = detected
                .as_ref()
                .map(|(channel, _)| format!("{} ({})", channel.reporter, channel.direction()));
            table.push([
                title.clone(),
                format!("{from} → {to}"),
                by.unwrap_or_else(|| "nobody".to_owned()),
                seconds(detected.as_ref().map(|(_, seconds)| *seconds)),
                percent(loss.injected.loss_ratio()),
                percent(loss.estimated.and_then(|evidence| evidence.loss_ratio)),
                seconds(*recovered),
                judgement.disturbed.to_string(),
            ]);
        }
    }
    aligned(&table)
}

/// A table with aligned columns, and a rule below its first row, the heads.
pub(super) fn aligned<const COLUMNS: usize>(table: &[[String; COLUMNS]]) -> Vec<String> {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..COLUMNS).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = table.iter().map(line).collect();
    let rule = widths.iter().sum::<usize>() + 2 * COLUMNS.saturating_sub(1);
    lines.insert(lines.len().min(1), "─".repeat(rule));
    lines
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "never".to_owned(), |value| format!("{value:.2} s"))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "none".to_owned(), |ratio| format!("{:.1} %", 100.0 * ratio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_gaps_are_said() {
        let finding = Finding { from: "fra", to: "nyc", detected: None, recovered: Some(1.0) };
        let judgement = Judgement { findings: vec![finding], disturbed: 2, problems: Vec::new() };
        let injected = Counters { seen: 200, matched: 200, dropped: 59 };
        let loss = Loss { injected, estimated: None };
        let lines = lines(&[("30 % loss fra → nyc".to_owned(), &judgement, vec![loss])]);
        assert_eq!(
            lines[2],
            "30 % loss fra → nyc  fra → nyc  nobody       never      29.5 %    none       1.00 s    2"
        );
        let at = |line: &str, word: &str| {
            line.chars().count() - line.split(word).last().map_or(0, |rest| rest.chars().count())
        };
        assert_eq!(at(&lines[0], "detection") - 9, at(&lines[2], "never") - 5);
    }
}
