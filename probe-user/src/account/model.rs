//! A model of the kernel's memory of one session, for tests, the simulator and `linkprobe explain`: what `probe-ebpf` does
//! with it, in the same order.

use std::cell::{Cell, RefCell};

use probe_ebpf::maps::{Slot, SlotState};

use super::Memory;
use crate::{random::Random, verdict::Nanos};

/// A reply to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the probe.
    pub sequence: u32,
    /// When the probe left: what the reply echoes as its T1.
    pub sent_at: Nanos,
    /// The reflector's own number.
    pub reflector_sequence: u32,
    /// The round trip less the reflector's residence, in nanoseconds.
    pub round_trip: u32,
}

/// The memory of one session.
#[derive(Clone, Debug)]
pub struct Kernel {
    slots: RefCell<Box<[Slot]>>,
    sent: Cell<u32>,
    answered: Cell<u64>,
    answered_at: Cell<Nanos>,
}

impl Kernel {
    /// A session with so many slots, a power of two.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self {
            slots: RefCell::new(vec![Slot::default(); slots as usize].into()),
            sent: Cell::new(0),
            answered: Cell::new(0),
            answered_at: Cell::new(0),
        }
    }

    /// A probe leaves: its sequence number.
    pub fn send(&self, now: Nanos) -> u32 {
        let sequence = self.sent.get();
        let mut slots = self.slots.borrow_mut();
        let mask = slots.len() - 1;
        slots[sequence as usize & mask] =
            Slot { state: SlotState::Sent as u32, sequence, sent_at: now, ..Slot::default() };
        self.sent.set(sequence.wrapping_add(1));
        sequence
    }

    /// A reply arrives. It counts if the slot of its probe waits for it.
    pub fn answer(&self, answer: Answer, now: Nanos) -> bool {
        let Answer { sequence, sent_at, reflector_sequence, round_trip } = answer;
        let mut slots = self.slots.borrow_mut();
        let mask = slots.len() - 1;
        let slot = &mut slots[sequence as usize & mask];
        let waits = slot.sequence == sequence
            && slot.state == SlotState::Sent as u32
            && slot.sent_at == sent_at;
        if waits {
            slot.state = SlotState::Answered as u32;
            slot.reflector_sequence = reflector_sequence;
            slot.round_trip = round_trip;
            self.answered.set(self.answered.get() + 1);
            self.answered_at.set(now);
        }
        waits
    }

    /// Any state that the memory can be in, with times up to `now`.
    pub fn scramble(&self, random: &mut Random, now: Nanos) {
        self.sent.set(random.bits() as u32);
        self.answered.set(random.bits() >> 20);
        self.answered_at.set(random.below(now));
        for slot in &mut *self.slots.borrow_mut() {
            *slot = Slot {
                state: random.below(4) as u32,
                sequence: random.bits() as u32,
                sent_at: random.below(now),
                round_trip: random.bits() as u32,
                reflector_sequence: random.bits() as u32,
                ..Slot::default()
            };
        }
    }
}

impl Memory for Kernel {
    #[inline]
    fn sent(&self) -> u32 {
        self.sent.get()
    }

    #[inline]
    fn answered(&self) -> u64 {
        self.answered.get()
    }

    #[inline]
    fn answered_at(&self) -> Nanos {
        self.answered_at.get()
    }

    #[inline]
    fn slot(&self, sequence: u32) -> Slot {
        let slots = self.slots.borrow();
        slots[sequence as usize & (slots.len() - 1)]
    }

    fn close(&self, sequence: u32) -> bool {
        let mut slots = self.slots.borrow_mut();
        let mask = slots.len() - 1;
        let slot = &mut slots[sequence as usize & mask];
        if slot.sequence != sequence {
            return true;
        }
        if slot.state == SlotState::Sent as u32 {
            slot.state = SlotState::Lost as u32;
        }
        slot.state == SlotState::Lost as u32
    }
}
