//! Replies to our own test packets.
//!
//! A reply counts if its slot still waits for it and it echoes the T1 that was sent: 32 bits of
//! sequence number and 64 of time that nobody off the path knows. There is no window that could drift
//! shut: after any gap, the first genuine reply is accepted.

use core::ptr::addr_of_mut;

use aya_ebpf::programs::XdpContext;
use probe_ebpf::{
    frame::Udp,
    maps::{Config, Counter, SlotState},
    ntp,
    stamp::{self, Mode, Reply},
};

use super::{Refusal, TRUNCATED, clock, integrity, packet::Packet, state};

/// Accounts for a reply.
#[inline(always)]
pub(crate) fn accept(
    ctx: &XdpContext,
    packet: &Packet,
    udp: &Udp,
    config: &Config,
) -> Result<(), Refusal> {
    let now = clock::monotonic();
    // All agents use the same ports and SSIDs: what passes through to another host may look like ours.
    super::ours(&udp.destination(packet).ok_or(TRUNCATED)?)?;
    if udp.payload_length() < stamp::LENGTH {
        return Err(Refusal::Invalid(Counter::TooShort));
    }
    let reply = Reply::read(packet, udp.payload_at(), Mode::Unauthenticated).ok_or(TRUNCATED)?;
    let session = state::session(reply.ssid).ok_or(Refusal::Invalid(Counter::UnknownSession))?;
    let source = udp.source(packet).ok_or(TRUNCATED)?;
    // SAFETY: the map gave the pointer to a whole element. The agent changes these fields only while
    // the session is not active.
    let expected = unsafe {
        (*session).peer == source
            && (*session).peer_port == udp.source_port
            && (*session).source_port == udp.destination_port
    };
    if !expected {
        return Err(Refusal::Invalid(Counter::WrongPeer));
    }
    integrity::verify(ctx, packet, udp)?;

    let slot = state::slot(config, reply.ssid, reply.sender_sequence)
        .ok_or(Refusal::Invalid(Counter::UnknownSession))?;
    // SAFETY: the map gave the pointer to a whole element.
    let held = unsafe { *slot };
    if held.sequence != reply.sender_sequence {
        return Err(Refusal::Invalid(Counter::NotSent));
    }
    let refusal = match SlotState::from_u32(held.state) {
        SlotState::Empty => Some(Counter::NotSent),
        _ if held.timestamp != reply.sender_timestamp => Some(Counter::WrongTimestamp),
        SlotState::Sent => None,
        SlotState::Answered => Some(Counter::Duplicate),
        SlotState::Lost => Some(Counter::Late),
    };
    if let Some(reason) = refusal {
        return Err(Refusal::Invalid(reason));
    }

    // A reflector whose clock steps between T2 and T3 may claim any residence: never let it take more
    // than there is, nor add to it.
    let elapsed = now.saturating_sub(held.sent_at);
    let residence = ntp::difference_nanos(reply.timestamp, reply.receive_timestamp);
    let round_trip = match u64::try_from(residence) {
        Ok(residence) if residence <= elapsed => elapsed - residence,
        _ => elapsed,
    };
    let forward_delay = ntp::difference_nanos(reply.receive_timestamp, held.timestamp);
    // SAFETY: both maps gave their pointers. The state is published after all else in the slot.
    unsafe {
        (*slot).round_trip = round_trip.min(u64::from(u32::MAX)) as u32;
        (*slot).reflector_sequence = reply.sequence;
        (*slot).forward_delay = forward_delay;
        state::publish(slot, SlotState::Answered);
        addr_of_mut!((*session).answered_at).write_volatile(now);
        state::increment(addr_of_mut!((*session).answered));
    }
    Ok(())
}
