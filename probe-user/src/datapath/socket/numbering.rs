//! Our own test packets on their way out: here they get their number, their time and their signature.

use std::{mem::offset_of, sync::atomic::Ordering};

use probe_ebpf::{
    frame::Address,
    hmac::TAG_LENGTH,
    maps::{Counter, Session, Slot, SlotState, session_flag},
    stamp::{HMAC_AT, Mode, Request},
    tlv::{HEADER_LENGTH, Header, kind},
};

use super::Thread;
use crate::{
    datapath::{
        clock::{self, Wire},
        memory::Memory,
    },
    sender::{Target, sockets::Numbering},
};

/// What the sender numbers its packets by.
pub(super) struct Numbers {
    memory: Memory,
    time: Wire,
}

impl Numbers {
    pub(super) fn new(memory: Memory) -> Self {
        Self { time: Wire::new(memory.config.share()), memory }
    }

    /// Writes number, time and signature over a template; `None` where the session cannot send it.
    fn write(&self, session: &Session, request: &Request, payload: &mut [u8]) -> Option<()> {
        let mode = mode_of(session);
        let (base, _) = payload.split_at_checked(mode.length())?;
        let end_of_base = base.len();
        if session.flags & session_flag::DIRECT_MEASUREMENT != 0 {
            // RFC 8972, section 4.5: how many test packets were sent, this one among them.
            let transmitted = request.sequence.wrapping_add(1).to_be_bytes();
            let place = payload.get_mut(end_of_base + HEADER_LENGTH..)?.first_chunk_mut()?;
            *place = transmitted;
        }
        if mode == Mode::Unauthenticated {
            return request.write(payload, 0, mode);
        }
        let ssid_at = Mode::Unauthenticated.offsets().ssid;
        payload[ssid_at..ssid_at + 2].fill(0);
        request.write(payload, 0, mode)?;
        let key = self.memory.key(session.key)?;
        let tag = key.tag(&[&payload[..HMAC_AT]]);
        payload[HMAC_AT..HMAC_AT + TAG_LENGTH].copy_from_slice(&tag);
        // RFC 8972, section 4.8: its own HMAC covers the Sequence Number and the TLVs before it.
        if let Some(at) = hmac_tlv(payload, end_of_base) {
            let tag = key.tag(&[&payload[..4], &payload[end_of_base..at]]);
            let value = at + HEADER_LENGTH;
            payload[value..value + TAG_LENGTH].copy_from_slice(&tag);
        }
        Some(())
    }
}

impl Numbering for Numbers {
    fn number(&mut self, target: &Target, payload: &mut [u8]) -> bool {
        let ssid = target.ssid;
        let session = self.memory.running(ssid).filter(|session| leads_to(session, target));
        let sent_at = clock::monotonic();
        let timestamp = self.time.timestamp(sent_at);
        let numbered = session.and_then(|session| {
            let error_estimate = self.memory.config.read(0).error_estimate;
            let request = Request { sequence: session.sent, timestamp, error_estimate, ssid };
            self.write(&session, &request, payload)?;
            Some(session.sent)
        });
        let Some(sequence) = numbered else {
            self.memory.count(Thread::Sender, Counter::NoSession);
            return false;
        };
        // Before it leaves: the reply may be here at once.
        let slot = self.memory.slot(ssid, sequence);
        let slots = &mut self.memory.slots;
        slots.write_field(slot, offset_of!(Slot, sequence), sequence);
        slots.write_field(slot, offset_of!(Slot, sent_at), sent_at);
        slots.write_field(slot, offset_of!(Slot, timestamp), timestamp);
        slots
            .atomic(slot, offset_of!(Slot, state))
            .store(SlotState::Sent as u32, Ordering::Release);
        true
    }

    fn settle(&mut self, target: &Target, has_left: bool) {
        let sent = self.memory.sessions.atomic(usize::from(target.ssid), offset_of!(Session, sent));
        if has_left {
            // Nobody else counts.
            sent.fetch_add(1, Ordering::Release);
            self.memory.count(Thread::Sender, Counter::Stamped);
        } else {
            // What has not left was not sent; the next packet gets its number.
            let slot = self.memory.slot(target.ssid, sent.load(Ordering::Relaxed));
            let state = self.memory.slots.atomic(slot, offset_of!(Slot, state));
            state.store(SlotState::Empty as u32, Ordering::Release);
        }
    }
}

const fn mode_of(session: &Session) -> Mode {
    if session.key == 0 { Mode::Unauthenticated } else { Mode::Authenticated }
}

/// Whether a session is still the one that the sender means.
fn leads_to(session: &Session, target: &Target) -> bool {
    session.peer == Address::from(target.reflector.ip())
        && session.peer_port == target.reflector.port()
}

/// Where the HMAC TLV stands, if there is one.
fn hmac_tlv(payload: &[u8], base: usize) -> Option<usize> {
    let mut at = base;
    while let Some(tlv) = Header::read(payload, at, payload.len()).filter(|tlv| !tlv.is_malformed) {
        if tlv.kind == kind::HMAC {
            return Some(at);
        }
        at = tlv.next(at);
    }
    None
}
