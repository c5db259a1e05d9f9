//! Which files are replayed, and in which order.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::record::{
    Damage, codec, directory,
    header::{Header, Probe},
};

/// The largest file that can be a segment, in octets.
const LARGEST: u64 = 256 << 20;

/// So many octets of a file are read for its header, and more where that is longer.
const HEAD: u64 = 64 << 10;

/// A segment that can be replayed, at least its beginning.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) file: PathBuf,
    /// How paths were probed.
    pub(super) probe: Probe,
    run: u64,
    sequence: u64,
    /// When it begins, in milliseconds since the Unix epoch.
    unix: u64,
    /// All of it, where it can be read only once, as a pipe can.
    bytes: Option<Vec<u8>>,
}

/// The segments of these files and directories, run by run in the order in which they were recorded. `tell` is told of
/// those that are left out.
///
/// # Errors
/// Where a file cannot be read that was named, or there is nothing to replay.
pub(super) fn find(files: &[PathBuf], tell: &mut impl FnMut(String)) -> Result<Vec<Segment>> {
    let (mut segments, mut refused) = (Vec::new(), Vec::new());
    for Listed { file, is_named } in list(files)? {
        match Segment::open(&file) {
            Ok(segment) => segments.push(segment),
            // One in a directory may have just made room for a newer one.
            Err(error) if is_named && error.is::<io::Error>() => return Err(error),
            Err(error) => refused.push(error),
        }
    }
    if segments.is_empty() && !refused.is_empty() {
        return Err(refused.swap_remove(0));
    }
    for error in refused {
        tell(format!("left out: {error:#}"));
    }
    order(&mut segments, tell);
    Ok(segments)
}

/// A file that is meant.
struct Listed {
    file: PathBuf,
    /// Whether by name, or as one in a directory.
    is_named: bool,
}

fn list(files: &[PathBuf]) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    for file in files {
        if !file.is_dir() {
            all.push(Listed { file: file.clone(), is_named: true });
            continue;
        }
        let segments = directory::segments(file)
            .with_context(|| format!("cannot read the directory {}", file.display()))?;
        if segments.is_empty() {
            bail!("{} holds no recording: is it what [record] directory says?", file.display());
        }
        let path = |segment: &directory::Segment| directory::file(file, segment.number);
        all.extend(segments.iter().map(|segment| Listed { file: path(segment), is_named: false }));
    }
    Ok(all)
}

fn order(segments: &mut Vec<Segment>, tell: &mut impl FnMut(String)) {
    segments.sort_by_key(|segment| (segment.run, segment.sequence));
    segments.dedup_by(|second, first| {
        let is_same = (second.run, second.sequence) == (first.run, first.sequence);
        if is_same {
            let [again, first] = [&second.file, &first.file].map(|file| file.display());
            tell(format!("left out: {again} has the same part of a recording as {first}"));
        }
        is_same
    });
    let overlap = |pair: &&[Segment]| pair[0].run != pair[1].run && pair[1].unix < pair[0].unix;
    if let Some([first, second]) = segments.windows(2).find(overlap) {
        tell(format!(
            "two agents have recorded at once, as {} and {} show; what each has recorded is replayed by itself, \
             one after the other",
            first.file.display(),
            second.file.display(),
        ));
    }
}

impl Segment {
    fn open(file: &Path) -> Result<Self> {
        // What is no file, such as a pipe, can be read only once.
        let is_file = file.is_file();
        let bytes = open(file, if is_file { head } else { whole })?;
        let (Header { run, sequence, unix, probe, .. }, _) = codec::open(&bytes)
            .with_context(|| format!("{} is no recording, or was damaged since", file.display()))?;
        let bytes = (!is_file).then_some(bytes);
        Ok(Self { file: file.to_owned(), probe, run, sequence, unix, bytes })
    }

    /// All of it.
    ///
    /// # Errors
    /// Where it cannot be read any more.
    pub(super) fn read(&mut self) -> Result<Vec<u8>> {
        self.bytes.take().map_or_else(|| open(&self.file, whole), Ok)
    }
}

type Read = fn(File) -> io::Result<Vec<u8>>;

fn open(file: &Path, read: Read) -> Result<Vec<u8>> {
    let bytes = File::open(file).and_then(read);
    bytes.with_context(|| format!("cannot read the recording {}", file.display()))
}

fn whole(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long for a segment"));
    }
    Ok(bytes)
}

/// As much as the header needs, and somewhat more.
fn head(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let asked = HEAD.max(bytes.len() as u64);
        let read = file.by_ref().take(asked).read_to_end(&mut bytes)? as u64;
        let needs_more = matches!(codec::open(&bytes), Err(Damage::Truncated { .. }));
        if read < asked || !needs_more {
            return Ok(bytes);
        }
    }
}
