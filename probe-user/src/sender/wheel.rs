//! A timing wheel (Varghese and Lauck, 1987): what is due at about the same time is taken together, at the same cost however
//! much waits. Pure.

use crate::verdict::Nanos;

/// Buckets of one turn.
const BUCKETS: usize = 128;

/// Items that wait for their time.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The time that one bucket stands for.
    width: Nanos,
    /// The first bucket that has not been taken; they are numbered from time 0 on.
    next: u64,
    buckets: Vec<Vec<Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// In which bucket it is due: a turn of the wheel brings later ones past too.
    bucket: u64,
    item: usize,
}

impl Wheel {
    /// An empty wheel at a time. What is due within `width` nanoseconds is taken together.
    pub(super) fn new(width: Nanos, now: Nanos) -> Self {
        let width = width.max(1);
        Self { width, next: now / width, buckets: vec![Vec::new(); BUCKETS] }
    }

    /// Lets an item wait until the bucket has ended in which it is due. What is due already is taken next.
    pub(super) fn push(&mut self, item: usize, due: Nanos) {
        let bucket = due.div_ceil(self.width).max(self.next);
        self.buckets[slot(bucket)].push(Entry { bucket, item });
    }

    /// When something is to be taken; `None` if nothing waits. Where nothing is due within a turn, the end of the turn.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        let has_due =
            |bucket: &u64| self.buckets[slot(*bucket)].iter().any(|entry| entry.bucket == *bucket);
        let turn = self.next + BUCKETS as u64;
        let waits = || self.buckets.iter().any(|bucket| !bucket.is_empty()).then_some(turn);
        (self.next..turn).find(has_due).or_else(waits).map(|bucket| bucket * self.width)
    }

    /// Adds to `items` those whose time has come.
    pub(super) fn take(&mut self, now: Nanos, items: &mut Vec<usize>) {
        let last = now / self.width;
        // Whoever comes a whole turn late has seen all buckets by then.
        for bucket in self.next..=last.min(self.next + BUCKETS as u64 - 1) {
            self.buckets[slot(bucket)].retain(|entry| {
                let is_due = entry.bucket <= last;
                if is_due {
                    items.push(entry.item);
                }
                !is_due
            });
        }
        self.next = self.next.max(last + 1);
    }
}

const fn slot(bucket: u64) -> usize {
    bucket as usize % BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(wheel: &mut Wheel, now: Nanos) -> Vec<usize> {
        let mut items = Vec::new();
        wheel.take(now, &mut items);
        items
    }

    #[test]
    fn what_is_due_in_one_bucket_is_taken_at_its_end() {
        let mut wheel = Wheel::new(10, 1_000);
        for (item, due) in [(1, 1_011), (2, 1_020), (3, 1_021), (4, 1_030 + 1_280)] {
            wheel.push(item, due);
        }
        assert_eq!(wheel.next_due(), Some(1_020));
        assert_eq!(take(&mut wheel, 1_019), Vec::<usize>::new());
        assert_eq!(take(&mut wheel, 1_020), [1, 2]);
        assert_eq!(wheel.next_due(), Some(1_030));
        assert_eq!(take(&mut wheel, 1_030), [3], "not that of the next turn");
        assert_eq!(take(&mut wheel, 2_309), Vec::<usize>::new());
        assert_eq!(wheel.next_due(), Some(2_310));
        assert_eq!(take(&mut wheel, 2_310), [4]);
        assert_eq!(wheel.next_due(), None);
    }

    #[test]
    fn whoever_comes_late_misses_nothing() {
        let mut wheel = Wheel::new(10, 0);
        for item in 0..1_000 {
            wheel.push(item, 10 * item as Nanos);
        }
        let mut items = take(&mut wheel, 9_000);
        items.extend(take(&mut wheel, 20_000));
        items.sort_unstable();
        assert_eq!(items, (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_overdue_is_taken_next() {
        let mut wheel = Wheel::new(10, 1_000);
        wheel.push(1, 0);
        assert_eq!(take(&mut wheel, 1_005), [1]);
        wheel.push(2, 0);
        assert_eq!(take(&mut wheel, 1_005), Vec::<usize>::new(), "not twice in the same moment");
        assert_eq!(wheel.next_due(), Some(1_010));
    }
}
