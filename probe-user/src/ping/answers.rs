//! The times of all answers, whenever they came.

use std::collections::VecDeque;

use probe_ebpf::maps::SlotState;

use super::distribution::Distribution;
use crate::account::Memory;

/// What was measured by the probes that were answered before they were lost.
#[derive(Clone, Debug)]
pub struct Answers {
    /// The first probe that was not looked at yet.
    next: u32,
    /// Probes that may still be answered, oldest first.
    waiting: VecDeque<u32>,
    has_own_numbers: bool,
    last: Option<u32>,
    /// Round trips, in nanoseconds.
    pub round_trip: Distribution,
    /// The ways there, with the difference of the two clocks in them.
    pub forward: Distribution,
    /// The ways back, with the same difference, the other way round.
    pub reverse: Distribution,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            next: 0,
            waiting: VecDeque::new(),
            has_own_numbers: false,
            last: None,
            round_trip: Distribution::from_zero(),
            forward: Distribution::from_first(),
            reverse: Distribution::from_first(),
        }
    }
}

impl Answers {
    /// Takes in what has been answered since the last time. `slots` is how many the session has.
    pub fn collect(&mut self, memory: &impl Memory, slots: u32) {
        let sent = memory.sent();
        let behind = sent.wrapping_sub(self.next);
        // What is further behind has been overwritten.
        self.next = self.next.wrapping_add(behind.saturating_sub(slots));
        while self.next != sent {
            self.waiting.push_back(self.next);
            self.next = self.next.wrapping_add(1);
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|sequence| {
            let slot = memory.slot(*sequence);
            match SlotState::from_u32(slot.state) {
                _ if slot.sequence != *sequence => false,
                SlotState::Answered => {
                    let round_trip = i64::from(slot.round_trip);
                    self.round_trip.add(round_trip);
                    self.forward.add(slot.forward_delay);
                    self.reverse.add(round_trip.saturating_sub(slot.forward_delay));
                    self.has_own_numbers |= slot.reflector_sequence != slot.sequence;
                    self.last = Some(slot.round_trip);
                    false
                }
                SlotState::Lost => false,
                SlotState::Empty | SlotState::Sent => true,
            }
        });
        self.waiting = waiting;
    }

    /// Whether the reflector has ever answered with another number than the probe's. One that never
    /// does may be stateless (RFC 8762, section 4.3).
    #[must_use]
    pub const fn has_own_numbers(&self) -> bool {
        self.has_own_numbers
    }

    /// The round trip that was noted last, in nanoseconds.
    #[must_use]
    pub const fn last(&self) -> Option<u32> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use probe_ebpf::maps::Slot;

    use super::*;
    use crate::verdict::Nanos;

    /// Eight slots.
    #[derive(Default)]
    struct Model {
        slots: RefCell<[Slot; 8]>,
        sent: u32,
    }

    impl Model {
        fn send(&mut self) -> u32 {
            let slot = Slot { state: 1, sequence: self.sent, ..Slot::default() };
            self.slots.get_mut()[self.sent as usize % 8] = slot;
            self.sent = self.sent.wrapping_add(1);
            slot.sequence
        }

        fn answer(&mut self, sequence: u32, round_trip: u32) {
            let slot = &mut self.slots.get_mut()[sequence as usize % 8];
            assert_eq!(slot.sequence, sequence);
            *slot = Slot { state: 2, round_trip, forward_delay: 10, ..*slot };
        }
    }

    impl Memory for Model {
        fn sent(&self) -> u32 {
            self.sent
        }
        fn answered(&self) -> u64 {
            0
        }
        fn answered_at(&self) -> Nanos {
            0
        }
        fn slot(&self, sequence: u32) -> Slot {
            self.slots.borrow()[sequence as usize % 8]
        }
        fn close(&self, sequence: u32) -> bool {
            self.slots.borrow_mut()[sequence as usize % 8].state = 3;
            true
        }
    }

    #[test]
    fn every_answer_counts_once_in_whatever_order_they_come() {
        let (mut model, mut answers) =
            (Model { sent: u32::MAX - 2, ..Model::default() }, Answers::default());
        answers.next = model.sent;
        let sent: Vec<u32> = (0..5).map(|_| model.send()).collect();
        model.answer(sent[3], 300);
        answers.collect(&model, 8);
        answers.collect(&model, 8);
        assert_eq!(answers.round_trip.quantiles().unwrap().max, 0.3);
        model.answer(sent[0], 100);
        model.answer(sent[4], 500);
        // Answered after it was given up for good: it was lost.
        assert!(model.close(sent[1]));
        answers.collect(&model, 8);
        model.answer(sent[1], 900);
        model.answer(sent[2], 200);
        answers.collect(&model, 8);
        let quantiles = answers.round_trip.quantiles().unwrap();
        assert_eq!((quantiles.min, quantiles.p50, quantiles.max), (0.1, 0.2, 0.5));
        assert_eq!(answers.reverse.quantiles().unwrap().min, 0.09);
        assert_eq!(answers.last(), Some(200));
        assert!(answers.waiting.is_empty());
    }

    #[test]
    fn what_was_overwritten_is_left_out() {
        let (mut model, mut answers) = (Model::default(), Answers::default());
        for _ in 0..20 {
            let sequence = model.send();
            model.answer(sequence, 100 + sequence);
        }
        answers.collect(&model, 8);
        assert_eq!(answers.round_trip.quantiles().unwrap().min, 0.112);
        assert!(answers.has_own_numbers());
    }
}
