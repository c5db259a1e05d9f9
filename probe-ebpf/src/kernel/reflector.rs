//! The Session-Reflector (RFC 8762, section 4.3), in both modes.

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use probe_ebpf::{
    checksum::Sum,
    frame::{
        Bytes, BytesMut, IPV4_LENGTH, IpVersion, MAC_LENGTH, Udp, ipv4, ipv6, udp as udp_field,
    },
    maps::{Config, Counter, MAX_KEYS, ReflectorKey, config_flag},
    stamp::{self, Mode, Reply, Request},
};

use super::{
    admission::{self, Visit},
    clock, code, extensions, given,
    ingress::Arrival,
    integrity, outcome,
    packet::Packet,
    signature::{Message, Program, Tag},
    state,
};

/// Turns a request into its reply.
///
/// # Errors
/// Why it did not.
#[inline(always)]
pub(crate) fn reflect(
    ctx: &XdpContext,
    config: &Config,
    arrival: &mut Arrival,
) -> Result<Counter, Counter> {
    // Nothing in a packet tells its mode; the config does.
    if admission::must_authenticate(&arrival.source, config) {
        if arrival.udp().payload_length() < stamp::AUTHENTICATED_LENGTH {
            return Err(Counter::TooShort);
        }
        let mut visit = receive(ctx, config, arrival, Mode::Authenticated)?;
        visit.knock()?;
        // RFC 8762, section 4.4: the HMAC is verified as early as possible.
        visit.key = linkprobe_signer(ctx.ctx, arrival, visit.key);
        if visit.key == 0 {
            return Err(Counter::Hmac);
        }
        if extensions::is_for_userspace(ctx, config, arrival, Mode::Authenticated) {
            return extensions::defer(ctx, arrival, &mut visit);
        }
        visit.enter()?;
        extensions::reflect(ctx, arrival, &mut visit, Mode::Authenticated)?;
        outcome(linkprobe_answer_authenticated(ctx.ctx, arrival, &raw mut visit))?;
        outcome(linkprobe_seal(ctx.ctx, arrival, visit.key))?;
    } else {
        let mut visit = receive(ctx, config, arrival, Mode::Unauthenticated)?;
        if extensions::is_for_userspace(ctx, config, arrival, Mode::Unauthenticated) {
            visit.knock()?;
            return extensions::defer(ctx, arrival, &mut visit);
        }
        visit.knock_and_enter()?;
        extensions::reflect(ctx, arrival, &mut visit, Mode::Unauthenticated)?;
        outcome(linkprobe_answer(ctx.ctx, arrival, &raw mut visit))?;
    }
    Ok(Counter::Reflected)
}

/// A request that arrived as it was sent.
#[inline(always)]
fn receive(
    ctx: &XdpContext,
    config: &Config,
    arrival: &mut Arrival,
    mode: Mode,
) -> Result<Visit, Counter> {
    integrity::verify(ctx, arrival, mode)?;
    let udp = arrival.udp();
    let (packet, at) = (&Packet::of_xdp(ctx), udp.payload_at());
    // RFC 8762, section 4.1, leaves the sender's port open; a reflector's would make two of them
    // answer each other for ever. A reflector at another port is known by what it sends.
    let from_reflector = udp.source_port == config.reflector_port
        || udp.source_port == stamp::PORT
        || Reply::read(packet, at, mode).ok_or(Counter::Truncated)?.is_plausible();
    if from_reflector {
        return Err(Counter::ReflectorLoop);
    }
    let id = ReflectorKey {
        source: arrival.source,
        destination: arrival.destination,
        source_port: udp.source_port,
        ssid: Request::read(packet, at, mode).ok_or(Counter::Truncated)?.ssid,
        reserved: 0,
    };
    let traffic_class = udp.traffic_class(packet).ok_or(Counter::Truncated)?;
    Ok(Visit {
        id,
        at: arrival.at,
        key: 0,
        sequence: 0,
        traffic_class,
        reserved: [0; 3],
        interface: ctx.ingress_ifindex() as u32,
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_answer(ctx: *mut xdp_md, arrival: *mut Arrival, visit: *mut Visit) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        // SAFETY: likewise.
        let visit = unsafe { given(visit) }?;
        answer(&XdpContext::new(ctx), arrival, visit, Mode::Unauthenticated)
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_answer_authenticated(
    ctx: *mut xdp_md,
    arrival: *mut Arrival,
    visit: *mut Visit,
) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        // SAFETY: likewise.
        let visit = unsafe { given(visit) }?;
        answer(&XdpContext::new(ctx), arrival, visit, Mode::Authenticated)
    })
}

/// Writes the reply over the request (RFC 8762, section 4.3); all but the signature, and in
/// authenticated mode the checksum.
#[inline(always)]
fn answer(
    ctx: &XdpContext,
    arrival: &mut Arrival,
    visit: &mut Visit,
    mode: Mode,
) -> Result<(), Counter> {
    let config = state::config().ok_or(Counter::Truncated)?;
    let (packet, udp) = (&mut Packet::of_xdp(ctx), &arrival.udp());
    let request = Request::read(packet, udp.payload_at(), mode).ok_or(Counter::Truncated)?;
    let stateless = config.flags & config_flag::STATELESS != 0;
    let ttl = udp.ttl(packet).ok_or(Counter::Truncated)?;
    let receive_timestamp = clock::wire(config, arrival.at);
    // RFC 8762, section 4.3.1. T3 is taken last, so that the residence T3-T2 holds all of our work
    // but the signature, which covers T3.
    let reply = Reply {
        sequence: if stateless { request.sequence } else { visit.sequence },
        receive_timestamp,
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error_estimate: request.error_estimate,
        sender_ttl: ttl,
        ssid: request.ssid,
        error_estimate: config.error_estimate,
        timestamp: clock::wire_now(config, receive_timestamp, arrival.at),
    };
    udp.set_traffic_class(packet, visit.traffic_class).ok_or(Counter::Truncated)?;
    turn_round(packet, udp).ok_or(Counter::Truncated)?;
    reply.write(packet, udp.payload_at(), mode).ok_or(Counter::Truncated)?;
    arrival.tail = arrival.tail.add_sum(reply.sum());
    if matches!(mode, Mode::Unauthenticated) {
        let sum = arrival.header.add_sum(arrival.tail);
        write_checksum(packet, udp, sum).ok_or(Counter::Truncated)?;
    }
    Ok(())
}

/// Index of the key that an authenticated request is signed with, or 0. The one of the session's request
/// before is tried first.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_signer(ctx: *mut xdp_md, arrival: *mut Arrival, last: u32) -> u32 {
    // SAFETY: the verifier sees to it that the pointer is null or leads to a whole `Arrival`.
    let Some(arrival) = (unsafe { arrival.as_mut() }) else { return 0 };
    let (packet, at) = (&Packet::of_xdp(&XdpContext::new(ctx)), arrival.udp().payload_at());
    let (Some(message), Some(tag)) =
        (Message::load(Program::Ingress, packet, at), Tag::read(packet, at))
    else {
        return 0;
    };
    if message.has(last, tag) {
        return last;
    }
    (1..=MAX_KEYS).find(|key| *key != last && message.has(*key, tag)).unwrap_or(0)
}

/// Signs the reply with the key of the request, and writes the checksum.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_seal(ctx: *mut xdp_md, arrival: *mut Arrival, key: u32) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        let (packet, udp) = (&mut Packet::of_xdp(&XdpContext::new(ctx)), &arrival.udp());
        let mut seal = || {
            let tag = Message::load(Program::Ingress, packet, udp.payload_at())?.tag(key)?;
            tag.write(packet, udp.payload_at())?;
            write_checksum(packet, udp, arrival.header.add_sum(arrival.tail).add_sum(tag.sum()))
        };
        seal().ok_or(Counter::Truncated)
    })
}

/// Sends the frame back to where it came from.
#[inline(always)]
fn turn_round(packet: &mut Packet, udp: &Udp) -> Option<()> {
    packet.swap::<u16, { MAC_LENGTH / 2 }>(0)?;
    match udp.version {
        IpVersion::V4 => {
            packet.swap::<u32, 1>(udp.ip_at + ipv4::SOURCE)?;
            packet.write(udp.ip_at + ipv4::TTL, [stamp::TTL])?;
            packet.write(udp.ip_at + ipv4::CHECKSUM, [0, 0])?;
            let header = packet.sum::<IPV4_LENGTH>(udp.ip_at, Sum::ZERO)?;
            packet.write(udp.ip_at + ipv4::CHECKSUM, header.checksum())?;
        }
        IpVersion::V6 => {
            packet.swap::<u64, 2>(udp.ip_at + ipv6::SOURCE)?;
            packet.write(udp.ip_at + ipv6::HOP_LIMIT, [stamp::TTL])?;
        }
    }
    packet.swap::<u16, 1>(udp.udp_at + udp_field::SOURCE_PORT)
}

/// Writes the checksum of a datagram with this sum: in full, whatever the request had, for a userspace
/// peer behind a veth drops partial checksums.
#[inline(always)]
fn write_checksum(packet: &mut Packet, udp: &Udp, sum: Sum) -> Option<()> {
    packet.write(udp.udp_at + udp_field::CHECKSUM, sum.udp_checksum())
}
