//! What the verdict engine was fed, kept on disk: what would other numbers have made of last Thursday?
//!
//! A recording is a directory of segments, `linkprobe-<milliseconds since the Unix epoch>.rec`. Each begins with a line
//! that names the format and a line of JSON, the [`Header`]; then come frames, one for each tick in which there was
//! something to judge. A segment that was cut off, by a crash or a full disk, is read as far as it goes.
//!
//! - [`codec`]: frames to octets and back. Pure.
//! - [`writer`]: segments on disk, written by a thread of their own.

pub mod codec;
pub mod writer;

use serde::{Deserialize, Serialize};

use crate::{account::Outcome, verdict::Nanos};

/// The first line of a segment.
pub const MAGIC: &str = "linkprobe recording 1\n";

/// What holds for a whole segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Name of the node that has recorded.
    pub node: String,
    /// The monotonic time of its beginning, in nanoseconds, from which the first frame counts.
    pub monotonic: Nanos,
    /// The same moment since the Unix epoch, in nanoseconds.
    pub unix: Nanos,
    /// Whether it goes on where another segment ends.
    pub continues: bool,
    /// Time between two probes of a flow, in nanoseconds.
    pub interval: Nanos,
    /// After this a probe was lost for good, in nanoseconds.
    pub timeout: Nanos,
    /// Flows of each path.
    pub flows: u16,
    /// The paths, in the order of their indexes.
    pub paths: Vec<PathName>,
}

/// To whom a path leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathName {
    /// Name of the peer.
    pub peer: String,
    /// Its region.
    pub region: String,
}

/// One outcome, as the engine is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Index of the path.
    pub path: usize,
    /// Index of the flow.
    pub flow: usize,
    /// When the probe was sent.
    pub sent_at: Nanos,
    /// What became of it.
    pub outcome: Outcome,
}

impl Observation {
    /// As exactly as it is recorded: round trips in microseconds, and of answered probes not when they were sent, which no
    /// verdict depends on. The engine is told of it so, recording or not, so that a replay sees what it saw.
    #[must_use]
    pub const fn rounded(self, now: Nanos) -> Self {
        match self.outcome {
            Outcome::Answered { round_trip } => {
                let outcome = Outcome::Answered { round_trip: round_trip / 1_000 * 1_000 };
                Self { sent_at: now, outcome, ..self }
            }
            _ => self,
        }
    }
}
