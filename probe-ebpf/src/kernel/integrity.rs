//! Checksums of what comes in: a link that corrupts packets must not pass for one that delivers them.

use aya_ebpf::{
    bindings::xdp_md,
    helpers::{bpf_csum_diff, bpf_xdp_load_bytes},
    macros::map,
    maps::PerCpuArray,
    programs::XdpContext,
};
use probe_ebpf::{
    checksum::Sum,
    frame::{Bytes, IPV4_LENGTH, IpVersion, Udp},
    maps::Counter,
    stamp::{AUTHENTICATED_LENGTH, LENGTH, Mode},
};

use super::{code, given, ingress::Arrival, outcome, packet::Packet};

/// What `bpf_csum_diff` takes at once on every kernel (before 6.13 its scratch area had 512 bytes).
const CHUNK: usize = 512;

/// Chunks behind the base packet: enough for jumbo frames of 9,216 octets.
const MAX_CHUNKS: usize = 18;

/// A place to sum up what lies behind the base packet.
#[map]
static SCRATCH: PerCpuArray<[u32; CHUNK / 4]> = PerCpuArray::with_max_entries(1, 0);

/// Checks the checksums of a datagram that holds at least the base packet of its mode.
///
/// A veth hands over frames of this host whose checksum is still to be filled in by a network card:
/// their field holds the sum of the pseudo-header only. They never were on a wire, and are accepted.
#[inline(always)]
pub(crate) fn verify(ctx: &XdpContext, arrival: &mut Arrival, mode: Mode) -> Result<(), Counter> {
    outcome(match mode {
        Mode::Unauthenticated => linkprobe_verify(ctx.ctx, arrival),
        Mode::Authenticated => linkprobe_verify_authenticated(ctx.ctx, arrival),
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_verify(ctx: *mut xdp_md, arrival: *mut Arrival) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        check(&XdpContext::new(ctx), arrival, Mode::Unauthenticated)
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_verify_authenticated(ctx: *mut xdp_md, arrival: *mut Arrival) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        check(&XdpContext::new(ctx), arrival, Mode::Authenticated)
    })
}

#[inline(always)]
fn check(ctx: &XdpContext, arrival: &mut Arrival, mode: Mode) -> Result<(), Counter> {
    let (packet, udp) = (&Packet::of_xdp(ctx), &arrival.udp());
    if udp.version == IpVersion::V4 {
        let sum = packet.sum::<IPV4_LENGTH>(udp.ip_at, Sum::ZERO).ok_or(Counter::Truncated)?;
        if sum.folded() != [0xff, 0xff] {
            return Err(Counter::Ipv4Checksum);
        }
    }
    let pseudo_header = udp.pseudo_header(packet).ok_or(Counter::Truncated)?;
    // Swapping the addresses and the ports does not change it.
    arrival.header =
        pseudo_header.add_be16(udp.source_port).add_be16(udp.destination_port).add_be16(udp.length);
    arrival.tail = tail(ctx, udp, mode)?;
    let at = udp.payload_at();
    let base = match mode {
        Mode::Unauthenticated => packet.sum::<LENGTH>(at, Sum::ZERO),
        Mode::Authenticated => packet.sum::<AUTHENTICATED_LENGTH>(at, Sum::ZERO),
    };
    let field = udp.checksum(packet).ok_or(Counter::Truncated)?;
    let sum = base.ok_or(Counter::Truncated)?.add_bytes(&field);
    let sum = sum.add_sum(arrival.header).add_sum(arrival.tail);
    let valid = match (field, udp.version) {
        // RFC 768: no checksum. RFC 8200, section 8.1: not so in IPv6.
        ([0, 0], version) => version == IpVersion::V4,
        _ => sum.folded() == [0xff, 0xff] || field == pseudo_header.folded(),
    };
    if valid { Ok(()) } else { Err(Counter::UdpChecksum) }
}

/// The sum of all behind the base packet.
#[inline(always)]
pub(crate) fn tail(ctx: &XdpContext, udp: &Udp, mode: Mode) -> Result<Sum, Counter> {
    if udp.payload_length() == mode.length() {
        return Ok(Sum::ZERO);
    }
    let mut at = udp.payload_at() + mode.length();
    let end = udp.udp_at + udp.length as usize;
    let scratch = SCRATCH.get_ptr_mut(0).ok_or(Counter::Truncated)?;
    let mut sum = 0;
    for _ in 0..MAX_CHUNKS {
        if at >= end {
            return Ok(Sum::ZERO.add_partial(sum));
        }
        let length = (end - at).min(CHUNK);
        sum = add_chunk(ctx, scratch, at, length, sum).ok_or(Counter::Truncated)?;
        at += CHUNK;
    }
    if at >= end { Ok(Sum::ZERO.add_partial(sum)) } else { Err(Counter::TooLong) }
}

/// Adds up to [`CHUNK`] octets of the frame to a sum.
#[inline(always)]
fn add_chunk(
    ctx: &XdpContext,
    scratch: *mut [u32; CHUNK / 4],
    at: usize,
    length: usize,
    sum: u32,
) -> Option<u32> {
    // The compiler knows these bounds and would leave out the test that the verifier needs.
    let length = core::hint::black_box(length);
    if length == 0 || length > CHUNK {
        return None;
    }
    let words = length.div_ceil(4);
    let last = (words - 1) & (CHUNK / 4 - 1);
    // SAFETY: `scratch` is this CPU's own element of CHUNK bytes; `last` is one of its words, and
    // neither helper is told to touch more than `length`, rounded up to words, of it. The last word
    // is cleared first, so that what the frame does not fill counts as zeros.
    unsafe {
        (*scratch)[last] = 0;
        if bpf_xdp_load_bytes(ctx.ctx, at as u32, scratch.cast(), length as u32) != 0 {
            return None;
        }
        let added =
            bpf_csum_diff(core::ptr::null_mut(), 0, scratch.cast(), (words * 4) as u32, sum);
        (added >= 0).then_some(added as u32)
    }
}
