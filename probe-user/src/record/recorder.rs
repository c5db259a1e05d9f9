//! What the judge hands over to be written. It never waits: where the disk does not keep up, a part is left out and said
//! to be missing, and a new segment begins.

use std::{
    io, mem,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use super::{codec::Encoder, directory::Directory, header::Header};
use crate::{
    datapath::clock,
    health::observation::{MOMENT, Observation},
    verdict::{Nanos, SECOND},
};

/// What is recorded is handed over when it is so old...
const OLDEST: Nanos = SECOND;
/// ...or so long, in octets.
const LONGEST: usize = 64 << 10;

/// How many parts may wait for the disk: one megabyte at most.
const WAITING: usize = 16;

/// So long nothing is recorded after the disk was too slow...
const PAUSE: Nanos = SECOND;
/// ...or has failed. That is said as often.
const LONG_PAUSE: Nanos = 60 * SECOND;

/// A recording has so many segments...
const SEGMENTS: u64 = 8;
/// ...or more, since each can be read into memory.
const LARGEST: u64 = 32 << 20;

/// A part of a recording, on its way to the disk.
struct Part {
    /// Where a segment begins with it: when, in milliseconds since the Unix epoch.
    begins: Option<u64>,
    bytes: Vec<u8>,
}

/// Records what the engine is fed.
///
/// In every tick: [`Recorder::prepare`], [`Recorder::note`] for each observation, [`Recorder::tick`]. What was not written
/// yet is when this is dropped.
pub struct Recorder {
    /// What the next segment begins with, but for the times; `None` before it is known what is probed.
    next: Option<Header>,
    segment: Option<Encoder>,
    /// No segment begins before.
    paused_until: Nanos,
    /// What was not handed over yet, and of how many ticks.
    part: Part,
    ticks: u64,
    handed_over_at: Nanos,
    /// Octets of the segment that were handed over, and that there may be.
    written: u64,
    limit: u64,
    /// Ticks that were left out, and when that was last said.
    left_out: u64,
    complained_at: Option<Nanos>,
    disk: Disk,
}

impl Recorder {
    /// Starts to record into a directory, which is made unless it is there.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn start(directory: &Path, limit: u64) -> io::Result<Self> {
        let disk = Disk::start(Directory::open(directory, limit)?)?;
        Ok(Self {
            next: None,
            segment: None,
            paused_until: 0,
            part: Part { begins: None, bytes: Vec::new() },
            ticks: 0,
            handed_over_at: 0,
            written: 0,
            limit: (limit / SEGMENTS).min(LARGEST),
            left_out: 0,
            complained_at: None,
            disk,
        })
    }

    /// Something else is probed from now on, or probed in another way. Of the header neither the times count nor the
    /// place in the run.
    pub fn set_header(&mut self, header: Header) {
        self.end_segment();
        (self.paused_until, self.left_out) = (0, 0);
        let (sequence, gap) = self.next.as_ref().map_or((0, false), |old| (old.sequence, old.gap));
        self.next = Some(Header { sequence, gap, ..header });
    }

    /// Begins a tick, and a segment where that is due.
    pub fn prepare(&mut self, now: Nanos) {
        if self.disk.failed.swap(false, Ordering::Relaxed) {
            self.leave_out(now + LONG_PAUSE);
        }
        let Some(header) = &mut self.next else { return };
        if self.segment.is_some() {
            return;
        }
        if now < self.paused_until {
            self.left_out += 1;
            return;
        }
        header.unix = clock::realtime() / MOMENT;
        header.monotonic = now / MOMENT;
        let bytes = header.encode();
        if bytes.len() as u64 > self.limit / 2 {
            tracing::error!("not recorded: record.limit is too small for so many peers");
            (self.paused_until, header.gap) = (Nanos::MAX, true);
            return;
        }
        self.segment = Some(Encoder::new(header));
        self.part = Part { begins: Some(header.unix), bytes };
        (self.written, self.handed_over_at) = (0, now);
        (header.sequence, header.gap) = (header.sequence + 1, false);
    }

    /// Takes in what the engine is fed; `path` is an index into those of the header.
    pub fn note(&mut self, path: usize, seen: &Observation, now: Nanos) {
        if let Some(segment) = &mut self.segment {
            segment.note(path, seen, now);
        }
    }

    /// Ends a tick.
    pub fn tick(&mut self, now: Nanos) {
        let Some(segment) = &mut self.segment else { return };
        segment.tick(now);
        self.ticks += 1;
        let length = self.part.bytes.len() + segment.pending();
        let is_full = self.written + length as u64 >= self.limit;
        let is_due = length >= LONGEST || now.saturating_sub(self.handed_over_at) >= OLDEST;
        if !is_full && !is_due {
            return;
        }
        self.handed_over_at = now;
        match self.hand_over() {
            Ok(()) if is_full => self.segment = None,
            Ok(()) => {}
            Err(()) => self.leave_out(now + PAUSE),
        }
        self.complain(now);
    }

    /// Whether ticks are recorded now: not before it is known what is probed, nor between two segments, nor while the
    /// disk is given time.
    #[must_use]
    pub const fn is_recording(&self) -> bool {
        self.segment.is_some()
    }

    fn hand_over(&mut self) -> Result<(), ()> {
        let next = Part { begins: None, bytes: Vec::with_capacity(self.part.bytes.len()) };
        let mut part = mem::replace(&mut self.part, next);
        if let Some(segment) = &mut self.segment {
            segment.write(&mut part.bytes);
        }
        self.written += part.bytes.len() as u64;
        let Some(sender) = &self.disk.sender else { return Err(()) };
        match sender.try_send(part) {
            Ok(()) => {
                self.ticks = 0;
                Ok(())
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(()),
        }
    }

    /// The segment ends here, with all that was observed so far.
    fn end_segment(&mut self) {
        if self.segment.is_some() && self.hand_over().is_err() {
            self.leave_out(0);
        }
        self.segment = None;
    }

    /// The segment ends where it was last handed over, and the next one says that a part is missing before it.
    fn leave_out(&mut self, paused_until: Nanos) {
        self.segment = None;
        self.part.bytes.clear();
        self.left_out += mem::take(&mut self.ticks);
        self.paused_until = paused_until;
        if let Some(next) = &mut self.next {
            next.gap = true;
        }
    }

    fn complain(&mut self, now: Nanos) {
        let due = self.complained_at.is_none_or(|at| now >= at + LONG_PAUSE);
        if self.left_out > 0 && due {
            self.complained_at = Some(now);
            let ticks = mem::take(&mut self.left_out);
            tracing::warn!(ticks, "a part of the recording is missing: the disk did not keep up");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(segment) = &mut self.segment
            && let Some(sender) = &self.disk.sender
        {
            let mut part = mem::replace(&mut self.part, Part { begins: None, bytes: Vec::new() });
            segment.write(&mut part.bytes);
            // The verdicts are over: now there is time to wait for the disk.
            sender.send(part).ok();
        }
    }
}

/// The thread that writes; when this is dropped, it has written all that it was given.
struct Disk {
    sender: Option<SyncSender<Part>>,
    /// Whether the segment that is written had to end.
    failed: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Disk {
    fn start(directory: Directory) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let failed = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&failed);
        let thread = thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || write(directory, &receiver, &fails))?;
        Ok(Self { sender: Some(sender), failed, thread: Some(thread) })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The thread ends when nobody can give it anything any more.
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn write(mut directory: Directory, parts: &Receiver<Part>, failed: &AtomicBool) {
    for Part { begins, bytes } in parts {
        let begun = begins.map_or(Ok(()), |unix| directory.begin(unix));
        if let Err(error) = begun.and_then(|()| directory.append(&bytes)) {
            tracing::error!(%error, "cannot record; trying again in a minute");
            failed.store(true, Ordering::Relaxed);
        }
    }
}
