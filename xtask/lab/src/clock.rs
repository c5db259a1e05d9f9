//! The only clocks of the lab.

use std::time::{Instant, SystemTime};

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the lab is outside the core: it runs in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since the Unix epoch.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "agents report Unix time; the lab compares with it")]
pub fn unix() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |age| age.as_secs_f64())
}
