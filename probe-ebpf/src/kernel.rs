//! The programs, in parts. Whatever they find out about a packet, they say as a [`Counter`].
//!
//! - [`packet`]: the one place that turns packet memory into values.
//! - [`state`]: the maps.
//! - [`clock`]: the times of a test packet.
//! - [`integrity`]: checksums of what comes in.
//! - [`ingress`]: which of the two roles a frame is for.
//! - [`reflector`]: the Session-Reflector.
//! - [`admission`]: whom it answers, and what it remembers of them.
//! - [`extensions`]: TLVs, and the way to the userspace reflector.
//! - [`signature`]: the HMAC of authenticated packets.
//! - [`replies`]: replies to our own test packets.
//! - [`egress`]: our own test packets on their way out of the network stack.
//! - [`transmit`]: those that need none; [`departure`]: number and time of both.

pub(crate) mod admission;
pub(crate) mod clock;
pub(crate) mod departure;
pub(crate) mod egress;
pub(crate) mod extensions;
pub(crate) mod ingress;
pub(crate) mod integrity;
pub(crate) mod packet;
pub(crate) mod reflector;
pub(crate) mod replies;
pub(crate) mod signature;
pub(crate) mod state;
pub(crate) mod transmit;

use probe_ebpf::{frame::Address, maps::Counter};

/// The body of a global function, which returns -1 where all is well and else a [`Counter`].
///
/// The verifier looks at such a function once and for all, by the types of its arguments alone. Without
/// them it would follow each of the ways through parser and tables to the end of the program, and all of
/// it would have to fit the stack of 512 bytes at once. Their names begin with `linkprobe_`; what they
/// return goes to [`outcome`].
#[inline(always)]
pub(crate) fn code(body: impl FnOnce() -> Result<(), Counter>) -> i32 {
    match body() {
        Ok(()) => -1,
        Err(reason) => reason as i32,
    }
}

/// What an argument of a global function refers to. The verifier wants null to be looked for.
///
/// # Safety
/// The pointer is such an argument: the verifier sees to it that it is null or leads to a whole `T`.
#[inline(always)]
pub(crate) unsafe fn given<'a, T>(argument: *mut T) -> Result<&'a mut T, Counter> {
    // SAFETY: the caller's promise.
    unsafe { argument.as_mut() }.ok_or(Counter::Truncated)
}

/// What a global function has returned.
#[inline(always)]
pub(crate) fn outcome(result: i32) -> Result<(), Counter> {
    // The compiler knows what can come back; the verifier does not.
    match usize::try_from(core::hint::black_box(result)) {
        Err(_) => Ok(()),
        Ok(index) => Err(Counter::ALL.get(index).copied().unwrap_or(Counter::Truncated)),
    }
}

/// Passes on what goes to somebody else: this host may be a router.
#[inline(always)]
pub(crate) fn ours(destination: &Address) -> Result<(), Counter> {
    if state::is_local(destination) { Ok(()) } else { Err(Counter::NotLocal) }
}
