//! The thread that writes a recording. Whatever becomes of the disk, neither the judge waits for it nor the start of the
//! agent, and its end only for a while.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{
            Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel,
        },
    },
    thread,
    time::Duration,
};

use super::directory::Directory;
use crate::{
    datapath::clock,
    verdict::{MILLISECOND, Nanos, SECOND},
};

/// How many parts may wait for the disk: one megabyte at most.
const WAITING: usize = 16;

/// So long the disk is given at the end.
const LAST_WAIT: Nanos = 3 * SECOND;

/// A part of a recording, on its way to the disk.
pub(super) struct Part {
    /// Where a segment begins with it: when, in milliseconds since the Unix epoch.
    pub(super) begins: Option<u64>,
    pub(super) bytes: Vec<u8>,
}

/// The thread; when this is dropped, it has written all that it was given, unless the disk hangs.
pub(super) struct Disk {
    path: PathBuf,
    sender: Option<SyncSender<Part>>,
    /// Whether the segment that is written had to end.
    failed: Arc<AtomicBool>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl Disk {
    pub(super) fn start(path: &Path, limit: u64) -> io::Result<Self> {
        let (sender, parts) = sync_channel(WAITING);
        let (alive, ended) = channel();
        let failed = Arc::new(AtomicBool::new(false));
        let path = path.to_owned();
        let mut writer =
            Writer { path: path.clone(), limit, directory: None, failed: Arc::clone(&failed) };
        thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            writer.write_all(&parts);
            // The lock on the directory goes before the wait for it ends.
            drop(writer);
            drop::<Sender<()>>(alive);
        })?;
        Ok(Self { path, sender: Some(sender), failed, ended })
    }

    /// The directory that it writes to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it a part to write, unless too many wait already.
    pub(super) fn give(&self, part: Part) -> Result<(), ()> {
        let Some(sender) = &self.sender else { return Err(()) };
        sender.try_send(part).map_err(drop)
    }

    /// Whether the segment that is written had to end since this was last called.
    pub(super) fn take_failure(&self) -> bool {
        self.failed.swap(false, Ordering::Relaxed)
    }

    /// The same as far as is known, without being asked for good.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Ends it, with this as the last to be written.
    pub(super) fn end(&mut self, last: Option<Part>) {
        let Some(sender) = self.sender.take() else { return };
        let until = clock::monotonic() + LAST_WAIT;
        let mut last = last;
        while let Some(part) = last.take() {
            if let Err(TrySendError::Full(part)) = sender.try_send(part)
                && clock::monotonic() < until
            {
                last = Some(part);
                thread::sleep(Duration::from_millis(10));
            }
        }
        // The thread ends when nobody can give it anything any more.
        drop(sender);
        let left = Duration::from_nanos(until.saturating_sub(clock::monotonic()).max(MILLISECOND));
        if self.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            let directory = self.path.display();
            tracing::warn!("the disk of {directory} hangs: the end of the recording is lost");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// What the thread does.
struct Writer {
    path: PathBuf,
    limit: u64,
    /// `None` where it has failed last, until another segment begins.
    directory: Option<Directory>,
    failed: Arc<AtomicBool>,
}

impl Writer {
    fn write_all(&mut self, parts: &Receiver<Part>) {
        // A directory that does not do is to be told of at once, not when there is something to write.
        let opened = self.open();
        self.heed(opened);
        for part in parts {
            let written = self.write(&part);
            self.heed(written);
        }
    }

    fn open(&mut self) -> io::Result<()> {
        self.directory = Some(Directory::open(&self.path, self.limit)?);
        Ok(())
    }

    fn write(&mut self, Part { begins, bytes }: &Part) -> io::Result<()> {
        if begins.is_some() && self.directory.is_none() {
            self.open()?;
        }
        let Some(directory) = &mut self.directory else { return Ok(()) };
        begins.map_or(Ok(()), |unix| directory.begin(unix))?;
        directory.append(bytes)
    }

    fn heed(&mut self, outcome: io::Result<()>) {
        let Err(error) = outcome else { return };
        // Whatever has become of it, the next segment looks at it anew.
        self.directory = None;
        let directory = self.path.display();
        tracing::error!(
            "cannot record in {directory} ([record] directory): {error}; trying again in a minute"
        );
        self.failed.store(true, Ordering::Relaxed);
    }
}
