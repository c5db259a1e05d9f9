//! Our own test packets on their way out: here they get their number and their time, so that a packet
//! that never left was never sent.

use core::ptr::addr_of_mut;

use aya_ebpf::{bindings::BPF_F_MARK_MANGLED_0, programs::TcContext};
use probe_ebpf::{
    checksum::Sum,
    frame::{BytesMut, Udp, udp as udp_field},
    maps::{Config, Counter, STEERED, Session, session_flag},
    stamp::{self, Mode, Request},
};

use super::{
    departure::Departure,
    packet::Packet,
    signature::{Message, Program},
    state, transmit,
};

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
    unsteer(ctx);
    if udp.payload_length() < stamp::LENGTH {
        return Err(Counter::NoSession);
    }
    // A template has its SSID at the place of unauthenticated packets, whatever its mode.
    let template = Request::read(&packet, udp.payload_at(), Mode::Unauthenticated)
        .ok_or(Counter::NoSession)?;
    let session = state::session(template.ssid).ok_or(Counter::NoSession)?;
    if !belongs(&packet, &udp, session) {
        return Err(Counter::NoSession);
    }
    let leaving = Leaving { ctx, udp: &udp, config, template: &template, session };
    // SAFETY: the map gave the pointer to a whole element.
    let stamped = if unsafe { (*session).key } == 0 {
        leaving.stamp(&mut packet, Mode::Unauthenticated)
    } else {
        leaving.stamp(&mut packet, Mode::Authenticated)
    };
    stamped.ok_or(Counter::NoSession)
}

/// Takes the mark off that has led a packet here. A tunnel hands marks on to the packets that it makes, and these are to go
/// their own way.
#[inline(always)]
fn unsteer(ctx: &TcContext) {
    // SAFETY: the kernel gave the context for the time that the program runs, and lets the mark be written.
    unsafe {
        let mark = addr_of_mut!((*ctx.skb.skb).mark);
        if mark.read() & 0xffff_0000 == STEERED {
            mark.write(0);
        }
    }
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

/// A template of ours that is about to leave.
struct Leaving<'a> {
    ctx: &'a TcContext,
    udp: &'a Udp,
    config: &'a Config,
    template: &'a Request,
    session: *mut Session,
}

impl Leaving<'_> {
    /// Gives the packet its number and its time, and notes both in its slot.
    #[inline(always)]
    fn stamp(&self, packet: &mut Packet, mode: Mode) -> Option<()> {
        let departure = Departure::now(self.config, self.template.ssid, self.session)?;
        let sum = self.write(packet, &departure.request, mode)?;
        departure.note();
        if matches!(mode, Mode::Unauthenticated) {
            transmit::learn(self.ctx, packet, self.udp, &departure);
        }
        // Last, because it takes the pointers into the packet away. A checksum that the network card
        // still has to fill in is left alone.
        let difference = u64::from(sum.difference(self.template.sum()));
        let checksum_at = self.udp.udp_at + udp_field::CHECKSUM;
        self.ctx.l4_csum_replace(checksum_at, 0, difference, u64::from(BPF_F_MARK_MANGLED_0)).ok()
    }

    /// Writes the request over its template, and returns the sum of what has been written.
    #[inline(always)]
    fn write(&self, packet: &mut Packet, request: &Request, mode: Mode) -> Option<Sum> {
        let at = self.udp.payload_at();
        let tlv_at = at + mode.length();
        let mut sum = request.sum();
        // SAFETY: the map gave the pointer to a whole element.
        let (key, flags) = unsafe { ((*self.session).key, (*self.session).flags) };
        if flags & session_flag::DIRECT_MEASUREMENT != 0 {
            // RFC 8972, section 4.5: how many test packets were sent, this one among them.
            let transmitted = request.sequence.wrapping_add(1).to_be_bytes();
            packet.write(tlv_at + 4, transmitted)?;
            sum = sum.add_bytes(&transmitted);
        }
        if matches!(mode, Mode::Authenticated) {
            packet.write(at + Mode::Unauthenticated.offsets().ssid, [0; 2])?;
            request.write(packet, at, mode)?;
            let tag = Message::load(Program::Egress, packet, at)?.tag(u32::from(key))?;
            tag.write(packet, at)?;
            Some(sum.add_sum(tag.sum()))
        } else {
            request.write(packet, at, mode)?;
            Some(sum)
        }
    }
}
