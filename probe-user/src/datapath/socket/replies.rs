//! Replies to our own test packets. The rules are those of the XDP program.

use std::{
    mem::offset_of,
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    sync::{Arc, Mutex, atomic::Ordering},
};

use probe_ebpf::{
    frame::Address,
    maps::{Counter, Session, Slot, SlotState, Tuple},
    ntp::{self, Format},
    stamp::{self, AUTHENTICATED_LENGTH, HMAC_AT, LENGTH, Mode, Reply},
};

use super::{Tables, Thread};
use crate::{
    datapath::{
        lock,
        memory::Memory,
        sessions::tuple,
        udp::inbox::{Batch, Inbox, Received},
        worker::{Work, readable},
    },
    verdict::Nanos,
};

/// Batches of datagrams that are taken in of one socket at once, at the most: more than fit its buffer.
const MOST_BATCHES: usize = 64;

/// What the thread works with.
pub(super) struct Replies {
    /// By the port of each.
    inboxes: Vec<(u16, Inbox)>,
    batch: Batch,
    ledger: Ledger,
}

impl Replies {
    pub(super) fn new(
        inboxes: Vec<(u16, Inbox)>,
        tables: Arc<Mutex<Tables>>,
        memory: Memory,
    ) -> Self {
        // What follows the base packet is not looked at.
        let batch = Batch::new(AUTHENTICATED_LENGTH);
        Self { inboxes, batch, ledger: Ledger { memory, tables } }
    }
}

impl Replies {
    fn descriptors(&self) -> Vec<RawFd> {
        self.inboxes.iter().map(|(_, inbox)| inbox.as_fd().as_raw_fd()).collect()
    }

    /// Takes in what has come to a socket, as far as there is room, and says how many datagrams.
    fn take_in(&mut self, index: usize) -> usize {
        let (port, inbox) = &mut self.inboxes[index];
        let count = inbox.receive(&mut self.batch);
        for index in 0..count {
            if let Some(received) = self.batch.get(index) {
                self.ledger.take(&Arrival::new(&received, *port));
            }
        }
        count
    }

    /// Takes in all that has come so far.
    pub(super) fn catch_up(&mut self) {
        for index in readable(&self.descriptors(), 0) {
            // What comes meanwhile may wait: whoever asks must not be held up by a flood.
            for _ in 0..MOST_BATCHES {
                if self.take_in(index) == 0 {
                    break;
                }
            }
        }
    }
}

/// The thread that takes replies in shares them with those who cannot wait for it.
pub(super) struct Shared(pub(super) Arc<Mutex<Replies>>);

impl Work for Shared {
    fn descriptors(&self) -> Vec<RawFd> {
        lock(&self.0).descriptors()
    }

    fn work(&mut self, index: usize) {
        lock(&self.0).take_in(index);
    }
}

/// A datagram to one of our ports.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    /// The base packet.
    pub(super) base: &'a [u8],
    /// Octets of the payload.
    pub(super) length: usize,
    /// Where it comes from, and to which port.
    pub(super) tuple: Tuple,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub(super) at: Nanos,
}

impl<'a> Arrival<'a> {
    fn new(received: &Received<'a>, port: u16) -> Self {
        let tuple = Tuple {
            peer: Address::from(received.source.ip()),
            peer_port: received.source.port(),
            source_port: port,
            reserved: 0,
        };
        Self { base: received.payload, length: received.length, tuple, at: received.at }
    }
}

/// Where replies are noted.
pub(super) struct Ledger {
    pub(super) memory: Memory,
    pub(super) tables: Arc<Mutex<Tables>>,
}

impl Ledger {
    /// Accounts for a datagram, and counts it.
    pub(super) fn take(&mut self, arrival: &Arrival<'_>) {
        let counter = match self.accept(arrival) {
            Ok(()) => Counter::Accepted,
            Err(reason) => reason,
        };
        self.memory.count(Thread::Replies, counter);
    }

    fn accept(&mut self, arrival: &Arrival<'_>) -> Result<(), Counter> {
        if arrival.length < LENGTH {
            return Err(Counter::TooShort);
        }
        let (ssid, session) = self.find(arrival)?;
        if session.key == 0 {
            return self.settle(arrival, ssid, &session, Mode::Unauthenticated);
        }
        if arrival.length < AUTHENTICATED_LENGTH {
            return Err(Counter::TooShort);
        }
        // RFC 8762, section 4.4: the HMAC is verified as early as possible.
        if !self.is_signed(arrival.base, [session.key, session.previous_key]) {
            return Err(Counter::Hmac);
        }
        self.settle(arrival, ssid, &session, Mode::Authenticated)
    }

    /// The session that a reply belongs to: by the SSID, which each mode has in a place of its own, or by
    /// addresses and ports where the reflector returns zeros there (RFC 8762 without RFC 8972).
    fn find(&self, arrival: &Arrival<'_>) -> Result<(u16, Session), Counter> {
        let expected = |ssid: u16| {
            let session = self.memory.running(ssid)?;
            (tuple(&session) == arrival.tuple).then_some((ssid, session))
        };
        let ssid = ssid(arrival.base, Mode::Unauthenticated).ok_or(Counter::TooShort)?;
        let signed = || expected(self::ssid(arrival.base, Mode::Authenticated)?);
        if let Some(found) = expected(ssid).or_else(signed) {
            return Ok(found);
        }
        if ssid != 0 {
            let is_known = self.memory.running(ssid).is_some();
            return Err(if is_known { Counter::WrongPeer } else { Counter::UnknownSession });
        }
        let ssid = lock(&self.tables).tuples.get(&arrival.tuple).copied();
        ssid.and_then(expected).ok_or(Counter::UnknownSession)
    }

    fn is_signed(&self, base: &[u8], keys: [u8; 2]) -> bool {
        let Some((covered, tag)) = base.split_at_checked(HMAC_AT) else { return false };
        let Some(tag) = tag.first_chunk() else { return false };
        let mut keys = keys.into_iter().filter_map(|index| self.memory.key(index));
        keys.any(|key| key.has_signed(&[covered], tag))
    }

    /// Notes the reply in the slot that waits for it.
    fn settle(
        &mut self,
        arrival: &Arrival<'_>,
        ssid: u16,
        session: &Session,
        mode: Mode,
    ) -> Result<(), Counter> {
        let reply = Reply::read(arrival.base, 0, mode).ok_or(Counter::TooShort)?;
        let index = self.memory.slot(ssid, reply.sender_sequence);
        let state = offset_of!(Slot, state);
        let held_state = self.memory.slots.atomic(index, state).load(Ordering::Acquire);
        let held = self.memory.slots.read(index);
        if held.sequence != reply.sender_sequence {
            return Err(Counter::NotSent);
        }
        match SlotState::from_u32(held_state) {
            SlotState::Empty => return Err(Counter::NotSent),
            _ if held.timestamp != reply.sender_timestamp => return Err(Counter::WrongTimestamp),
            SlotState::Sent => {}
            SlotState::Answered => {
                let duplicates = offset_of!(Session, duplicates);
                let count = session.duplicates.wrapping_add(1);
                self.memory.sessions.write_field(usize::from(ssid), duplicates, count);
                return Err(Counter::Duplicate);
            }
            SlotState::Lost => return Err(Counter::Late),
        }

        let elapsed = arrival.at.saturating_sub(held.sent_at);
        let round_trip = stamp::round_trip(elapsed, reply.residence());
        let received_at = Format::of(reply.error_estimate).to_ntp(reply.receive_timestamp);
        let ours = Format::of(self.memory.config.read(0).error_estimate);
        let forward_delay = ntp::difference_nanos(received_at, ours.to_ntp(held.timestamp));
        let slots = &mut self.memory.slots;
        slots.write_field(index, offset_of!(Slot, round_trip), round_trip);
        slots.write_field(index, offset_of!(Slot, reflector_sequence), reply.sequence);
        slots.write_field(index, offset_of!(Slot, forward_delay), forward_delay);
        let (sent, answered) = (SlotState::Sent as u32, SlotState::Answered as u32);
        // The agent may just have given it up.
        slots
            .atomic(index, state)
            .compare_exchange(sent, answered, Ordering::AcqRel, Ordering::Acquire)
            .map_err(|_| Counter::Late)?;
        self.note(ssid, session, &reply, arrival.at);
        Ok(())
    }

    /// Notes in the session that a reply was accepted.
    fn note(&mut self, ssid: u16, session: &Session, reply: &Reply, now: Nanos) {
        let index = usize::from(ssid);
        let sessions = &mut self.memory.sessions;
        let ahead = reply.sender_sequence.wrapping_sub(session.latest_answered) as i32;
        if ahead < 0 && session.answered > 0 {
            let reordered = session.reordered.wrapping_add(1);
            sessions.write_field(index, offset_of!(Session, reordered), reordered);
        } else {
            let latest = offset_of!(Session, latest_answered);
            sessions.write_field(index, latest, reply.sender_sequence);
        }
        let error_estimate = offset_of!(Session, reflector_error_estimate);
        sessions.write_field(index, error_estimate, reply.error_estimate);
        sessions.write_field(index, offset_of!(Session, sender_ttl), reply.sender_ttl);
        sessions.write_field(index, offset_of!(Session, answered_at), now);
        sessions.increment(index, offset_of!(Session, answered));
    }
}

/// The SSID where this mode has it; `None` where the packet is shorter.
fn ssid(base: &[u8], mode: Mode) -> Option<u16> {
    if base.len() < mode.length() {
        return None;
    }
    base[mode.offsets().ssid..].first_chunk().map(|ssid| u16::from_be_bytes(*ssid))
}
