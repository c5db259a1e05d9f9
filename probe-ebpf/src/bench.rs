//! The programs of `cargo xtask bench reflector`, `bench path` and `bench send`. Not part of the product.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on the packet as the program left it, and a reply is no request.
//! So each measured program is called through `restore`, which first puts the request back. What that
//! takes is measured with `nothing` behind it, and taken off.
#![no_std]
#![no_main]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "the macros of aya make public items without docs"
)]
#![expect(clippy::needless_pass_by_value, reason = "so the macros of aya want it")]

use aya_ebpf::{
    bindings::{TC_ACT_UNSPEC, xdp_action},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{classifier, fentry, map, xdp},
    maps::{Array, PerCpuArray, ProgramArray},
    programs::{FEntryContext, TcContext, XdpContext},
};
use probe_ebpf::stamp::Mode;

/// Octets of a frame that are put back: Ethernet, IPv4, UDP and an authenticated test packet.
const FRAME_LENGTH: usize = 14 + 20 + 8 + 112;

/// The frame, filled up with zeros to whole words; each CPU may have one of its own.
#[map]
static FRAME: PerCpuArray<[u16; 80]> = PerCpuArray::with_max_entries(1, 0);
/// Octets of it that count: 86 or 154.
#[map]
static LENGTH: Array<u32> = Array::with_max_entries(1, 0);
/// The program that is measured.
#[map]
static MEASURED: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Puts the request back and calls the program that is measured.
#[xdp]
pub fn restore(ctx: XdpContext) -> u32 {
    let (Some(frame), Some(length)) = (FRAME.get(0), LENGTH.get(0)) else {
        return xdp_action::XDP_ABORTED;
    };
    let authenticated = *length as usize == FRAME_LENGTH;
    let restored = if authenticated {
        put::<FRAME_LENGTH>(&ctx, frame)
    } else {
        put::<{ FRAME_LENGTH - 112 + 44 }>(&ctx, frame)
    };
    if restored.is_some() {
        // SAFETY: the map holds programs of this kind.
        unsafe { MEASURED.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

#[inline(always)]
fn put<const N: usize>(ctx: &XdpContext, frame: &[u16; 80]) -> Option<()> {
    let start = ctx.data();
    if start + N > ctx.data_end() {
        return None;
    }
    let mut word = 0;
    while word < N / 2 {
        // SAFETY: N bytes from the start on lie in the frame.
        unsafe { (start as *mut u16).add(word).write_unaligned(frame[word]) };
        word += 1;
    }
    Some(())
}

/// Makes a reply that has been counted already into one to the next test packet, and calls the program that is
/// measured.
#[xdp]
pub fn next_reply(ctx: XdpContext) -> u32 {
    let at = ctx.data() + 14 + 20 + 8 + Mode::Unauthenticated.offsets().sender_sequence;
    if at + 4 > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    let number = at as *mut [u8; 4];
    // SAFETY: four bytes from there on lie in the frame.
    unsafe {
        let next = u32::from_be_bytes(number.read_unaligned()).wrapping_add(1);
        number.write_unaligned(next.to_be_bytes());
        // The map holds programs of this kind.
        MEASURED.tail_call(&ctx, 0);
    }
    xdp_action::XDP_ABORTED
}

/// Does nothing: what it takes is what measuring takes.
#[xdp]
pub fn nothing(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// The least that a reflector can do: swaps the addresses of Ethernet, IPv4 and UDP.
#[xdp]
pub fn bare(ctx: XdpContext) -> u32 {
    let start = ctx.data();
    if start + 42 > ctx.data_end() {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: 42 bytes from the start on lie in the frame: Ethernet, IPv4 without options, and UDP.
    unsafe {
        swap::<u16, 3>(start);
        swap::<u32, 1>(start + 26);
        swap::<u16, 1>(start + 34);
    }
    xdp_action::XDP_TX
}

/// The same, and reads the clock twice, as T2 and T3 have to be read: no reflector of STAMP takes less.
#[xdp]
pub fn clocks(ctx: XdpContext) -> u32 {
    let start = ctx.data();
    if start + FRAME_LENGTH - 112 + 44 > ctx.data_end() {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: the helper has no conditions.
    let (arrival, departure) = unsafe { (bpf_ktime_get_ns(), bpf_ktime_get_ns()) };
    // SAFETY: as in `bare`, and 44 bytes of payload behind.
    unsafe {
        swap::<u16, 3>(start);
        swap::<u32, 1>(start + 26);
        swap::<u16, 1>(start + 34);
        ((start + 46) as *mut u64).write_unaligned(departure);
        ((start + 58) as *mut u64).write_unaligned(arrival);
    }
    xdp_action::XDP_TX
}

/// The least that a program at the entrance of an interface can do.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// The end of everything that comes in.
#[xdp]
pub fn discard(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// As [`pass`], for drivers that would treat packets in several pieces of memory differently.
#[xdp(frags)]
pub fn pass_pieces(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// The least that a program at the exit can do.
#[classifier]
pub fn leave(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

/// Swaps two neighbouring fields of `N` integers each.
///
/// # Safety
/// Both lie in the frame.
#[inline(always)]
unsafe fn swap<T, const N: usize>(at: usize) {
    let first = at as *mut T;
    let mut i = 0;
    while i < N {
        // SAFETY: the caller's promise.
        unsafe {
            let kept = first.add(i).read_unaligned();
            first.add(i).write_unaligned(first.add(N + i).read_unaligned());
            first.add(N + i).write_unaligned(kept);
        }
        i += 1;
    }
}

/// Whose look-ups are counted: the number of a thread.
#[map]
static COUNTED_THREAD: Array<u32> = Array::with_max_entries(1, 0);
/// How many they were: look-ups in hash tables, look-ups in prefix tries, and changes of hash tables.
#[map]
static LOOKUPS: Array<[u64; 3]> = Array::with_max_entries(1, 0);

/// Counts look-ups in hash tables: programs call this function of the kernel's itself.
#[fentry(function = "__htab_map_lookup_elem")]
pub fn count_hash(_ctx: FEntryContext) -> i32 {
    count_lookup(0)
}

/// Counts look-ups in prefix tries.
#[fentry(function = "trie_lookup_elem")]
pub fn count_trie(_ctx: FEntryContext) -> i32 {
    count_lookup(1)
}

/// Counts changes of hash tables.
#[fentry(function = "htab_map_update_elem")]
pub fn count_change(_ctx: FEntryContext) -> i32 {
    count_lookup(2)
}

#[inline(always)]
fn count_lookup(kind: usize) -> i32 {
    let (Some(thread), Some(counts)) = (COUNTED_THREAD.get(0), LOOKUPS.get_ptr_mut(0)) else {
        return 0;
    };
    // The lower half is what user space calls the thread.
    if bpf_get_current_pid_tgid() as u32 == *thread {
        // SAFETY: the kernel gave a pointer to a whole element, and there are three kinds. One thread is counted.
        unsafe { (*counts)[kind] += 1 };
    }
    0
}

/// As that of the product.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier admits no program that could get here.
    loop {}
}
