//! The clocks of the host: the only place of the agent that reads them.

use std::time::Duration;

use probe_ebpf::ntp;

use crate::verdict::Nanos;

/// `CLOCK_MONOTONIC` in nanoseconds, as the kernel programs stamp with it.
#[must_use]
pub fn monotonic() -> Nanos {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since the Unix epoch.
#[must_use]
pub fn realtime() -> Nanos {
    read(libc::CLOCK_REALTIME)
}

/// Nanoseconds from [`monotonic`] to [`realtime`]: the reading with the least time around it of a few,
/// so that being scheduled out between the two clocks does not count.
#[must_use]
pub fn realtime_offset() -> Nanos {
    let reading = || {
        let before = monotonic();
        let realtime = realtime();
        let after = monotonic();
        (after - before, realtime.wrapping_sub(before + (after - before) / 2))
    };
    (0..5).map(|_| reading()).min().map_or(0, |(_, offset)| offset)
}

/// The Error Estimate of the clock, as the kernel's NTP discipline gives it (`adjtimex(2)`).
#[must_use]
pub fn error_estimate() -> u16 {
    // SAFETY: a zeroed `timex` asks for nothing to be changed, and the call only fills it in.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    let synchronised =
        state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let micros = u64::try_from(timex.maxerror).unwrap_or(0);
    ntp::error_estimate(synchronised, Duration::from_micros(micros).as_nanos() as u64)
}

fn read(clock: libc::clockid_t) -> Nanos {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call, which cannot fail for these two clocks.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * ntp::NANOS_PER_SECOND + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_turns_one_clock_into_the_other() {
        let difference = realtime().abs_diff(monotonic().wrapping_add(realtime_offset()));
        assert!(difference < ntp::NANOS_PER_SECOND, "{difference} ns apart");
    }

    #[test]
    fn the_error_estimate_is_valid() {
        assert_ne!(error_estimate() & 0xff, 0, "a multiplier of zero is not allowed");
    }
}
