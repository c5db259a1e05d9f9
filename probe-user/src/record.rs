//! What the verdict engine was fed, kept so that it can be fed again: with the same numbers, or with others.
//!
//! A recording is a row of segments, one file each. A segment begins with a [`header`], which says what was probed and
//! how, and goes on with every tick of the judge: when it was, and what became of which probes. Every tick is there,
//! those without news too, since verdicts expire in them; so a replay judges at the very times at which the agent did.
//!
//! - `part`: what a segment is made of, with checksums.
//! - [`header`]: what a segment begins with.
//! - [`codec`]: from ticks to octets and back. Pure.
//! - [`player`]: from ticks to the verdicts that they lead to. Pure.
//! - [`recorder`]: what the judge hands over, and to whom, without ever waiting.
//! - `disk`: the thread that takes it, whatever the disk does.
//! - [`directory`]: the files, and that they take no more than they may.

pub mod codec;
pub mod directory;
mod disk;
pub mod header;
mod part;
pub mod player;
pub mod recorder;
mod varint;

#[cfg(test)]
mod tests;

/// What is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It ends in the middle of something, as that of an agent that was killed does.
    #[error("it ends in the middle of what begins at octet {offset}")]
    Truncated {
        /// Where the part begins that is not complete.
        offset: usize,
    },
    /// It ends in zeros, as where power is lost before the disk has what was written.
    #[error(
        "what begins at octet {offset} ends in zeros that were never written, as after a loss of power"
    )]
    Blank {
        /// Where the part begins that is not complete.
        offset: usize,
    },
    /// It holds what no agent has written.
    #[error("octet {offset}: {what}")]
    Corrupt {
        /// Where.
        offset: usize,
        /// What is wrong there.
        what: String,
    },
}

impl Damage {
    fn corrupt(offset: usize, what: impl Into<String>) -> Self {
        Self::Corrupt { offset, what: what.into() }
    }

    /// The same of something whose end is known: what does not end in it is wrong, not missing.
    fn in_whole(self, offset: usize, what: &str) -> Self {
        match self {
            Self::Truncated { .. } => Self::corrupt(offset, what),
            other => other,
        }
    }
}
