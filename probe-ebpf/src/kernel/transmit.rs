//! Test packets that need no network stack.
//!
//! The network stack sends some packet of a session now and then, and what it puts before that is kept. The others
//! are made of the same headers: the agent has the XDP program run on blank frames (`BPF_F_TEST_XDP_LIVE_FRAMES`),
//! and they go to the interface's driver at once. So routes, neighbours and marks are the network stack's business
//! alone, and T1 is taken right before the driver has the packet.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::Array,
    programs::{TcContext, XdpContext},
};
use probe_ebpf::{
    frame::{Bytes as _, BytesMut as _, UDP_LENGTH, Udp, udp as udp_field},
    maps::transmit::{Batch, Headers, IPV4_HEADERS, LOOPBACK, MAX_BATCH, MAX_HEADERS, PAYLOAD},
    stamp::Mode,
};

use super::{departure::Departure, packet::Packet, state};

#[map]
static HEADERS: Array<Headers> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static BATCH: Array<Batch> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Keeps the headers of a packet that leaves, if others can be made of them.
#[inline(always)]
pub(crate) fn learn(
    ctx: &TcContext,
    packet: &Packet,
    udp: &Udp,
    departure: &Departure,
) -> Option<()> {
    // SAFETY: the kernel gave the context for the time that the program runs.
    let (interface, has_tag) = unsafe { ((*ctx.skb.skb).ifindex, (*ctx.skb.skb).vlan_present) };
    let at = udp.payload_at();
    // Without tags, tunnels or TLVs: others keep to the network stack.
    if has_tag != 0 || udp.payload_length() != PAYLOAD {
        return None;
    }
    let sum = udp.pseudo_header(packet)?;
    let sum = packet.sum::<4>(udp.udp_at, sum)?.add_be16(udp.length);
    let headers = HEADERS.get_ptr_mut(u32::from(departure.request.ssid))?;
    // SAFETY: the map gave the pointer to a whole element. Until all of it is written, there are no headers.
    let octets = unsafe {
        (&raw mut (*headers).learned_at).write_volatile(0);
        (&raw mut (*headers).octets).cast::<u8>()
    };
    match at {
        // SAFETY: there is room for the longer ones.
        IPV4_HEADERS => unsafe { packet.save::<IPV4_HEADERS>(octets) }?,
        // SAFETY: as above.
        MAX_HEADERS => unsafe { packet.save::<MAX_HEADERS>(octets) }?,
        _ => return None,
    }
    // SAFETY: as above. Almost always, the thread that sends is the one that reads them.
    unsafe {
        (*headers).length = at as u16;
        (*headers).sum = sum.folded();
        (*headers).interface = interface;
        (&raw mut (*headers).learned_at).write_volatile(departure.sent_at);
    }
    Some(())
}

/// Whether a packet is to be made of a frame: one is wanted, and this one comes by the loopback interface, which the
/// programs of such an agent are not attached to. What is in it does not matter: frames are used again.
#[inline(always)]
pub(crate) fn is_blank(ctx: &XdpContext) -> bool {
    // SAFETY: the kernel gave the context for the time that the program runs.
    let is_of_loopback = unsafe { (*ctx.ctx).ingress_ifindex } == LOOPBACK;
    is_of_loopback && BATCH.get(0).is_some_and(|batch| batch.taken < batch.count)
}

/// Makes the next packet of the batch in a blank frame, and returns the interface that it is to leave by.
#[inline(always)]
pub(crate) fn next(ctx: &XdpContext) -> Option<u32> {
    let batch = BATCH.get_ptr_mut(0)?;
    // SAFETY: the map gave the pointer to a whole element; one thread at a time has this program run.
    let ssid = unsafe {
        let taken = (*batch).taken;
        (*batch).taken = taken + 1;
        (*batch).ssids[taken as usize % MAX_BATCH]
    };
    let headers = HEADERS.get(u32::from(ssid)).filter(|headers| headers.learned_at != 0)?;
    let mut packet = Packet::of_xdp(ctx);
    match (usize::from(headers.length), packet.length() - PAYLOAD) {
        (IPV4_HEADERS, IPV4_HEADERS) => make::<IPV4_HEADERS>(&mut packet, headers, ssid)?,
        (MAX_HEADERS, MAX_HEADERS) => make::<MAX_HEADERS>(&mut packet, headers, ssid)?,
        _ => return None,
    }
    Some(headers.interface)
}

#[inline(always)]
fn make<const AT: usize>(packet: &mut Packet, headers: &Headers, ssid: u16) -> Option<()> {
    let (config, session) = (state::config()?, state::session(ssid)?);
    // SAFETY: there are as many as in the longest headers.
    unsafe { packet.restore::<AT>((&raw const headers.octets).cast()) }?;
    clear::<AT>(packet)?;
    let departure = Departure::now(config, ssid, session)?;
    departure.request.write(packet, AT, Mode::Unauthenticated)?;
    let sum = departure.request.sum().add_bytes(&headers.sum);
    packet.write(AT - UDP_LENGTH + udp_field::CHECKSUM, sum.udp_checksum())?;
    departure.note();
    Some(())
}

/// Puts zeros behind the SSID: frames are used again, and what came back in this one may still be there.
#[inline(always)]
fn clear<const AT: usize>(packet: &mut Packet) -> Option<()> {
    let mut at = AT + Mode::Unauthenticated.offsets().ssid + 2;
    while at < AT + PAYLOAD {
        packet.write(at, [0; 4])?;
        at += 4;
    }
    Some(())
}
