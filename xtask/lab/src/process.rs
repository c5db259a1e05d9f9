//! A process in a site.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    clock,
    registry::{self, Shared},
};

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGSTOP: it gets no more time until [`Signal::Continue`].
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGHUP: read your config again.
    Hangup,
    /// SIGINT.
    Interrupt,
    /// SIGTERM: end.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl Signal {
    const fn number(self) -> i32 {
        match self {
            Self::Stop => libc::SIGSTOP,
            Self::Continue => libc::SIGCONT,
            Self::Hangup => libc::SIGHUP,
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
        }
    }
}

/// A process that was started in a site. It lives until it ends by itself, [`Process::stop`] is called
/// or the lab is dropped; dropping this handle does nothing.
#[derive(Clone, Debug)]
pub struct Process {
    name: String,
    child: Shared,
    log: PathBuf,
}

impl Process {
    pub(crate) const fn new(name: String, child: Shared, log: PathBuf) -> Self {
        Self { name, child, log }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        registry::lock(&self.child).id()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        registry::signal(&self.child, signal.number());
    }

    /// How it ended; none while it runs.
    ///
    /// # Errors
    /// Those of the system.
    pub fn status(&self) -> Result<Option<ExitStatus>> {
        registry::lock(&self.child)
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// Where it runs for longer.
    pub fn wait(&self, at_most: Duration) -> Result<ExitStatus> {
        let deadline = clock::now() + at_most;
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if clock::now() >= deadline {
                bail!("{} still runs after {at_most:?}", self.name);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends SIGTERM and waits.
    ///
    /// # Errors
    /// Where it has not ended after five seconds; then it is killed.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.signal(Signal::Terminate);
        let ended = self.wait(GRACE);
        if ended.is_err() {
            self.signal(Signal::Kill);
            self.wait(GRACE)?;
        }
        ended
    }

    /// All that it has written so far, to standard output and standard error.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn logs(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The file with its logs.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }
}
