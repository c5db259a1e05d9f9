//! How many probes a detector needs, and how many the best one would.

use probe_user::{
    config::{ProbeConfig, Profile},
    health::{Settings, cusum, guarantee::false_alarms_per_year, threshold},
    random::Random,
};
use sim::{
    detectors::{Detector, Engine},
    loss::{Loss, Lossy},
};

use super::BACKGROUND;
use crate::pool;

/// The losses that begin.
pub(super) const LOSSES: [f64; 8] = [0.015, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0];

/// A run that is longer ends without an alarm.
pub(super) const CAP: u32 = 400_000;
/// Probes before the loss begins.
pub(super) const BEFORE: u32 = 300;
/// Long work is cut into so many parts, which the cores share.
pub(super) const SHARES: usize = 10;

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

    /// One that holds the path for healthy.
    pub(super) fn make(&self) -> Box<dyn Detector> {
        (self.make)()
    }
}

/// A profile of ours, on paths with so many flows.
#[derive(Clone, Copy)]
pub(super) struct Ours {
    pub(super) profile: Profile,
    pub(super) flows: u16,
    pub(super) settings: Settings,
    /// False alarms of a path in a year at most: computed, of everything.
    pub(super) computed: f64,
}

impl Ours {
    /// All profiles, each flow probed as often as the defaults have it.
    pub(super) fn all(flows: u16) -> [Self; 3] {
        let probe = ProbeConfig { flows, ..ProbeConfig::default() };
        Profile::ALL.map(|profile| {
            let settings = Engine::settings(profile, &probe);
            let computed = false_alarms_per_year(&settings, flows, BACKGROUND);
            Self { profile, flows, settings, computed }
        })
    }

    pub(super) fn contestant(&self) -> Contestant {
        let engine = Engine::new(self.settings, self.flows);
        Contestant::new(self.profile.label(), move || Box::new(engine.clone()))
    }
}

/// What the delays come to; `None` where too many were longer than [`CAP`] for it to be known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    pub(super) p50: Option<u32>,
    pub(super) p99: Option<u32>,
    pub(super) mean: Option<f64>,
}

impl Cell {
    fn of(mut delays: Vec<u32>) -> Self {
        delays.sort_unstable();
        let runs = delays.len();
        let at = |rank: usize| Some(delays[rank]).filter(|delay| *delay < CAP);
        let sum: f64 = delays.iter().copied().map(f64::from).sum();
        let mean = at(runs - 1).map(|_| sum / runs as f64);
        Self { p50: at(runs / 2), p99: at(runs * 99 / 100), mean }
    }
}

/// By loss, and then by contestant. In the same run of the same row all see the same losses, so that detectors that do
/// the same have the same cells.
pub(super) fn table(contestants: &[Contestant], burst: Option<f64>, runs: usize) -> Vec<Vec<Cell>> {
    let width = contestants.len();
    let cells = LOSSES.len() * width;
    let indices: Vec<usize> = (0..cells * SHARES).collect();
    let parts = pool::map("cells, in parts", &indices, |&index| {
        let (cell, share) = (index % cells, index / cells);
        let (row, contestant) = (cell / width, &contestants[cell % width]);
        let loss = Loss::Independent(LOSSES[row]);
        let loss = burst.map_or(loss, |length| Loss::bursts(LOSSES[row], length));
        let of_share = share * runs / SHARES..(share + 1) * runs / SHARES;
        of_share.map(|run| delay(contestant, loss, seed(row, run))).collect::<Vec<_>>()
    });
    let cell = |cell| Cell::of(parts.iter().skip(cell).step_by(cells).flatten().copied().collect());
    let all: Vec<Cell> = (0..cells).map(cell).collect();
    all.chunks(width).map(<[Cell]>::to_vec).collect()
}

/// A seed of its own for each number of each series.
pub(super) fn seed(series: usize, number: usize) -> u64 {
    Random::new((series as u64) << 32 | number as u64).bits()
}

/// Probes from the beginning of the loss until the alarm.
fn delay(contestant: &Contestant, loss: Loss, seed: u64) -> u32 {
    let mut random = Random::new(seed);
    let mut detector = contestant.make();
    let mut before = 0;
    while before < BEFORE {
        before += 1;
        if detector.observe(random.chance(BACKGROUND)) {
            // An alarm of its own: this is about others.
            (detector, before) = (contestant.make(), 0);
        }
    }
    // Numbers of its own: whoever has begun anew before sees the same loss as the others.
    let (mut link, mut random) = (Lossy::new(loss), Random::new(!seed));
    (1..CAP).find(|_| detector.observe(link.loses(&mut random))).unwrap_or(CAP)
}

/// Lorden (1971): ln(ARL) / KL. Towards this, as false alarms become rarer, goes the least mean delay, from the worst
/// moment for the loss to begin, of any detector that is wrong once in `run_length` probes on the average. It is the first
/// term only; what is missing may have either sign.
pub(super) fn bound(run_length: f64, loss: f64, background: f64) -> f64 {
    let pass =
        if loss < 1.0 { (1.0 - loss) * ((1.0 - loss) / (1.0 - background)).ln() } else { 0.0 };
    run_length.ln() / (loss * (loss / background).ln() + pass)
}

/// The same without the asymptotics: the mean delay, from the worst moment, of a CUSUM test that was told which loss will
/// begin. No detector has a lower one at the same rate of false alarms (Moustakides, 1986), but for what rounding takes:
/// the statistic is in whole numbers.
pub(super) fn best(run_length: f64, loss: f64, background: f64) -> f64 {
    let gain = cusum::gain(background, loss.min(1.0 - background));
    let [threshold] = threshold::thresholds(gain, background, [run_length]);
    let threshold = threshold as usize;
    let gain = gain as usize;
    // Where the statistic is, as long as it has not come to the threshold. The worst moment is that at which it is 0.
    let mut at = vec![0.0_f64; threshold];
    at[0] = 1.0;
    let (mut mean, mut left) = (0.0, 1.0_f64);
    while left > 1e-7 {
        mean += left;
        let mut next = vec![0.0; threshold];
        for (statistic, share) in at.iter().enumerate() {
            next[statistic.saturating_sub(1)] += (1.0 - loss) * share;
            if let Some(higher) = next.get_mut(statistic + gain) {
                *higher += loss * share;
            }
        }
        left = next.iter().sum();
        at = next;
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::detectors::{Misses, RiseFall};

    #[test]
    fn the_bound_agrees_with_values_by_hand() {
        // KL(0.1 || 0.01) = 0.1 ln 10 + 0.9 ln (0.9 / 0.99) = 0.23026 - 0.08578 = 0.14448.
        assert!((bound(1e6, 0.1, 0.01) - 13.8155 / 0.14448).abs() < 0.05);
        // KL(1 || 0.01) = ln 100.
        assert!((bound(1e8, 1.0, 0.01) - 4.0).abs() < 1e-9);
    }

    /// A gain of 1 and certain loss: as many probes as the threshold is high. And the engine, which was not told the
    /// loss, takes longer than the test that was, but not much.
    #[test]
    fn nothing_is_faster_than_the_best() {
        assert!((best(5e7, 1.0, 0.01) - 4.0).abs() < 1e-9, "{}", best(5e7, 1.0, 0.01));
        let ours = Ours::all(1)[1];
        let run_length = super::super::alarms::probes_per_year(&ours.settings) / ours.computed;
        let mut random = Random::new(1);
        for loss in [0.05, 0.2, 0.5] {
            let runs = 400;
            // At once: the statistics are at zero, which is the worst moment.
            let delay = |_| {
                let mut detector = ours.contestant().make();
                f64::from((1..CAP).find(|_| detector.observe(random.chance(loss))).unwrap_or(CAP))
            };
            let mean = (0..runs).map(delay).sum::<f64>() / f64::from(runs);
            let best = best(run_length, loss, 0.01);
            assert!((0.95..1.3).contains(&(mean / best)), "{loss}: {mean} for {best}");
        }
    }

    #[test]
    fn detectors_that_do_the_same_have_the_same_cells() {
        let contestants = [
            Contestant::new("BFD x3", || Box::new(Misses::new(3))),
            Contestant::new("HAProxy", || Box::new(RiseFall::new(3, 2))),
        ];
        for row in table(&contestants, Some(4.0), 40) {
            let [one, other] = [row[0], row[1]].map(|cell| (cell.p50, cell.p99, cell.mean));
            assert_eq!(one, other);
        }
    }
}
