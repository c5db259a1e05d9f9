//! Whether the probes of a session may go past the network stack.
//!
//! The way they go is a few moments old, and a driver drops what it has no room for without a word. Neither may look
//! like loss of the network. So the answers to these probes are watched, and as soon as one is missing, the network
//! stack sends again: for [`PAUSE`], and twice as long each time until [`CARRIED`] in a row have been answered. A
//! driver that passes nothing, or not all, so costs a session one probe, at last once in an hour.

use crate::verdict::{MILLISECOND, Nanos, SECOND};

/// How long the way is good that the network stack chose last. It sends one probe in each such time, so routes and
/// neighbours that change are followed, and the neighbour's entry stays alive.
const FRESH: Nanos = 2 * SECOND;

/// How long the network stack sends at least, once an answer was missing.
const PAUSE: Nanos = 10 * SECOND;

/// And at most.
const LONGEST_PAUSE: Nanos = 3_600 * SECOND;

/// After so many answers without one missing, the next pause is the shortest again.
const CARRIED: u32 = 1_000;

/// An answer is missing that takes longer than twice as long as the one before, and so much.
const SLACK: Nanos = 5 * MILLISECOND;

/// What is known of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When the network stack has sent a probe of its; 0 for never.
    pub(super) learned_at: Nanos,
    /// How many of its probes were answered.
    pub(super) answered: u64,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was answered.
    Answered,
    /// It was sent at that time and is not answered yet, and the round trip of the latest answer took so long.
    Sent {
        /// Monotonic.
        at: Nanos,
        /// In nanoseconds.
        round_trip: Nanos,
    },
    /// It never will be, or nothing is known of it any more.
    Gone,
}

/// What is remembered of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trust {
    /// The number of the probe whose answer is watched.
    watched: Option<u32>,
    /// How many were answered since one was missing.
    carried: u32,
    /// How long the last pause is, and when it ends.
    pause: Nanos,
    pause_ends: Nanos,
}

impl Trust {
    /// Whether the next probe may go past the network stack. `fate` tells of one by its number.
    pub(super) fn may(&mut self, seen: &Seen, now: Nanos, fate: impl FnOnce(u32) -> Fate) -> bool {
        if let Some(number) = self.watched {
            self.settle(fate(number), now);
        }
        let is_fresh = seen.learned_at != 0 && now < seen.learned_at + FRESH;
        is_fresh && seen.answered > 0 && now >= self.pause_ends
    }

    /// Takes in that the probe with this number has gone past the network stack.
    pub(super) const fn sent(&mut self, number: u32) {
        if self.watched.is_none() {
            self.watched = Some(number);
        }
    }

    fn settle(&mut self, fate: Fate, now: Nanos) {
        match fate {
            Fate::Answered => {
                self.carried = self.carried.saturating_add(1);
                self.watched = None;
            }
            Fate::Sent { at, round_trip } if now < at + 2 * round_trip + SLACK => {}
            Fate::Sent { .. } | Fate::Gone => {
                let doubled = if self.carried < CARRIED { 2 * self.pause } else { 0 };
                self.pause = doubled.clamp(PAUSE, LONGEST_PAUSE);
                self.pause_ends = now + self.pause;
                (self.carried, self.watched) = (0, None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
