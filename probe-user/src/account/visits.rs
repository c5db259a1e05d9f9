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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// A peer has stopped if so many answers in a row have come without a visit: the way back is as it was.
    const STOPPED: u32 = 16;
    /// And if more than so many visits were to be expected in that time.
    const MISSED: u64 = 64;
    /// The pace is measured over so many.
    const WINDOW: u64 = 32;

    pub(super) fn note(&mut self, arrivals: Arrivals, answered_at: Nanos, now: Nanos, sums: Sums) {
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
            let sent = sums.sent.wrapping_sub(self.sums.sent);
            let answered = sums.answered.wrapping_sub(self.sums.answered);
            let steps = if u64::from(answered) * 10 >= u64::from(sent) * 9 { 8 } else { 256 };
            self.sums = sums;
            // The first few may have come in a burst: where nothing is lost, what comes next is believed at once.
            let is_first = self.since.0.saturating_sub(self.before.0) < Self::WINDOW;
            self.gap = Some(match self.gap {
                Some(_) if is_first && steps == 8 => gap,
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

    /// Whether visits have come as usual since then, or for the later half of that time at least: hardly one is missing of
    /// some that would show if the way back lost much. False also where that is too long ago to tell, or not long enough.
    pub(super) fn come_since(&self, then: Nanos, now: Nanos) -> bool {
        let Some(gap) = self.gap.map(|gap| gap.max(1)) else { return false };
        let expected_since = |at: Nanos| now.saturating_sub(at) / gap;
        let (packets, at) = if self.since.1 <= then { self.since } else { self.before };
        let in_question = expected_since(then.max(at));
        in_question >= Self::ENOUGH
            && 2 * in_question >= expected_since(then)
            && self.packets.saturating_sub(packets) + in_question / 16 + 1 >= expected_since(at)
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

    /// A peer that probes for two seconds and then loses one in so many for a second.
    fn visits(lost: u64) -> (Visits, Nanos) {
        let mut visits = Visits::default();
        let mut arrivals = Arrivals::default();
        for step in 1..=120 {
            let now = step * GAP;
            if step <= 80 || step % lost > 0 {
                (arrivals.packets, arrivals.last_at) = (arrivals.packets + 1, now);
            }
            visits.note(arrivals, 0, now, Sums::default());
        }
        (visits, 120 * GAP)
    }

    #[test]
    fn visits_come_as_usual_or_do_not() {
        for (lost, expected) in [(1_000, true), (25, true), (4, false), (2, false), (1, false)] {
            let (visits, now) = visits(lost);
            assert_eq!(visits.come_since(now - SECOND, now), expected, "one of {lost} is lost");
        }
    }

    #[test]
    fn a_burst_at_the_start_is_not_the_usual_pace() {
        let mut visits = Visits::default();
        for packets in 1..=40 {
            let last_at = if packets <= 6 { packets } else { packets * GAP };
            visits.note(Arrivals { packets, last_at }, 0, last_at, Sums::default());
        }
        let gap = visits.gap.unwrap();
        assert!(gap > GAP * 9 / 10, "{gap}");
    }

    /// It is learnt slowly: the peer's probes may be lost, as our own are.
    #[test]
    fn an_outage_at_the_start_is_not_the_usual_pace() {
        let mut visits = Visits::default();
        for packets in 1..=40 {
            let last_at = packets * GAP + if packets > 8 { 60 * SECOND } else { 0 };
            let sums = Sums { sent: 60 * packets as u32, answered: packets as u32 };
            visits.note(Arrivals { packets, last_at }, 0, last_at, sums);
        }
        let gap = visits.gap.unwrap();
        assert!(gap < GAP * 11 / 10, "{gap}");
    }

    #[test]
    fn too_few_visits_tell_nothing() {
        let (visits, now) = visits(1_000);
        assert!(visits.come_since(now - 4 * GAP, now));
        assert!(!visits.come_since(now - 3 * GAP, now), "too few");
        assert!(!visits.come_since(0, now), "too long ago");
        assert!(!Visits::default().come_since(0, now));
    }
}
