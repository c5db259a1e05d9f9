//! The steps of a demo, and how far it has come.

use std::time::{Duration, Instant};

use lab::clock;

/// A step, and the seconds that it usually takes.
pub(crate) type Step = (&'static str, f64);

/// Where a demo is.
pub(crate) struct Plan {
    steps: Vec<Step>,
    index: usize,
    entered: Instant,
}

impl Plan {
    /// At the first of some steps; there is at least one.
    pub(crate) fn new(steps: &[Step]) -> Self {
        Self { steps: steps.to_vec(), index: 0, entered: clock::now() }
    }

    /// Goes on to the next step.
    pub(crate) fn advance(&mut self) {
        self.index = (self.index + 1).min(self.steps.len() - 1);
        self.entered = clock::now();
    }

    /// The step's name.
    pub(crate) fn step(&self) -> &'static str {
        self.steps[self.index].0
    }

    /// The time that the step usually takes.
    pub(crate) fn usual(&self) -> Duration {
        Duration::from_secs_f64(self.steps[self.index].1)
    }

    /// How much of all is done, from 0 to 1.
    pub(crate) fn fraction(&self) -> f64 {
        let sum = |steps: &[Step]| steps.iter().map(|(_, seconds)| seconds).sum::<f64>();
        let here = self.entered.elapsed().as_secs_f64().min(self.steps[self.index].1);
        (sum(&self.steps[..self.index]) + here) / sum(&self.steps)
    }
}
