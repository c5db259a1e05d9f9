//! The flows to one peer, and what its silence means.

use probe_ebpf::maps::Arrivals;

use super::{
    Lost, Memory, Outcome, Rules, SILENT_PROBES,
    flow::Flow,
    located::{Clues, Located, Place},
    rest::{Rest, Seen},
    visits::{CONVINCING, Latest, Visits},
};
use crate::{health::defect::Defect, verdict::Nanos};

/// The share of the peer's usual probes from which on they come as usual.
const USUAL: f64 = 0.7;

/// After so many probes without an answer, those that were answered before say nothing of the way back. Where 80 % are lost
/// on the way there, as many in a row are once in a million probes.
const VAIN_PROBES: u32 = 64;

/// The account of the path to one peer.
#[derive(Clone, Debug)]
pub struct Path {
    rules: Rules,
    pub(super) flows: Vec<Flow>,
    pub(super) visits: Visits,
    pub(super) located: Located,
    /// When the first probe left that is overdue since the last answer.
    pub(super) overdue_since: Option<Nanos>,
    pub(super) rest: Rest,
}

impl Path {
    /// An account of `flows` flows.
    #[must_use]
    pub fn new(rules: Rules, flows: usize) -> Self {
        Self {
            rules,
            flows: vec![Flow::default(); flows],
            visits: Visits::default(),
            located: Located::default(),
            overdue_since: None,
            rest: Rest::default(),
        }
    }

    /// The flows, in the order in which [`Path::judge`] takes their memories.
    #[must_use]
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// Probes are sent at another pace from now on.
    pub const fn set_interval(&mut self, interval: Nanos) {
        self.rules.interval = interval;
        self.rest.end();
    }

    /// Takes in whether the way there is unknown, which matters to [`Defect::Revalidation`] alone.
    pub fn heed(&mut self, is_unknown: bool) {
        if self.rules.defects.has(Defect::Revalidation) && is_unknown {
            for flow in &mut self.flows {
                flow.anchor = None;
            }
        }
    }

    /// Judges all probes of which something can be said by now. `sink` is told the index of the flow, when
    /// the probe was sent, and the outcome; oldest first within each flow. Returns false where there was nothing to judge: no
    /// packet has left or come since the last two looks, and no time is up.
    ///
    /// `arrivals` are the peer's own probes, as our reflector saw them.
    pub fn judge(
        &mut self,
        memories: &[impl Memory],
        arrivals: Arrivals,
        now: Nanos,
        sink: &mut impl FnMut(usize, Nanos, Outcome),
    ) -> bool {
        let seen = Seen::of(memories, arrivals);
        if self.rest.lasts(seen, now) {
            return false;
        }
        let answered_at = memories.iter().map(Memory::answered_at).max().unwrap_or(0);
        if answered_at != self.visits.answered_at {
            self.overdue_since = None;
        }
        self.visits.note(arrivals, answered_at, now, seen.sums);
        let silence = self.silence(memories, now);
        let clues = &mut Clues { silence, located: &mut self.located, visits: &self.visits };
        for (index, (flow, memory)) in self.flows.iter_mut().zip(memories).enumerate() {
            let sink = &mut |sent_at, outcome| sink(index, sent_at, outcome);
            flow.judge(memory, &self.rules, now, clues, sink);
        }
        let until = self.quiet_until(memories, &self.rules);
        self.rest.begin(seen, now, until);
        true
    }

    /// Whether anything may become of probes that have left, so that it is to be judged at the next tick. Where not, that
    /// is for later: when the next probe has left.
    #[inline]
    #[must_use]
    pub fn expects(&self, memories: &[impl Memory]) -> bool {
        let mut flows = self.flows.iter().zip(memories);
        self.overdue_since.is_some()
            || flows.any(|(flow, memory)| flow.has_given_up || flow.next != memory.sent())
    }

    /// What the path's silence means for its probes; `None` while it is not silent, or while that is open.
    ///
    /// It is silent when no flow has had an answer for as long as [`SILENT_PROBES`] probes and the time for an answer to the
    /// last of them take. Where probes are rare, that is longer than a single one is waited for; then it is enough that the
    /// peer's own probes leave no doubt.
    fn silence(&mut self, memories: &[impl Memory], now: Nanos) -> Option<Place> {
        let waited = now.saturating_sub(self.waiting_since(memories, now)?);
        let deadline = self.flows.iter().map(|flow| flow.deadline(&self.rules)).max()?;
        let patience = self.flows.iter().map(|flow| flow.patience(&self.rules)).max()?;
        let is_silent = waited >= self.time_of(SILENT_PROBES) + deadline;
        let is_vain = waited >= (3 * self.rules.timeout).max(self.time_of(VAIN_PROBES));
        match self.visits.latest(now) {
            Some(latest) if is_silent => self.told_by(&latest),
            Some(latest) if waited >= patience => self.hinted_by(&latest),
            // Does not probe us, or too seldom to be missed already.
            None if is_silent => Some(self.guess_in_silence(is_vain)),
            _ => None,
        }
    }

    /// How long so many probes of the path take, in nanoseconds.
    fn time_of(&self, probes: u32) -> Nanos {
        u64::from(probes).div_ceil(self.flows.len().max(1) as u64) * self.rules.interval
    }

    /// Where the probes of a silence are lost of which nothing tells. That they are lost on the way there means that the way
    /// back lives; where the waiting is in vain, nothing shows that any more.
    const fn guess_in_silence(&self, is_vain: bool) -> Place {
        match self.located.guess() {
            Place { lost: Lost::Forward, guessed } if is_vain => {
                Place { lost: Lost::Unknown, guessed }
            }
            place => place,
        }
    }

    /// Since when the path has been waiting for any answer, if it waits for one now: since the last answer came, or since the
    /// first probe after it left that is overdue, given up or not.
    fn waiting_since(&mut self, memories: &[impl Memory], now: Nanos) -> Option<Nanos> {
        let flows = self.flows.iter().zip(memories);
        let oldest = flows
            .filter_map(|(flow, memory)| flow.waiting_since(memory, &self.rules, now))
            .min()?;
        let first = self.overdue_since.map_or(oldest, |first| first.min(oldest));
        self.overdue_since = Some(first);
        Some(first.max(self.visits.answered_at))
    }

    /// What silence means, by the latest of the peer's own probes since the last answer: if they come as usual, our probes
    /// do not get there; if few or none come, the way back is sick, and nothing can be said of the way there. `None` while
    /// that is open.
    fn told_by(&self, &Latest { seen, expected }: &Latest) -> Option<Place> {
        if seen as f64 <= USUAL * expected as f64 {
            Some(Place::known(Lost::Silent))
        } else if self.located.guess().lost != Lost::Silent || expected >= CONVINCING {
            Some(Place::known(Lost::Forward))
        } else {
            // The way back is known to lose; that a few of the peer's probes made it may be luck.
            None
        }
    }

    /// The same while it may still be chance that no answer comes: all of the peer's probes must have come to blame the way
    /// there, none to blame the way back, and it is no more than a guess.
    fn hinted_by(&self, latest: &Latest) -> Option<Place> {
        let place = self.told_by(latest)?;
        let is_plain = latest.seen == 0 || latest.seen >= latest.expected;
        is_plain.then_some(Place { guessed: true, ..place })
    }
}

#[cfg(test)]
mod tests;
