//! Which of the two roles a frame is for.

use core::{hint::black_box, mem::MaybeUninit};

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use probe_ebpf::{
    checksum::Sum,
    frame::{Address, IpVersion, Udp},
    maps::{Counter, Fate},
    stamp,
};

use super::{clock, code, given, outcome, packet::Packet, reflector, replies, state};

/// A UDP datagram to one of our ports.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub(crate) at: u64,
    /// The sum of pseudo-header, ports and length, which a reply shares with its request. Found by
    /// [`integrity::verify`](super::integrity::verify), as the next one.
    pub(crate) header: Sum,
    /// The sum of all behind the base packet.
    pub(crate) tail: Sum,
    udp: Udp,
}

impl Arrival {
    /// Zeros, for the verifier: a global function gets no memory that has not been written.
    ///
    /// Word by word and in place, for every frame that comes in passes here. Left to itself, the compiler calls
    /// `memset`, a loop over octets that takes longer than all else that is done about ordinary packets.
    #[inline(always)]
    fn zeros(room: &mut MaybeUninit<Self>) -> &mut Self {
        const WORDS: usize = size_of::<Arrival>() / size_of::<u64>();
        const { assert!(size_of::<Self>() == WORDS * size_of::<u64>()) };
        let first = room.as_mut_ptr().cast::<u64>();
        let mut word = 0;
        while word < WORDS {
            // SAFETY: the word is one of the value's, which is aligned for it.
            unsafe { first.add(word).write_volatile(0) };
            word += 1;
        }
        const { assert!(IpVersion::V4 as u8 == 0) };
        // SAFETY: all of it is written, and zeros are a value: of integers, and of `IpVersion`.
        unsafe { room.assume_init_mut() }
    }

    /// Where the headers are, with bounds that the verifier sees: it knows nothing of what has been in
    /// memory that a global function could write. Ethernet takes at most 22 octets, and IP 40 more.
    ///
    /// The compiler is not to know these bounds: it would leave out checks that follow from one another,
    /// and the verifier does not see that they do.
    #[inline(always)]
    pub(crate) fn udp(&self) -> Udp {
        Udp {
            ip_at: black_box(self.udp.ip_at & 31),
            udp_at: black_box(self.udp.udp_at & 63),
            ..self.udp
        }
    }
}

/// Handles one frame that has come in, and says what it was.
#[inline(always)]
pub(crate) fn handle(ctx: &XdpContext) -> Counter {
    let mut room = MaybeUninit::uninit();
    let arrival = Arrival::zeros(&mut room);
    match answer(ctx, arrival) {
        Ok(done) => done,
        // All agents use the same ports, and a host may route: what passes through is not ours to drop.
        // It is asked last, for most packets are known by then.
        Err(reason) if reason.fate() != Fate::Dropped => reason,
        Err(_) if !state::is_local(&arrival.destination) => Counter::NotLocal,
        Err(reason) => reason,
    }
}

#[inline(always)]
fn answer(ctx: &XdpContext, arrival: &mut Arrival) -> Result<Counter, Counter> {
    outcome(linkprobe_arrival(ctx.ctx, arrival))?;
    let udp = arrival.udp();
    let config = state::config().ok_or(Counter::OtherPort)?;
    if udp.payload_length() < stamp::LENGTH {
        return Err(Counter::TooShort);
    }
    if udp.destination_port == config.reflector_port {
        reflector::reflect(ctx, config, arrival)
    } else {
        replies::accept(ctx, arrival)
    }
}

/// Finds a datagram to one of our ports.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_arrival(ctx: *mut xdp_md, arrival: *mut Arrival) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let arrival = unsafe { given(arrival) }?;
        find(&Packet::of_xdp(&XdpContext::new(ctx)), arrival)
    })
}

#[inline(always)]
fn find(packet: &Packet, arrival: &mut Arrival) -> Result<(), Counter> {
    let udp = Udp::find(packet)?;
    let config = state::config().ok_or(Counter::OtherPort)?;
    let port = udp.destination_port;
    if port != config.reflector_port
        && port.wrapping_sub(config.first_source_port) >= config.source_ports
    {
        return Err(Counter::OtherPort);
    }
    arrival.at = clock::monotonic();
    arrival.source = udp.source(packet).ok_or(Counter::Truncated)?;
    arrival.destination = udp.destination(packet).ok_or(Counter::Truncated)?;
    arrival.udp = udp;
    Ok(())
}
