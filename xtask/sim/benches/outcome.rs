//! What the outcome of one probe costs: in the engine alone, and in accounts and engine as the agent runs them.
//!
//! `sim bench` reads what criterion finds here. By group:
//! - "engine": [`Path::observe`] alone, of one path.
//! - [`costs::WORK`]: every tick has one outcome of every flow, so that a quarter of a path's tick is in each.
//! - [`costs::CADENCE`]: ticks of 10 ms at a probe of each flow in 100 ms, so that two and a half ticks are in each.
//! - [`costs::IDLE`]: a path's tick without an outcome.
#![expect(missing_docs, reason = "what criterion's macros make has none")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use probe_user::{
    account::{Lost, Outcome},
    config::{HealthConfig, ProbeConfig},
    health::Path,
    random::Random,
    verdict::{Nanos, SECOND},
};
use sim::paths::{Agent, FLOWS, INTERVAL, Kernels, TICK, TICKS, costs};

/// Outcomes in one iteration of the engine alone.
const PROBES: u64 = 4_096;
/// Few paths, and many, which take turns in the caches.
const PATHS: [usize; 2] = [costs::FEW, 2_000];
/// What is lost.
const LOSSES: [(&str, f64); 2] = [("all answered", 0.0), ("1 % lost", 0.01)];

fn engine(criterion: &mut Criterion) {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(PROBES));
    for (name, loss) in LOSSES {
        let mut random = Random::new(1);
        let lost: Vec<bool> = (0..PROBES).map(|_| random.chance(loss)).collect();
        let mut path = Path::new(FLOWS, 0);
        let mut now: Nanos = SECOND;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (index, lost) in lost.iter().enumerate() {
                    now += settings.spacing;
                    let outcome = if *lost {
                        Outcome::Lost(Lost::Forward)
                    } else {
                        Outcome::Answered { round_trip: 20_000_000 }
                    };
                    path.observe(index % FLOWS, now, outcome, now, &settings);
                }
            });
        });
    }
}

/// An agent at work: what the kernel does in between is not timed.
struct Work {
    kernels: Kernels,
    agent: Agent,
    random: Random,
    loss: f64,
    now: Nanos,
}

impl Work {
    /// One whose paths are healthy, and have been for a while.
    fn new(paths: usize, loss: f64) -> Self {
        let (kernels, agent) = (Kernels::new(paths), Agent::new(paths));
        let mut work = Self { kernels, agent, random: Random::new(1), loss, now: SECOND };
        for _ in 0..300 {
            work.round();
        }
        work
    }

    /// A probe of each flow that is due, and then a tick: how long the tick takes.
    fn tick(&mut self, step: Nanos, due: impl Fn(usize) -> bool) -> Duration {
        let Self { kernels, agent, random, loss, now } = self;
        kernels.probe(*now, due, || random.chance(*loss));
        *now += step;
        #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
        let start = std::time::Instant::now();
        agent.tick(kernels, *now);
        start.elapsed()
    }

    /// A probe of each flow, and one tick for all of them.
    fn round(&mut self) -> Duration {
        self.tick(INTERVAL, |_| true)
    }

    /// A probe of each flow, each at its own of the ticks between.
    fn interval(&mut self) -> Duration {
        (0..TICKS).map(|tick| self.tick(TICK, |flow| (tick + flow).is_multiple_of(TICKS))).sum()
    }

    /// A probe of each flow, and the ticks after them until the next. The last losses are given up in the first few of
    /// those, so it is only the later half that is timed.
    fn idle(&mut self) -> Duration {
        self.tick(TICK, |_| true);
        let ticks = (1..TICKS).map(|tick| (tick, self.tick(TICK, |_| false)));
        ticks.filter(|(tick, _)| *tick >= TICKS / 2).map(|(_, time)| time).sum()
    }
}

/// Measures under a name what a part of the work takes, of which each has so many elements per path.
fn measure(
    criterion: &mut Criterion,
    name: &str,
    elements: usize,
    work: fn(&mut Work) -> Duration,
) {
    let mut group = criterion.benchmark_group(name);
    for (paths, (loss_name, loss)) in PATHS.into_iter().flat_map(|p| LOSSES.map(|loss| (p, loss))) {
        group.throughput(Throughput::Elements((paths * elements) as u64));
        let id = BenchmarkId::new(format!("{paths} paths"), loss_name);
        // What is left out by a filter is not set up.
        let mut at_work = None;
        group.bench_function(id, |bencher| {
            let at_work = at_work.get_or_insert_with(|| Work::new(paths, loss));
            bencher.iter_custom(|iterations| (0..iterations).map(|_| work(at_work)).sum());
        });
    }
}

fn accounts_and_engine(criterion: &mut Criterion) {
    measure(criterion, costs::WORK, FLOWS, Work::round);
    measure(criterion, costs::CADENCE, FLOWS, Work::interval);
    measure(criterion, costs::IDLE, TICKS - TICKS / 2, Work::idle);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = engine, accounts_and_engine
}
criterion_main!(benches);
