//! `[health]`: what is asked of the verdicts.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::ProbeConfig;
use super::reader::{Placed, Section};
use super::value::{self, readable};
use crate::health::{Goals, Settings, guarantee::Probing, settings::limits};
use crate::verdict::Nanos;

/// `[health]`: what is asked of the verdicts, within [`limits`]. [`crate::health::threshold`] makes thresholds of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthConfig {
    /// The loss ratio that is accepted.
    pub accepted_loss: f64,
    /// False alarms in a year on a path that loses as much as is accepted.
    pub false_alarms_per_year: f64,
    /// So long all probes must pass to make a direction healthy...
    pub recovery: Duration,
    /// ...and at least so many of them.
    pub recovery_probes: u32,
    /// The most that `recovery` grows to for a direction that relapses again and again. It doubles each time, so that the
    /// true limit is `recovery` times a power of two. Where `recovery_probes` take longer than `recovery`, they grow to as
    /// many times more, and `linkprobe explain` warns: a limit in time alone would let a path flap that is probed seldom.
    pub damping: Duration,
    /// Losses of probes that were sent within this time count as one.
    pub blip: Duration,
    /// The age at which evidence expires, and the verdict becomes unknown.
    pub expiry: Duration,
    /// Round trips beyond so many times their usual length are slow; 0 not to look at them.
    pub latency_factor: f64,
}

/// Ready-made numbers for [`HealthConfig`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// A false alarm a day, if 1 % is lost all the time; recovery after one second, or sixty probes.
    Fast,
    /// A false alarm a year, if 1 % is lost all the time; recovery after one and a half seconds.
    #[default]
    Balanced,
    /// A false alarm in a century, if 1 % is lost all the time; recovery after five seconds.
    Calm,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::Calm];

    /// The name in the config.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Calm => "calm",
        }
    }

    /// The numbers that it stands for.
    #[must_use]
    pub const fn health(self) -> HealthConfig {
        let (false_alarms_per_year, recovery, recovery_probes, damping, blip, expiry) = match self {
            Self::Fast => (365.0, 1_000, 60, 48_000, 0, 2_000),
            Self::Balanced => (1.0, 1_500, 60, 48_000, 5, 3_000),
            Self::Calm => (0.01, 5_000, 120, 160_000, 20, 5_000),
        };
        HealthConfig {
            accepted_loss: 0.01,
            false_alarms_per_year,
            recovery: Duration::from_millis(recovery),
            recovery_probes,
            damping: Duration::from_millis(damping),
            blip: Duration::from_millis(blip),
            expiry: Duration::from_millis(expiry),
            latency_factor: 3.0,
        }
    }
}

impl Default for HealthConfig {
    fn default() -> Self {
        Profile::default().health()
    }
}

impl HealthConfig {
    /// What it asks of the engine.
    #[must_use]
    pub const fn goals(&self) -> Goals {
        Goals {
            accepted_loss: self.accepted_loss,
            false_alarms_per_year: self.false_alarms_per_year,
            recovery: nanos(self.recovery),
            recovery_probes: self.recovery_probes,
            damping: nanos(self.damping),
            blip: nanos(self.blip),
            expiry: nanos(self.expiry),
            latency_factor: self.latency_factor,
        }
    }

    /// The settings of the engine for paths that are probed so.
    #[must_use]
    pub fn settings(&self, probe: &ProbeConfig) -> Settings {
        Settings::new(&self.goals(), nanos(probe.interval), probe.flows)
    }
}

const fn nanos(duration: Duration) -> Nanos {
    duration.as_nanos() as Nanos
}

impl ProbeConfig {
    /// How a path is probed, for [`crate::health::guarantee`].
    #[must_use]
    pub const fn probing(&self) -> Probing {
        Probing {
            interval: self.interval.as_nanos() as u64,
            timeout: self.timeout.as_nanos() as u64,
            flows: self.flows,
        }
    }
}

/// A range of times as one of durations.
const fn durations(range: &RangeInclusive<Nanos>) -> RangeInclusive<Duration> {
    Duration::from_nanos(*range.start())..=Duration::from_nanos(*range.end())
}

/// Reads the section. `greater_offset` is where the greater of interval and timeout stands, if it is given.
pub(super) fn read(
    mut section: Section<'_, '_>,
    probe: &ProbeConfig,
    greater_offset: Option<usize>,
) -> HealthConfig {
    let problems_before = section.reader.count();
    let profile = section.optional("profile", profile);
    let accepted =
        section.optional("accepted_loss", |value| value::percentage(value, &limits::ACCEPTED_LOSS));
    let false_alarms = section
        .optional("false_alarms_per_year", |value| value::number(value, &limits::FALSE_ALARMS));
    let recovery = section.optional("recovery", |value| {
        value::duration(value, durations(&limits::RECOVERY), "1500ms")
    });
    let recovery_probes =
        section.optional("recovery_probes", |value| value::integer(value, limits::RECOVERY_PROBES));
    let damping = section
        .optional("damping", |value| value::duration(value, durations(&limits::RECOVERY), "48s"));
    let blip =
        section.optional("blip", |value| value::duration(value, durations(&limits::BLIP), "5ms"));
    let expiry = section
        .optional("expiry", |value| value::duration(value, durations(&limits::EXPIRY), "3s"));
    let latency = section.optional("latency_factor", latency_factor);

    let chosen = profile.as_ref().map_or_else(Profile::default, |profile| profile.value);
    let default = chosen.health();
    let health = HealthConfig {
        accepted_loss: of(accepted.as_ref(), default.accepted_loss),
        false_alarms_per_year: of(false_alarms.as_ref(), default.false_alarms_per_year),
        recovery: of(recovery.as_ref(), default.recovery),
        recovery_probes: of(recovery_probes.as_ref(), default.recovery_probes),
        damping: of(damping.as_ref(), default.damping),
        blip: of(blip.as_ref(), default.blip),
        expiry: of(expiry.as_ref(), default.expiry),
        latency_factor: of(latency.as_ref(), default.latency_factor),
    };
    let origin = |given: bool| {
        if given { String::new() } else { format!(" (of the profile {:?})", chosen.label()) }
    };
    // A field that was refused has no value to compare with.
    let comparable = section.reader.count() == problems_before;
    if comparable && health.damping < health.recovery {
        let place = damping.as_ref().or(recovery.as_ref()).map(|field| field.offset);
        let message = format!(
            "{}{} is less than health.recovery, {}{}, which it is the upper limit of; set it to {} or more",
            readable(health.damping),
            origin(damping.is_some()),
            readable(health.recovery),
            origin(recovery.is_some()),
            readable(health.recovery),
        );
        section.report(place.unwrap_or(section.offset), "damping", &message);
    }
    let least = probe.interval + probe.timeout;
    if comparable && health.expiry < least {
        let offset = expiry.as_ref().map(|expiry| expiry.offset).or(greater_offset);
        let message = format!(
            "{}{} is less than probe.interval plus probe.timeout, so that verdicts would expire \
             between two probes; set health.expiry to {} or more",
            readable(health.expiry),
            origin(expiry.is_some()),
            readable(least),
        );
        section.report(offset.unwrap_or(section.offset), "expiry", &message);
    }
    section.finish();
    health
}

fn of<T: Copy>(field: Option<&Placed<T>>, default: T) -> T {
    field.map_or(default, |field| field.value)
}

fn profile(value: &DeValue<'_>) -> Result<Profile, String> {
    Profile::ALL.into_iter().find(|profile| value.as_str() == Some(profile.label())).ok_or_else(
        || {
            let found = value::describe(value);
            format!("{found} is not a profile; write \"fast\", \"balanced\" or \"calm\"")
        },
    )
}

fn latency_factor(value: &DeValue<'_>) -> Result<f64, String> {
    if value::number(value, &(0.0..=0.0)).is_ok() {
        return Ok(0.0);
    }
    value::number(value, &limits::LATENCY_FACTOR)
        .map_err(|error| format!("{error}, or 0 not to look at round trips"))
}
