//! Many seeds, and what they show together.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use probe_user::verdict::Nanos;
use sim::{
    coverage::{self, Coverage},
    scenario::Outcome,
};

use crate::pool;

/// The sum of all outcomes.
#[derive(Default)]
pub(super) struct Total {
    pub(super) hours: super::Hours,
    pub(super) probes: u64,
    pub(super) coverage: Coverage,
    /// The longest that something took, in nanoseconds.
    pub(super) longest: BTreeMap<&'static str, Nanos>,
    /// The least seed that has failed.
    pub(super) failed: Option<(u64, Outcome)>,
}

impl Total {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        *self.hours.entry(outcome.kind).or_default() += outcome.path_time as f64 / 3.6e12;
        self.probes += outcome.probes;
        coverage::add(&mut self.coverage, &outcome.coverage);
        for (what, took) in &outcome.longest {
            let longest = self.longest.entry(what).or_default();
            *longest = (*longest).max(*took);
        }
        let is_first = self.failed.as_ref().is_none_or(|(other, _)| seed < *other);
        if outcome.violation.is_some() && is_first {
            self.failed = Some((seed, outcome));
        }
    }
}

/// Plays seeds until one fails. Seeds are taken in their order, so the least that fails is always told.
pub(super) fn play(
    what: &'static str,
    first: u64,
    count: u64,
    scenario: impl Fn(u64) -> Outcome + Sync,
) -> Total {
    let failed = AtomicU64::new(u64::MAX);
    let total = Mutex::new(Total::default());
    let seeds: Vec<u64> = (first..first + count).collect();
    pool::map(what, &seeds, |seed| {
        if *seed > failed.load(Ordering::Relaxed) {
            return;
        }
        let outcome = scenario(*seed);
        if outcome.violation.is_some() {
            failed.fetch_min(*seed, Ordering::Relaxed);
        }
        total.lock().unwrap_or_else(PoisonError::into_inner).add(*seed, outcome);
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}
