//! The clocks of the host: the only place of the agent that reads them.

use std::time::Duration;

use probe_ebpf::{
    maps::{Config, config_flag},
    ntp::{self, Format},
    tlv::synchronisation_source,
};

use super::array::Array;
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

/// Nanoseconds from [`monotonic`] to the time of day as timestamps of this format count it: Unix time for
/// NTP's, TAI for PTP's. Where nobody has told the kernel how far TAI is ahead, the two are the same.
#[must_use]
pub fn offset(format: Format) -> Nanos {
    offset_to(match format {
        Format::Ntp => libc::CLOCK_REALTIME,
        Format::Ptp => libc::CLOCK_TAI,
    })
}

/// The reading with the least time around it of a few, so that being scheduled out between the two clocks
/// does not count.
fn offset_to(clock: libc::clockid_t) -> Nanos {
    let reading = || {
        let before = monotonic();
        let time = read(clock);
        let after = monotonic();
        (after - before, time.wrapping_sub(before + (after - before) / 2))
    };
    (0..5).map(|_| reading()).min().map_or(0, |(_, offset)| offset)
}

/// What the kernel says of the clock's quality (`adjtimex(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Whether it is disciplined by another clock.
    pub is_synchronised: bool,
    /// Its greatest error, in nanoseconds.
    pub error: Nanos,
}

impl Quality {
    /// Asks the kernel.
    #[must_use]
    pub fn now() -> Self {
        // SAFETY: a zeroed `timex` asks for nothing to be changed, and the call only fills it in.
        let (state, timex) = unsafe {
            let mut timex: libc::timex = std::mem::zeroed();
            (libc::adjtimex(&raw mut timex), timex)
        };
        let is_synchronised =
            state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
        let micros = u64::try_from(timex.maxerror).unwrap_or(0);
        Self { is_synchronised, error: Duration::from_micros(micros).as_nanos() as u64 }
    }

    /// The Error Estimate beside timestamps of this format (RFC 8762, section 4.2.1).
    #[must_use]
    pub fn error_estimate(&self, format: Format) -> u16 {
        format.mark(ntp::error_estimate(self.is_synchronised, self.error))
    }

    /// The Synchronization Source of the clock (RFC 8972, section 5.4). The kernel knows no other than
    /// NTP's discipline, which PTP's daemons use too.
    #[must_use]
    pub const fn synchronisation_source(&self) -> u8 {
        if self.is_synchronised {
            synchronisation_source::NTP
        } else {
            synchronisation_source::LOCAL
        }
    }
}

/// The time as it stands in test packets, by the offset that the kernel programs reckon with.
pub(super) struct Wire(Array<Config>);

impl Wire {
    pub(super) const fn new(config: Array<Config>) -> Self {
        Self(config)
    }

    /// A monotonic time (RFC 8762, section 4.2.1).
    pub(super) fn timestamp(&self, monotonic: Nanos) -> u64 {
        let config = self.0.read(0);
        let format = if config.flags & config_flag::PTP == 0 { Format::Ntp } else { Format::Ptp };
        format.timestamp(monotonic.wrapping_add(config.realtime_offset))
    }
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
        let difference = realtime().abs_diff(monotonic().wrapping_add(offset(Format::Ntp)));
        assert!(difference < ntp::NANOS_PER_SECOND, "{difference} ns apart");
    }

    #[test]
    fn the_error_estimate_is_valid() {
        for format in [Format::Ntp, Format::Ptp] {
            let estimate = Quality::now().error_estimate(format);
            assert_ne!(estimate & 0xff, 0, "a multiplier of zero is not allowed");
            assert_eq!(Format::of(estimate), format);
        }
    }
}
