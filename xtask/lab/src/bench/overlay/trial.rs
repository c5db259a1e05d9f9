//! One fault, and how one contender gets over it.

use std::{
    fmt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::ValueEnum;
use lab::{Lab, Loss, Stream, Way, clock, ways::Watch};

use super::contender::{Contender, Running};
use crate::topology;

/// The stream goes from the first to the second.
const ENDS: (&str, &str) = ("fra", "nyc");

/// How long routes may take to be direct at the beginning, and then once more to stay so.
const PATIENCE: Duration = Duration::from_secs(30);
/// For how long the routes between the ends have been direct when the fault strikes: for histories of hellos and
/// of probes.
const SETTLING: Duration = Duration::from_secs(3);
/// And how much longer from one trial to the next, within a second: the fault is not to find everybody's timers
/// always at the same point.
const PHASE: Duration = Duration::from_millis(370);
/// How long the fault lasts, for everybody.
pub(super) const HELD: Duration = Duration::from_secs(10);
/// How long is waited then for the route to be direct.
pub(super) const RETURN: Duration = Duration::from_secs(15);
/// How long things must stay as they are to count as over.
const CALM: Duration = Duration::from_secs(2);
/// How long a record may be late without the stream standing still: several round trips, and less than any
/// time-out of TCP.
const FLOWING: Duration = Duration::from_millis(150);
/// How long without a record at the end of a window of time means that the stream did not flow again in it.
const SILENCE: Duration = Duration::from_secs(1);
/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(10);

/// What happens to the direct path from the first to the second end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The longest time without a record while the fault lasted; none if the stream was still silent at its end.
    pub(super) stall: Option<f64>,
    /// Until packets went by a relay; none if they did not while the fault lasted.
    pub(super) relayed: Option<f64>,
    /// How often the route changed while the fault lasted.
    pub(super) changes: usize,
    /// Whether the route back changed too.
    pub(super) reverse_moved: bool,
    /// Whether packets did not go directly when the fault ended, or left after that.
    pub(super) away: bool,
    /// From that end until packets went directly for good; none if they did not.
    pub(super) direct: Option<f64>,
    /// The longest time without a record from that end on; none if the stream was silent at the end of it all.
    pub(super) stall_after: Option<f64>,
}

/// A contender at work in a network of its own.
pub(super) struct Stage {
    running: Running,
    lab: Lab,
}

impl Stage {
    /// Builds the network and starts the contender. All routes are direct when this returns.
    ///
    /// # Errors
    /// Those of the lab and of the contender; and where the routes do not become direct.
    pub(super) fn set(contender: Contender, agent: &Path) -> Result<Self> {
        let lab = topology::build(false)?;
        let running = contender.start(&lab, agent)?;
        await_direct(&lab)?;
        Ok(Self { running, lab })
    }

    /// Plays the fault, for the `trial`th time.
    ///
    /// # Errors
    /// Those of the lab; where routes do not stay direct without a fault, or the stream broke.
    pub(super) fn measure(&self, fault: Fault, trial: u32) -> Result<Outcome> {
        let phase = (PHASE * trial).subsec_millis();
        measure(&self.lab, fault, SETTLING + Duration::from_millis(phase.into()))
    }

    /// Ends the contender, and takes the network away.
    ///
    /// # Errors
    /// Where the contender has failed meanwhile.
    pub(super) fn end(self) -> Result<()> {
        self.running.stop()
    }
}

fn measure(lab: &Lab, fault: Fault, settling: Duration) -> Result<Outcome> {
    let (from, to) = ENDS;
    let (there, back) = (lab.watch_way(from, to)?, lab.watch_way(to, from)?);
    let stream = Stream::start(lab.host(from)?, lab.host(to)?)?;
    await_calm([&there, &back], settling)?;

    let struck = clock::now();
    fault.inject(lab)?;
    thread::sleep(HELD);
    let cleared = clock::now();
    lab.clear_both(from, to)?;
    let direct = await_back(&there, &stream, cleared)?;
    let ended = clock::now();

    let (there, back) = (there.ways()?, back.ways()?);
    let relayed = changes(&there, struck, cleared).find(|(_, way)| matches!(way, Way::Relay(_)));
    let stall = stall(&stream, struck, cleared);
    let stall_after = self::stall(&stream, cleared, ended);
    stream.finish()?;
    Ok(Outcome {
        stall: stall.map(|stall| stall.as_secs_f64()),
        relayed: relayed.map(|(at, _)| at.duration_since(struck).as_secs_f64()),
        changes: changes(&there, struck, cleared).count(),
        reverse_moved: changes(&back, struck, cleared).count() > 0,
        away: is_away(&there, cleared),
        direct: direct.map(|at| at.duration_since(cleared).as_secs_f64()),
        stall_after: stall_after.map(|stall| stall.as_secs_f64()),
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

/// Waits until all ways have been direct for some time.
fn await_calm(watches: [&Watch; 2], settling: Duration) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    loop {
        let ways = [watches[0].ways()?, watches[1].ways()?];
        let is_calm = |ways: &Vec<(Instant, Way)>| {
            ways.last().is_some_and(|(at, way)| *way == Way::Direct && at.elapsed() >= settling)
        };
        if ways.iter().all(is_calm) {
            return Ok(());
        }
        if clock::now() >= deadline {
            bail!("for {PATIENCE:?} the ways there and back do not stay direct: {ways:?}");
        }
        thread::sleep(PERIOD);
    }
}

/// Waits until the way has been direct and the stream has flowed for some time, and says since when it was direct.
/// What has been direct for as long at the end counts even if the stream does not flow.
fn await_back(watch: &Watch, stream: &Stream, cleared: Instant) -> Result<Option<Instant>> {
    let deadline = cleared + RETURN + CALM;
    loop {
        let now = clock::now();
        let direct = watch.ways()?.pop().filter(|(_, way)| *way == Way::Direct);
        let since = direct.map(|(at, _)| at.max(cleared));
        let since = since.filter(|since| now.duration_since(*since) >= CALM);
        let lately = now.checked_sub(CALM).unwrap_or(now);
        let is_over = since.is_some() && stream.longest_gap_between(lately, now) <= FLOWING;
        if is_over || now >= deadline {
            return Ok(since);
        }
        thread::sleep(PERIOD);
    }
}

/// The longest time without a record in a window of time; none if the stream was still silent at its end.
fn stall(stream: &Stream, since: Instant, until: Instant) -> Option<Duration> {
    let last = until.checked_sub(SILENCE).unwrap_or(since);
    let is_silent = stream.longest_gap_between(last, until) >= SILENCE;
    (!is_silent).then(|| stream.longest_gap_between(since, until))
}

/// The changes of a way in a window of time.
fn changes(
    ways: &[(Instant, Way)],
    since: Instant,
    until: Instant,
) -> impl Iterator<Item = &(Instant, Way)> {
    ways.iter().filter(move |(at, _)| *at > since && *at <= until)
}

/// Whether a way was not direct at some time, or has not been so after it.
fn is_away(ways: &[(Instant, Way)], since: Instant) -> bool {
    let then = ways.partition_point(|(at, _)| *at <= since).saturating_sub(1);
    ways[then..].iter().any(|(_, way)| *way != Way::Direct)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_late_is_away_and_who_has_come_back_before_is_not() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let relay = || Way::Relay("lon".to_owned());
        let ways = [(at(0), Way::Direct), (at(4), relay()), (at(6), Way::Direct)];
        assert_eq!([3, 5, 6, 7].map(|time| is_away(&ways, at(time))), [true, true, false, false]);
        assert_eq!(changes(&ways, at(0), at(4)).collect::<Vec<_>>(), [&(at(4), relay())]);
        assert_eq!(changes(&ways, at(4), at(9)).collect::<Vec<_>>(), [&(at(6), Way::Direct)]);
    }
}
