//! The log, to standard error, which may go away or stop taking anything at any time.
//!
//! Verdicts are logged where they are made, and who makes them must neither wait for a reader nor end with it. So a
//! thread of its own writes. What it cannot keep up with is left out and counted, and what nobody takes is dropped.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How many lines may wait to be written.
const WAITING: usize = 4_096;

/// How long the end may be held up by lines that wait: so many times...
const ATTEMPTS: u32 = 50;
/// ...so long.
const PAUSE: Duration = Duration::from_millis(10);

/// What is logged, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging (to standard error)")]
pub(crate) struct Options {
    /// Text is for people, JSON for machines
    #[arg(long = "log.format", global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Least level that is logged: error, warn, info, debug or trace
    #[arg(long = "log.level", global = true, default_value = "info")]
    level: EnvFilter,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The log. What waits to be written is written when this is dropped, if that takes no longer than half a second.
pub(crate) struct Log(Lines);

impl Log {
    /// Starts to log.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub(crate) fn start(options: Options) -> io::Result<Self> {
        let lines = Lines::start(io::stderr())?;
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(options.level)
            .with_writer(move || writer.clone())
            .with_target(false);
        match options.format {
            Format::Text => subscriber.with_ansi(io::stderr().is_terminal()).init(),
            Format::Json => subscriber.json().init(),
        }
        Ok(Self(lines))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// What the writing thread is told.
enum Order {
    Write(Vec<u8>),
    /// To say so, once all before it is written.
    Confirm(SyncSender<()>),
}

/// Where lines are put that wait to be written. It never blocks and never fails.
#[derive(Clone)]
struct Lines {
    orders: SyncSender<Order>,
    left_out: Arc<AtomicU64>,
}

impl Lines {
    fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (orders, given) = sync_channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&left_out);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(output, &given, &counted))?;
        Ok(Self { orders, left_out })
    }

    /// Waits until all is written, but not for long.
    fn finish(&self) {
        let (confirm, confirmed) = sync_channel(1);
        let mut order = Order::Confirm(confirm);
        for _ in 0..ATTEMPTS {
            match self.orders.try_send(order) {
                Ok(()) => {
                    confirmed.recv_timeout(PAUSE * ATTEMPTS).ok();
                    return;
                }
                Err(TrySendError::Full(same)) => order = same,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.orders.try_send(Order::Write(line.to_vec())).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what it is given. That nobody takes it is no reason to stop: a later reader may.
fn write(mut output: impl Write, orders: &Receiver<Order>, left_out: &AtomicU64) {
    for order in orders {
        match order {
            Order::Write(line) => {
                output.write_all(&line).ok();
            }
            Order::Confirm(confirm) => {
                confirm.send(()).ok();
            }
        }
        let lines = left_out.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "left out of the log: standard error did not take them in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// An output that fails, or takes something only when it is let.
    struct Output {
        written: Arc<Mutex<Vec<u8>>>,
        let_go: Option<Receiver<()>>,
        broken: bool,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(let_go) = &self.let_go {
                // Fails once the test is over.
                let_go.recv().ok();
            }
            if self.broken {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_logged_is_written_before_the_end() {
        let written = Arc::default();
        let output = Output { written: Arc::clone(&written), let_go: None, broken: false };
        let log = Log(Lines::start(output).unwrap());
        for line in ["one\n", "two\n"] {
            log.0.clone().write_all(line.as_bytes()).unwrap();
        }
        drop(log);
        assert_eq!(*written.lock().unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn an_output_that_is_broken_fails_nobody() {
        let output = Output { written: Arc::default(), let_go: None, broken: true };
        let mut lines = Lines::start(output).unwrap();
        for _ in 0..10 {
            lines.write_all(b"line\n").unwrap();
            lines.flush().unwrap();
        }
        // The thread is still there.
        let (confirm, confirmed) = sync_channel(1);
        lines.orders.send(Order::Confirm(confirm)).unwrap();
        confirmed.recv().unwrap();
    }

    /// As behind a pipe whose reader sleeps.
    #[test]
    fn an_output_that_takes_nothing_holds_nobody_up() {
        let (_never, let_go) = mpsc::channel();
        let output = Output { written: Arc::default(), let_go: Some(let_go), broken: false };
        let mut lines = Lines::start(output).unwrap();
        for _ in 0..2 * WAITING {
            lines.write_all(b"line\n").unwrap();
        }
        assert!(lines.left_out.load(Ordering::Relaxed) >= WAITING as u64 - 1);
        lines.finish();
    }
}
