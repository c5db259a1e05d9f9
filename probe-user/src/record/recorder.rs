//! What the judge hands over to be written. It never waits: where the disk does not keep up, a part is left out and said
//! to be missing, and a new segment begins.

use std::{fmt, io, mem, path::Path};

use super::{
    codec::Encoder,
    disk::{Disk, Part},
    header::Header,
};
use crate::{
    datapath::clock,
    health::observation::{MOMENT, Observation},
    verdict::{Nanos, SECOND},
};

/// What is recorded is handed over when it is so old...
const OLDEST: Nanos = SECOND;
/// ...or so long, in octets.
const LONGEST: usize = 64 << 10;

/// So long nothing is recorded after the disk was too slow, or something else was probed twice...
const PAUSE: Nanos = SECOND;
/// ...or has failed. That is said as often.
const LONG_PAUSE: Nanos = 60 * SECOND;

/// A recording has so many segments...
const SEGMENTS: u64 = 8;
/// ...or more, since each can be read into memory.
const LARGEST: u64 = 32 << 20;

/// Why a part of a recording is missing.
#[derive(Clone, Copy, Debug)]
enum Missing {
    Failed,
    Slow,
    Changes,
    TooLong,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "it could not be written",
            Self::Slow => "the disk did not keep up",
            Self::Changes => "what is probed has changed more than once in a second",
            Self::TooLong => "record.limit is too small for so many peers",
        })
    }
}

/// Records what the engine is fed.
///
/// In every tick: [`Recorder::prepare`], [`Recorder::note`] for each observation, [`Recorder::tick`]. What was not written
/// yet is when this is dropped.
pub struct Recorder {
    /// What the next segment begins with, but for the times; `None` before it is known what is probed.
    next: Option<Header>,
    /// Whether that is too long for a segment.
    is_too_long: bool,
    segment: Option<Encoder>,
    /// When the last one was begun.
    begun_at: Option<Nanos>,
    /// No segment begins before.
    paused_until: Nanos,
    /// What was not handed over yet, and of how many ticks.
    part: Part,
    ticks: u64,
    handed_over_at: Nanos,
    /// Octets of the segment that were handed over, and that there may be.
    written: u64,
    limit: u64,
    /// Ticks that were left out, how many of them were told of, and when.
    left_out: u64,
    told: u64,
    complained_at: Option<Nanos>,
    /// Why the last of them was.
    missing: Missing,
    disk: Disk,
}

impl Recorder {
    /// Starts to record into a directory, which is made unless it is there. Where nothing can be written there, that is
    /// told in the log, and tried again: verdicts are given whether or not they can be replayed.
    ///
    /// # Errors
    /// Where there cannot be another thread.
    pub fn start(directory: &Path, limit: u64) -> io::Result<Self> {
        let disk = Disk::start(directory, limit)?;
        Ok(Self {
            next: None,
            is_too_long: false,
            segment: None,
            begun_at: None,
            paused_until: 0,
            part: Part { begins: None, bytes: Vec::new() },
            ticks: 0,
            handed_over_at: 0,
            written: 0,
            limit: (limit / SEGMENTS).min(LARGEST),
            left_out: 0,
            told: 0,
            complained_at: None,
            missing: Missing::Slow,
            disk,
        })
    }

    /// Something else is probed from now on, or probed in another way. Of the header neither the times count nor the
    /// place in the run.
    pub fn set_header(&mut self, header: Header) {
        self.end_segment();
        // A thousand names that resolve one by one do not bring a thousand headers.
        let not_before = self.begun_at.map_or(0, |at| at + PAUSE);
        if self.paused_until < not_before {
            (self.paused_until, self.missing) = (not_before, Missing::Changes);
        }
        self.is_too_long = false;
        let (sequence, gap) = self.next.as_ref().map_or((0, false), |old| (old.sequence, old.gap));
        self.next = Some(Header { sequence, gap, ..header });
    }

    /// Begins a tick, and a segment where that is due.
    pub fn prepare(&mut self, now: Nanos) {
        if self.disk.take_failure() {
            self.leave_out(now + LONG_PAUSE, Missing::Failed);
        }
        let Some(header) = &mut self.next else { return };
        if self.segment.is_some() {
            return;
        }
        if now < self.paused_until || self.is_too_long {
            (self.left_out, header.gap) = (self.left_out + 1, true);
            if self.is_too_long {
                self.complain(now);
            }
            return;
        }
        header.unix = clock::realtime() / MOMENT;
        header.monotonic = now / MOMENT;
        let bytes = header.encode();
        if bytes.len() as u64 > self.limit / 2 {
            (self.is_too_long, self.missing) = (true, Missing::TooLong);
            (self.left_out, header.gap) = (self.left_out + 1, true);
            self.complain(now);
            return;
        }
        self.segment = Some(Encoder::new(header));
        self.part = Part { begins: Some(header.unix), bytes };
        (self.written, self.handed_over_at, self.begun_at) = (0, now, Some(now));
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
            Err(()) => self.leave_out(now + PAUSE, Missing::Slow),
        }
        self.complain(now);
    }

    /// Whether ticks are recorded now: not before it is known what is probed, nor between two segments, nor while the
    /// disk is given time.
    #[must_use]
    pub const fn is_recording(&self) -> bool {
        self.segment.is_some()
    }

    /// How many ticks were left out since the agent was started.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn hand_over(&mut self) -> Result<(), ()> {
        let next = Part { begins: None, bytes: Vec::with_capacity(self.part.bytes.len()) };
        let mut part = mem::replace(&mut self.part, next);
        if let Some(segment) = &mut self.segment {
            segment.write(&mut part.bytes);
        }
        self.written += part.bytes.len() as u64;
        self.disk.give(part)?;
        self.ticks = 0;
        Ok(())
    }

    /// The segment ends here, with all that was observed so far.
    fn end_segment(&mut self) {
        // After a failure there is nothing that it could be appended to; the next tick makes a pause of it.
        if self.segment.is_some() && !self.disk.has_failed() && self.hand_over().is_err() {
            self.leave_out(0, Missing::Slow);
        }
        self.segment = None;
    }

    /// The segment ends where it was last handed over, and the next one says that a part is missing before it.
    fn leave_out(&mut self, paused_until: Nanos, missing: Missing) {
        self.segment = None;
        self.missing = missing;
        self.part.bytes.clear();
        self.left_out += mem::take(&mut self.ticks);
        self.paused_until = paused_until;
        if let Some(next) = &mut self.next {
            next.gap = true;
        }
    }

    /// Tells what was left out since this was last told, once in a while.
    fn complain(&mut self, now: Nanos) {
        let due = self.complained_at.is_none_or(|at| now >= at + LONG_PAUSE);
        let ticks = self.left_out - self.told;
        if ticks > 0 && due {
            (self.complained_at, self.told) = (Some(now), self.left_out);
            let (directory, why) = (self.disk.path().display(), self.missing);
            tracing::warn!(ticks, "a part of the recording in {directory} is missing: {why}");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Some(segment) = &mut self.segment else { return };
        let mut part = mem::replace(&mut self.part, Part { begins: None, bytes: Vec::new() });
        segment.write(&mut part.bytes);
        // The verdicts are over: now there is time to wait for the disk.
        self.disk.end(Some(part));
    }
}
