//! What must be met, and what was not.

/// What a quick run ends with.
const QUICK_END: &str = "quick look: not a figure; nothing that needs no sampling was missed";

/// The targets so far. All are judged, whatever the first ones say.
pub(super) struct Targets {
    /// Whether what is sampled is too little for a figure.
    quick: bool,
    missed: Vec<String>,
}

impl Targets {
    /// None yet. In a `quick` run nothing that is sampled is judged.
    pub(super) const fn new(quick: bool) -> Self {
        Self { quick, missed: Vec::new() }
    }

    /// Prints and remembers whether a target is met, as far as sampling can tell. `measured` is what was found.
    pub(super) fn sampled(&mut self, target: &str, measured: &str, met: bool) {
        if self.quick {
            println!("  target, {target}: {measured}: quick look: not a figure");
        } else {
            self.exact(target, measured, met);
        }
    }

    /// The same of what is counted or computed: as true in a quick run as in any.
    pub(super) fn exact(&mut self, target: &str, measured: &str, met: bool) {
        println!("  target, {target}: {measured}: {}", if met { "met" } else { "MISSED" });
        if !met {
            self.missed.push(format!("{target}: {measured}"));
        }
    }

    /// Prints what was missed. True if nothing was.
    pub(super) fn end(&self) -> bool {
        for missed in &self.missed {
            println!("MISSED: {missed}");
        }
        if self.missed.is_empty() {
            println!("{}", if self.quick { QUICK_END } else { "every target was met" });
        }
        self.missed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_once_stays_so() {
        let mut targets = Targets::new(false);
        targets.sampled("a", "1", true);
        assert!(targets.end());
        targets.sampled("b", "2", false);
        targets.exact("c", "3", true);
        assert!(!targets.end());
    }

    #[test]
    fn a_quick_look_judges_only_what_needs_no_sampling() {
        let mut targets = Targets::new(true);
        targets.sampled("a", "1", false);
        assert!(targets.end());
        targets.exact("b", "2", false);
        assert!(!targets.end());
    }
}
