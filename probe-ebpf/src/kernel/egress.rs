//! Our own test packets on their way out: here they get their number and their time, so that a packet
//! that never left was never sent.

use core::ptr::addr_of_mut;

use aya_ebpf::{bindings::BPF_F_MARK_MANGLED_0, programs::TcContext};
use probe_ebpf::{
    frame::{Udp, udp as udp_field},
    maps::{Config, Counter, Session, SlotState},
    stamp::{self, Mode, Request},
};

use super::{clock, packet::Packet, state};

/// Numbers and stamps one frame if it is a test packet of ours.
#[inline(always)]
pub(crate) fn handle(ctx: &TcContext) -> Result<(), Counter> {
    let mut packet = Packet::of_tc(ctx);
    // What this host forwards has come in somewhere; what it sends itself has not.
    // SAFETY: the kernel gave the context for the time that the program runs.
    if unsafe { (*ctx.skb.skb).ingress_ifindex } != 0 {
        return Err(Counter::OtherTraffic);
    }
    let udp = Udp::find(&packet).map_err(|_| Counter::OtherTraffic)?;
    let config = state::config().ok_or(Counter::OtherTraffic)?;
    if udp.source_port.wrapping_sub(config.first_source_port) >= config.source_ports {
        return Err(Counter::OtherTraffic);
    }
    if udp.payload_length() < stamp::LENGTH {
        return Err(Counter::NoSession);
    }
    let template = Request::read(&packet, udp.payload_at(), Mode::Unauthenticated)
        .ok_or(Counter::NoSession)?;
    let session = state::session(template.ssid).ok_or(Counter::NoSession)?;
    if !belongs(&packet, &udp, session) {
        return Err(Counter::NoSession);
    }
    stamp(ctx, &mut packet, &udp, config, &template, session).ok_or(Counter::NoSession)
}

/// Whether a packet with the session's SSID is also on the session's way.
#[inline(always)]
fn belongs(packet: &Packet, udp: &Udp, session: *mut Session) -> bool {
    let Some(destination) = udp.destination(packet) else { return false };
    // SAFETY: the map gave the pointer to a whole element. The agent changes these fields only while
    // the session is not active.
    unsafe {
        (*session).peer == destination
            && (*session).peer_port == udp.destination_port
            && (*session).source_port == udp.source_port
    }
}

/// Gives the packet its number and its time, and notes both in its slot.
#[inline(always)]
fn stamp(
    ctx: &TcContext,
    packet: &mut Packet,
    udp: &Udp,
    config: &Config,
    template: &Request,
    session: *mut Session,
) -> Option<()> {
    let ssid = template.ssid;
    // SAFETY: the map gave the pointer to a whole element.
    let sequence = unsafe { addr_of_mut!((*session).sent).read_volatile() };
    let slot = state::slot(config, ssid, sequence)?;

    let sent_at = clock::monotonic();
    let timestamp = clock::wire(config, sent_at);
    let request = Request { sequence, timestamp, error_estimate: config.error_estimate, ssid };
    request.write(packet, udp.payload_at(), Mode::Unauthenticated)?;

    // SAFETY: the map gave the pointer. One thread sends all packets of a session, so nobody else
    // takes this number; the slot is complete before the number counts as sent.
    unsafe {
        (*slot).sequence = sequence;
        (*slot).sent_at = sent_at;
        (*slot).timestamp = timestamp;
        state::publish(slot, SlotState::Sent);
        state::next_u32(addr_of_mut!((*session).sent));
    }
    // Last, because it takes the pointers into the packet away. A checksum that the network card
    // still has to fill in is left alone.
    let difference = u64::from(request.sum().difference(template.sum()));
    let checksum_at = udp.udp_at + udp_field::CHECKSUM;
    ctx.l4_csum_replace(checksum_at, 0, difference, u64::from(BPF_F_MARK_MANGLED_0)).ok()
}
