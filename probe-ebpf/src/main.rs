//! The kernel's part of linkprobe: two programs in one object.
//!
//! - `linkprobe_xdp` stands at the entrance of an interface. It is the Session-Reflector, and it takes
//!   in the replies to our own test packets. The agent also has it run on blank frames, which it makes
//!   test packets of.
//! - `linkprobe_tc` stands at the exit. It numbers and stamps our own test packets.
//!
//! Each ends in one `match` that turns what was found into an action and a counter. What is not ours
//! goes on untouched.
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

mod kernel;

use aya_ebpf::{
    bindings::{TC_ACT_UNSPEC, xdp_action},
    helpers::bpf_redirect,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use kernel::{egress, ingress, state, transmit};
use probe_ebpf::maps::{Counter, Fate};

/// Session-Reflector, and the reply side of the Session-Sender.
#[xdp]
pub fn linkprobe_xdp(ctx: XdpContext) -> u32 {
    if transmit::is_blank(&ctx) {
        return transmitted(&ctx);
    }
    let counter = ingress::handle(&ctx);
    state::count(counter);
    match counter.fate() {
        Fate::Reflected => xdp_action::XDP_TX,
        Fate::Deferred | Fate::Accepted | Fate::Dropped => xdp_action::XDP_DROP,
        Fate::Passed | Fate::Stamped | Fate::Left => xdp_action::XDP_PASS,
    }
}

/// Makes a test packet, and hands it to its interface.
#[inline(always)]
fn transmitted(ctx: &XdpContext) -> u32 {
    let Some(interface) = transmit::next(ctx) else { return xdp_action::XDP_DROP };
    state::count(Counter::Transmitted);
    // SAFETY: the helper takes numbers only.
    unsafe { bpf_redirect(interface, 0) as u32 }
}

/// Numbers and stamps what our sessions send. Never holds a packet back.
#[classifier]
pub fn linkprobe_tc(ctx: TcContext) -> i32 {
    let counter = match egress::handle(&ctx) {
        Ok(()) => Counter::Stamped,
        Err(reason) => reason,
    };
    state::count(counter);
    // "Unspecified" lets the programs and filters behind us decide, with TCX and with clsact alike.
    TC_ACT_UNSPEC
}

/// Kernel helpers such as `bpf_csum_diff` want a licence that the kernel takes for the GPL's.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier admits no program that could get here.
    loop {}
}
