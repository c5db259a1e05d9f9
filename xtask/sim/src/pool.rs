//! Work on all cores, with a progress bar where somebody looks.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::progress::Progress;

/// The results of a task for each of the items, in their order. Items are begun in their order too. `what` they are is shown
/// beside the progress bar.
pub(crate) fn map<I: Sync, T: Send>(
    what: &'static str,
    items: &[I],
    task: impl Fn(&I) -> T + Sync,
) -> Vec<T> {
    let progress = Progress::new(what, items.len() as u64);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(items.iter().map(|_| None).collect::<Vec<_>>());
    let work = || {
        while let Some((index, item)) = nth(items, next.fetch_add(1, Ordering::Relaxed)) {
            let result = task(item);
            results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
            progress.step();
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| _ = scope.spawn(work)));
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

fn nth<I>(items: &[I], index: usize) -> Option<(usize, &I)> {
    Some((index, items.get(index)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_their_items() {
        let items: Vec<u64> = (0..1_000).collect();
        let squares = map("squares", &items, |item| item * item);
        assert!(squares.iter().zip(&items).all(|(square, item)| *square == item * item));
        assert_eq!(squares.len(), items.len());
        assert!(map("nothing", &[], |item: &u64| *item).is_empty());
    }
}
