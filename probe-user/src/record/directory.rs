//! The files of a recording: `linkprobe-<milliseconds since the Unix epoch>.rec`, one for each segment.
//!
//! Together they take no more than they may: the oldest makes room for the newest. Nothing else in the directory is
//! touched.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
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
    /// Locked as long as it is open.
    _lock: File,
}

impl Directory {
    /// Makes the directory unless it is there, and sees whether it can be written to.
    ///
    /// # Errors
    /// Where that fails, or another agent records there.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let lock = lock(&path.join(format!("{PREFIX}lock")))?;
        let segments = segments(path)?.into();
        let trial = path.join(format!("{PREFIX}trial"));
        let written = fs::write(&trial, TRIAL);
        let removed = fs::remove_file(&trial);
        written.and(removed)?;
        Ok(Self { path: path.to_owned(), limit, segments, current: None, _lock: lock })
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
    /// Where it cannot be written. Then the segment ends with what was; where that is nothing, it is no more.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(mut file) = self.current.take() else { return Ok(()) };
        let room = still_there(&file).and_then(|()| self.make_room(bytes.len() as u64));
        let written = room.and_then(|()| file.write_all(bytes));
        let Some(segment) = self.segments.back_mut() else { return written };
        match written {
            Ok(()) => {
                segment.size += bytes.len() as u64;
                self.current = Some(file);
            }
            // No room is taken by what could not be read.
            Err(_) if segment.size == 0 => self.give_up(),
            Err(_) => {
                file.set_len(segment.size).ok();
                segment.size = file.metadata().map_or(segment.size, |metadata| metadata.len());
            }
        }
        written
    }

    /// Takes the newest segment away.
    fn give_up(&mut self) {
        if let Some(newest) = self.segments.pop_back() {
            // Where it stays, the next look at the directory finds it.
            fs::remove_file(file(&self.path, newest.number)).ok();
        }
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

/// Keeps other agents away: they would take each other's segments for old ones of their own.
fn lock(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let message = "another agent records there; give each a directory of its own";
            Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
        }
        // Some file systems have no locks, and are good enough for one agent.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Whether a file can still be found by its name, or was removed while it was written: nobody would ever read it.
fn still_there(file: &File) -> io::Result<()> {
    if file.metadata()?.nlink() > 0 {
        return Ok(());
    }
    let message = "the segment was removed while it was written";
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, os::unix::fs::symlink};

    use super::*;

    const LIMIT: u64 = 1 << 20;

    fn full_disk() -> File {
        OpenOptions::new().write(true).open("/dev/full").unwrap()
    }

    #[test]
    fn a_full_disk_is_seen_at_once() {
        let directory = tempfile::tempdir().unwrap();
        symlink("/dev/full", directory.path().join("linkprobe-trial")).unwrap();
        let error = Directory::open(directory.path(), LIMIT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn two_agents_do_not_share_a_directory() {
        let parent = tempfile::tempdir().unwrap();
        let first = Directory::open(parent.path(), LIMIT).unwrap();
        let error = Directory::open(parent.path(), LIMIT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy, "{error}");
        drop(first);
        Directory::open(parent.path(), LIMIT).unwrap();
    }

    #[test]
    fn a_segment_that_never_had_anything_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(parent.path(), LIMIT).unwrap();
        directory.begin(1).unwrap();
        directory.append(b"kept").unwrap();
        directory.begin(2).unwrap();
        directory.current = Some(full_disk());
        assert_eq!(directory.append(b"lost").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(segments(parent.path()).unwrap(), [Segment { number: 1, size: 4 }]);
        // What follows in that segment is left out in silence, until the next one.
        directory.append(b"lost").unwrap();
        directory.begin(3).unwrap();
        directory.append(b"kept").unwrap();
        let all = segments(parent.path()).unwrap();
        assert_eq!(all, [Segment { number: 1, size: 4 }, Segment { number: 3, size: 4 }]);
    }
}
