//! The peer's own probes, as our reflector sees them: that they come shows that the way back lives.

use probe_ebpf::maps::Arrivals;

use crate::verdict::Nanos;

/// So many expected probes of the peer outweigh what is known of the way back. Where it passes 40 %, that 70 % of so many
/// come while all answers are lost happens less than once in 10^7 silences.
pub(super) const CONVINCING: u64 = 24;

/// How often the peer's own probes come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Visits {
    pub(super) packets: u64,
    pub(super) last_at: Nanos,
    /// The usual time between two of them; `None` before the fifth.
    pub(super) gap: Option<Nanos>,
    /// Where the measuring of the pace began: how many visits there had been, and when.
    pub(super) since: (u64, Nanos),
    /// Where it began the time before.
    pub(super) before: (u64, Nanos),
    /// Our own probes then.
    pub(super) sums: Sums,
    /// When the last answer to one of our probes came, and how many visits there had been.
    pub(super) answered_at: Nanos,
    pub(super) packets_then: u64,
    /// Times at which answers were found since the last visit.
    pub(super) answers: u32,
    /// The last answer, or two moments since then: how many visits there had been. What counts is what has come since the
    /// older one, so that hours of silence do not outvote the last seconds.
    pub(super) marks: [Mark; 2],
}

/// Our own probes, on all flows together. Both wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) sent: u32,
    pub(super) answered: u32,
}

/// How many visits there had been at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    pub(super) packets: u64,
    pub(super) at: Nanos,
}

impl Visits {
    /// Fewer visits than this say nothing.
    const ENOUGH: u64 = 4;
    /// As many are to be expected in a time by which to tell whether they come.
    const PLENTY: u64 = 8;
    /// A peer has stopped if so many answers in a row have come without a visit: the way back is as it was.
    const STOPPED: u32 = 16;
    /// And if so many visits were to be expected in that time.
    const MISSED: u64 = 64;
    /// The pace is measured over so many.
    const WINDOW: u64 = 32;

    pub(super) fn note(
        &mut self,
        arrivals: Arrivals,
        answered_at: Nanos,
        now: Nanos,
        sums: impl FnOnce() -> Sums,
    ) {
        if arrivals.packets < self.packets.max(self.since.0) {
            // A counter that goes back is that of another run.
            *self = Self::default();
        }
        if self.since.0 == 0 && arrivals.packets > 0 {
            self.since = (arrivals.packets, arrivals.last_at);
        }
        if arrivals.packets > self.packets {
            self.answers = 0;
        }
        self.packets = arrivals.packets;
        self.last_at = arrivals.last_at;
        if self.gap.is_none() {
            self.marks = [Mark { packets: self.packets, at: now.max(answered_at) }; 2];
        }
        let visits = self.packets.saturating_sub(self.since.0);
        if visits >= Self::WINDOW || self.gap.is_none() && visits >= Self::ENOUGH {
            let gap = self.last_at.saturating_sub(self.since.1) / visits;
            // Quick to believe that the peer comes often, slow to believe that it does not, and slower yet where our own
            // probes are lost too: it may be that its probes are lost.
            let sums = sums();
            let sent = sums.sent.wrapping_sub(self.sums.sent);
            let answered = sums.answered.wrapping_sub(self.sums.answered);
            let steps = if u64::from(answered) * 10 >= u64::from(sent) * 9 { 8 } else { 256 };
            self.sums = sums;
            // The first few say little: they may have come in a burst.
            let is_first = self.since.0.saturating_sub(self.before.0) < Self::WINDOW;
            self.gap = Some(match self.gap {
                Some(_) if is_first => gap,
                Some(usual) if gap > usual => usual + (gap - usual).min(usual) / steps + 1,
                Some(usual) => usual - (usual - gap) / 4,
                None => gap,
            });
            (self.before, self.since) = (self.since, (self.packets, self.last_at));
        }
        if answered_at != self.answered_at {
            self.answers = self.answers.saturating_add(1);
            (self.answered_at, self.packets_then) = (answered_at, self.packets);
            self.marks = [Mark { packets: self.packets, at: answered_at }; 2];
        }
        let newer = self.marks[1];
        if self.gap.is_some_and(|gap| now.saturating_sub(newer.at) / gap.max(1) >= CONVINCING) {
            self.marks = [newer, Mark { packets: self.packets, at: now }];
        }
    }

    /// Whether visits have come as usual since then, so that few of them can have been lost: whatever became of our own
    /// probes, the way back passes. That too few were to be expected tells nothing.
    pub(super) fn come_since(&self, then: Nanos, now: Nanos) -> bool {
        let Some(gap) = self.gap.map(|gap| gap.max(1)) else { return false };
        let expected_since = |at: Nanos| now.saturating_sub(at) / gap;
        let is_short = expected_since(self.since.1) < Self::PLENTY && self.before.0 > 0;
        let (packets, at) = if is_short { self.before } else { self.since };
        let (expected, seen) = (expected_since(at), self.packets.saturating_sub(packets));
        let in_question = expected_since(then).min(expected);
        in_question >= Self::ENOUGH && seen + in_question.div_ceil(8) >= expected
    }

    /// The latest visits, all of them since the last answer; `None` where too few were to be expected to tell, or where they
    /// had stopped before that answer.
    pub(super) fn latest(&self, now: Nanos) -> Option<Latest> {
        let (gap, since) = (self.gap?.max(1), self.marks[0]);
        let expected = now.saturating_sub(since.at) / gap;
        let seen = self.packets.saturating_sub(since.packets);
        let had_stopped = self.answers >= Self::STOPPED
            && self.packets == self.packets_then
            && self.answered_at.saturating_sub(self.last_at) / gap > Self::MISSED;
        (expected >= Self::ENOUGH && !had_stopped).then_some(Latest { seen, expected })
    }
}

/// The peer's latest probes.
pub(super) struct Latest {
    /// How many have come.
    pub(super) seen: u64,
    /// As many as there would have been at the usual pace.
    pub(super) expected: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{MILLISECOND, SECOND};

    const GAP: Nanos = 25 * MILLISECOND;

    /// A peer that probes for two seconds and then loses all but one in so many for a second.
    fn visits(kept: u64) -> (Visits, Nanos) {
        let mut visits = Visits::default();
        let mut arrivals = Arrivals::default();
        for step in 1..=120 {
            let now = step * GAP;
            if step <= 80 || step % kept == 0 {
                (arrivals.packets, arrivals.last_at) = (arrivals.packets + 1, now);
            }
            visits.note(arrivals, 0, now, Sums::default);
        }
        (visits, 120 * GAP)
    }

    #[test]
    fn visits_come_as_usual_or_do_not() {
        for (kept, expected) in [(1, true), (3, false), (1_000, false)] {
            let (visits, now) = visits(kept);
            assert_eq!(visits.come_since(now - SECOND, now), expected, "one of {kept} comes");
        }
    }

    #[test]
    fn a_burst_at_the_start_is_not_the_usual_pace() {
        let mut visits = Visits::default();
        for packets in 1..=40 {
            let last_at = if packets <= 6 { packets } else { packets * GAP };
            visits.note(Arrivals { packets, last_at }, 0, last_at, Sums::default);
        }
        let gap = visits.gap.unwrap();
        assert!(gap > GAP * 9 / 10, "{gap}");
    }

    #[test]
    fn too_few_visits_tell_nothing() {
        let (visits, now) = visits(1);
        assert!(visits.come_since(now - 4 * GAP, now));
        assert!(!visits.come_since(now - 3 * GAP, now));
        assert!(!Visits::default().come_since(0, now));
    }
}
