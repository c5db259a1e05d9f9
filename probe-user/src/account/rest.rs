//! When there is nothing to judge: between two probes of a path, which is most of the time, its memory stands still.

use probe_ebpf::maps::Arrivals;

use super::{Memory, Rules, flow::Flow, path::Path, visits::Sums};
use crate::verdict::{Nanos, SECOND};

/// A path does not rest any longer, in nanoseconds, whatever is known of it: whoever looks at it four times a second does look,
/// and what it has learnt of the peer's own probes stays as fresh, though no probe leaves.
const LOOK: Nanos = SECOND / 8;

/// What was last seen of a path, and until when that can mean nothing new.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    seen: Seen,
    until: Nanos,
}

/// What tells whether anything has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Our own probes.
    pub(super) sums: Sums,
    /// The peer's.
    pub(super) packets: u64,
}

impl Rest {
    /// Whether all is as it was, and no time is up.
    #[inline]
    pub(super) fn lasts(&self, seen: Seen, now: Nanos) -> bool {
        now < self.until && self.seen == seen
    }

    /// Begins to rest until then, if the look before this one has seen the same: the kernel counts a packet a moment before
    /// its slot says so.
    pub(super) fn begin(&mut self, seen: Seen, now: Nanos, until: Nanos) {
        let until = if self.seen == seen { until.min(now + LOOK) } else { 0 };
        *self = Self { seen, until };
    }

    /// Looks again in any case.
    pub(super) const fn end(&mut self) {
        self.until = 0;
    }
}

impl Path {
    /// Until when nothing is to be judged if no packet leaves or comes; 0 while the path waits for any answer, for then it
    /// depends on the moment what the peer's own probes tell.
    pub(super) fn quiet_until(&self, memories: &[impl Memory], rules: &Rules) -> Nanos {
        if self.overdue_since.is_some() {
            return 0;
        }
        let flows = self.flows.iter().zip(memories);
        flows.map(|(flow, memory)| flow.quiet_until(memory, rules)).min().unwrap_or(0)
    }
}

impl Flow {
    /// Until when no time is up: that for an answer to the next probe, or to one that was given up.
    fn quiet_until(&self, memory: &impl Memory, rules: &Rules) -> Nanos {
        let given_up = if self.has_given_up { self.missed.given_up.front() } else { None };
        let given_up = given_up.map_or(Nanos::MAX, |probe| probe.sent_at + rules.timeout);
        if self.next == memory.sent() {
            return given_up;
        }
        given_up.min(memory.slot(self.next).sent_at + self.deadline(rules))
    }
}

impl Seen {
    /// What is seen now.
    #[inline]
    pub(super) fn of(memories: &[impl Memory], arrivals: Arrivals) -> Self {
        let sent = memories.iter().map(Memory::sent).fold(0, u32::wrapping_add);
        let answered = memories.iter().map(Memory::answered).fold(0, u64::wrapping_add);
        Self { sums: Sums { sent, answered: answered as u32 }, packets: arrivals.packets }
    }
}

#[cfg(test)]
mod tests;
