//! A progress bar on standard error, where that is a terminal.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
};

/// Characters of a full bar.
const WIDTH: u64 = 40;

/// How much of something is done. Several threads may say so.
pub(crate) struct Progress {
    what: &'static str,
    count: u64,
    /// `None` where nobody looks.
    done: Option<Mutex<u64>>,
}

impl Progress {
    /// Nothing of `count` steps, at least 1, is done yet. `what` they are is shown beside the bar.
    pub(crate) fn new(what: &'static str, count: u64) -> Self {
        let done = std::io::stderr().is_terminal().then(Mutex::default);
        Self { what, count, done }
    }

    /// One step more is done.
    pub(crate) fn step(&self) {
        let Some(done) = &self.done else { return };
        // Held while it is shown, so that the bar never goes back.
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += 1;
        let bar = "#".repeat((*done * WIDTH / self.count).min(WIDTH) as usize);
        // A bar that cannot be shown is no reason to stop.
        write!(std::io::stderr(), "\r[{bar:40}] {done} of {}, {}", self.count, self.what).ok();
    }
}

impl Drop for Progress {
    /// Wipes the bar out: what was measured is printed in its place.
    fn drop(&mut self) {
        if self.done.is_some() {
            write!(std::io::stderr(), "\r\x1b[K").ok();
        }
    }
}
