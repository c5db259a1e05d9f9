//! Segments on disk.
//!
//! The judge must not wait for a disk: it hands full buffers to a thread over a bounded channel. Where the disk cannot keep
//! up, or fails, what cannot be written is left out, that is said in the log, and the recording goes on with a new segment.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

use super::{Header, MAGIC, Observation, codec::Encoder};
use crate::verdict::{Nanos, SECOND};

/// Buffers that may wait for the disk.
const WAITING: usize = 16;
/// A buffer is handed over when it is so large, or so old.
const FULL: usize = 64 << 10;
const OLD: Nanos = SECOND;
/// A recording is made of so many segments at least, so that little goes when the oldest does.
const SEGMENTS: u64 = 8;

/// A recording that goes on.
#[derive(Debug)]
pub struct Writer {
    header: Header,
    encoder: Encoder,
    buffer: Vec<u8>,
    /// The time of the last frame.
    last: Nanos,
    /// When the buffer was handed over last.
    handed_over: Nanos,
    /// Octets of the segment so far.
    length: u64,
    segment: u64,
    /// Whether something was left out since the last buffer that was handed over.
    gap: bool,
    sender: Option<SyncSender<Message>>,
    thread: Option<thread::JoinHandle<()>>,
}

enum Message {
    Begin(Header),
    Data(Vec<u8>),
}

impl Writer {
    /// Begins a recording in a directory, which may take up to `limit` octets.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn start(directory: &Path, limit: u64, header: Header) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut disk = Disk { directory: directory.to_owned(), limit, file: None, failing: false };
        disk.begin(&header)?;
        let (sender, receiver) = sync_channel(WAITING);
        let thread = thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || disk.run(&receiver))?;
        Ok(Self {
            encoder: Encoder::default(),
            buffer: Vec::with_capacity(2 * FULL),
            last: header.monotonic,
            handed_over: header.monotonic,
            length: 0,
            segment: limit / SEGMENTS,
            gap: false,
            sender: Some(sender),
            thread: Some(thread),
            header,
        })
    }

    /// Takes in an outcome of the tick at `now`.
    pub fn add(&mut self, observation: &Observation, now: Nanos) {
        self.encoder.add(observation, now);
    }

    /// Ends the tick at `now`.
    pub fn tick(&mut self, now: Nanos) {
        if self.encoder.finish(now - self.last, &mut self.buffer) {
            self.last = now;
        }
        let is_due = self.buffer.len() >= FULL || now.saturating_sub(self.handed_over) >= OLD;
        if is_due && !self.buffer.is_empty() {
            self.hand_over(now);
        }
    }

    /// From now on other paths are recorded, or others' pace.
    pub fn set_header(&mut self, header: Header) {
        let now = header.monotonic;
        self.hand_over(now);
        self.header = header;
        self.begin(now, false);
    }

    fn hand_over(&mut self, now: Nanos) {
        self.handed_over = now;
        let buffer = std::mem::replace(&mut self.buffer, Vec::with_capacity(2 * FULL));
        self.length += buffer.len() as u64;
        if self.gap {
            // It can only be read from a new beginning on, which comes as soon as there is room again.
            self.begin(now, false);
            return;
        }
        self.send(Message::Data(buffer));
        if self.length >= self.segment {
            self.begin(now, true);
        }
    }

    /// Begins a segment after the last frame.
    fn begin(&mut self, now: Nanos, continues: bool) {
        let unix =
            self.header.unix + (self.last.max(self.header.monotonic) - self.header.monotonic);
        let passed = if continues { 0 } else { now.saturating_sub(self.last) };
        self.header = Header {
            monotonic: self.last.max(self.header.monotonic) + passed,
            unix: unix + passed,
            continues,
            ..self.header.clone()
        };
        self.last = self.header.monotonic;
        self.length = 0;
        self.gap = false;
        self.send(Message::Begin(self.header.clone()));
    }

    fn send(&mut self, message: Message) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(message)
        {
            if !self.gap {
                tracing::warn!("the disk does not keep up: the recording has a gap");
            }
            self.gap = true;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.hand_over(self.last);
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The thread's side.
struct Disk {
    directory: PathBuf,
    limit: u64,
    file: Option<File>,
    failing: bool,
}

impl Disk {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            let result = match &message {
                Message::Begin(header) => self.begin(header),
                Message::Data(octets) => match &mut self.file {
                    Some(file) => file.write_all(octets),
                    // Until the next segment begins, there is nothing that it could belong to.
                    None => continue,
                },
            };
            match result {
                Ok(()) => self.failing = false,
                Err(error) => {
                    self.file = None;
                    if !std::mem::replace(&mut self.failing, true) {
                        let directory = self.directory.display();
                        tracing::error!(%directory, %error, "the recording has a gap");
                    }
                }
            }
        }
    }

    fn begin(&mut self, header: &Header) -> io::Result<()> {
        self.make_room()?;
        let name = format!("linkprobe-{:015}.rec", header.unix / 1_000_000);
        let path = self.directory.join(name);
        let mut file = File::options().create(true).append(true).mode(0o600).open(path)?;
        let json = serde_json::to_string(header).map_err(io::Error::other)?;
        if file.metadata()?.len() > 0 {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        file.write_all(format!("{MAGIC}{json}\n").as_bytes())?;
        self.file = Some(file);
        Ok(())
    }

    /// Takes out the oldest segments, so that there is room for one more.
    fn make_room(&self) -> io::Result<()> {
        let segments = segments(&self.directory)?;
        let mut total: u64 = 0;
        for (_, length) in &segments {
            total += length;
        }
        let room = self.limit - self.limit / SEGMENTS;
        for (path, length) in segments {
            if total <= room {
                break;
            }
            fs::remove_file(path)?;
            total -= length;
        }
        Ok(())
    }
}

/// The segments in a directory and their lengths, the oldest first.
///
/// # Errors
/// Where the directory cannot be read.
pub fn segments(directory: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_segment = name
            .to_str()
            .is_some_and(|name| name.starts_with("linkprobe-") && name.ends_with(".rec"));
        if is_segment {
            segments.push((entry.path(), entry.metadata()?.len()));
        }
    }
    segments.sort();
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{account::Outcome, record::PathName};

    fn header() -> Header {
        Header {
            node: "a".to_owned(),
            monotonic: 5 * SECOND,
            unix: 1_700_000_000 * SECOND,
            continues: false,
            interval: SECOND / 10,
            timeout: SECOND,
            flows: 4,
            paths: vec![PathName { peer: "b".to_owned(), region: "r".to_owned() }],
        }
    }

    #[test]
    fn the_oldest_makes_room_for_the_newest() {
        let directory = tempfile::tempdir().unwrap();
        let limit = 1 << 20;
        let mut writer = Writer::start(directory.path(), limit, header()).unwrap();
        let mut now = 5 * SECOND;
        for tick in 0..400_000_u32 {
            now += 10_000_000;
            let outcome = Outcome::Answered { round_trip: 20_000_000 };
            writer.add(
                &Observation { path: 0, flow: (tick % 4) as usize, sent_at: now, outcome },
                now,
            );
            writer.tick(now);
            if tick % 2_000 == 0 {
                // Faster than any disk, this would only show that gaps are told.
                thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        drop(writer);
        let segments = segments(directory.path()).unwrap();
        let total: u64 = segments.iter().map(|(_, length)| length).sum();
        assert!(segments.len() >= 5, "{segments:?}");
        assert!((limit / 2..=limit + limit / 8).contains(&total), "{total}");
    }

    #[test]
    fn a_directory_that_cannot_be_is_told_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Writer::start(&file.path().join("x"), 1 << 20, header()).is_err());
    }
}
