//! What the outcome of one probe costs: in the engine, and in accounts and engine together.
#![expect(missing_docs, reason = "what criterion's macros make has none")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use probe_ebpf::maps::Arrivals;
use probe_user::{
    account::{
        self, Outcome, Rules,
        model::{Answer, Kernel},
    },
    config::{HealthConfig, ProbeConfig},
    health::{Path, defect::Defects},
    random::Random,
    verdict::{Nanos, SECOND},
};

const FLOWS: usize = 4;
/// Paths that are judged between two looks at the clock, which would cost more than an outcome.
const PATHS: usize = 32;
/// Outcomes in one iteration.
const PROBES: u64 = 4_096;

fn engine(criterion: &mut Criterion) {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(PROBES));
    for (name, loss) in [("all answered", 0.0), ("1 % lost", 0.01)] {
        let mut random = Random::new(1);
        let lost: Vec<bool> = (0..PROBES).map(|_| random.chance(loss)).collect();
        let mut path = Path::new(FLOWS, 0);
        let mut now: Nanos = SECOND;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (index, lost) in lost.iter().enumerate() {
                    now += settings.spacing;
                    let outcome = if *lost {
                        Outcome::Lost(account::Lost::Forward)
                    } else {
                        Outcome::Answered { round_trip: 20_000_000 }
                    };
                    path.observe(index % FLOWS, now, outcome, now, &settings);
                }
            });
        });
    }
}

fn accounts_and_engine(criterion: &mut Criterion) {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let rules = Rules {
        interval: SECOND / 10,
        timeout: SECOND,
        slots: 32,
        stateful: true,
        defects: Defects::NONE,
    };
    let mut group = criterion.benchmark_group("accounts and engine");
    group.throughput(Throughput::Elements(PROBES));
    for (name, loss) in [("all answered", 0.0), ("1 % lost", 0.01)] {
        let kernels: Vec<Kernel> = (0..FLOWS).map(|_| Kernel::new(rules.slots)).collect();
        let new = |_| (account::path::Path::new(rules, FLOWS), Path::new(FLOWS, 0));
        let mut paths: Vec<_> = (0..PATHS).map(new).collect();
        let mut random = Random::new(1);
        let mut numbers = [0; FLOWS];
        let mut now: Nanos = SECOND;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut judging = std::time::Duration::ZERO;
                for _ in 0..iterations {
                    for _ in 0..PROBES / (FLOWS * PATHS) as u64 {
                        now += SECOND / 10;
                        for (kernel, number) in kernels.iter().zip(&mut numbers) {
                            let sequence = kernel.send(now);
                            if !random.chance(loss) {
                                let answer = Answer {
                                    sequence,
                                    sent_at: now,
                                    reflector_sequence: *number,
                                    round_trip: 20_000_000,
                                };
                                kernel.answer(answer, now + 20_000_000);
                                *number += 1;
                            }
                        }
                        let at = now + 50_000_000;
                        #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
                        let start = std::time::Instant::now();
                        for (account, path) in &mut paths {
                            account.judge(
                                &kernels,
                                Arrivals::default(),
                                at,
                                &mut |flow, sent_at, outcome| {
                                    path.observe(flow, sent_at, outcome, at, &settings);
                                },
                            );
                            path.tick(at, false, &settings, &mut |_| {});
                        }
                        judging += start.elapsed();
                    }
                }
                judging
            });
        });
    }
}

criterion_group!(benches, engine, accounts_and_engine);
criterion_main!(benches);
