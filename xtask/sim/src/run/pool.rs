//! Work on all cores, with a progress bar where somebody looks.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use sim::{
    coverage::{self, Coverage},
    scenario::{Kind, Outcome},
};

/// The sum of all outcomes.
#[derive(Default)]
pub(super) struct Total {
    pub(super) hours: super::Hours,
    pub(super) probes: u64,
    pub(super) coverage: Coverage,
    /// The least seed that has failed.
    pub(super) failed: Option<(u64, Outcome)>,
}

impl Total {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        let kind = format!("{:?}", Kind::of(seed)).to_lowercase();
        *self.hours.entry(kind).or_default() += outcome.path_time as f64 / 3.6e12;
        self.probes += outcome.probes;
        coverage::add(&mut self.coverage, &outcome.coverage);
        let is_first = self.failed.as_ref().is_none_or(|(other, _)| seed < *other);
        if outcome.violation.is_some() && is_first {
            self.failed = Some((seed, outcome));
        }
    }
}

/// Plays seeds until one fails. Seeds are taken in their order, so the least that fails is always told.
pub(super) fn play(
    what: &str,
    first: u64,
    count: u64,
    scenario: impl Fn(u64) -> Outcome + Sync,
) -> Total {
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let seeds: Vec<u64> = (first..first + count).collect();
    map(what, &seeds, |seed| {
        if failed.load(Ordering::Relaxed) {
            return;
        }
        let outcome = scenario(*seed);
        failed.fetch_or(outcome.violation.is_some(), Ordering::Relaxed);
        total.lock().unwrap_or_else(PoisonError::into_inner).add(*seed, outcome);
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The results of a task for each of the items, in their order.
pub(super) fn map<I: Sync, T: Send>(
    what: &str,
    items: &[I],
    task: impl Fn(&I) -> T + Sync,
) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(items.iter().map(|_| None).collect::<Vec<_>>());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = task(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
                    progress(what, done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
                }
            });
        }
    });
    if std::io::stderr().is_terminal() {
        eprint!("\r{:78}\r", "");
    }
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

fn progress(what: &str, done: usize, count: usize) {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        let bar = "#".repeat(done * 40 / count);
        write!(error, "\r[{bar:40}] {done} of {count} {what}").ok();
    }
}
