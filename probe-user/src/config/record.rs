//! `[record]`: what the verdict engine is fed, kept on disk for `linkprobe replay`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::reader::Section;
use super::value;

/// `[record]`: where the recording is kept, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordConfig {
    /// The directory of the recording, of this agent alone; `None` where nothing is recorded. Whether it can be written
    /// to decides about the recording only.
    pub directory: Option<PathBuf>,
    /// The most that it may take, in octets; 1 MiB to 1 TiB. The oldest part makes room for the newest.
    pub limit: u64,
}

/// The least and the most that a recording may take.
const LIMIT: RangeInclusive<u64> = 1 << 20..=1 << 40;

impl Default for RecordConfig {
    fn default() -> Self {
        Self { directory: None, limit: 256 << 20 }
    }
}

/// Reads the section. The directory is looked for beside the config.
pub(super) fn read(mut section: Section<'_, '_>, beside: &Path) -> RecordConfig {
    let default = RecordConfig::default();
    let directory = section.optional("directory", |value| {
        let example = "\"/var/lib/linkprobe\"";
        match value::string(value, example)? {
            "" => Err(format!("is empty; write a directory such as {example}")),
            directory => Ok(beside.join(directory)),
        }
    });
    let limit = section.optional("limit", |value| value::size(value, &LIMIT, "256MiB"));
    section.finish();
    RecordConfig {
        directory: directory.map(|directory| directory.value),
        limit: limit.map_or(default.limit, |limit| limit.value),
    }
}
