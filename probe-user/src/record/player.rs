//! From recorded ticks to the verdicts that they lead to.
//!
//! What goes on in the agent over a reload goes on here over the same two segments, and what begins anew there does so
//! here. Only where a part of the recording is missing does the player tick by itself, so that verdicts expire as they
//! would have without evidence.

use std::{collections::BTreeMap, mem};

use super::{
    codec::Seen,
    header::{self, Header, LAST_UNIX},
};
use crate::{
    health::{
        Goals, Path, Settings, Transition,
        node::{Member, News, Node},
        observation::MOMENT,
    },
    report::Evidence,
    verdict::{Direction, MILLISECOND, Nanos, State},
};

/// How often the agent ticks, in nanoseconds.
pub const TICK: Nanos = 10 * MILLISECOND;

/// A verdict that has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When, in milliseconds since the Unix epoch.
    pub unix: u64,
    /// Name of the peer.
    pub peer: String,
    /// Its region.
    pub region: String,
    /// What has changed; its time is that of the agent's monotonic clock.
    pub transition: Transition,
    /// The probes that it rests on.
    pub evidence: Evidence,
}

/// What a replay comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many verdicts have changed.
    pub changes: u64,
    /// For how many milliseconds each path was unhealthy, by peer: forward and reverse.
    pub unhealthy: BTreeMap<String, [u64; 2]>,
}

/// Feeds an engine with what was recorded.
#[derive(Debug)]
pub struct Player {
    goals: Option<Goals>,
    run: Option<Run>,
    totals: Totals,
}

/// The run of the agent that is played.
#[derive(Debug)]
struct Run {
    header: Header,
    settings: Settings,
    node: Node,
    members: Vec<Played>,
    last_tick: Nanos,
    /// Whether something is missing behind the last tick.
    is_cut_off: bool,
}

/// A path.
#[derive(Debug)]
struct Played {
    place: usize,
    /// Its region, as an index.
    region: usize,
    path: Path,
    /// Since when each direction has been unhealthy, while it is.
    unhealthy_since: [Option<Nanos>; 2],
}

impl Member for Played {
    fn region(&self) -> usize {
        self.region
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn path_mut(&mut self) -> Option<&mut Path> {
        Some(&mut self.path)
    }
}

impl Player {
    /// One that asks this of the verdicts; without it, what the agent has asked when it recorded.
    #[must_use]
    pub fn new(goals: Option<Goals>) -> Self {
        Self { goals, run: None, totals: Totals::default() }
    }

    /// A segment begins. `sink` is told what changes where a part before it is missing.
    pub fn begin(&mut self, header: &Header, sink: &mut impl FnMut(Change)) {
        let goes_on = |run: &Run| {
            (run.header.run, run.header.probe.flows) == (header.run, header.probe.flows)
        };
        if !self.run.as_ref().is_some_and(goes_on) {
            self.end_run();
        }
        let Some(run) = &mut self.run else {
            let mut run = Run {
                settings: header.settings(self.goals.as_ref()),
                node: Node::default(),
                members: Vec::new(),
                last_tick: header.monotonic * MOMENT,
                is_cut_off: false,
                header: header.clone(),
            };
            run.members = members(header, |_| None);
            self.run = Some(run);
            return;
        };
        let is_next = header.sequence == run.header.sequence.wrapping_add(1);
        if mem::take(&mut run.is_cut_off) || header.gap || !is_next {
            run.bridge(header.monotonic * MOMENT, &mut self.totals, sink);
        }
        let mut old: Vec<Option<Played>> =
            mem::take(&mut run.members).into_iter().map(Some).collect();
        let places: BTreeMap<_, _> = run.header.paths.iter().map(key).zip(0_usize..).collect();
        run.members = members(header, |path| old[*places.get(&key(path))?].take());
        for gone in old.into_iter().flatten() {
            gone.end(&run.header, run.last_tick, &mut self.totals);
        }
        // Thresholds take their time, and hardly ever change.
        if (run.header.probe, run.header.health) != (header.probe, header.health) {
            run.settings = header.settings(self.goals.as_ref());
        }
        run.header = header.clone();
        run.node.wake_all();
    }

    /// A tick of the agent.
    ///
    /// # Panics
    /// Where the segment that was begun has no such path or flow; before any was begun, nothing happens.
    pub fn tick(&mut self, now: Nanos, seen: &[Seen], sink: &mut impl FnMut(Change)) {
        let Some(run) = &mut self.run else { return };
        for Seen { path, observation } in seen {
            observation.feed(&mut run.members[*path].path, now, &run.settings);
            run.node.wake(*path);
        }
        run.tick(now, &mut self.totals, sink);
    }

    /// The rest of the segment cannot be read.
    pub fn cut_off(&mut self) {
        if let Some(run) = &mut self.run {
            run.is_cut_off = true;
        }
    }

    /// Ends the replay.
    #[must_use]
    pub fn finish(mut self) -> Totals {
        self.end_run();
        self.totals
    }

    /// What was unhealthy when the agent ended was so until then.
    fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        for member in run.members {
            member.end(&run.header, run.last_tick, &mut self.totals);
        }
    }
}

/// What makes a path the same as that of the segment before.
fn key(path: &header::Path) -> (&str, u64) {
    (&path.peer, path.opened)
}

/// The paths of a header, those from `before` that go on.
fn members(
    header: &Header,
    mut before: impl FnMut(&header::Path) -> Option<Played>,
) -> Vec<Played> {
    let flows = usize::from(header.probe.flows);
    let mut regions = BTreeMap::new();
    let mut member = |(place, path): (usize, &header::Path)| {
        let count = regions.len();
        let region = *regions.entry(path.region.clone()).or_insert(count);
        before(path).map_or_else(
            || Played {
                place,
                region,
                path: Path::new(flows, path.opened * MOMENT),
                unhealthy_since: [None; 2],
            },
            |known| Played { place, region, ..known },
        )
    };
    header.paths.iter().enumerate().map(&mut member).collect()
}

impl Played {
    fn end(self, header: &Header, at: Nanos, totals: &mut Totals) {
        for direction in Direction::ALL {
            let since = self.unhealthy_since[direction as usize];
            count(totals, &header.paths[self.place].peer, direction, since, at);
        }
    }
}

/// Adds the time of a direction that was unhealthy since then.
fn count(totals: &mut Totals, peer: &str, direction: Direction, since: Option<Nanos>, now: Nanos) {
    let Some(since) = since else { return };
    if !totals.unhealthy.contains_key(peer) {
        totals.unhealthy.insert(peer.to_owned(), [0; 2]);
    }
    if let Some(of_peer) = totals.unhealthy.get_mut(peer) {
        of_peer[direction as usize] += now.saturating_sub(since) / MOMENT;
    }
}

impl Run {
    fn tick(&mut self, now: Nanos, totals: &mut Totals, sink: &mut impl FnMut(Change)) {
        self.last_tick = now;
        let mut changes = Vec::new();
        self.node.tick(&mut self.members, now, &self.settings, &mut |news| {
            if let News::Verdict { member, transition, verdict } = news {
                changes.push((member.place, transition, verdict.evidence));
            }
        });
        for (place, transition, evidence) in changes {
            let header::Path { peer, region, .. } = &self.header.paths[place];
            let member = &mut self.members[place];
            let since = &mut member.unhealthy_since[transition.direction as usize];
            count(totals, peer, transition.direction, since.take(), now);
            *since = (transition.to == State::Unhealthy).then_some(now);
            totals.changes += 1;
            sink(Change {
                unix: self.header.unix_of(now),
                peer: peer.clone(),
                region: region.clone(),
                transition,
                evidence,
            });
        }
    }

    /// Ticks without evidence up to then, until nothing can change any more.
    fn bridge(&mut self, until: Nanos, totals: &mut Totals, sink: &mut impl FnMut(Change)) {
        let settled = self.last_tick + self.settings.expiry + 2 * TICK;
        while self.last_tick + TICK < until && self.last_tick < settled {
            self.tick(self.last_tick + TICK, totals, sink);
        }
    }
}

impl Header {
    /// The time of day at a moment of the monotonic clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_of(&self, now: Nanos) -> u64 {
        let since = (now / MOMENT).saturating_sub(self.monotonic);
        (self.unix + since).min(LAST_UNIX)
    }
}
