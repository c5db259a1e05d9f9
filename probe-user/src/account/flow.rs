//! The probes of one session, judged in the order in which they left.

use std::collections::VecDeque;

use probe_ebpf::maps::{Slot, SlotState};

use super::{
    Lost, Memory, Outcome, Rules,
    located::{Clues, Located, Place},
    rtt::Estimator,
    visits::Visits,
};
use crate::{health::defect::Defect, report::Probes, verdict::Nanos};

/// A flow was alive lately if one of its last so many probes was answered.
const LATELY: u32 = 8;

/// The account of one flow: what every answer touches, in a single line of the cache. Many paths do not fit into it.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
pub struct Flow {
    /// The first probe that was not judged yet.
    pub(crate) next: u32,
    /// The last answered probe before it.
    pub(super) anchor: Option<Anchor>,
    /// What silence has meant for the probes since the anchor, if it has come to that.
    pub(super) silence: Option<Silence>,
    pub(super) rtt: Estimator,
    /// How many were answered before they were given up.
    answered: u64,
    /// Whether any of the probes that were given up may still be answered.
    pub(super) has_given_up: bool,
    pub(super) missed: Box<Missed>,
}

const _: () = assert!(size_of::<Flow>() == 64);

/// The probes of a flow that were not answered in time, or of which it is not known.
#[derive(Clone, Debug, Default)]
pub(super) struct Missed {
    /// Those that were given up and may still be answered, oldest first.
    pub(super) given_up: VecDeque<GivenUp>,
    /// `Memory::answered` when `given_up` was last gone through.
    pub(super) answered_seen: u64,
    /// What became of them. `answered` are the late ones.
    totals: Probes,
}

/// An answered probe: its number and the reflector's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    pub(super) sequence: u32,
    pub(super) reflector_sequence: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct GivenUp {
    pub(super) sequence: u32,
    pub(super) sent_at: Nanos,
    pub(super) lost: Lost,
}

/// A silence of the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// Where its probes were lost.
    pub(super) place: Place,
    /// When it was last seen to last.
    pub(super) seen_at: Nanos,
}

/// Probes in a row that were not answered in time.
struct Run {
    /// How many.
    length: u32,
    /// The answered probe behind the last of them, if there is one.
    answered: Option<Slot>,
}

impl Flow {
    /// What became of the flow's probes so far. `not_sent` is not known here.
    #[must_use]
    pub fn totals(&self) -> Probes {
        let Probes { sent, answered, .. } = self.missed.totals;
        Probes {
            sent: sent + self.answered,
            answered: answered + self.answered,
            ..self.missed.totals
        }
    }

    /// How long an answer may take now.
    #[must_use]
    pub fn deadline(&self, rules: &Rules) -> Nanos {
        self.rtt.deadline(rules.timeout)
    }

    /// How long a probe is waited for of which nothing tells where it was lost: for the timeout, but at least until the next
    /// probe's answer would have told.
    #[must_use]
    pub fn patience(&self, rules: &Rules) -> Nanos {
        // Probes are sent with a jitter of a tenth of the interval to either side.
        rules.timeout.max(rules.interval * 12 / 10 + self.deadline(rules))
    }

    /// When the oldest probe left that is overdue and not judged yet.
    pub fn waiting_since(&self, memory: &impl Memory, rules: &Rules, now: Nanos) -> Option<Nanos> {
        if self.next == memory.sent() {
            // Nothing is on its way. The slot is not looked at: of a path at rest it is in no cache.
            return None;
        }
        let slot = memory.slot(self.next);
        let waits = slot.sequence == self.next
            && SlotState::from_u32(slot.state) == SlotState::Sent
            && is_overdue(&slot, self.deadline(rules), now);
        waits.then_some(slot.sent_at)
    }

    /// Judges all probes of which something can be said by now.
    ///
    /// `clues` are what the rest of the path tells of where its probes are lost.
    #[inline]
    pub(super) fn judge(
        &mut self,
        memory: &impl Memory,
        rules: &Rules,
        now: Nanos,
        clues: &mut Clues<'_>,
        sink: &mut impl FnMut(Nanos, Outcome),
    ) {
        let sent = memory.sent();
        self.skip_overwritten(sent, rules.slots);
        if self.has_given_up {
            self.take_back(memory, rules, now, sink);
        }
        while self.next != sent {
            let slot = memory.slot(self.next);
            if slot.sequence != self.next {
                self.skip();
            } else if self.is_answered(&slot, rules) {
                clues.located.grow_older();
                self.answered(&slot, sink);
            } else if !self.give_up_run(memory, rules, now, sent, clues, sink) {
                break;
            }
        }
    }

    /// Judges the probes of a flow that is the whole path, to a peer that does not probe.
    pub fn judge_alone(&mut self, memory: &impl Memory, rules: &Rules, now: Nanos) {
        let (located, visits) = (&mut Located::default(), &Visits::default());
        let clues = &mut Clues { silence: None, located, visits };
        self.judge(memory, rules, now, clues, &mut |_, _| {});
    }

    /// Leaves out what the kernel has overwritten because this account came too late.
    fn skip_overwritten(&mut self, sent: u32, slots: u32) {
        let behind = sent.wrapping_sub(self.next);
        if behind > slots {
            let missed = behind - slots;
            self.next = self.next.wrapping_add(missed);
            self.missed.totals.sent += u64::from(missed);
            self.anchor = None;
        }
    }

    fn is_answered(&self, slot: &Slot, rules: &Rules) -> bool {
        SlotState::from_u32(slot.state) == SlotState::Answered && !self.refuses(slot, rules)
    }

    /// Never in the product, where every answer to a probe that waits counts. The defects are those of validators that
    /// expect answers to stay within a window, or the reflector's numbers to grow.
    fn refuses(&self, slot: &Slot, rules: &Rules) -> bool {
        is_beyond_gap(self.anchor, slot, rules)
            || rules.defects.has(Defect::NoReflectorRestart)
                && self
                    .anchor
                    .is_some_and(|anchor| slot.reflector_sequence < anchor.reflector_sequence)
    }

    fn skip(&mut self) {
        self.next = self.next.wrapping_add(1);
        self.missed.totals.sent += 1;
        self.anchor = None;
    }

    fn answered(&mut self, slot: &Slot, sink: &mut impl FnMut(Nanos, Outcome)) {
        self.next = self.next.wrapping_add(1);
        self.answered += 1;
        self.anchor =
            Some(Anchor { sequence: slot.sequence, reflector_sequence: slot.reflector_sequence });
        self.silence = None;
        self.rtt.add(slot.round_trip);
        sink(slot.sent_at, Outcome::Answered { round_trip: slot.round_trip });
    }

    /// Gives up the unanswered probes from `next` on, if that can be done. Returns whether it was.
    #[cold]
    #[inline(never)]
    fn give_up_run(
        &mut self,
        memory: &impl Memory,
        rules: &Rules,
        now: Nanos,
        sent: u32,
        clues: &mut Clues<'_>,
        sink: &mut impl FnMut(Nanos, Outcome),
    ) -> bool {
        let run = self.overdue_run(memory, rules, now, sent);
        if run.length == 0 {
            return false;
        }
        if let Some(answered) = run.answered {
            let forward = self.lost_forward(&answered, run.length, rules);
            for i in 0..run.length {
                let told = match forward {
                    Some(forward) if i < forward => Lost::Forward,
                    Some(_) => Lost::Reverse,
                    None => Lost::Unknown,
                };
                let place = self.place_of_next(memory, rules).unwrap_or(Place::known(told));
                self.give_up(memory, place, clues, sink);
            }
            return true;
        }
        if let Some(place) = clues.silence {
            self.silence = Some(Silence { place, seen_at: now });
            for _ in 0..run.length {
                self.give_up(memory, place, clues, sink);
            }
            return true;
        }
        // Other flows of the path pass, this one does not, and no answer tells where it ends.
        let oldest = memory.slot(self.next);
        if now.saturating_sub(oldest.sent_at) >= self.patience(rules) {
            let place = self.place_of_next(memory, rules);
            let place = place.unwrap_or_else(|| self.guess(clues, oldest.sent_at, now));
            self.give_up(memory, place, clues, sink);
            return true;
        }
        false
    }

    /// Where a probe was lost that was sent then, and of which nothing is known: where the others were. Where those do not
    /// tell either, the peer's own probes do, if they come: on the way there. Not of a flow that has been dead for long, since
    /// what is usual may have been learnt without it.
    fn guess(&self, clues: &Clues<'_>, sent_at: Nanos, now: Nanos) -> Place {
        let was_alive = |anchor: Anchor| self.next.wrapping_sub(anchor.sequence) <= LATELY;
        if clues.located.is_open()
            && self.anchor.is_some_and(was_alive)
            && clues.visits.come_since(sent_at, now)
        {
            return Place { lost: Lost::Forward, guessed: true };
        }
        clues.located.guess()
    }

    /// Where the next probe was lost, if it belongs to a silence. The last probes of one are like the others: what the
    /// numbers tell of them afterwards is how it was then.
    fn place_of_next(&self, memory: &impl Memory, rules: &Rules) -> Option<Place> {
        let silence = self.silence?;
        // While it lasts, it is seen again within the timeout.
        let belongs = memory.slot(self.next).sent_at <= silence.seen_at + rules.timeout;
        belongs.then_some(silence.place)
    }

    /// The unanswered probes from `next` on whose time is up. Where one of them still has time, there
    /// is no telling yet what an answer behind it means.
    fn overdue_run(&self, memory: &impl Memory, rules: &Rules, now: Nanos, sent: u32) -> Run {
        let deadline = self.deadline(rules);
        let mut length = 0;
        loop {
            let sequence = self.next.wrapping_add(length);
            let slot = memory.slot(sequence);
            if sequence == sent || slot.sequence != sequence {
                return Run { length, answered: None };
            }
            if self.is_answered(&slot, rules) {
                return Run { length, answered: Some(slot) };
            }
            if !is_overdue(&slot, deadline, now) {
                return Run { length, answered: None };
            }
            length += 1;
        }
    }

    /// How many of the probes between the anchor and an answered one were lost on the way there:
    /// with S the sender's and R the reflector's numbers, dS - dR. The rest, dR - 1, were reflected.
    ///
    /// `None` where the numbers do not tell: no answer before, a reflector that does not count or that
    /// was restarted, or a part of the run that was judged before by other means.
    fn lost_forward(&self, answered: &Slot, length: u32, rules: &Rules) -> Option<u32> {
        let anchor = self.anchor.filter(|_| rules.stateful)?;
        let sent = answered.sequence.wrapping_sub(anchor.sequence);
        let reflected = answered.reflector_sequence.wrapping_sub(anchor.reflector_sequence);
        if reflected == 0 || reflected > sent {
            return None;
        }
        let (forward, reverse) = (sent - reflected, reflected - 1);
        match (forward, reverse) {
            _ if sent == length + 1 => Some(forward),
            (_, 0) => Some(length),
            (0, _) => Some(0),
            _ => None,
        }
    }

    fn give_up(
        &mut self,
        memory: &impl Memory,
        place: Place,
        clues: &mut Clues<'_>,
        sink: &mut impl FnMut(Nanos, Outcome),
    ) {
        let (sequence, lost) = (self.next, place.lost);
        clues.located.lost(place);
        let sent_at = memory.slot(sequence).sent_at;
        self.missed.given_up.push_back(GivenUp { sequence, sent_at, lost });
        self.has_given_up = true;
        self.next = sequence.wrapping_add(1);
        self.missed.totals.sent += 1;
        sink(sent_at, Outcome::Lost(lost));
    }

    /// Looks after the probes that were given up: takes the loss of those back that were answered
    /// since, and counts those as lost whose time is up for good.
    #[cold]
    #[inline(never)]
    fn take_back(
        &mut self,
        memory: &impl Memory,
        rules: &Rules,
        now: Nanos,
        sink: &mut impl FnMut(Nanos, Outcome),
    ) {
        let anchor = self.anchor;
        let Missed { given_up, answered_seen, totals } = &mut *self.missed;
        let answered = memory.answered();
        let new = answered.wrapping_sub(*answered_seen);
        *answered_seen = answered;
        // Almost always, the only new answer is that to the next probe.
        let is_next = new == 1 && is_answer(&memory.slot(self.next), self.next);
        if new > 0 && !is_next {
            given_up.retain(|probe| {
                let slot = memory.slot(probe.sequence);
                let late = is_answer(&slot, probe.sequence) && !is_beyond_gap(anchor, &slot, rules);
                if late {
                    self.rtt.add(slot.round_trip);
                    totals.answered += 1;
                    totals.late += 1;
                    sink(probe.sent_at, Outcome::TakenBack(probe.lost));
                }
                !late
            });
        }
        while let Some(probe) = given_up.front().copied() {
            if now.saturating_sub(probe.sent_at) < rules.timeout {
                break;
            }
            if !memory.close(probe.sequence) {
                // Answered in this very moment: the next round takes it back.
                *answered_seen = answered_seen.wrapping_sub(1);
                break;
            }
            given_up.pop_front();
            match probe.lost {
                Lost::Forward => totals.lost_forward += 1,
                Lost::Reverse => totals.lost_reverse += 1,
                Lost::Unknown | Lost::Silent => totals.lost_unknown += 1,
            }
        }
        self.has_given_up = !given_up.is_empty();
    }
}

/// Whether a validator refuses an answer that expects no more than 16 probes since the last one. Never in the product.
fn is_beyond_gap(anchor: Option<Anchor>, slot: &Slot, rules: &Rules) -> bool {
    let is_strict =
        rules.defects.has(Defect::Validation) || rules.defects.has(Defect::Revalidation);
    // What is late comes from before the last one.
    let beyond =
        |anchor: Anchor| (17..1 << 31).contains(&slot.sequence.wrapping_sub(anchor.sequence));
    is_strict && anchor.is_some_and(beyond)
}

/// Whether a slot holds the answer to the probe with this number.
fn is_answer(slot: &Slot, sequence: u32) -> bool {
    slot.sequence == sequence && SlotState::from_u32(slot.state) == SlotState::Answered
}

fn is_overdue(slot: &Slot, deadline: Nanos, now: Nanos) -> bool {
    now.saturating_sub(slot.sent_at) >= deadline
}

#[cfg(test)]
pub(in crate::account) mod tests;
