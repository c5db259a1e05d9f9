//! The lab's sick network: loses packets between two sites as it is told, and counts them.
//!
//! - `impair_egress` stands at the exits of the WAN towards each site. It finds the pair of sites in
//!   the addresses of the IP header, whatever is behind that header, and applies the pair's rule.
//! - `impair_pass` is the XDP program that the far end of a veth needs, for frames that an XDP program
//!   sends back with `XDP_TX` to arrive.
//!
//! Numbers are counted with atomic additions: each packet has a place of its own in the sequence,
//! whichever CPU it is on, so an even share is exact.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "core has no atomic read-modify-write for BPF, LLVM does")]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "the macros of aya make public items without docs"
)]
#![expect(clippy::needless_pass_by_value, reason = "so the macros of aya want it")]

#[expect(dead_code, reason = "the lab, which shares this file, writes all modes")]
#[path = "impair/rule.rs"]
mod rule;

use core::{
    intrinsics::{AtomicOrdering, atomic_xadd},
    mem::MaybeUninit,
    ptr::addr_of_mut,
};

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    helpers::{bpf_get_prandom_u32, bpf_skb_load_bytes},
    macros::{classifier, map, xdp},
    maps::Array,
    programs::{TcContext, XdpContext},
};
use probe_ebpf::frame::{Bytes, MAC_LENGTH, Udp, ipv4, ipv6};
use rule::{
    MODE_BLACKHOLE, MODE_BURSTS, MODE_EVERY, MODE_RANDOM, MODE_SHIFT, PAIRS, PORT_SHIFT, Tally,
    pair, site_of_ipv4, site_of_ipv6,
};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Packets of a run of [`MODE_BURSTS`].
const BURST: u64 = 4;
const IP_AT: usize = 2 * MAC_LENGTH + 2;

#[map]
static RULES: Array<u64> = Array::with_max_entries(PAIRS, 0);
#[map]
static TALLIES: Array<Tally> = Array::with_max_entries(PAIRS, 0);

/// Lets everything pass.
#[xdp]
pub fn impair_pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops what the rule of its pair of sites says.
#[classifier]
pub fn impair_egress(ctx: TcContext) -> i32 {
    let packet = Packet(&ctx);
    match pair_of(&packet) {
        Some(pair) if is_lost(&packet, pair) => TC_ACT_SHOT,
        _ => TC_ACT_UNSPEC,
    }
}

/// A frame that may lie in several pieces of memory: read through a helper, which puts them together.
struct Packet<'a>(&'a TcContext);

impl Bytes for Packet<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<Aligned<N>>::uninit();
        let (skb, to) = (self.0.skb.skb.cast(), bytes.as_mut_ptr().cast());
        // SAFETY: the helper writes N bytes where there are at least N, or fails.
        let result = unsafe { bpf_skb_load_bytes(skb, at as u32, to, N as u32) };
        // SAFETY: it has written them, and every bit pattern is a value of an array of bytes.
        (result == 0).then(|| unsafe { bytes.assume_init() }.0)
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.0.len() as usize
    }
}

/// Bytes where the compiler may read whole words of them: on its stack the verifier wants that aligned.
#[repr(C, align(8))]
struct Aligned<const N: usize>([u8; N]);

/// The pair of sites between which a packet travels; none for all that stays within one.
#[inline(always)]
fn pair_of(packet: &Packet<'_>) -> Option<u32> {
    let (from, to) = match u16::from_be_bytes(packet.read(2 * MAC_LENGTH)?) {
        ETHERTYPE_IPV4 => (
            site_of_ipv4(packet.read(IP_AT + ipv4::SOURCE)?)?,
            site_of_ipv4(packet.read(IP_AT + ipv4::DESTINATION)?)?,
        ),
        ETHERTYPE_IPV6 => (
            site_of_ipv6(packet.read(IP_AT + ipv6::SOURCE)?)?,
            site_of_ipv6(packet.read(IP_AT + ipv6::DESTINATION)?)?,
        ),
        _ => return None,
    };
    (from != to).then_some(pair(from, to))
}

/// Judges and counts a packet.
#[inline(always)]
fn is_lost(packet: &Packet<'_>, pair: u32) -> bool {
    let (Some(rule), Some(tally)) = (RULES.get_ptr(pair), TALLIES.get_ptr_mut(pair)) else {
        return false;
    };
    // SAFETY: the kernel gave a pointer to a whole element. The lab may write it meanwhile; the
    // volatile read takes the aligned word in one load.
    let rule = unsafe { rule.read_volatile() };
    // SAFETY: the kernel gave a pointer to a whole element, of which only the address is taken.
    let (seen, matched, dropped, position) = unsafe {
        (
            addr_of_mut!((*tally).seen),
            addr_of_mut!((*tally).matched),
            addr_of_mut!((*tally).dropped),
            addr_of_mut!((*tally).position),
        )
    };

    let number = next(seen);
    let port = (rule >> PORT_SHIFT) as u16;
    if port != 0 && !is_of_port(packet, port) {
        return false;
    }
    next(matched);
    let share = rule as u32;
    let lost = match (rule >> MODE_SHIFT) as u16 {
        // SAFETY: the helper has no arguments and no preconditions.
        MODE_RANDOM => unsafe { bpf_get_prandom_u32() < share },
        // Only the low half of n * share decides whether one more share fills another whole.
        MODE_EVERY => (next(position) as u32).wrapping_mul(share).checked_add(share).is_none(),
        MODE_BLACKHOLE => true,
        MODE_BURSTS => mixed(number / BURST) < share,
        _ => false,
    };
    if lost {
        next(dropped);
    }
    lost
}

/// Whether a packet is UDP from or to a port.
#[inline(always)]
fn is_of_port(packet: &Packet<'_>, port: u16) -> bool {
    Udp::find(packet).is_ok_and(|udp| udp.source_port == port || udp.destination_port == port)
}

/// 32 bits that look random, the same for the same number: all packets of a burst share their fate.
#[inline(always)]
fn mixed(number: u64) -> u32 {
    // The finalizer of SplitMix64.
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31) as u32
}

/// Adds one to a number in a map, and returns what it was.
#[inline(always)]
fn next(number: *mut u64) -> u64 {
    // SAFETY: all callers point into an element of TALLIES, which lives as long as the program.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(number, 1) }
}

/// The helpers above ask for no licence; the object has that of its sibling.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier admits no program that could get here.
    loop {}
}
