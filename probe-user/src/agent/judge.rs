//! The thread that judges, and the proof that it still does.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use tokio::sync::oneshot;

use super::state::nanos;
use crate::{
    datapath::clock,
    verdict::{Nanos, SECOND},
};

/// How often the paths are judged. It adds half of itself to the time to detection.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// A judge that has not come round for so long is held up, in nanoseconds. A host may be so busy that a thread waits
/// for a second; not for five.
const HELD_UP: Nanos = 5 * SECOND;

/// When the judge last came round. It is read without the lock that the judge holds, for a judge that hangs holds it.
#[derive(Clone, Debug)]
pub(super) struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// One that beats for the first time at `now`, monotonic, in nanoseconds.
    pub(super) fn new(now: Nanos) -> Self {
        Self(Arc::new(AtomicU64::new(now)))
    }

    /// The judge has come round.
    pub(super) fn beat(&self, now: Nanos) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// For how long the judge has not come round, in nanoseconds.
    pub(super) fn age(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.0.load(Ordering::Relaxed))
    }

    /// Whether verdicts are made.
    ///
    /// # Errors
    /// For how long none were, in words.
    pub(super) fn check(&self, now: Nanos) -> Result<(), String> {
        match self.age(now) {
            0..=HELD_UP => Ok(()),
            age => Err(format!(
                "no path was judged for {:.1} s: the thread that judges is held up",
                age as f64 / 1e9
            )),
        }
    }
}

/// The judging thread; it ends when this is dropped.
pub(super) struct Judge {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
    ended: oneshot::Receiver<()>,
}

impl Judge {
    /// Does something once each [`TICK`], and tells it when that was due, monotonic. A round that takes longer puts off those
    /// behind it; none is made up for.
    pub(super) fn start(mut round: impl FnMut(Nanos) + Send + 'static) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (alive, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("judge".to_owned()).spawn(move || {
            // Goes with the thread, however that ends.
            let _alive: oneshot::Sender<()> = alive;
            let mut due = clock::monotonic() + nanos(TICK);
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_nanos(due.saturating_sub(clock::monotonic())));
                let begun = clock::monotonic();
                round(due);
                due = begun.max(due) + nanos(TICK);
            }
        })?;
        Ok(Self { stop, thread: Some(thread), ended })
    }

    /// Waits until the thread has ended, which it does not do by itself.
    pub(super) async fn ended(&mut self) {
        (&mut self.ended).await.ok();
    }

    /// Ends the thread, and does something after it.
    ///
    /// # Errors
    /// Where it has panicked. Where all that takes longer than `limit`: a thread that hangs must not keep the agent from
    /// ending, and is left behind.
    pub(super) async fn end_within(
        self,
        limit: Duration,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let end = tokio::task::spawn_blocking(move || self.end().map(|()| then()));
        let ended = tokio::time::timeout(limit, end).await;
        ended.context("the thread that judges hangs; it is left behind")??
    }

    /// Ends the thread.
    ///
    /// # Errors
    /// Where it has panicked.
    fn end(mut self) -> Result<()> {
        self.join().map_err(|panic| {
            anyhow!(
                "the thread that judges has panicked, so there are no verdicts any more: {}; start the agent again, and \
                 report this",
                message(panic.as_ref())
            )
        })
    }

    fn join(&mut self) -> thread::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map_or(Ok(()), thread::JoinHandle::join)
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.join().ok();
    }
}

/// What a panic has said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    let formatted = || panic.downcast_ref::<String>().map(String::as_str);
    literal.or_else(formatted).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Nothing here takes so long, on the busiest host.
    const LONG: Duration = Duration::from_secs(20);

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(LONG, work).await.expect("it never ends") })
    }

    #[test]
    fn a_judge_that_panics_is_missed_at_once_and_is_an_error() {
        let mut rounds = 0;
        let mut judge = Judge::start(move |_| {
            rounds += 1;
            assert!(rounds < 3, "as the test wants it: {rounds}");
        })
        .unwrap();
        block_on(judge.ended());
        let error = judge.end().unwrap_err().to_string();
        assert!(error.contains("as the test wants it: 3"), "{error}");
    }

    #[test]
    fn a_judge_that_is_told_to_end_does_and_then_the_rest_is_done() {
        let judge = Judge::start(|_| {}).unwrap();
        let (done, is_done) = mpsc::channel();
        block_on(judge.end_within(LONG, move || done.send(()).unwrap())).unwrap();
        is_done.try_recv().unwrap();
    }

    #[test]
    fn rounds_are_due_one_after_the_other_and_never_made_up_for() {
        let (tell, told) = mpsc::channel();
        let mut slow = true;
        let judge = Judge::start(move |due| {
            tell.send((due, clock::monotonic())).unwrap();
            if std::mem::take(&mut slow) {
                thread::sleep(3 * TICK);
            }
        });
        let rounds: Vec<(Nanos, Nanos)> = told.iter().take(5).collect();
        // Its last words are heard.
        drop(judge.unwrap());
        assert!(rounds.iter().all(|(due, begun)| due <= begun), "{rounds:?}");
        for pair in rounds.windows(2) {
            let [(before, begun), (due, _)] = [pair[0], pair[1]];
            assert!(due >= before + nanos(TICK) && due <= begun + nanos(TICK), "{rounds:?}");
        }
        assert!(rounds[2].0 >= rounds[0].1 + 4 * nanos(TICK), "made up for: {rounds:?}");
    }

    #[test]
    fn a_judge_that_hangs_is_left_behind() {
        let (hold, held) = mpsc::channel::<()>();
        let (hang, hangs) = mpsc::channel();
        let judge = Judge::start(move |_| {
            hang.send(()).unwrap();
            _ = held.recv();
        });
        let judge = judge.unwrap();
        hangs.recv().unwrap();
        block_on(async {
            let end = judge.end_within(Duration::from_millis(50), || {});
            let error = end.await.unwrap_err().to_string();
            assert!(error.contains("left behind"), "{error}");
            // The runtime of the test waits for all threads, as that of the agent does not.
            drop(hold);
        });
    }

    #[test]
    fn a_judge_that_does_not_come_round_is_held_up() {
        let heartbeat = Heartbeat::new(7 * SECOND);
        let seen_by_others = heartbeat.clone();
        assert_eq!(seen_by_others.check(12 * SECOND), Ok(()));
        let why = seen_by_others.check(12 * SECOND + SECOND / 2).unwrap_err();
        assert_eq!(why, "no path was judged for 5.5 s: the thread that judges is held up");
        heartbeat.beat(12 * SECOND);
        assert_eq!(seen_by_others.check(13 * SECOND), Ok(()));
        // A reading from before the last round is no reason to worry.
        assert_eq!(seen_by_others.check(11 * SECOND), Ok(()));
    }
}
