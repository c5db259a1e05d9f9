//! How long to wait before a command that has ended is started again: pure.

use std::time::Duration;

/// Doubles with every run that was short, up to a cap; a run that lasted as long as the cap starts it over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackOff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl BackOff {
    /// Waits `first` the first time, and never longer than `cap`.
    pub(crate) fn new(first: Duration, cap: Duration) -> Self {
        let first = first.min(cap);
        Self { first, cap, next: first }
    }

    /// Starts it over.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait now that a run has ended which lasted so long.
    pub(crate) fn after(&mut self, run: Duration) -> Duration {
        if run >= self.cap {
            self.reset();
        }
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.cap);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(back_off: &mut BackOff, runs: &[u64]) -> Vec<u64> {
        runs.iter().map(|run| back_off.after(Duration::from_secs(*run)).as_secs()).collect()
    }

    #[test]
    fn it_doubles_up_to_the_cap_and_starts_over_after_a_long_run() {
        let mut back_off = BackOff::new(Duration::from_secs(1), Duration::from_secs(60));
        let waits = seconds(&mut back_off, &[0, 0, 1, 59, 0, 0, 0, 0, 60, 0, 0]);
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 1, 2, 4]);
    }

    #[test]
    fn it_can_be_started_over() {
        let mut back_off = BackOff::new(Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(seconds(&mut back_off, &[0, 0, 0]), [1, 2, 4]);
        back_off.reset();
        assert_eq!(seconds(&mut back_off, &[0, 0]), [1, 2]);
    }

    #[test]
    fn the_cap_holds_for_the_first_wait_too() {
        let mut back_off = BackOff::new(Duration::from_secs(5), Duration::from_secs(3));
        assert_eq!(seconds(&mut back_off, &[0, 9, 0]), [3, 3, 3]);
    }
}
