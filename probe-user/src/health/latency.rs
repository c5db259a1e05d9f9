//! Round trips that are longer than usual, found by the same tests as losses: a slow one counts as a lost one.
//!
//! What is usual is a slow median, which stands still while the path is not healthy. A change that stays for half as
//! long as the damping's cap is taken for the new usual: a route that is longer for good must not be called
//! degraded for ever. Nor may one that comes and goes make the verdict follow it: relapses are damped, and after a new
//! usual length nothing is called slow for an hour.

use super::{
    Settings,
    cusum::Bank,
    damping::{Damping, MEMORY},
    defect::Defect,
    recovery::Recovery,
};
use crate::verdict::{MILLISECOND, Nanos};

/// Nobody calls a round trip slow for less than this above its usual length.
const MARGIN: Nanos = 20 * MILLISECOND;

/// Round trips from which the usual one is learnt quickly.
const FIRST: u8 = 32;

/// How long round trips are, and how long they usually are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// The usual round trip in nanoseconds.
    pub(super) usual: u32,
    /// Of how many it was learnt, up to [`FIRST`].
    pub(super) learnt: u8,
    pub(super) bank: Bank,
    pub(super) recovery: Recovery,
    pub(super) damping: Damping,
    /// Since when they are slow.
    pub(super) slow_since: Option<Nanos>,
    /// When the last one came.
    pub(super) seen_at: Nanos,
    /// Until then, none is called slow: what is becomes the usual one at once.
    pub(super) quiet_until: Nanos,
}

impl Latency {
    /// Takes in a round trip in nanoseconds. `healthy` is whether the path is.
    #[inline]
    pub fn add(&mut self, round_trip: u32, healthy: bool, now: Nanos, settings: &Settings) {
        if settings.latency_factor == 0.0 {
            return;
        }
        self.seen_at = now;
        if self.learnt == 0 {
            self.usual = round_trip;
        }
        let limit = f64::from(self.usual) * settings.latency_factor + MARGIN as f64;
        if f64::from(round_trip) > limit {
            self.slow(round_trip, now, settings);
        } else {
            self.quick(now, settings);
        }
        if self.slow_since.is_some_and(|since| is_usual_by_now(since, now, settings)) {
            self.becomes_usual(round_trip);
            self.quiet_until = now + MEMORY;
        } else if healthy && self.slow_since.is_none() {
            self.learn(round_trip);
        }
    }

    fn slow(&mut self, round_trip: u32, now: Nanos, settings: &Settings) {
        self.bank.lose(&settings.latency);
        self.recovery.lose(settings.penalty);
        let is_alarm = self.bank.alarm(&settings.latency).is_some();
        if !is_alarm || self.is_slow() || settings.defects.has(Defect::NoLatency) {
            return;
        }
        self.quiet_until = self.quiet_until.min(now + MEMORY);
        if now < self.quiet_until {
            self.becomes_usual(round_trip);
        } else {
            self.slow_since = Some(now);
            self.damping.forget(now, settings);
            self.damping.relapse(now, settings);
            self.recovery.restart();
        }
    }

    /// What was slow is usual from now on.
    fn becomes_usual(&mut self, round_trip: u32) {
        (self.slow_since, self.bank) = (None, Bank::default());
        (self.usual, self.learnt) = (round_trip, 1);
    }

    fn quick(&mut self, now: Nanos, settings: &Settings) {
        self.bank.pass();
        self.recovery.pass(self.damping.enough(settings.recovery, settings));
        if self.slow_since.is_some() && self.missing(settings) == 0 {
            (self.slow_since, self.bank) = (None, Bank::default());
            self.damping.recover(now, false);
        }
    }

    /// Of what is slow nothing is known any more once the last round trip is too old, such as where no probe gets there. So
    /// that a few of them now and then make no verdict follow them, none is called slow for an hour.
    pub fn expire(&mut self, now: Nanos, settings: &Settings) {
        let is_fresh = self.seen_at <= now && now - self.seen_at <= settings.expiry;
        if self.slow_since.is_some() && !is_fresh && !settings.defects.has(Defect::NoExpiry) {
            (self.slow_since, self.bank) = (None, Bank::default());
            self.quiet_until = now + MEMORY;
        }
    }

    /// How many quick round trips are missing to its end.
    pub fn missing(&self, settings: &Settings) -> u32 {
        self.recovery.missing(self.damping.enough(settings.recovery, settings))
    }

    /// A step towards the median: up where it is longer, down where it is shorter.
    fn learn(&mut self, round_trip: u32) {
        let step = if self.learnt < FIRST { self.usual / 8 } else { self.usual / 512 } + 1;
        self.learnt = self.learnt.saturating_add(1).min(FIRST);
        self.usual = if round_trip > self.usual {
            self.usual.saturating_add(step).min(round_trip)
        } else {
            self.usual.saturating_sub(step).max(round_trip)
        };
    }

    /// Whether they are slow.
    #[inline]
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        self.slow_since.is_some()
    }
}

/// Whether what is slow since then is the new usual. A time in the future is none.
fn is_usual_by_now(since: Nanos, now: Nanos, settings: &Settings) -> bool {
    since > now || now - since >= settings.time_of(settings.recovery << settings.damping) / 2
}
