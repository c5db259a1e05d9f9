//! How many probes a detector needs, and how often it is wrong.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use probe_user::random::Random;
use sim::{
    detectors::Detector,
    loss::{Loss, Lossy},
};

/// The losses that begin.
pub(super) const LOSSES: [f64; 8] = [0.015, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0];

/// A run that is longer ends without an alarm.
const CAP: u32 = 400_000;
/// Probes before the loss begins.
const BEFORE: u32 = 300;

/// A detector by name.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    make: Box<dyn Fn() -> Box<dyn Detector> + Sync>,
}

impl Contestant {
    pub(super) fn new(
        name: &'static str,
        make: impl Fn() -> Box<dyn Detector> + Sync + 'static,
    ) -> Self {
        Self { name, make: Box::new(make) }
    }
}

/// Quantiles of the delays; `None` where it was not seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    pub(super) p50: Option<u32>,
    pub(super) p99: Option<u32>,
}

/// By loss, and then by contestant. Each cell has its own seed.
pub(super) fn table(contestants: &[Contestant], burst: Option<f64>, runs: usize) -> Vec<Vec<Cell>> {
    let width = contestants.len();
    let cells = parallel(LOSSES.len() * width, |index| {
        let ratio = LOSSES[index / width];
        let loss = burst.map_or(Loss::Independent(ratio), |length| Loss::bursts(ratio, length));
        cell(&contestants[index % width], loss, runs, index as u64)
    });
    cells.chunks(width).map(<[Cell]>::to_vec).collect()
}

fn cell(contestant: &Contestant, loss: Loss, runs: usize, seed: u64) -> Cell {
    let mut random = Random::new(seed);
    let mut delays: Vec<u32> = (0..runs).map(|_| delay(contestant, loss, &mut random)).collect();
    delays.sort_unstable();
    let at = |rank: usize| Some(delays[rank]).filter(|delay| *delay < CAP);
    Cell { p50: at(runs / 2), p99: at(runs * 99 / 100) }
}

/// Probes from the beginning of the loss until the alarm.
fn delay(contestant: &Contestant, loss: Loss, random: &mut Random) -> u32 {
    let mut detector = (contestant.make)();
    let mut before = 0;
    while before < BEFORE {
        before += 1;
        if detector.observe(random.chance(super::BACKGROUND)) {
            // An alarm of its own: this is about others.
            (detector, before) = ((contestant.make)(), 0);
        }
    }
    let mut link = Lossy::new(loss);
    (1..CAP).find(|_| detector.observe(link.loses(random))).unwrap_or(CAP)
}

/// How often each is wrong among so many probes.
pub(super) fn false_alarms(contestants: &[Contestant], loss: f64, probes: u64) -> Vec<u64> {
    parallel(contestants.len(), |index| {
        let mut random = Random::new(1_000 + index as u64);
        let mut detector = (contestants[index].make)();
        let (mut alarms, mut before) = (0, false);
        for _ in 0..probes {
            let bad = detector.observe(random.chance(loss));
            alarms += u64::from(bad && !before);
            before = bad;
        }
        alarms
    })
}

/// The least mean number of probes after which a loss can be seen by anything that is wrong once in `run_length`
/// probes (Lorden, 1971): ln(ARL) / KL, asymptotically.
pub(super) fn bound(run_length: f64, loss: f64, background: f64) -> f64 {
    let pass =
        if loss < 1.0 { (1.0 - loss) * ((1.0 - loss) / (1.0 - background)).ln() } else { 0.0 };
    run_length.ln() / (loss * (loss / background).ln() + pass)
}

/// The results of so many tasks, on all cores, in order.
fn parallel<T: Send + Default + Clone>(count: usize, task: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![T::default(); count]);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = task(index);
                    results.lock().unwrap_or_else(PoisonError::into_inner)[index] = result;
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_agrees_with_values_by_hand() {
        // KL(0.1 || 0.01) = 0.1 ln 10 + 0.9 ln (0.9 / 0.99) = 0.23026 - 0.08578 = 0.14448.
        assert!((bound(1e6, 0.1, 0.01) - 13.8155 / 0.14448).abs() < 0.05);
        // KL(1 || 0.01) = ln 100.
        assert!((bound(1e8, 1.0, 0.01) - 4.0).abs() < 1e-9);
    }
}
