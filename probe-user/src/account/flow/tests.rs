//! A model of the kernel's memory, and schedules of loss on top of it.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::verdict::{MILLISECOND, SECOND};

pub(in crate::account) const RULES: Rules = Rules {
    interval: 100 * MILLISECOND,
    timeout: SECOND,
    slots: 32,
    stateful: true,
    defects: crate::health::defect::Defects::NONE,
};

/// What the two kernels at the ends of a path would do.
#[derive(Default)]
pub(in crate::account) struct Kernel {
    slots: RefCell<Vec<Slot>>,
    answered: u64,
    answered_at: Nanos,
    reflected: u32,
}

impl Kernel {
    pub(in crate::account) fn send(&mut self, now: Nanos) -> u32 {
        let mut slots = self.slots.borrow_mut();
        let sequence = slots.len() as u32;
        slots.push(Slot {
            state: SlotState::Sent as u32,
            sequence,
            sent_at: now,
            ..Slot::default()
        });
        sequence
    }

    /// The request arrives; returns the reflector's number.
    pub(in crate::account) fn reflect(&mut self) -> u32 {
        self.reflected += 1;
        self.reflected - 1
    }

    pub(in crate::account) fn answer(&mut self, sequence: u32, number: u32, now: Nanos) {
        let slot = &mut self.slots.borrow_mut()[sequence as usize];
        if slot.state != SlotState::Sent as u32 {
            return;
        }
        slot.state = SlotState::Answered as u32;
        slot.reflector_sequence = number;
        slot.round_trip = (now - slot.sent_at) as u32;
        self.answered += 1;
        self.answered_at = now;
    }

    /// Sends a probe that meets this fate; an answer takes a millisecond.
    pub(in crate::account) fn probe(&mut self, fate: Fate, now: Nanos) {
        let sequence = self.send(now);
        if fate == LostForward {
            return;
        }
        let number = self.reflect();
        if fate == Answered {
            self.answer(sequence, number, now + MILLISECOND);
        }
    }
}

impl Memory for Kernel {
    fn sent(&self) -> u32 {
        self.slots.borrow().len() as u32
    }

    fn answered(&self) -> u64 {
        self.answered
    }

    fn answered_at(&self) -> Nanos {
        self.answered_at
    }

    fn slot(&self, sequence: u32) -> Slot {
        let slots = self.slots.borrow();
        let mask = RULES.slots - 1;
        // The last one that was written to the same place.
        let newest = (0..slots.len() as u32).rev().find(|s| s & mask == sequence & mask);
        newest.map_or_else(Slot::default, |newest| slots[newest as usize])
    }

    fn close(&self, sequence: u32) -> bool {
        if self.slot(sequence).sequence != sequence {
            return true;
        }
        let slot = &mut self.slots.borrow_mut()[sequence as usize];
        if slot.state == SlotState::Sent as u32 {
            slot.state = SlotState::Lost as u32;
        }
        slot.state == SlotState::Lost as u32
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::account) enum Fate {
    Answered,
    LostForward,
    LostReverse,
}

fn judge(flow: &mut Flow, kernel: &Kernel, now: Nanos) -> Vec<Outcome> {
    judge_by(flow, kernel, &RULES, now, None)
}

fn judge_by(
    flow: &mut Flow,
    kernel: &Kernel,
    rules: &Rules,
    now: Nanos,
    silence: Option<Lost>,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let (located, visits) = (&mut Located::default(), &Visits::default());
    let clues = &mut Clues { silence: silence.map(Place::known), located, visits };
    flow.judge(kernel, rules, now, clues, &mut |_, outcome| outcomes.push(outcome));
    outcomes
}

/// Sends one probe each interval from second 1 on, and returns the time after the last.
fn run(kernel: &mut Kernel, fates: &[Fate]) -> Nanos {
    let mut now = SECOND;
    for fate in fates {
        kernel.probe(*fate, now);
        now += RULES.interval;
    }
    now
}

use Fate::{Answered, LostForward, LostReverse};

#[test]
fn an_answer_is_reported_at_once_with_its_round_trip() {
    let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
    let now = run(&mut kernel, &[Answered]);
    let outcomes = judge(&mut flow, &kernel, now);
    assert_eq!(outcomes, [Outcome::Answered { round_trip: MILLISECOND as u32 }]);
    assert_eq!(judge(&mut flow, &kernel, now), []);
}

/// RFC 8762, section 4.3: the reflector's own numbers tell the directions apart.
#[test]
fn loss_between_two_answers_is_told_apart_by_direction() {
    for (fates, expected) in [
        (vec![LostForward], vec![Lost::Forward]),
        (vec![LostReverse], vec![Lost::Reverse]),
        (vec![LostForward, LostForward, LostForward], vec![Lost::Forward; 3]),
        (vec![LostReverse, LostForward], vec![Lost::Forward, Lost::Reverse]),
    ] {
        let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
        let all: Vec<Fate> =
            [Answered].into_iter().chain(fates.clone()).chain([Answered]).collect();
        let now = run(&mut kernel, &all);
        let outcomes = judge(&mut flow, &kernel, now);
        let lost: Vec<Lost> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Lost(lost) => Some(*lost),
                _ => None,
            })
            .collect();
        assert_eq!(lost, expected, "{fates:?}");
        assert_eq!(outcomes.len(), all.len());
    }
}

#[test]
fn a_probe_is_given_up_at_its_deadline_and_counted_as_lost_at_the_timeout() {
    let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
    run(&mut kernel, &[Answered; 20]);
    let sent_at = SECOND + 20 * RULES.interval;
    judge(&mut flow, &kernel, sent_at);
    kernel.probe(LostForward, sent_at);
    kernel.probe(Answered, sent_at + RULES.interval / 2);

    let deadline = sent_at + flow.deadline(&RULES);
    assert_eq!(judge(&mut flow, &kernel, deadline - 1), [], "in order, and not yet");
    let outcomes = judge(&mut flow, &kernel, deadline);
    assert_eq!(outcomes[0], Outcome::Lost(Lost::Forward));
    assert_eq!(flow.totals().lost_forward, 0);
    judge(&mut flow, &kernel, sent_at + RULES.timeout - 1);
    assert_eq!(flow.totals().lost_forward, 0);
    judge(&mut flow, &kernel, sent_at + RULES.timeout);
    assert_eq!(flow.totals().lost_forward, 1);
}

#[test]
fn a_late_answer_takes_the_loss_back() {
    let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
    let now = run(&mut kernel, &[Answered; 20]);
    judge(&mut flow, &kernel, now);
    let late = kernel.send(now);
    kernel.probe(Answered, now + 50 * MILLISECOND);
    let given_up = judge(&mut flow, &kernel, now + 150 * MILLISECOND);
    assert!(matches!(given_up[0], Outcome::Lost(_)), "{given_up:?}");

    kernel.answer(late, 21, now + 300 * MILLISECOND);
    let outcomes = judge(&mut flow, &kernel, now + 310 * MILLISECOND);
    assert!(matches!(outcomes[..], [Outcome::TakenBack(_)]), "{outcomes:?}");
    judge(&mut flow, &kernel, now + 2 * SECOND);
    let totals = flow.totals();
    assert_eq!((totals.sent, totals.answered, totals.late), (22, 22, 1));
    assert_eq!(totals.lost_forward + totals.lost_reverse + totals.lost_unknown, 0);
}

/// A restart makes the reflector's numbers go back: no loss of a million, and no direction.
#[test]
fn a_reflector_that_was_restarted_costs_one_answer_without_direction() {
    let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
    run(&mut kernel, &[Answered; 50]);
    kernel.reflected = 0;
    let mut now = SECOND + 50 * RULES.interval;
    for fate in [LostForward, Answered, LostForward, Answered] {
        kernel.probe(fate, now);
        now += RULES.interval;
    }
    let mut outcomes = Vec::new();
    for step in 0..60 {
        outcomes.extend(judge(&mut flow, &kernel, SECOND + step * RULES.interval));
    }
    let lost: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Lost(_))).collect();
    assert_eq!(lost, [&Outcome::Lost(Lost::Unknown), &Outcome::Lost(Lost::Forward)]);
}

#[test]
fn the_numbers_of_a_stateless_reflector_tell_no_direction() {
    let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
    let now = run(&mut kernel, &[Answered, LostForward, Answered]);
    let rules = Rules { stateful: false, ..RULES };
    let outcomes = judge_by(&mut flow, &kernel, &rules, now, None);
    assert_eq!(outcomes[1], Outcome::Lost(Lost::Unknown));
}

#[test]
fn without_an_answer_behind_it_a_loss_waits_for_the_timeout_or_for_silence() {
    let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
    let now = run(&mut kernel, &[Answered; 20]);
    judge(&mut flow, &kernel, now);
    kernel.probe(LostForward, now);
    let later = now + RULES.timeout - 1;
    assert_eq!(judge(&mut flow, &kernel, later), []);
    let mut silent = flow.clone();
    assert_eq!(
        judge_by(&mut silent, &kernel, &RULES, later, Some(Lost::Silent)),
        [Outcome::Lost(Lost::Silent)]
    );
    assert_eq!(judge(&mut flow, &kernel, later + 1), [Outcome::Lost(Lost::Unknown)]);
}

/// Invariant 5: whatever the gap, the first genuine answer counts.
#[test]
fn an_agent_that_comes_much_too_late_goes_on_with_what_the_slots_still_hold() {
    let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
    let now = run(&mut kernel, &[Answered; 500]);
    let outcomes = judge(&mut flow, &kernel, now);
    assert_eq!(outcomes.len(), RULES.slots as usize);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Answered { .. })));
    assert_eq!(flow.totals().sent, 500);
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![4 => Just(Answered), 1 => Just(LostForward), 1 => Just(LostReverse)]
}

proptest! {
    /// Every probe is counted once, and both directions add up to what was done to them.
    #[test]
    fn totals_add_up(fates in prop::collection::vec(fate(), 1..200)) {
        let (mut flow, mut kernel) = (Flow::default(), Kernel::default());
        let mut now = SECOND;
        // Bracketed by answers, so that every loss has a direction.
        let fates: Vec<Fate> = [Answered].into_iter().chain(fates).chain([Answered]).collect();
        for fate in &fates {
            kernel.probe(*fate, now);
            now += RULES.interval;
            judge(&mut flow, &kernel, now);
        }
        judge(&mut flow, &kernel, now + 3 * SECOND);
        let totals = flow.totals();
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count() as u64;
        prop_assert_eq!(totals.sent, fates.len() as u64);
        prop_assert_eq!(totals.answered, count(Answered));
        let lost = totals.lost_forward + totals.lost_reverse + totals.lost_unknown;
        prop_assert_eq!(lost, count(LostForward) + count(LostReverse));
        // A run longer than the timeout is cut in pieces, and only such a one may lose its direction.
        let longest = fates.split(|fate| *fate == Answered).map(<[Fate]>::len).max().unwrap_or(0);
        if longest < 8 {
            prop_assert_eq!(totals.lost_forward, count(LostForward));
            prop_assert_eq!(totals.lost_reverse, count(LostReverse));
        }
    }
}
