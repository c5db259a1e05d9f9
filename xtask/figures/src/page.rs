//! All parts as a page of Markdown, as GitHub takes it.

mod escape;

use std::fmt::Write as _;

use escape::{cell, text};
use serde::Serialize;

use crate::{
    machine::Machine,
    part::{Part, Table, Target},
};

/// The directory beside the page that has its plots and the data.
pub const DIRECTORY: &str = "benchmarks";
/// The file in [`DIRECTORY`] that has a whole [`Report`].
pub const DATA: &str = "figures.json";

/// All that one run of the benchmark has found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// When, such as `2026-01-31T12:00:00Z`.
    pub date: String,
    /// Of which state of the source tree.
    pub commit: String,
    /// On what.
    pub machine: Machine,
    /// Whether it was a look only.
    pub is_quick: bool,
    /// In the order in which they ran.
    pub parts: Vec<Part>,
    /// Parts that did not run to their end, and why. They may be among `parts` with what they had found by then.
    pub failures: Vec<(String, String)>,
}

/// What the `number`th plot of a part is called, from 1 on.
#[must_use]
pub fn plot_name(part: &Part, number: usize) -> String {
    format!("{}-{number}.svg", part.name)
}

impl Report {
    /// The page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = Page(String::new());
        page.paragraph("# Benchmarks");
        let note = format!(
            "Written by `cargo xtask bench`: change the measurement, not this page. A figure is the median of its samples, \
             with the lowest and the highest in brackets; [{DATA}]({DIRECTORY}/{DATA}) has all of them. Whatever is compared \
             was measured in the same run."
        );
        page.paragraph(&note);
        if self.is_quick {
            page.paragraph("**A quick run: good for a look, not for a figure.**");
        }
        page.machine(self);
        page.summary(self);
        for part in &self.parts {
            page.part(part);
        }
        page.0.trim_end().to_owned() + "\n"
    }
}

/// Markdown that grows.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn paragraph(&mut self, markdown: &str) {
        self.line(markdown);
        self.0.push('\n');
    }

    /// A table of Markdown.
    fn table(&mut self, columns: &[String], rows: impl Iterator<Item = Vec<String>>) {
        self.line(&format!("| {} |", columns.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(columns.len())));
        rows.for_each(|row| self.line(&format!("| {} |", row.join(" | "))));
        self.0.push('\n');
    }

    fn machine(&mut self, report: &Report) {
        let mut versions: Vec<&str> =
            report.parts.iter().flat_map(|part| &part.versions).map(String::as_str).collect();
        versions.sort_unstable();
        versions.dedup();
        let mut rows = Vec::from(report.machine.rows());
        rows.extend([("date", report.date.clone()), ("commit", report.commit.clone())]);
        if !versions.is_empty() {
            rows.push(("measured beside", versions.join(", ")));
        }
        let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), cell(&value)]);
        self.table(&["machine".to_owned(), String::new()], rows);
    }

    /// All targets, and what is missing.
    fn summary(&mut self, report: &Report) {
        self.paragraph("## Targets");
        let all = || {
            report
                .parts
                .iter()
                .flat_map(|part| part.targets.iter().map(move |target| (part, target)))
        };
        let count = |met| all().filter(|(_, target)| target.met == met).count();
        let [met, missed, unknown] = [Some(true), Some(false), None].map(count);
        if met + missed + unknown > 0 {
            self.paragraph(&format!("{met} met, {missed} MISSED, {unknown} not judged."));
            let columns = ["part", "target", "measured", ""].map(str::to_owned);
            let row = |(part, target): (&Part, &Target)| {
                let part = format!("[{0}](#{0})", part.name);
                vec![part, cell(&target.what), cell(&target.measured), verdict(target)]
            };
            self.table(&columns, all().map(row));
        } else {
            self.paragraph("None was looked at.");
        }
        for (name, why) in &report.failures {
            let is_there = report.parts.iter().any(|part| part.name == *name);
            let rest =
                if is_there { "what it had found by then is below" } else { "it is missing here" };
            self.paragraph(&format!("**`{name}` has failed, and {rest}:** {}", text(why)));
        }
    }

    fn part(&mut self, part: &Part) {
        self.line(&format!("<a id=\"{}\"></a>\n", part.name));
        self.paragraph(&format!("## {}", text(&part.title)));
        part.method.iter().for_each(|paragraph| self.paragraph(&text(paragraph)));
        part.tables.iter().for_each(|table| self.figures(table));
        for (number, plot) in (1..).zip(&part.plots) {
            let name = plot_name(part, number);
            self.paragraph(&format!("![{}]({DIRECTORY}/{name})", text(&plot.title)));
        }
        let targets = part.targets.iter().map(|target| {
            format!("{}: {}: {}", verdict(target), text(&target.what), text(&target.measured))
        });
        self.list(targets);
        self.list(part.notes.iter().map(|note| text(note)));
    }

    fn figures(&mut self, table: &Table) {
        if !table.title.is_empty() {
            self.paragraph(&format!("### {}", text(&table.title)));
        }
        let columns: Vec<String> = table.columns.iter().map(|head| cell(head)).collect();
        let row = |row: &Vec<crate::Cell>| row.iter().map(|figure| cell(&figure.show())).collect();
        self.table(&columns, table.rows.iter().map(row));
    }

    fn list(&mut self, items: impl Iterator<Item = String>) {
        let before = self.0.len();
        for item in items {
            // A string takes all that is written to it.
            writeln!(self.0, "- {item}").ok();
        }
        if self.0.len() > before {
            self.0.push('\n');
        }
    }
}

/// A verdict that meets the eye where it is bad.
fn verdict(target: &Target) -> String {
    let verdict = target.verdict();
    if target.met == Some(false) { format!("**{verdict}**") } else { verdict.to_owned() }
}

#[cfg(test)]
mod tests;
