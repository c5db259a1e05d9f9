//! What paths take in memory.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use probe_user::{
    account::{
        self, Rules,
        model::{Answer, Kernel},
        rtt,
    },
    config::{HealthConfig, ProbeConfig},
    health::{self, defect::Defects},
    verdict::SECOND,
};

/// Counts what is allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is handed on to the system's allocator unchanged; the count is all that is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What the agent keeps of a path, beside names and sockets.
struct Path {
    account: account::path::Path,
    health: health::Path,
    recent: rtt::Recent,
}

const PATHS: usize = 10_000;
const LIMIT: usize = 64 << 20;
const FLOWS: usize = 4;

/// Fills ten thousand paths with answers and losses, and prints what they take. True if it is what it may be.
pub(super) fn print_memory() -> bool {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let rules = Rules {
        interval: SECOND / 10,
        timeout: SECOND,
        slots: 32,
        stateful: true,
        defects: Defects::NONE,
    };
    let kernels: Vec<Kernel> = (0..FLOWS).map(|_| Kernel::new(rules.slots)).collect();
    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut paths: Vec<Path> = (0..PATHS)
        .map(|_| Path {
            account: account::path::Path::new(rules, FLOWS),
            health: health::Path::new(FLOWS, SECOND),
            recent: rtt::Recent::default(),
        })
        .collect();
    let mut now = SECOND;
    for round in 0..300_u32 {
        now += SECOND / 10;
        for kernel in &kernels {
            let sequence = kernel.send(now);
            if !round.is_multiple_of(10) {
                let answer = Answer {
                    sequence,
                    sent_at: now,
                    reflector_sequence: sequence,
                    round_trip: 1_000_000,
                };
                kernel.answer(answer, now + 1_000_000);
            }
        }
        for path in &mut paths {
            let (health, recent) = (&mut path.health, &mut path.recent);
            let arrivals = probe_ebpf::maps::Arrivals::default();
            path.account.judge(
                &kernels,
                arrivals,
                now + 2_000_000,
                &mut |flow, sent_at, outcome| {
                    if let account::Outcome::Answered { round_trip } = outcome {
                        recent.add(round_trip);
                    }
                    health.observe(flow, sent_at, outcome, now, &settings);
                },
            );
        }
    }
    let taken = ALLOCATED.load(Ordering::Relaxed) - before;
    let fits = taken <= LIMIT;
    println!(
        "{PATHS} paths of {FLOWS} flows take {:.1} MiB, which is {} octets a path; the target is 64 MiB: {}\n",
        taken as f64 / f64::from(1 << 20),
        taken / PATHS,
        if fits { "met" } else { "MISSED" }
    );
    drop(paths);
    fits
}
