//! Replies to our own test packets.
//!
//! A reply counts if its slot still waits for it and it echoes the T1 that was sent: 32 bits of
//! sequence number and 64 of time that nobody off the path knows. There is no window that could drift
//! shut: after any gap, the first genuine reply is accepted.

use core::ptr::addr_of_mut;

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use probe_ebpf::{
    frame::{Address, Bytes, Udp},
    maps::{Counter, Session, SlotState, Tuple},
    ntp::{self, Format},
    stamp::{self, Mode, Reply},
};

use super::{
    clock, code, given,
    ingress::Arrival,
    integrity, outcome,
    packet::Packet,
    signature::{Message, Program, Tag},
    state,
};

/// Accounts for a reply.
///
/// # Errors
/// Why it does not count.
#[inline(always)]
pub(crate) fn accept(ctx: &XdpContext, arrival: &mut Arrival) -> Result<Counter, Counter> {
    super::ours(&arrival.destination)?;
    let (ssid, session) = find(&Packet::of_xdp(ctx), &arrival.udp(), &arrival.source)?;
    // SAFETY: the map gave the pointer to a whole element. The agent changes the keys one at a time.
    let (key, previous) = unsafe { ((*session).key, (*session).previous_key) };
    if key == 0 {
        integrity::verify(ctx, arrival, Mode::Unauthenticated)?;
        outcome(linkprobe_settle(ctx.ctx, arrival, session, u32::from(ssid)))?;
        return Ok(Counter::Accepted);
    }
    if arrival.udp().payload_length() < stamp::AUTHENTICATED_LENGTH {
        return Err(Counter::TooShort);
    }
    integrity::verify(ctx, arrival, Mode::Authenticated)?;
    // RFC 8762, section 4.4: the HMAC is verified as early as possible.
    outcome(linkprobe_is_signed(ctx.ctx, arrival, u32::from(key), u32::from(previous)))?;
    outcome(linkprobe_settle_authenticated(ctx.ctx, arrival, session, u32::from(ssid)))?;
    Ok(Counter::Accepted)
}

/// The session that a reply belongs to.
///
/// Each mode has a place of its own for the SSID, and the session knows its mode. A reflector without
/// RFC 8972 returns zeros there: then the addresses and ports must do.
#[inline(always)]
fn find(packet: &Packet, udp: &Udp, source: &Address) -> Result<(u16, *mut Session), Counter> {
    let ssid = ssid(packet, udp, Mode::Unauthenticated).ok_or(Counter::Truncated)?;
    let session = state::session(ssid);
    if let Some(session) = session.filter(|session| is_expected(*session, udp, source)) {
        return Ok((ssid, session));
    }
    if udp.payload_length() >= stamp::AUTHENTICATED_LENGTH {
        let ssid = self::ssid(packet, udp, Mode::Authenticated).ok_or(Counter::Truncated)?;
        let signed = state::session(ssid).filter(|session| is_expected(*session, udp, source));
        if let Some(session) = signed {
            return Ok((ssid, session));
        }
    }
    if ssid != 0 {
        let reason = if session.is_some() { Counter::WrongPeer } else { Counter::UnknownSession };
        return Err(reason);
    }
    let ssid = state::ssid_of(&Tuple {
        peer: *source,
        peer_port: udp.source_port,
        source_port: udp.destination_port,
        reserved: 0,
    });
    let session = state::session(ssid).filter(|session| is_expected(*session, udp, source));
    session.map(|session| (ssid, session)).ok_or(Counter::UnknownSession)
}

/// The SSID where this mode has it.
#[inline(always)]
fn ssid(packet: &Packet, udp: &Udp, mode: Mode) -> Option<u16> {
    packet.read(udp.payload_at() + mode.offsets().ssid).map(u16::from_be_bytes)
}

/// Whether a session's replies come from there, to there.
#[inline(always)]
fn is_expected(session: *mut Session, udp: &Udp, source: &Address) -> bool {
    // SAFETY: the map gave the pointer to a whole element. The agent changes these fields only while
    // the session is not active.
    unsafe {
        (*session).peer == *source
            && (*session).peer_port == udp.source_port
            && (*session).source_port == udp.destination_port
    }
}

/// Looks whether a reply is signed with one of the keys.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_is_signed(
    ctx: *mut xdp_md,
    arrival: *mut Arrival,
    key: u32,
    previous: u32,
) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        let (packet, at) = (&Packet::of_xdp(&XdpContext::new(ctx)), arrival.udp().payload_at());
        let message = Message::load(Program::Ingress, packet, at).ok_or(Counter::Truncated)?;
        let tag = Tag::read(packet, at).ok_or(Counter::Truncated)?;
        if message.has(key, tag) || message.has(previous, tag) {
            Ok(())
        } else {
            Err(Counter::Hmac)
        }
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_settle(
    ctx: *mut xdp_md,
    arrival: *mut Arrival,
    session: *mut Session,
    ssid: u32,
) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        // SAFETY: likewise.
        let session = unsafe { given(session) }?;
        settle(&XdpContext::new(ctx), arrival, ssid as u16, session, Mode::Unauthenticated)
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_settle_authenticated(
    ctx: *mut xdp_md,
    arrival: *mut Arrival,
    session: *mut Session,
    ssid: u32,
) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        // SAFETY: likewise.
        let session = unsafe { given(session) }?;
        settle(&XdpContext::new(ctx), arrival, ssid as u16, session, Mode::Authenticated)
    })
}

/// Notes the reply in the slot that waits for it.
#[inline(always)]
fn settle(
    ctx: &XdpContext,
    arrival: &mut Arrival,
    ssid: u16,
    session: *mut Session,
    mode: Mode,
) -> Result<(), Counter> {
    let reply = Reply::read(&Packet::of_xdp(ctx), arrival.udp().payload_at(), mode)
        .ok_or(Counter::Truncated)?;
    let (config, now) = (state::config().ok_or(Counter::NotSent)?, arrival.at);
    let slot = state::slot(config, ssid, reply.sender_sequence).ok_or(Counter::UnknownSession)?;
    // SAFETY: the map gave the pointer to a whole element.
    let held = unsafe { *slot };
    if held.sequence != reply.sender_sequence {
        return Err(Counter::NotSent);
    }
    let refusal = match SlotState::from_u32(held.state) {
        SlotState::Empty => Some(Counter::NotSent),
        _ if held.timestamp != reply.sender_timestamp => Some(Counter::WrongTimestamp),
        SlotState::Sent => None,
        SlotState::Answered => {
            // SAFETY: the map gave the pointer to a whole element.
            unsafe { state::next_u32(addr_of_mut!((*session).duplicates)) };
            Some(Counter::Duplicate)
        }
        SlotState::Lost => Some(Counter::Late),
    };
    if let Some(reason) = refusal {
        return Err(reason);
    }

    let elapsed = now.saturating_sub(held.sent_at);
    let round_trip = stamp::round_trip(elapsed, reply.residence());
    let received_at = Format::of(reply.error_estimate).to_ntp(reply.receive_timestamp);
    let sent_at = clock::format(config).to_ntp(held.timestamp);
    // SAFETY: both maps gave their pointers. The state is published after all else in the slot.
    unsafe {
        (*slot).round_trip = round_trip;
        (*slot).reflector_sequence = reply.sequence;
        (*slot).forward_delay = ntp::difference_nanos(received_at, sent_at);
        state::publish(slot, SlotState::Answered);
        note(session, &reply, now);
    }
    Ok(())
}

/// Notes in the session that a reply was accepted.
///
/// # Safety
/// `session` is a pointer to an element of the map.
#[inline(always)]
unsafe fn note(session: *mut Session, reply: &Reply, now: u64) {
    // SAFETY: the caller's promise. One CPU takes in all packets of a flow, as a rule; where two do,
    // the least of these notes may get lost, and no answer.
    unsafe {
        let ahead = reply.sender_sequence.wrapping_sub((*session).latest_answered) as i32;
        if ahead < 0 && (*session).answered > 0 {
            state::next_u32(addr_of_mut!((*session).reordered));
        } else {
            (*session).latest_answered = reply.sender_sequence;
        }
        (*session).reflector_error_estimate = reply.error_estimate;
        (*session).sender_ttl = reply.sender_ttl;
        addr_of_mut!((*session).answered_at).write_volatile(now);
        state::increment(addr_of_mut!((*session).answered));
    }
}
