//! The steps of the demo, and how far it has come.

use std::time::{Duration, Instant};

use lab::clock;

/// Steps with the seconds that they usually take.
const STEPS: [(&str, f64); 8] = [
    ("waiting for verdicts", 3.0),
    ("all is well", 3.0),
    ("30 % loss", 4.0),
    ("cleared", 2.0),
    ("calm", 1.5),
    ("blackhole", 3.5),
    ("cleared", 2.0),
    ("calm", 1.5),
];

/// Where the demo is.
pub(crate) struct Plan {
    index: usize,
    entered: Instant,
}

impl Plan {
    /// At the first step.
    pub(crate) fn new() -> Self {
        Self { index: 0, entered: clock::now() }
    }

    /// Goes on to the next step.
    pub(crate) fn advance(&mut self) {
        self.index = (self.index + 1).min(STEPS.len() - 1);
        self.entered = clock::now();
    }

    /// The step's name.
    pub(crate) const fn step(&self) -> &'static str {
        STEPS[self.index].0
    }

    /// The time that the step usually takes.
    pub(crate) fn usual(&self) -> Duration {
        Duration::from_secs_f64(STEPS[self.index].1)
    }

    /// How much of all is done, from 0 to 1.
    pub(crate) fn fraction(&self) -> f64 {
        let sum = |steps: &[(&str, f64)]| steps.iter().map(|(_, seconds)| seconds).sum::<f64>();
        let here = self.entered.elapsed().as_secs_f64().min(STEPS[self.index].1);
        (sum(&STEPS[..self.index]) + here) / sum(&STEPS)
    }
}
