//! The signals that the guard takes.

use std::io;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// Those that end the guard, once they have ended the command.
pub(super) const END: [i32; 2] = [libc::SIGTERM, libc::SIGINT];

/// The one at which the targets are read again.
pub(super) const RELOAD: i32 = libc::SIGHUP;

/// Those that the command gets, and that mean nothing to the guard.
const FORWARDED: [i32; 4] = [libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// All of them, in the order in which they come.
pub(super) struct Signals {
    told: mpsc::UnboundedReceiver<i32>,
    /// Keeps the channel open, whatever happens to the others.
    _tell: mpsc::UnboundedSender<i32>,
}

impl Signals {
    /// Takes them from now on.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub(super) fn take() -> io::Result<Self> {
        // Whoever started us may have it ignored, and then the system does not keep what became of a command. Once there
        // has been a handler, it stays.
        drop(signal(SignalKind::child())?);
        let (tell, told) = mpsc::unbounded_channel();
        for number in END.into_iter().chain([RELOAD]).chain(FORWARDED) {
            let mut stream = signal(SignalKind::from_raw(number))?;
            let tell = tell.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() && tell.send(number).is_ok() {}
            });
        }
        Ok(Self { told, _tell: tell })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> i32 {
        match self.told.recv().await {
            Some(number) => number,
            // Not while there is a sender.
            None => std::future::pending().await,
        }
    }
}
