//! A TCP connection between two hosts that carries numbered records at a steady pace, and knows how long
//! it has stood still.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{clock, overlay::Host, registry::lock};

/// Octets of a record: its number, and bytes that follow from it.
pub const RECORD: usize = 256;
/// Time from one record to the next.
pub const PACE: Duration = Duration::from_millis(5);

/// How long the connection may stand still before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running connection. Where it is dropped without [`Stream::finish`], it ends unchecked.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    arrivals: Arc<Mutex<Vec<Instant>>>,
    sender: Option<JoinHandle<Result<u64>>>,
    receiver: Option<JoinHandle<Result<u64>>>,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Octets that the sender has written.
    pub sent: u64,
    /// Octets that have arrived, every one of them as it was sent and in its place.
    pub received: u64,
}

impl Stream {
    /// Connects one host to another, and begins to send. The first record has arrived when this returns.
    ///
    /// # Errors
    /// Where there is no connection within a minute: is there a route?
    pub fn start(from: &Host, to: &Host) -> Result<Self> {
        let listener = to.run(|| TcpListener::bind((to.ipv4(), 0)))?.context("cannot listen")?;
        let target = listener.local_addr()?;
        let sending = from
            .run(|| TcpStream::connect_timeout(&target, PATIENCE))?
            .with_context(|| format!("no connection from {} to {}", from.name(), to.name()))?;
        // The connection stands, so this does not wait.
        let (receiving, _) = listener.accept().context("cannot accept")?;
        sending.set_nodelay(true)?;
        sending.set_write_timeout(Some(PATIENCE))?;
        receiving.set_read_timeout(Some(PATIENCE))?;

        let started = clock::now();
        let stop = Arc::new(AtomicBool::new(false));
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let (noted, stopped) = (Arc::clone(&arrivals), Arc::clone(&stop));
        let mut stream = Self { stop, arrivals, sender: None, receiver: None };
        stream.receiver = Some(spawn("stream in", move || receive(receiving, &noted))?);
        stream.sender = Some(spawn("stream out", move || send(sending, &stopped))?);
        stream.await_arrival_after(started, PATIENCE)?;
        Ok(stream)
    }

    /// The longest time without a record from `since` until now.
    #[must_use]
    pub fn longest_gap(&self, since: Instant) -> Duration {
        self.longest_gap_between(since, clock::now())
    }

    /// The longest time without a record in a window of time.
    #[must_use]
    pub fn longest_gap_between(&self, since: Instant, until: Instant) -> Duration {
        longest_gap(&lock(&self.arrivals), since, until)
    }

    /// Waits for the first record that arrives after a point in time, and returns when it did.
    ///
    /// # Errors
    /// Where none arrives `at_most` this long from now.
    pub fn await_arrival_after(&self, point: Instant, at_most: Duration) -> Result<Instant> {
        let deadline = clock::now() + at_most;
        loop {
            {
                let arrivals = lock(&self.arrivals);
                let first = arrivals.partition_point(|arrival| *arrival <= point);
                if let Some(arrival) = arrivals.get(first) {
                    return Ok(*arrival);
                }
            }
            ensure!(clock::now() < deadline, "no record has arrived for {:?}", point.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends no more, waits until all has arrived, and says how much.
    ///
    /// # Errors
    /// Where anything arrived twice, wrong or out of order, or the connection broke or stood still for a
    /// minute.
    pub fn finish(mut self) -> Result<Totals> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = join(self.sender.take()).context("the sender of the stream")?;
        let received = join(self.receiver.take()).context("the receiver of the stream")?;
        ensure!(sent == received, "{sent} octets were sent, and {received} received");
        Ok(Totals { sent, received })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn spawn(
    name: &str,
    work: impl FnOnce() -> Result<u64> + Send + 'static,
) -> Result<JoinHandle<Result<u64>>> {
    thread::Builder::new().name(name.to_owned()).spawn(work).context("cannot start a thread")
}

fn join(thread: Option<JoinHandle<Result<u64>>>) -> Result<u64> {
    let thread = thread.context("it has been waited for already")?;
    thread.join().map_err(|_| anyhow!("its thread panicked"))?
}

/// Writes records until it is to stop; returns how many octets that were. Records that were due while the
/// connection stood still and the kernel took no more are not made up for.
fn send(mut stream: TcpStream, stop: &AtomicBool) -> Result<u64> {
    let mut due = clock::now();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(&record(number)).context("cannot write")?;
        number += 1;
        let now = clock::now();
        due = now.max(due + PACE);
        thread::sleep(due - now);
    }
    stream.shutdown(Shutdown::Write).context("cannot end")?;
    Ok(number * RECORD as u64)
}

/// Reads records until the end, and notes when each arrived; returns how many octets they had.
fn receive(mut stream: TcpStream, arrivals: &Mutex<Vec<Instant>>) -> Result<u64> {
    let mut octets = [0; RECORD];
    for number in 0.. {
        if let Err(error) = stream.read_exact(&mut octets) {
            ensure!(error.kind() == io::ErrorKind::UnexpectedEof, "record {number}: {error}");
            return Ok(number * RECORD as u64);
        }
        lock(arrivals).push(clock::now());
        ensure!(octets == record(number), "record {number} is not what was sent");
    }
    unreachable!("numbers of records do not run out")
}

/// A record's octets: no two that are 2^56 or less apart begin with the same, nor do their shifts.
fn record(number: u64) -> [u8; RECORD] {
    let mut octets = [0; RECORD];
    for (index, octet) in octets.iter_mut().enumerate() {
        *octet = (number as u8).wrapping_mul(31).wrapping_add(index as u8);
    }
    octets[..8].copy_from_slice(&number.to_be_bytes());
    octets
}

/// The longest time between two neighbours among `since`, the arrivals between, and `until`.
fn longest_gap(arrivals: &[Instant], since: Instant, until: Instant) -> Duration {
    let first = arrivals.partition_point(|arrival| *arrival < since);
    let last = arrivals.partition_point(|arrival| *arrival <= until).max(first);
    let mut before = since;
    let mut longest = Duration::ZERO;
    for arrival in arrivals[first..last].iter().copied().chain([until]) {
        longest = longest.max(arrival.saturating_duration_since(before));
        before = arrival;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_between_and_at_both_ends() {
        let start = clock::now();
        let at = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        let gap = |since, until| {
            let arrivals = [10, 20, 50, 55, 60].map(at);
            longest_gap(&arrivals, at(since), at(until)).as_millis()
        };
        assert_eq!(gap(0, 60), 30);
        // What was before the window does not count, what is within does.
        assert_eq!(gap(30, 60), 20);
        assert_eq!(gap(52, 60), 5);
        assert_eq!(gap(52, 160), 100);
        assert_eq!(gap(100, 140), 40);
        assert_eq!(gap(21, 30), 9);
        assert_eq!(gap(50, 50), 0);
        assert_eq!(longest_gap(&[], at(3), at(7)), Duration::from_millis(4));
    }

    #[test]
    fn a_record_is_told_from_its_neighbours() {
        for number in 0..1000 {
            assert_ne!(record(number), record(number + 1));
            assert_ne!(record(number)[1..], record(number + 1)[..RECORD - 1]);
        }
    }
}
