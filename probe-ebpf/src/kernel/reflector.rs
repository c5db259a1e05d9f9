//! The Session-Reflector (RFC 8762, section 4.3), stateful, unauthenticated.

use core::ptr::addr_of_mut;

use aya_ebpf::programs::XdpContext;
use probe_ebpf::{
    checksum::Sum,
    frame::{
        Bytes, BytesMut, IPV4_LENGTH, IpVersion, MAC_LENGTH, Udp, ipv4, ipv6, udp as udp_field,
    },
    maps::{Config, Counter, ReflectorKey, ReflectorSession},
    stamp::{self, Mode, Reply, Request},
};

use super::{
    Refusal, TRUNCATED, clock,
    integrity::{self, Unchanged},
    packet::Packet,
    state,
};

/// Turns a request into its reply.
#[inline(always)]
pub(crate) fn reflect(
    ctx: &XdpContext,
    packet: &mut Packet,
    udp: &Udp,
    config: &Config,
) -> Result<(), Refusal> {
    let received_at = clock::monotonic();
    let destination = udp.destination(packet).ok_or(TRUNCATED)?;
    if udp.payload_length() < stamp::LENGTH {
        super::ours(&destination)?;
        return Err(Refusal::Invalid(Counter::TooShort));
    }
    let request =
        Request::read(packet, udp.payload_at(), Mode::Unauthenticated).ok_or(TRUNCATED)?;
    let key = ReflectorKey {
        source: udp.source(packet).ok_or(TRUNCATED)?,
        destination,
        source_port: udp.source_port,
        ssid: request.ssid,
        reserved: 0,
    };
    let known = state::reflector_session(&key).filter(|session| is_current(*session, config));
    if known.is_none() {
        super::ours(&destination)?;
    }
    // RFC 8762, section 4.1, leaves the sender's port open; a reflector's would make two of them
    // answer each other for ever. A reflector at another port is known by what it sends.
    let from_reflector = udp.source_port == config.reflector_port
        || udp.source_port == stamp::PORT
        || Reply::read(packet, udp.payload_at(), Mode::Unauthenticated)
            .ok_or(TRUNCATED)?
            .is_plausible();
    if from_reflector {
        return Err(Refusal::Invalid(Counter::ReflectorLoop));
    }
    let unchanged = integrity::verify(ctx, packet, udp)?;
    let session = match known {
        Some(session) => session,
        None => remember(&key, config)?,
    };
    // SAFETY: the map gave the pointer; the element stays readable while the program runs, even if
    // another CPU evicts it.
    let (sequence, peer) =
        unsafe { (state::next_u32(addr_of_mut!((*session).next_sequence)), (*session).peer) };
    state::note_arrival(peer, received_at);

    let ttl = udp.ttl(packet).ok_or(TRUNCATED)?;
    // RFC 8762, section 4.3.1. T3 is taken last, so that the residence T3-T2 holds all of our work.
    let reply = Reply {
        sequence,
        receive_timestamp: clock::wire(config, received_at),
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error_estimate: request.error_estimate,
        sender_ttl: ttl,
        ssid: request.ssid,
        error_estimate: config.error_estimate,
        timestamp: clock::wire(config, clock::monotonic()),
    };
    write_reply(packet, udp, &reply, &unchanged).ok_or(TRUNCATED)
}

/// Whether what a session remembers was looked up in the maps as they are now.
#[inline(always)]
fn is_current(session: *mut ReflectorSession, config: &Config) -> bool {
    // SAFETY: the map gave the pointer.
    unsafe { (*session).generation == config.generation }
}

/// Notes a new session, or looks again for one that is not current; its numbering goes on.
#[inline(always)]
fn remember(key: &ReflectorKey, config: &Config) -> Result<*mut ReflectorSession, Refusal> {
    let session = match state::reflector_session(key) {
        Some(session) => session,
        None => state::new_reflector_session(key).ok_or(Refusal::Invalid(Counter::TableFull))?,
    };
    // SAFETY: the map gave the pointer. Two CPUs may write here at once, but both write the same.
    unsafe {
        (*session).peer = state::peer(&key.source);
        (*session).generation = config.generation;
    }
    Ok(session)
}

/// Sends the frame back to where it came from, with the reply in the place of the request.
#[inline(always)]
fn write_reply(packet: &mut Packet, udp: &Udp, reply: &Reply, unchanged: &Unchanged) -> Option<()> {
    swap::<4>(packet, 0, MAC_LENGTH)?;
    swap::<2>(packet, 4, MAC_LENGTH + 4)?;
    match udp.version {
        IpVersion::V4 => {
            swap::<4>(packet, udp.ip_at + ipv4::SOURCE, udp.ip_at + ipv4::DESTINATION)?;
            packet.write(udp.ip_at + ipv4::TTL, [stamp::TTL])?;
            packet.write(udp.ip_at + ipv4::CHECKSUM, [0, 0])?;
            let header = packet.sum::<IPV4_LENGTH>(udp.ip_at, Sum::ZERO)?;
            packet.write(udp.ip_at + ipv4::CHECKSUM, header.checksum())?;
        }
        IpVersion::V6 => {
            swap::<8>(packet, udp.ip_at + ipv6::SOURCE, udp.ip_at + ipv6::DESTINATION)?;
            swap::<8>(packet, udp.ip_at + ipv6::SOURCE + 8, udp.ip_at + ipv6::DESTINATION + 8)?;
            packet.write(udp.ip_at + ipv6::HOP_LIMIT, [stamp::TTL])?;
        }
    }
    let at = udp.udp_at;
    swap::<2>(packet, at + udp_field::SOURCE_PORT, at + udp_field::DESTINATION_PORT)?;
    reply.write(packet, udp.payload_at(), Mode::Unauthenticated)?;
    // In full, whatever the request had: a userspace peer behind a veth drops partial checksums.
    let checksum = unchanged
        .pseudo_header
        .add_partial(unchanged.tail)
        .add_be16(udp.source_port)
        .add_be16(udp.destination_port)
        .add_be16(udp.length)
        .add_sum(reply.sum())
        .udp_checksum();
    packet.write(at + udp_field::CHECKSUM, checksum)
}

/// Swaps two fields of the frame.
#[inline(always)]
fn swap<const N: usize>(packet: &mut Packet, a: usize, b: usize) -> Option<()> {
    let first: [u8; N] = packet.read(a)?;
    let second: [u8; N] = packet.read(b)?;
    packet.write(a, second)?;
    packet.write(b, first)
}
