//! Rows of cells, aligned.

use std::ops::RangeInclusive;

/// The lines of a table, each as long as it must be. The columns in `numbers` are aligned to the right.
pub(super) fn lines<const N: usize>(
    rows: &[[String; N]],
    numbers: &RangeInclusive<usize>,
) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    rows.iter().map(|row| line(row, &widths, numbers)).collect()
}

fn line<const N: usize>(
    cells: &[String; N],
    widths: &[usize; N],
    numbers: &RangeInclusive<usize>,
) -> String {
    let mut text = String::new();
    for (index, (cell, widest)) in cells.iter().zip(widths).enumerate() {
        let padding = " ".repeat(widest - width(cell));
        if numbers.contains(&index) {
            text += &padding;
            text += cell;
        } else {
            text += cell;
            text += &padding;
        }
        text += "  ";
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn width(text: &str) -> usize {
    text.chars().count()
}
