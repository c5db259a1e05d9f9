//! What a segment begins with: what was probed and how, and what was asked of the verdicts.
//!
//! Magic and version, and a [part](super) with a JSON document, so that `head` tells a person what it is.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Damage, part, varint::Cursor};
use crate::{
    health::{Goals, Settings, settings::limits},
    limits::MAX_SESSIONS,
    verdict::{Nanos, SECOND},
};

/// What every segment begins with: a name, and the version of the format. The first had no checksums.
pub const MAGIC: [u8; 8] = *b"lprec\0\0\x02";
/// The name alone.
pub(super) const NAME: [u8; 7] = *b"lprec\0\0";

/// The longest document, in octets: that of all peers that there can be.
const LONGEST: usize = 64 << 20;

/// What a segment begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Name of the node.
    pub node: String,
    /// The run of the agent: when it was started, in nanoseconds since the Unix epoch; the epoch of its events.
    pub run: u64,
    /// How many segments of the run were begun before this one.
    pub sequence: u64,
    /// Whether something is missing between the segment before and this one.
    pub gap: bool,
    /// When the segment begins, in milliseconds since the Unix epoch.
    pub unix: u64,
    /// The same on the monotonic clock, in milliseconds. The times of ticks go on from here.
    pub monotonic: u64,
    /// How paths are probed.
    pub probe: Probe,
    /// What was asked of the verdicts.
    pub health: Goals,
    /// The paths that were judged, in that order.
    pub paths: Vec<Path>,
}

/// How paths are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Time between two probes of one flow, in nanoseconds.
    pub interval: Nanos,
    /// After this a probe is lost for good, in nanoseconds.
    pub timeout: Nanos,
    /// Flows of each path.
    pub flows: u16,
}

/// A path that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Name of the peer.
    pub peer: String,
    /// Its region.
    pub region: String,
    /// Since when it has been probed at this address, on the monotonic clock in milliseconds. A path that has another
    /// one in the next segment has begun anew.
    pub opened: u64,
}

/// What numbers can be, as in the config.
const INTERVAL: RangeInclusive<Nanos> = 1_000_000..=60 * SECOND;
const HOUR: Nanos = 3_600 * SECOND;
/// The last time of day that can be, in milliseconds since the Unix epoch: the end of the year 9999.
pub const LAST_UNIX: u64 = 253_402_300_799_000;
/// The same on the monotonic clock, in milliseconds: about 126 years after the host has started.
pub const LAST_MONOTONIC: u64 = 4_000_000_000_000;

impl Header {
    /// The settings of the engine for these paths; `goals` in place of those of the recording, where there are any.
    #[must_use]
    pub fn settings(&self, goals: Option<&Goals>) -> Settings {
        Settings::new(goals.unwrap_or(&self.health), self.probe.interval, self.probe.flows)
    }

    /// As octets: magic, version, document with length and checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let document =
            serde_json::to_vec(self).expect("strings and numbers always make a document");
        let mut bytes = MAGIC.to_vec();
        part::put(&mut bytes, &document);
        bytes
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, Damage> {
        check_magic(cursor)?;
        let document = cursor.part(LONGEST)?;
        let header: Self = serde_json::from_slice(document.bytes)
            .map_err(|error| Damage::corrupt(document.offset, format!("the header: {error}")))?;
        match header.problem() {
            Some(field) => {
                let what = format!("the header: {field} is not what an agent would have written");
                Err(Damage::corrupt(document.offset, what))
            }
            None => Ok(header),
        }
    }

    /// The first field that is out of range, and could make a replay fail or take for ever.
    fn problem(&self) -> Option<&'static str> {
        let Goals { accepted_loss, false_alarms_per_year, latency_factor, .. } = self.health;
        let goals = &self.health;
        let flows = usize::from(self.probe.flows);
        let is_time = |nanos: Nanos| nanos <= HOUR;
        [
            ("probe.interval", INTERVAL.contains(&self.probe.interval)),
            ("probe.flows", (1..=64).contains(&flows)),
            ("paths", self.paths.len() * flows <= MAX_SESSIONS),
            ("unix", self.unix <= LAST_UNIX),
            ("monotonic", self.monotonic <= LAST_MONOTONIC),
            ("paths.opened", self.paths.iter().all(|path| path.opened <= LAST_MONOTONIC)),
            ("health.accepted_loss", limits::ACCEPTED_LOSS.contains(&accepted_loss)),
            ("health.false_alarms_per_year", limits::FALSE_ALARMS.contains(&false_alarms_per_year)),
            ("health.recovery", is_time(goals.recovery)),
            ("health.recovery_probes", goals.recovery_probes <= *limits::RECOVERY_PROBES.end()),
            ("health.damping", is_time(goals.damping)),
            ("health.blip", is_time(goals.blip)),
            ("health.expiry", is_time(goals.expiry)),
            (
                "health.latency_factor",
                (0.0..=*limits::LATENCY_FACTOR.end()).contains(&latency_factor),
            ),
        ]
        .into_iter()
        .find_map(|(field, fits)| (!fits).then_some(field))
    }
}

fn check_magic(cursor: &mut Cursor<'_>) -> Result<(), Damage> {
    let bytes = cursor.bytes;
    if cursor.is_blank() {
        return Err(Damage::Blank { offset: 0 });
    }
    // What is shorter than the magic may still be known as something else.
    if !bytes.starts_with(&NAME) && !NAME.starts_with(bytes) {
        return Err(Damage::corrupt(0, "it does not begin as a recording does"));
    }
    let magic = cursor.take(MAGIC.len() as u64, MAGIC.len())?;
    let (version, ours) = (magic.bytes[NAME.len()], MAGIC[NAME.len()]);
    if version != ours {
        let what = format!(
            "it has the format {version}, and this linkprobe reads {ours}; replay it with the version that recorded it"
        );
        return Err(Damage::corrupt(NAME.len(), what));
    }
    Ok(())
}
