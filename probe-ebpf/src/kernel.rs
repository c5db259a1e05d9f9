//! The programs, in parts.
//!
//! - [`packet`]: the one place that turns packet memory into values.
//! - [`state`]: the maps.
//! - [`clock`]: the times of a test packet.
//! - [`integrity`]: checksums of what comes in.
//! - [`ingress`]: which of the two roles a frame is for.
//! - [`reflector`]: the Session-Reflector.
//! - [`replies`]: replies to our own test packets.
//! - [`egress`]: our own test packets on their way out.

pub(crate) mod clock;
pub(crate) mod egress;
pub(crate) mod ingress;
pub(crate) mod integrity;
pub(crate) mod packet;
pub(crate) mod reflector;
pub(crate) mod replies;
pub(crate) mod state;

use probe_ebpf::{
    frame::{Address, NotOurs},
    maps::Counter,
};

/// What was done for a frame that is ours and valid.
pub(crate) enum Done {
    /// It was a request, and is now its own reply.
    Reflected,
    /// It was a reply, and is accounted for.
    Accepted,
}

/// Why nothing was done.
pub(crate) enum Refusal {
    /// Goes on to the network stack, untouched.
    NotOurs(Counter),
    /// Was meant for us, and ends here.
    Invalid(Counter),
}

impl From<NotOurs> for Refusal {
    #[inline(always)]
    fn from(reason: NotOurs) -> Self {
        Self::NotOurs(reason.into())
    }
}

/// Passes on what goes to somebody else: this host may be a router.
#[inline(always)]
pub(crate) fn ours(destination: &Address) -> Result<(), Refusal> {
    if state::is_local(destination) { Ok(()) } else { Err(Refusal::NotOurs(Counter::NotLocal)) }
}

/// The refusal of a frame that ends before its own headers say.
pub(crate) const TRUNCATED: Refusal = Refusal::NotOurs(Counter::Truncated);
