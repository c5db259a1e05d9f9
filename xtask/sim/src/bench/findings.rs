//! What was found, and what of it must be met.

use figures::{Cell, Part, Samples, Table, Target, Unit};

/// What a quick run ends with.
const QUICK_END: &str = "quick look: not a figure; nothing that needs no sampling was missed";

/// What was found so far. All targets are judged, whatever the first ones say.
pub(super) struct Findings {
    /// Whether what is sampled is too little for a figure.
    quick: bool,
    pub(super) part: Part,
}

impl Findings {
    /// Nothing yet. In a `quick` run nothing that is sampled is judged.
    pub(super) fn new(quick: bool) -> Self {
        let part = Part {
            name: "health".to_owned(),
            title: "How soon loss is seen, how often falsely, and what that costs".to_owned(),
            ..Part::default()
        };
        Self { quick, part }
    }

    /// Tells a paragraph of the method.
    pub(super) fn method(&mut self, paragraph: impl Into<String>) {
        self.part.method.push(paragraph.into());
    }

    /// Adds a table. A row is as wide as there are columns.
    pub(super) fn table(&mut self, title: String, columns: &[&str], rows: Vec<Vec<Cell>>) {
        let columns = columns.iter().copied().map(str::to_owned).collect();
        self.part.tables.push(Table { title, columns, rows });
    }

    /// Adds a target, and whether it is met, as far as sampling can tell. `measured` is what was found.
    pub(super) fn sampled(&mut self, target: &str, measured: &str, met: bool) {
        let target = Target::new(target, measured, met);
        self.part.targets.push(if self.quick { Target { met: None, ..target } } else { target });
    }

    /// The same of what is counted or computed: as true in a quick run as in any.
    pub(super) fn exact(&mut self, target: &str, measured: &str, met: bool) {
        self.part.targets.push(Target::new(target, measured, met));
    }

    /// Whether no target was missed.
    pub(super) fn is_met(&self) -> bool {
        self.part.targets.iter().all(|target| target.met != Some(false))
    }

    /// In a line, what came of the targets.
    pub(super) fn end(&self) -> &'static str {
        match (self.is_met(), self.quick) {
            (false, _) => "a target was missed",
            (true, true) => QUICK_END,
            (true, false) => "every target was met",
        }
    }
}

/// A figure that is computed or counted, and so the only one of its kind.
pub(super) fn figure(unit: Unit, value: f64) -> Cell {
    Samples::new(unit, vec![value]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_once_stays_so() {
        let mut findings = Findings::new(false);
        findings.sampled("a", "1", true);
        assert!(findings.is_met());
        findings.sampled("b", "2", false);
        findings.exact("c", "3", true);
        assert!(!findings.is_met());
        assert_eq!(findings.end(), "a target was missed");
    }

    #[test]
    fn a_quick_look_judges_only_what_needs_no_sampling() {
        let mut findings = Findings::new(true);
        findings.sampled("a", "1", false);
        assert!(findings.is_met());
        assert_eq!((findings.part.targets[0].met, findings.end()), (None, QUICK_END));
        findings.exact("b", "2", false);
        assert!(!findings.is_met());
    }
}
