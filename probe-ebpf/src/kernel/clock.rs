//! The times of a test packet.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_ebpf::{
    maps::{Config, config_flag},
    ntp::Format,
};

/// `CLOCK_MONOTONIC` in nanoseconds: what round trips are measured with.
#[inline(always)]
pub(crate) fn monotonic() -> u64 {
    // SAFETY: the helper has no arguments and no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// The format of our timestamps.
#[inline(always)]
pub(crate) fn format(config: &Config) -> Format {
    if config.flags & config_flag::PTP == 0 { Format::Ntp } else { Format::Ptp }
}

/// A monotonic time as it goes on the wire (RFC 8762, section 4.2.1).
#[inline(always)]
pub(crate) fn wire(config: &Config, monotonic: u64) -> u64 {
    format(config).timestamp(monotonic.wrapping_add(config.realtime_offset))
}

/// The timestamp of now, some time after another one was taken at `before`.
#[inline(always)]
pub(crate) fn wire_now(config: &Config, timestamp: u64, before: u64) -> u64 {
    format(config).later(timestamp, monotonic().wrapping_sub(before))
}
