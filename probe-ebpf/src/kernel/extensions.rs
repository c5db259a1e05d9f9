//! TLVs behind the base packet (RFC 8972): those that the kernel fills in, and the way to the userspace
//! reflector for the others.

use aya_ebpf::{
    bindings::xdp_md, helpers::bpf_xdp_load_bytes, macros::map, maps::RingBuf, programs::XdpContext,
};
use probe_ebpf::{
    maps::{Config, Counter, Deferred, MAX_DEFERRED, config_flag},
    stamp::Mode,
    tlv::{self, Facts, Survey},
};

use super::{
    admission::Visit,
    clock, code, given,
    ingress::Arrival,
    integrity, outcome,
    packet::{Far, Packet},
    state,
};

/// Requests for the userspace reflector.
#[map]
static DEFERRED: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// One of them, with room for its payload.
#[repr(C)]
struct Entry {
    request: Deferred,
    payload: [u8; MAX_DEFERRED],
}

/// Whether a request has TLVs that only the userspace reflector can answer, and there is one.
#[inline(always)]
pub(crate) fn is_for_userspace(
    ctx: &XdpContext,
    config: &Config,
    arrival: &mut Arrival,
    mode: Mode,
) -> bool {
    config.flags & config_flag::DEFER != 0
        && arrival.udp().payload_length() > mode.length()
        && linkprobe_needs_userspace(ctx.ctx, arrival, mode as u32) != 0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_needs_userspace(ctx: *mut xdp_md, arrival: *mut Arrival, mode: u32) -> i32 {
    // SAFETY: what the verifier has seen to.
    let Ok(arrival) = (unsafe { given(arrival) }) else { return 0 };
    let (packet, udp) = (&Far(Packet::of_xdp(&XdpContext::new(ctx))), &arrival.udp());
    let mode = mode_of(mode);
    let end = udp.payload_at() + udp.payload_length();
    let survey = tlv::survey(packet, udp.payload_at() + mode.length(), end, mode);
    i32::from(survey == Survey::Userspace)
}

#[inline(always)]
const fn mode_of(number: u32) -> Mode {
    if number == Mode::Unauthenticated as u32 { Mode::Unauthenticated } else { Mode::Authenticated }
}

/// Hands a request that has been taken in to the userspace reflector.
#[inline(always)]
pub(crate) fn defer(
    ctx: &XdpContext,
    arrival: &mut Arrival,
    visit: &mut Visit,
) -> Result<Counter, Counter> {
    outcome(linkprobe_defer(ctx.ctx, arrival, visit))?;
    Ok(Counter::Deferred)
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_defer(ctx: *mut xdp_md, arrival: *mut Arrival, visit: *mut Visit) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let (arrival, visit) = unsafe { (given(arrival)?, given(visit)?) };
        let (packet, udp) = (&Packet::of_xdp(&XdpContext::new(ctx)), &arrival.udp());
        let config = state::config().ok_or(Counter::NotDeferred)?;
        let ttl = udp.ttl(packet).ok_or(Counter::Truncated)?;
        let traffic_class = udp.traffic_class(packet).ok_or(Counter::Truncated)?;
        // The compiler may know these bounds; the verifier must.
        let length = core::hint::black_box(udp.payload_length());
        if length == 0 || length > MAX_DEFERRED {
            return Err(Counter::NotDeferred);
        }
        // Before the number is taken: what is dropped here must not look like a lost reply.
        let mut place = DEFERRED.reserve::<Entry>(0).ok_or(Counter::NotDeferred)?;
        let entry = place.as_mut_ptr();
        // SAFETY: the ring buffer gave a whole entry, `length` is at most that of its payload, and the
        // packet has so much.
        let loaded = unsafe {
            let payload = (&raw mut (*entry).payload).cast();
            bpf_xdp_load_bytes(ctx, udp.payload_at() as u32, payload, length as u32)
        };
        if loaded != 0 || visit.enter().is_err() {
            place.discard(0);
            return Err(Counter::NotDeferred);
        }
        // SAFETY: as above; all of the header is written. The kernel gave the context for the time that
        // the program runs.
        unsafe {
            (*entry).request = Deferred {
                source: arrival.source,
                destination: arrival.destination,
                receive_timestamp: clock::wire(config, arrival.at),
                source_port: udp.source_port,
                length: length as u16,
                sequence: visit.sequence,
                key: visit.key as u8,
                ttl,
                traffic_class,
                reserved: 0,
                interface: (*ctx).ingress_ifindex,
            };
        }
        place.submit(0);
        Ok(())
    })
}

/// Fills in the TLVs that the kernel knows.
#[inline(always)]
pub(crate) fn reflect(
    ctx: &XdpContext,
    arrival: &mut Arrival,
    visit: &mut Visit,
    mode: Mode,
) -> Result<(), Counter> {
    if arrival.udp().payload_length() == mode.length() {
        return Ok(());
    }
    outcome(linkprobe_tlvs(ctx.ctx, arrival, visit, mode as u32))
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_tlvs(
    ctx: *mut xdp_md,
    arrival: *mut Arrival,
    visit: *mut Visit,
    mode: u32,
) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let (arrival, visit) = unsafe { (given(arrival)?, given(visit)?) };
        let ctx = &XdpContext::new(ctx);
        let (packet, udp) = (&mut Far(Packet::of_xdp(ctx)), &arrival.udp());
        let (config, mode) = (state::config().ok_or(Counter::Truncated)?, mode_of(mode));
        let facts =
            Facts::new(mode, visit.traffic_class, visit.sequence, config.synchronisation_source);
        let end = udp.payload_at() + udp.payload_length();
        visit.traffic_class = tlv::reflect(packet, udp.payload_at() + mode.length(), end, &facts);
        arrival.tail = integrity::tail(ctx, udp, mode)?;
        Ok(())
    })
}
