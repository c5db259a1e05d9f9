//! The flows to one peer, and what its silence means.

use probe_ebpf::maps::Arrivals;

use super::{Lost, Memory, Outcome, Rules, SILENT_PROBES, flow::Flow};
use crate::verdict::Nanos;

/// The account of the path to one peer.
#[derive(Clone, Debug)]
pub struct Path {
    rules: Rules,
    pub(super) flows: Vec<Flow>,
    pub(super) visits: Visits,
}

impl Path {
    /// An account of `flows` flows.
    #[must_use]
    pub fn new(rules: Rules, flows: usize) -> Self {
        Self { rules, flows: vec![Flow::default(); flows], visits: Visits::default() }
    }

    /// The flows, in the order in which [`Path::judge`] takes their memories.
    #[must_use]
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// Probes are sent at another pace from now on.
    pub const fn set_interval(&mut self, interval: Nanos) {
        self.rules.interval = interval;
    }

    /// Judges all probes of which something can be said by now. `sink` is told the index of the flow, when
    /// the probe was sent, and the outcome; oldest first within each flow.
    ///
    /// `arrivals` are the peer's own probes, as our reflector saw them.
    pub fn judge(
        &mut self,
        memories: &[impl Memory],
        arrivals: Arrivals,
        now: Nanos,
        sink: &mut impl FnMut(usize, Nanos, Outcome),
    ) {
        self.visits.note(arrivals);
        let silence = self.silence(memories, now);
        for (index, (flow, memory)) in self.flows.iter_mut().zip(memories).enumerate() {
            flow.judge(memory, &self.rules, now, silence, &mut |sent_at, outcome| {
                sink(index, sent_at, outcome);
            });
        }
    }

    /// What the path's silence means for its probes; `None` while it is not silent.
    ///
    /// It is silent when no flow has had an answer for as long as [`SILENT_PROBES`] probes and the
    /// time for an answer to the last of them take.
    fn silence(&self, memories: &[impl Memory], now: Nanos) -> Option<Lost> {
        let flows = || self.flows.iter().zip(memories);
        let waiting_since = flows()
            .filter_map(|(flow, memory)| flow.waiting_since(memory, &self.rules, now))
            .min()?;
        let answered_at = memories.iter().map(Memory::answered_at).max()?;
        let deadline = self.flows.iter().map(|flow| flow.deadline(&self.rules)).max()?;
        let rounds = u64::from(SILENT_PROBES).div_ceil(self.flows.len().max(1) as u64);
        let patience = rounds * self.rules.interval + deadline;
        let began = waiting_since.max(answered_at);
        if now.saturating_sub(began) < patience {
            return None;
        }
        Some(match self.visits.gap() {
            // Does not probe us, or too seldom to be missed already.
            None => Lost::Unknown,
            Some(gap) if gap * 4 > patience => Lost::Unknown,
            // Had stopped before the last answer came: that it is silent now means nothing.
            Some(gap) if self.visits.last_at + 4 * gap + patience / 2 < answered_at => {
                Lost::Unknown
            }
            Some(_) if now.saturating_sub(self.visits.last_at) < patience / 2 => Lost::Forward,
            Some(_) => Lost::Silent,
        })
    }
}

/// How often the peer's own probes come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Visits {
    pub(super) packets: u64,
    pub(super) last_at: Nanos,
    /// Smoothed time between two of them; `None` before the second.
    pub(super) gap: Option<Nanos>,
}

impl Visits {
    fn note(&mut self, arrivals: Arrivals) {
        let packets = arrivals.packets.saturating_sub(self.packets);
        if packets == 0 {
            return;
        }
        if self.packets > 0 {
            let gap = arrivals.last_at.saturating_sub(self.last_at) / packets;
            // One long pause must not make a frequent visitor look like a rare one.
            self.gap = Some(self.gap.map_or(gap, |old| (7 * old + gap.min(2 * old.max(1))) / 8));
        }
        self.packets = arrivals.packets;
        self.last_at = arrivals.last_at;
    }

    const fn gap(&self) -> Option<Nanos> {
        self.gap
    }
}

#[cfg(test)]
mod tests;
