//! What keeps the host busy, and what its processors did.

use std::{
    fs,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};

/// Turns of a loop between two looks at whether it is to end.
const TURNS: u64 = 10_000;

/// A busy loop for each core, at normal priority. The drop ends them; should this process be killed, they go with it.
pub(super) struct BusyLoops {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BusyLoops {
    /// Starts them.
    ///
    /// # Errors
    /// Where the system gives no threads; those that were started have ended then.
    pub(super) fn start() -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut loops = Self { is_over: Arc::clone(&is_over), threads: Vec::new() };
        for _ in 0..cores()? {
            let is_over = Arc::clone(&is_over);
            let thread = thread::Builder::new().name("busy".to_owned()).spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    // No pause: to a hypervisor that would look like somebody who waits.
                    for turn in 0..TURNS {
                        black_box(turn);
                    }
                }
            });
            loops.threads.push(thread.context("cannot start a busy loop")?);
        }
        Ok(loops)
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Nothing in it panics.
            thread.join().ok();
        }
    }
}

/// How many cores there are for this process.
///
/// # Errors
/// Where the system does not say.
pub(super) fn cores() -> Result<usize> {
    Ok(thread::available_parallelism().context("how many cores are there?")?.get())
}

/// What all processors of the host have done, in ticks of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    total: u64,
    idle: u64,
    steal: u64,
}

impl Cpu {
    /// Since the host has started.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub(super) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        Self::parse(&text).context("what /proc/stat says is not what proc_stat(5) says")
    }

    /// By `proc_stat(5)`: user, nice, system, idle, iowait, irq, softirq, steal.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> =
            line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        let [_, _, _, idle, waiting, _, _, steal] = ticks[..] else { return None };
        Some(Self { total: ticks.iter().sum(), idle: idle + waiting, steal })
    }

    /// So many ticks, of them so many idle.
    #[cfg(test)]
    pub(super) const fn of(total: u64, idle: u64) -> Self {
        Self { total, idle, steal: 0 }
    }

    /// What they have done since an earlier time.
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            total: self.total.saturating_sub(before.total),
            idle: self.idle.saturating_sub(before.idle),
            steal: self.steal.saturating_sub(before.steal),
        }
    }

    /// The share of their time in which they did anything.
    pub(super) fn busy(self) -> f64 {
        1.0 - self.idle as f64 / self.total.max(1) as f64
    }

    /// The share of their time that the hypervisor gave to others though they had work to do.
    pub(super) fn stolen(self) -> f64 {
        self.steal as f64 / self.total.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_time_between() {
        let cpu = |line| Cpu::parse(line).unwrap();
        let before = cpu("cpu  100 0 100 700 100 0 0 0 50 50\ncpu0 1 1 1 1 1 1 1 1 1 1\n");
        let after = cpu("cpu  180 0 110 750 110 0 0 50 60 60\ncpu0 2 1 1 1 1 1 1 1 1 1\n");
        let between = after.since(before);
        assert_eq!(between, Cpu { total: 200, idle: 60, steal: 50 });
        assert!((between.busy() - 0.7).abs() < 1e-9);
        assert!((between.stolen() - 0.25).abs() < 1e-9);
        assert_eq!(Cpu::parse("cpu  1 2 3\n"), None);
    }

    #[test]
    fn the_loops_end() {
        let loops = BusyLoops::start().unwrap();
        assert_eq!(loops.threads.len(), cores().unwrap());
        let is_over = Arc::clone(&loops.is_over);
        drop(loops);
        assert_eq!(Arc::strong_count(&is_over), 1);
    }
}
