//! The thread that sends probes when they are due.
//!
//! One thread serves all flows. Each flow has its own phase and a little jitter on top, so that probes
//! never leave in lock step; whatever is due at about the same moment leaves together. Userspace sends
//! templates only, or less: number and time are written in the kernel as the packet leaves, and one that
//! does not leave is not sent. Without the programs, [`sockets::Numbering`] does it.
//!
//! - [`schedule`]: which flow is due when.
//! - [`sockets`]: one UDP port for each flow of a path.
//! - [`template`]: what is sent.
//! - `wheel`: what waits for its time.

pub mod schedule;
pub mod sockets;
pub mod template;
mod wheel;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use schedule::Schedule;
use sockets::Sockets;
use template::Template;

use crate::{datapath::clock, places::ones, verdict::Nanos};

/// One session that is to be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its SSID.
    pub ssid: u16,
    /// Which flow of its path it is: the index of its source port.
    pub flow: u16,
    /// Where its reflector is.
    pub reflector: SocketAddr,
    /// The mark (`SO_MARK`) that its packets are looked up with for a route; 0 for none. Only the BPF datapath has marks.
    pub mark: u32,
    /// What is sent.
    pub template: Template,
    /// How often; `None` for no end.
    pub count: Option<u64>,
}

/// How many probes each session was to send, by SSID. What has got no number of them was not
/// sent.
#[derive(Clone, Debug)]
pub struct Attempts {
    counts: Arc<[AtomicU32]>,
    /// One bit for each session: whether there was one since somebody has asked.
    news: Arc<[AtomicU64]>,
}

impl Attempts {
    /// Attempts of sessions with SSIDs below `sessions`.
    #[must_use]
    pub fn new(sessions: usize) -> Self {
        let words = sessions.div_ceil(u64::BITS as usize);
        Self {
            counts: (0..sessions).map(|_| AtomicU32::new(0)).collect(),
            news: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The attempts of one session; wraps.
    #[must_use]
    pub fn of(&self, ssid: u16) -> u32 {
        self.counts[usize::from(ssid)].load(Ordering::Acquire)
    }

    /// Starts again from 0, for a new session under an old SSID.
    pub fn reset(&self, ssid: u16) {
        self.counts[usize::from(ssid)].store(0, Ordering::Release);
    }

    /// Tells of each session that was to send since the last call, in the order of the SSIDs. Whatever left by then has its
    /// number; what waits in the network stack for its neighbour leaves without being told of again.
    pub fn take_news(&self, mut sink: impl FnMut(u16)) {
        for (word, news) in self.news.iter().enumerate() {
            if news.load(Ordering::Relaxed) != 0 {
                let first = word * u64::BITS as usize;
                // There are no more sessions than SSIDs.
                ones(news.swap(0, Ordering::Acquire)).for_each(|bit| sink((first + bit) as u16));
            }
        }
    }

    fn add(&self, ssid: u16) {
        let ssid = usize::from(ssid);
        self.counts[ssid].fetch_add(1, Ordering::AcqRel);
        let (word, bit) = (ssid / u64::BITS as usize, 1 << (ssid % u64::BITS as usize));
        self.news[word].fetch_or(bit, Ordering::Release);
    }
}

enum Command {
    Targets(Vec<Target>),
    Begin(Vec<Target>),
    Interval(Nanos),
    Dscp(u8),
}

/// The sending thread; it ends when this is dropped.
pub struct Sender {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sender {
    /// Starts the thread, with nothing to send yet.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(sockets: Sockets, interval: Nanos, attempts: Attempts) -> io::Result<Self> {
        let (commands, received) = mpsc::channel();
        let thread = thread::Builder::new().name("sender".to_owned()).spawn(move || {
            let schedule = Schedule::new(interval, clock::monotonic());
            Loop { sockets, schedule, attempts, received }.run();
        })?;
        Ok(Self { commands: Some(commands), thread: Some(thread) })
    }

    /// Sends to these from now on. Those that were targets before keep their pace.
    pub fn set_targets(&self, targets: Vec<Target>) {
        self.command(Command::Targets(targets));
    }

    /// Does the same, and sends the first probes at once: nobody waits to see an interval begin.
    pub fn begin(&self, targets: Vec<Target>) {
        self.command(Command::Begin(targets));
    }

    /// Sends at another interval from now on, in nanoseconds.
    pub fn set_interval(&self, interval: Nanos) {
        self.command(Command::Interval(interval));
    }

    /// Marks probes with another DSCP (RFC 2474) from now on.
    pub fn set_dscp(&self, dscp: u8) {
        self.command(Command::Dscp(dscp));
    }

    fn command(&self, command: Command) {
        // The thread ends only after the channel has been closed.
        if let Some(commands) = &self.commands {
            commands.send(command).ok();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Loop {
    sockets: Sockets,
    schedule: Schedule,
    attempts: Attempts,
    received: mpsc::Receiver<Command>,
}

impl Loop {
    fn run(&mut self) {
        let mut due = Vec::new();
        loop {
            let now = clock::monotonic();
            self.schedule.take_due(now, &mut due);
            let targets: Vec<&Target> =
                due.iter().map(|flow| self.schedule.target(*flow)).collect();
            self.sockets.send(&targets, |ssid| self.attempts.add(ssid));
            let wait = self.schedule.next_due().map_or(Duration::from_secs(3600), |at| {
                Duration::from_nanos(at.saturating_sub(clock::monotonic()))
            });
            match self.received.recv_timeout(wait) {
                Ok(Command::Targets(targets)) => {
                    self.schedule.set_targets(&targets, clock::monotonic());
                }
                Ok(Command::Begin(targets)) => {
                    self.schedule.set_targets(&targets, clock::monotonic());
                    self.schedule.hurry(clock::monotonic());
                }
                Ok(Command::Interval(interval)) => {
                    self.schedule.set_interval(interval, clock::monotonic());
                }
                Ok(Command::Dscp(dscp)) => {
                    if let Err(error) = self.sockets.set_dscp(dscp) {
                        tracing::warn!(%error, dscp, "cannot set the DSCP of probes");
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_to_send_is_told_of_once() {
        let attempts = Attempts::new(131);
        let told = || {
            let mut told = Vec::new();
            attempts.take_news(|ssid| told.push(ssid));
            told
        };
        for ssid in [130, 1, 64, 1] {
            attempts.add(ssid);
        }
        assert_eq!(told(), [1, 64, 130]);
        assert!(told().is_empty());
        attempts.add(63);
        assert_eq!(told(), [63]);
        assert_eq!([1, 63, 2].map(|ssid| attempts.of(ssid)), [2, 1, 0]);
    }
}
