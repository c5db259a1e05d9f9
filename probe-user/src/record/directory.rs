//! The files of a recording: `linkprobe-<milliseconds since the Unix epoch>.rec`, one for each segment.
//!
//! Together they take no more than they may: the oldest makes room for the newest. Nothing else in the directory is
//! touched.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

const PREFIX: &str = "linkprobe-";
const SUFFIX: &str = ".rec";

/// What is written, and taken away again, to see whether the disk takes anything.
const TRIAL: [u8; 4_096] = [0; 4_096];

/// A segment on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// The number in its name; later segments have higher ones, even where the clock was set back.
    pub number: u64,
    /// Its octets.
    pub size: u64,
}

/// The segments in a directory, the oldest first.
///
/// # Errors
/// Where the directory cannot be read.
pub fn segments(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(number_of) else { continue };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => {
                segments.push(Segment { number, size: metadata.len() });
            }
            Ok(_) => {}
            // An agent that runs takes the oldest away at any time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The path of a segment.
#[must_use]
pub fn file(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{number}{SUFFIX}"))
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    // Only the one name that we would have given it.
    (format!("{number}") == digits).then_some(number)
}

/// A directory that is recorded into.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    limit: u64,
    /// The oldest first.
    segments: VecDeque<Segment>,
    /// The one that is written.
    current: Option<File>,
}

impl Directory {
    /// Makes the directory unless it is there, and sees whether it can be written to.
    ///
    /// # Errors
    /// Where that fails.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let segments = segments(path)?.into();
        let trial = path.join(format!("{PREFIX}trial"));
        let written = fs::write(&trial, TRIAL);
        fs::remove_file(&trial).or_else(|error| written.and(Err(error)))?;
        Ok(Self { path: path.to_owned(), limit, segments, current: None })
    }

    /// Begins a segment, at this time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn begin(&mut self, unix: u64) -> io::Result<()> {
        self.current = None;
        let after = self.segments.back().map_or(0, |last| last.number.saturating_add(1));
        let number = unix.max(after);
        let path = file(&self.path, number);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        self.segments.push_back(Segment { number, size: 0 });
        self.current = Some(file);
        Ok(())
    }

    /// Appends to the segment that was begun last; where none was, or an attempt to write to it has failed, nothing
    /// happens.
    ///
    /// # Errors
    /// Where it cannot be written. Then the segment ends with what was.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(mut file) = self.current.take() else { return Ok(()) };
        self.make_room(bytes.len() as u64)?;
        let written = file.write_all(bytes);
        if let Some(segment) = self.segments.back_mut() {
            segment.size = match written {
                Ok(()) => segment.size + bytes.len() as u64,
                Err(_) => file.metadata().map_or(segment.size, |metadata| metadata.len()),
            };
        }
        written?;
        self.current = Some(file);
        Ok(())
    }

    /// Takes the oldest segments away until so many more octets have room.
    fn make_room(&mut self, octets: u64) -> io::Result<()> {
        let mut total = octets + self.segments.iter().map(|segment| segment.size).sum::<u64>();
        while total > self.limit {
            if self.segments.len() <= 1 {
                let message = format!("{octets} octets at once are more than record.limit leaves");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
            }
            if let Some(oldest) = self.segments.pop_front() {
                match fs::remove_file(file(&self.path, oldest.number)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        self.segments.push_front(oldest);
                        return Err(error);
                    }
                    _ => total -= oldest.size,
                }
            }
        }
        Ok(())
    }
}
