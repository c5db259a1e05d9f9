//! The times of a test packet.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_ebpf::{maps::Config, ntp};

/// `CLOCK_MONOTONIC` in nanoseconds: what round trips are measured with.
#[inline(always)]
pub(crate) fn monotonic() -> u64 {
    // SAFETY: the helper has no arguments and no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// A monotonic time as it goes on the wire: NTP format (RFC 8762, section 4.2.1).
#[inline(always)]
pub(crate) fn wire(config: &Config, monotonic: u64) -> u64 {
    ntp::from_unix_nanos(monotonic.wrapping_add(config.realtime_offset))
}
