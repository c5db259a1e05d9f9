//! Timestamps and the Error Estimate of test packets (RFC 8762, section 4.2.1).
//!
//! All reckoning is done in NTP's format; [`Format`] leads there and back.

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970); RFC 868.
const UNIX_EPOCH_IN_NTP: u64 = 2_208_988_800;

/// 2^64 / 10^9, rounded up: turns nanoseconds into a 32-bit fraction with one multiplication. The
/// product of it and 999,999,999 is the largest that occurs, and fits 64 bits.
const FRACTION_PER_NANO: u64 = 18_446_744_074;

/// The S bit of an Error Estimate: the clock is synchronised (RFC 4656, section 4.1.2).
const SYNCHRONISED_FLAG: u16 = 1 << 15;

/// The Z bit of an Error Estimate: the timestamps beside it are in PTP format (RFC 8186, section 2.3).
const PTP_FLAG: u16 = 1 << 14;

/// The formats of timestamps in test packets, both of 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// NTP's: seconds since 1900, and 2^-32 of a second. The default (RFC 8762, section 4.2.1).
    #[default]
    Ntp,
    /// PTPv2's, truncated: seconds since 1970 in TAI, and nanoseconds (IEEE 1588-2008).
    Ptp,
}

impl Format {
    /// The format of the timestamps beside this Error Estimate.
    #[inline(always)]
    #[must_use]
    pub const fn of(error_estimate: u16) -> Self {
        if error_estimate & PTP_FLAG == 0 { Self::Ntp } else { Self::Ptp }
    }

    /// The Error Estimate with the Z bit that says this format.
    #[must_use]
    pub const fn mark(self, error_estimate: u16) -> u16 {
        match self {
            Self::Ntp => error_estimate & !PTP_FLAG,
            Self::Ptp => error_estimate | PTP_FLAG,
        }
    }

    /// The timestamp of a time in nanoseconds since 1970: Unix time for NTP, TAI for PTP.
    #[inline(always)]
    #[must_use]
    pub const fn timestamp(self, nanos: u64) -> u64 {
        match self {
            Self::Ntp => from_unix_nanos(nanos),
            Self::Ptp => {
                let seconds = nanos / NANOS_PER_SECOND;
                (seconds << 32) | (nanos - seconds * NANOS_PER_SECOND)
            }
        }
    }

    /// The timestamp of a time that is some nanoseconds later, less than a second: [`Format::timestamp`]
    /// without its division. The error is below a nanosecond.
    #[inline(always)]
    #[must_use]
    pub const fn later(self, timestamp: u64, nanos: u64) -> u64 {
        let nanos = if nanos < NANOS_PER_SECOND { nanos } else { NANOS_PER_SECOND - 1 };
        match self {
            Self::Ntp => timestamp.wrapping_add((nanos * FRACTION_PER_NANO) >> 32),
            Self::Ptp => {
                let sum = (timestamp & 0xffff_ffff) + nanos;
                let seconds = timestamp >> 32;
                if sum < NANOS_PER_SECOND {
                    (seconds << 32) | sum
                } else {
                    ((seconds + 1) << 32) | (sum - NANOS_PER_SECOND)
                }
            }
        }
    }

    /// A timestamp of this format as NTP's, for [`difference_nanos`]. The distance of TAI from UTC
    /// stays in it: 37 s since 2017.
    #[inline(always)]
    #[must_use]
    pub const fn to_ntp(self, timestamp: u64) -> u64 {
        match self {
            Self::Ntp => timestamp,
            Self::Ptp => {
                let nanos = timestamp & 0xffff_ffff;
                // No valid timestamp has more, but anything may come in.
                let nanos = if nanos < NANOS_PER_SECOND { nanos } else { NANOS_PER_SECOND - 1 };
                let seconds = (timestamp >> 32) + UNIX_EPOCH_IN_NTP;
                (seconds << 32) | ((nanos * FRACTION_PER_NANO) >> 32)
            }
        }
    }
}

/// The NTP timestamp (RFC 5905, section 6: 32 bits of seconds, 32 bits of fraction) of a time in
/// nanoseconds since the Unix epoch. The seconds wrap in 2036, as NTP's do.
#[inline(always)]
#[must_use]
pub const fn from_unix_nanos(nanos: u64) -> u64 {
    let seconds = nanos / NANOS_PER_SECOND;
    let rest = nanos - seconds * NANOS_PER_SECOND;
    let fraction = (rest * FRACTION_PER_NANO) >> 32;
    ((seconds + UNIX_EPOCH_IN_NTP) << 32) | fraction
}

/// The difference `later - earlier` of two NTP timestamps in nanoseconds, negative where `later` is
/// in fact the earlier one. Right across the wrap of 2036 for distances below 68 years.
#[inline(always)]
#[must_use]
pub const fn difference_nanos(later: u64, earlier: u64) -> i64 {
    let ticks = later.wrapping_sub(earlier) as i64;
    let seconds = ticks >> 32;
    let fraction = ticks & 0xffff_ffff;
    seconds * NANOS_PER_SECOND as i64 + ((fraction * NANOS_PER_SECOND as i64) >> 32)
}

/// The Error Estimate of a clock (RFC 4656, section 4.1.2, as RFC 8762 uses it), for NTP timestamps.
///
/// `error_nanos` is rounded up to the next value that the format can express; its range is 0.23 ns to
/// 255 * 2^31 s. The multiplier is never 0, which the format declares invalid.
#[must_use]
pub fn error_estimate(synchronised: bool, error_nanos: u64) -> u16 {
    // In units of 2^-32 s, which is a Scale of 0.
    let mut multiplier = (u128::from(error_nanos) << 32).div_ceil(u128::from(NANOS_PER_SECOND));
    let mut scale = 0;
    while multiplier > 255 && scale < 63 {
        multiplier = multiplier.div_ceil(2);
        scale += 1;
    }
    let multiplier = multiplier.clamp(1, 255) as u16;
    let synchronised = if synchronised { SYNCHRONISED_FLAG } else { 0 };
    synchronised | (scale << 8) | multiplier
}

/// What an Error Estimate says: the error in nanoseconds, rounded up, or `None` where the clock is not
/// synchronised or the estimate is not valid.
#[must_use]
pub fn synchronised_error(estimate: u16) -> Option<u64> {
    let (scale, multiplier) = ((estimate >> 8) & 0x3f, estimate & 0xff);
    let is_valid = estimate & SYNCHRONISED_FLAG != 0 && multiplier != 0;
    // In units of 2^-32 s; below 2^101 as nanoseconds.
    let nanos = (u128::from(multiplier) << scale) * u128::from(NANOS_PER_SECOND);
    is_valid.then(|| u64::try_from(nanos.div_ceil(1 << 32)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 868 gives 2,208,988,800 for 1970-01-01.
    #[test]
    fn the_unix_epoch_in_ntp_time() {
        assert_eq!(from_unix_nanos(0), 2_208_988_800 << 32);
        assert_eq!(from_unix_nanos(500_000_000) as u32, 0x8000_0000);
    }

    #[test]
    fn a_fraction_never_reaches_the_next_second() {
        let last = from_unix_nanos(NANOS_PER_SECOND - 1);
        assert_eq!(last >> 32, 2_208_988_800);
        assert_eq!(difference_nanos(from_unix_nanos(NANOS_PER_SECOND), last), 1);
    }

    #[test]
    fn differences_keep_their_sign_and_cross_the_wrap_of_2036() {
        let wrap = (0x1_0000_0000 - UNIX_EPOCH_IN_NTP) * NANOS_PER_SECOND;
        for (later, earlier, expected) in
            [(wrap + 5_000, wrap - 5_000, 10_000), (wrap - 5_000, wrap + 5_000, -10_000)]
        {
            let got = difference_nanos(from_unix_nanos(later), from_unix_nanos(earlier));
            assert!((got - expected).abs() <= 1, "{got} instead of {expected}");
        }
    }

    /// RFC 8762, section 4.2.1; RFC 8186, section 2.3.
    #[test]
    fn ptp_timestamps_are_seconds_and_nanoseconds() {
        let nanos = 1_700_000_000 * NANOS_PER_SECOND + 250_000_000;
        let timestamp = Format::Ptp.timestamp(nanos);
        assert_eq!((timestamp >> 32, timestamp as u32), (1_700_000_000, 250_000_000));
        let (ptp, ntp) = (Format::Ptp.to_ntp(timestamp), Format::Ntp.timestamp(nanos));
        assert!(difference_nanos(ptp, ntp).abs() <= 1);
        assert_eq!(Format::Ntp.to_ntp(ntp), ntp);
        assert_eq!(Format::Ptp.to_ntp(u64::MAX) as u32 >> 24, 0xff, "no overflow");
    }

    #[test]
    fn a_later_timestamp_is_that_of_the_later_time() {
        for now in [0, 999_999_999, 1_700_000_000_123_456_789] {
            for nanos in [0, 1, 877, 500_000_000, 999_999_999] {
                for format in [Format::Ntp, Format::Ptp] {
                    let later = format.to_ntp(format.later(format.timestamp(now), nanos));
                    let exact = format.to_ntp(format.timestamp(now + nanos));
                    assert!(difference_nanos(exact, later).abs() <= 1, "{now} + {nanos}");
                }
            }
        }
    }

    #[test]
    fn the_z_bit_says_the_format() {
        for format in [Format::Ntp, Format::Ptp] {
            assert_eq!(Format::of(format.mark(0x8c22)), format);
            assert_eq!(Format::of(format.mark(0xcc22)), format);
        }
    }

    #[test]
    fn error_estimates_round_up() {
        for nanos in [0, 1, 1_000, 999_999, 16_000_000_000, u64::MAX] {
            let estimate = error_estimate(true, nanos);
            assert_eq!(estimate >> 14, 0b10, "S set, Z clear");
            let (scale, multiplier) = ((estimate >> 8) & 0x3f, estimate & 0xff);
            assert_ne!(multiplier, 0);
            let seconds = f64::from(multiplier) * 2f64.powi(i32::from(scale) - 32);
            assert!(seconds * 1e9 >= nanos as f64 * 0.999_999, "{nanos} ns as {seconds} s");
            assert!(seconds * 1e9 <= nanos as f64 * 1.01 + 1.0, "{nanos} ns as {seconds} s");
            let read = synchronised_error(estimate).unwrap();
            let expected = (seconds * 1e9).min(u64::MAX as f64).ceil();
            assert!((read as f64 / expected - 1.0).abs() < 1e-9, "{read} ns for {seconds} s");
        }
        assert_eq!(error_estimate(false, 1) >> 15, 0);
        assert_eq!(synchronised_error(error_estimate(false, 1)), None);
        assert_eq!(synchronised_error(0x8000), None, "RFC 4656: a multiplier of zero is not valid");
    }
}
