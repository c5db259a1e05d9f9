//! A part as text.

use std::io::{self, Write};

use crate::part::{Cell, Part, Table};

/// Writes a part: tables, targets and notes.
///
/// # Errors
/// Those of `out`.
pub fn write(part: &Part, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}\n", part.title)?;
    for paragraph in &part.method {
        writeln!(out, "{paragraph}\n")?;
    }
    for table in &part.tables {
        for line in lines(table) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    for target in &part.targets {
        writeln!(out, "{}: {}: {}", target.verdict(), target.what, target.measured)?;
    }
    for note in &part.notes {
        writeln!(out, "{note}")?;
    }
    Ok(())
}

/// The title, the heads, a rule, and a line for each row.
fn lines(table: &Table) -> Vec<String> {
    let mut rows = vec![table.columns.clone()];
    rows.extend(table.rows.iter().map(|row| row.iter().map(Cell::show).collect()));
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    let rule = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    lines.insert(1, "─".repeat(rule));
    if !table.title.is_empty() {
        lines.insert(0, table.title.clone());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Samples, Target, Unit};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let figure = |values: &[f64]| Cell::from(Samples::new(Unit::Seconds, values.to_vec()));
        let part = Part {
            title: "Senders".to_owned(),
            tables: vec![Table {
                title: "per probe".to_owned(),
                columns: vec!["who".to_owned(), "CPU".to_owned()],
                rows: vec![
                    vec!["linkprobe".into(), figure(&[3e-6])],
                    vec!["fping".into(), figure(&[1e-4, 2e-4, 3e-4])],
                ],
            }],
            targets: vec![Target::new("at most a tenth", "0.015 x", true)],
            ..Part::default()
        };
        let mut text = Vec::new();
        write(&part, &mut text).unwrap();
        let expected = "Senders\n\nper probe\nwho        CPU\n────────────────────────────────────\n\
                        linkprobe  3 µs\nfping      200 µs (100 µs to 300 µs)\n\nmet: at most a tenth: 0.015 x\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
