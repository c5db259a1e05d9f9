//! One fault, and how one contender gets over it.

use std::{
    fmt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use lab::{Lab, Loss, Stream, Way, clock, ways::Watch};
use serde::Serialize;

use super::contender::Contender;
use crate::topology;

/// The stream goes from the first to the second.
const ENDS: (&str, &str) = ("fra", "nyc");

/// How long routes may take to be direct at the beginning.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the network is calm before the fault, once all routes are direct: for histories of hellos and of
/// probes.
const SETTLING: Duration = Duration::from_secs(3);
/// And how much longer from one trial to the next, within a second: the fault is not to find everybody's timers
/// always at the same point.
const PHASE: Duration = Duration::from_millis(370);
/// How long a change of the route is waited for.
const NEVER: Duration = Duration::from_secs(20);
/// How long things must stay as they are to count as over.
const CALM: Duration = Duration::from_secs(2);
/// How long a record may be late without the stream standing still: several round trips, and less than any
/// time-out of TCP.
const FLOWING: Duration = Duration::from_millis(150);
/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(10);

/// What happens to the direct path from the first to the second end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fault {
    /// All is lost, both ways
    Blackhole,
    /// 30 % are lost, one way
    Loss30,
    /// 30 % are lost in bursts of four, one way
    Bursts30,
    /// 10 % are lost, one way
    Loss10,
    /// 1 % are lost, one way: no reason to leave
    Loss1,
}

impl Fault {
    /// All of them.
    pub(super) const ALL: [Self; 5] =
        [Self::Blackhole, Self::Loss30, Self::Bursts30, Self::Loss10, Self::Loss1];

    fn inject(self, lab: &Lab) -> Result<()> {
        let (from, to) = ENDS;
        match self {
            Self::Blackhole => lab.blackhole_both(from, to),
            Self::Loss30 => lab.loss(from, to, Loss::Random(0.3)),
            Self::Bursts30 => lab.loss(from, to, Loss::Bursts(0.3)),
            Self::Loss10 => lab.loss(from, to, Loss::Random(0.1)),
            Self::Loss1 => lab.loss(from, to, Loss::Random(0.01)),
        }
    }

    /// Whether the way back is sick too.
    pub(super) const fn is_both_ways(self) -> bool {
        matches!(self, Self::Blackhole)
    }

    /// Whether it is none: routes are to stay as they are.
    pub(super) const fn is_tolerable(self) -> bool {
        matches!(self, Self::Loss1)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blackhole => "blackhole",
            Self::Loss30 => "30 % one-way",
            Self::Bursts30 => "30 % in bursts of 4",
            Self::Loss10 => "10 % one-way",
            Self::Loss1 => "1 % one-way",
        })
    }
}

/// What was measured, in seconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// The longest time without a record while the fault lasted.
    pub(super) stall: f64,
    /// Until packets went by a relay; none if they did not within twenty seconds.
    pub(super) relayed: Option<f64>,
    /// How often the route changed while the fault lasted.
    pub(super) changes: usize,
    /// Whether the route back changed too.
    pub(super) reverse_moved: bool,
    /// Whether packets went by a relay when the fault ended.
    pub(super) away: bool,
    /// From that end until packets went directly for good; none if they did not.
    pub(super) direct: Option<f64>,
    /// The longest time without a record from that end on.
    pub(super) stall_after: f64,
}

/// Builds a network, lets the contender settle, and plays the fault, for the `trial`th time.
///
/// # Errors
/// Those of the lab and of the contender; and where the stream broke.
pub(super) fn run(contender: Contender, fault: Fault, trial: u32, agent: &Path) -> Result<Outcome> {
    let lab = topology::build(false)?;
    let running = contender.start(&lab, agent)?;
    let phase = (PHASE * trial).subsec_millis();
    let outcome = measure(&lab, fault, SETTLING + Duration::from_millis(phase.into()));
    running.stop()?;
    outcome.with_context(|| format!("{contender}, {fault}"))
}

fn measure(lab: &Lab, fault: Fault, settling: Duration) -> Result<Outcome> {
    await_direct(lab)?;
    let (from, to) = ENDS;
    let (there, back) = (lab.watch_way(from, to)?, lab.watch_way(to, from)?);
    let stream = Stream::start(lab.host(from)?, lab.host(to)?)?;
    thread::sleep(settling);

    let struck = clock::now();
    fault.inject(lab)?;
    let relayed = there.await_way(struck, NEVER, |way| matches!(way, Way::Relay(_)))?;
    if let Some(relayed) = relayed {
        await_flow(&stream, relayed, struck + NEVER);
    }
    let away = there.now()? != Way::Direct;
    let cleared = clock::now();
    lab.clear_both(from, to)?;
    let changes = changes(&there, struck, cleared)?;
    let reverse_moved = self::changes(&back, struck, cleared)? > 0;
    let stall = stream.longest_gap_between(struck, cleared);

    let direct = await_back(&there, &stream, cleared)?;
    let stall_after = stream.longest_gap(cleared);
    stream.finish()?;
    let since = |start: Instant| move |end: Instant| end.duration_since(start).as_secs_f64();
    Ok(Outcome {
        stall: stall.as_secs_f64(),
        relayed: relayed.map(since(struck)),
        changes,
        reverse_moved,
        away,
        direct: direct.map(since(cleared)),
        stall_after: stall_after.as_secs_f64(),
    })
}

/// Waits until every site sends directly to every other.
fn await_direct(lab: &Lab) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    for (from, to) in topology::pairs() {
        loop {
            let way = lab.way(from, to)?;
            if way == Way::Direct {
                break;
            }
            if clock::now() >= deadline {
                bail!("after {PATIENCE:?} the way from {from} to {to} is {way:?}");
            }
            thread::sleep(PERIOD);
        }
    }
    Ok(())
}

/// Waits until the stream has flowed for some time since a change of its route, or the deadline.
fn await_flow(stream: &Stream, since: Instant, deadline: Instant) {
    let mut flows_since = since;
    while clock::now() < deadline && flows_since.elapsed() < CALM {
        thread::sleep(PERIOD);
        let now = clock::now();
        let look = flows_since.max(now.checked_sub(2 * FLOWING).unwrap_or(now));
        if stream.longest_gap_between(look, now) > FLOWING {
            flows_since = now;
        }
    }
}

/// Waits until the way is direct and has been so for some time, and says since when.
fn await_back(watch: &Watch, stream: &Stream, cleared: Instant) -> Result<Option<Instant>> {
    let deadline = cleared + NEVER;
    while clock::now() < deadline {
        if let Some((at, Way::Direct)) = watch.ways()?.pop() {
            let since = at.max(cleared);
            if since.elapsed() >= CALM {
                await_flow(stream, since, deadline);
                return Ok(Some(since));
            }
        }
        thread::sleep(PERIOD);
    }
    Ok(None)
}

/// How often a way changed in a window of time.
fn changes(watch: &Watch, since: Instant, until: Instant) -> Result<usize> {
    let ways = watch.ways()?;
    Ok(ways.iter().filter(|(at, _)| *at > since && *at <= until).count())
}
