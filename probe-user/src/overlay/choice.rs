//! Which candidate carries the traffic to a destination.
//!
//! What goes in is what this node has measured itself, on each candidate, of the way there: no report of anybody else, and
//! nothing that was decided before but which candidate is in use. So there is nothing that could hold a choice after the
//! measurements have changed, and nodes need not agree: a relay forwards by its direct way only, whatever it has chosen for
//! itself.
//!
//! In this order:
//!
//! 1. The direct candidate is used as soon as it is healthy.
//! 2. A candidate that is not fit for use is left at once, for the healthy one with the shortest round trip.
//! 3. Where none is healthy, traffic stays, or goes where certainly less is lost: there is always a route (fail open).
//! 4. One that is fit is left for a faster one only if that is faster by far, and not sooner than [`DWELL`].

use std::cmp::{Ordering, Reverse};

use crate::{
    account::rtt,
    health::{self, Settings, defect::Defect},
    verdict::{Cause, Direction, MILLISECOND, Nanos, SECOND, State},
};

/// The place of the direct candidate among those of a destination.
pub const DIRECT: usize = 0;

/// A change that is not urgent waits until the last one is so long ago, in nanoseconds.
pub const DWELL: Nanos = 10 * SECOND;

/// A candidate is faster by far if its round trip is shorter by so much, in nanoseconds...
pub const LEAST_GAIN: Nanos = 10 * MILLISECOND;

/// ...and at most so much of the other's: two thirds.
const GAIN: (Nanos, Nanos) = (2, 3);

/// What is known of one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The verdict on the way there.
    pub state: State,
    /// Why it is so.
    pub cause: Cause,
    /// Since when it is so.
    pub since: Nanos,
    /// The loss on the way there, from 0 to 1: it lies between these with 95 % confidence. `None` without evidence.
    pub loss: Option<[f64; 2]>,
    /// Median of the latest round trips, in nanoseconds.
    pub round_trip: Option<Nanos>,
    /// When the latest answer came; `None` if none ever did.
    pub heard: Option<Nanos>,
    /// Whether its interface carries nothing: it is gone, or down.
    pub is_down: bool,
}

impl View {
    /// Of a candidate of which nothing is known yet.
    pub const NEW: Self = Self {
        state: State::Unknown,
        cause: Cause::Starting,
        since: 0,
        loss: None,
        round_trip: None,
        heard: None,
        is_down: false,
    };

    /// Of a path that is probed: its verdict, its latest round trips, when its last answer came.
    #[must_use]
    pub fn of(
        path: &health::Path,
        recent: &rtt::Recent,
        heard: Option<Nanos>,
        is_down: bool,
        settings: &Settings,
    ) -> Self {
        let verdict = path.direction(Direction::Forward, settings);
        Self {
            state: verdict.state,
            cause: verdict.cause,
            since: verdict.since,
            loss: verdict.evidence.loss_interval,
            round_trip: recent.median(),
            heard,
            is_down,
        }
    }

    fn is_healthy(&self) -> bool {
        self.state == State::Healthy && !self.is_down
    }

    /// How much of the traffic it is good for, at first sight: the more the better.
    const fn rank(&self) -> u8 {
        match (self.is_down, self.state) {
            (true, _) => 0,
            (_, State::Unhealthy | State::Unknown) => 1,
            (_, State::Degraded) => 2,
            (_, State::Healthy) => 3,
        }
    }

    /// The loss that can be told of it. What has fallen silent loses all.
    fn loss(&self) -> Option<[f64; 2]> {
        match (self.state, self.cause) {
            (State::Unknown, Cause::Silence) => Some([1.0, 1.0]),
            // Too little for a verdict may be enough to tell which of two loses less.
            _ => self.loss,
        }
    }

    /// For how long nothing was heard.
    fn silent_for(&self, now: Nanos) -> Nanos {
        self.heard.map_or(Nanos::MAX, |heard| now.saturating_sub(heard))
    }
}

/// Why a candidate is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is the direct one, and nothing was known yet.
    Start,
    /// The kernel had this route when the agent started.
    Adopted,
    /// The direct candidate is healthy.
    Direct,
    /// The one before lost too much.
    Loss,
    /// The one before fell silent, or nothing was known of it any more.
    Silence,
    /// The one before was slow, and this one is faster by far.
    Latency,
    /// The interface of the one before is gone or down.
    Down,
    /// None is healthy, and on this one the least is lost.
    LeastBad,
}

impl Reason {
    /// The name in the API and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Adopted => "adopted",
            Self::Direct => "direct",
            Self::Loss => "loss",
            Self::Silence => "silence",
            Self::Latency => "latency",
            Self::Down => "down",
            Self::LeastBad => "least_bad",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.label())
    }
}

/// A change of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which one was in use.
    pub from: usize,
    /// Which one is from now on.
    pub to: usize,
    /// Why.
    pub reason: Reason,
}

/// The choice for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub(super) current: usize,
    pub(super) reason: Reason,
    pub(super) since: Nanos,
    /// When the first choice was made.
    pub(super) begun: Nanos,
    pub(super) moves: u64,
}

impl Choice {
    /// The direct candidate, or the one whose route the kernel has already.
    #[must_use]
    pub const fn new(adopted: Option<usize>, now: Nanos) -> Self {
        let (current, reason) = match adopted {
            Some(current) => (current, Reason::Adopted),
            None => (DIRECT, Reason::Start),
        };
        Self { current, reason, since: now, begun: now, moves: 0 }
    }

    /// The candidate in use, by its place.
    #[must_use]
    pub const fn current(&self) -> usize {
        self.current
    }

    /// Why that one.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Since when.
    #[must_use]
    pub const fn since(&self) -> Nanos {
        self.since
    }

    /// How often it has changed.
    #[must_use]
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// Looks at all candidates, the direct one first, and changes to another one where there is reason to. A node that is
    /// `isolated` still goes where its probes pass, or certainly more of them, but is moved by no failure to where they do not.
    ///
    /// Nothing happens without candidates.
    pub fn look(
        &mut self,
        candidates: &[View],
        isolated: bool,
        now: Nanos,
        settings: &Settings,
    ) -> Option<Move> {
        // Whatever was here before: times that have not come yet must not hold anything.
        self.since = self.since.min(now);
        self.begun = self.begun.min(now);
        if self.current >= candidates.len() {
            self.current = DIRECT;
        }
        let (to, reason) = self.better(candidates, isolated, now, settings)?;
        let from = std::mem::replace(&mut self.current, to);
        self.reason = reason;
        self.since = now;
        self.moves += 1;
        Some(Move { from, to, reason })
    }

    /// The candidate to change to, and why.
    fn better(
        &self,
        candidates: &[View],
        isolated: bool,
        now: Nanos,
        settings: &Settings,
    ) -> Option<(usize, Reason)> {
        let here = candidates.get(self.current)?;
        let may_wait = now - self.since < DWELL;
        if self.current != DIRECT
            && candidates[DIRECT].is_healthy()
            && may_return(may_wait, settings)
        {
            return Some((DIRECT, Reason::Direct));
        }
        let others = || self.others(candidates, here, now, settings);
        let fastest = others()
            .filter(|(_, view)| view.is_healthy())
            .min_by_key(|(_, view)| view.round_trip.unwrap_or(Nanos::MAX));
        if here.is_healthy() || is_merely_slow(here) || is_pinned(here, settings) {
            let is_called_for = self.current != DIRECT || !here.is_healthy();
            let (to, view) = fastest.filter(|_| is_called_for && !may_wait)?;
            return is_faster_by_far(view, here).then_some((to, Reason::Latency));
        }
        if here.is_down {
            let up = candidates.iter().enumerate().filter(|(_, view)| !view.is_down);
            let best = fastest.or_else(|| up.max_by_key(|(at, view)| (view.rank(), Reverse(*at))));
            return best.map(|(to, _)| (to, Reason::Down));
        }
        if self.is_too_soon(here, now, settings) {
            return None;
        }
        match fastest {
            Some((to, _)) => Some((to, why(here))),
            None => least_bad(others(), here, isolated, may_wait, settings),
        }
    }

    /// Whether nothing can be known yet of the candidate in use: this agent has just started, or has not probed for a while.
    /// Others of which something is known a moment sooner are no better for it.
    fn is_too_soon(&self, here: &View, now: Nanos, settings: &Settings) -> bool {
        let patience = patience(settings);
        match here.cause {
            Cause::Starting if settings.defects.has(Defect::HastyStart) => false,
            Cause::Starting => now - self.begun < patience,
            Cause::Expired => now.checked_sub(here.since).is_some_and(|age| age < patience),
            _ => false,
        }
    }

    /// The candidates other than the one in use of which something was heard lately. Where that one is silent because
    /// nobody answers at the far end, the others fall silent with it, one a little later than the other, and there is
    /// nothing to be won by a change.
    fn others<'v>(
        &self,
        candidates: &'v [View],
        here: &View,
        now: Nanos,
        settings: &Settings,
    ) -> impl Iterator<Item = (usize, &'v View)> {
        let lately = (here.silent_for(now) / 2).max(settings.time_of(LATELY));
        let current = self.current;
        let others = candidates.iter().enumerate().filter(move |(place, _)| *place != current);
        let anyway = settings.defects.has(Defect::Unheard);
        others.filter(move |(_, view)| anyway || view.silent_for(now) <= lately)
    }
}

/// Where none is healthy: a candidate that is certainly better than the one in use.
fn least_bad<'v>(
    others: impl Iterator<Item = (usize, &'v View)>,
    here: &View,
    isolated: bool,
    may_wait: bool,
    settings: &Settings,
) -> Option<(usize, Reason)> {
    let hasty = settings.defects.has(Defect::HastyLeastBad);
    let is_better = |view: &View| match view.rank().cmp(&here.rank()) {
        // Nothing but what certainly passes moves a node that is cut off.
        _ if isolated => !may_wait && loses_less(view, here),
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal if hasty => seems_to_lose_less(view, here),
        Ordering::Equal => !may_wait && loses_less(view, here),
    };
    let least = |a: &View, b: &View| {
        let most = |view: &View| view.loss().map_or(1.0, |[_, most]| most);
        b.rank().cmp(&a.rank()).then(most(a).total_cmp(&most(b)))
    };
    let better = others.filter(|(_, view)| is_better(view));
    better.min_by(|(_, a), (_, b)| least(a, b)).map(|(to, _)| (to, Reason::LeastBad))
}

/// So many probes of a path may be missing until it counts as silent beside others.
const LATELY: u32 = 8;

/// For how long the candidate of the start is kept while nothing is known of it, in nanoseconds: twice what a path takes to
/// become healthy that is, and a second for a host that has much to do at its start.
#[must_use]
pub const fn patience(settings: &Settings) -> Nanos {
    2 * settings.time_of(settings.recovery) + SECOND
}

/// Whether all that is wrong with a candidate is its latency.
fn is_merely_slow(view: &View) -> bool {
    view.state == State::Degraded && view.cause == Cause::Latency && !view.is_down
}

/// Whether the round trip over one is shorter than over the other by a margin that is worth a change.
fn is_faster_by_far(one: &View, other: &View) -> bool {
    let (Some(one), Some(other)) = (one.round_trip, other.round_trip) else { return false };
    one.saturating_add(LEAST_GAIN) <= other
        && u128::from(one) * u128::from(GAIN.1) <= u128::from(other) * u128::from(GAIN.0)
}

/// Whether less is lost on one than on the other, with 95 % confidence in either.
fn loses_less(one: &View, other: &View) -> bool {
    matches!((one.loss(), other.loss()), (Some([_, most]), Some([least, _])) if most < least)
}

/// Whether less seems to be lost on one than on the other.
fn seems_to_lose_less(one: &View, other: &View) -> bool {
    let middle = |view: &View| view.loss().map(|[least, most]| least + most);
    matches!((middle(one), middle(other)), (Some(one), Some(other)) if one < other)
}

/// Whether traffic may go back to the direct candidate now: always, but for the negative controls.
const fn may_return(may_wait: bool, settings: &Settings) -> bool {
    let defects = settings.defects;
    !(defects.has(Defect::NeverReturn) || may_wait && defects.has(Defect::SlowReturn))
}

/// Whether a candidate is kept though it is not fit for use: never, but for the negative controls.
const fn is_pinned(view: &View, settings: &Settings) -> bool {
    match view.state {
        State::Unhealthy => settings.defects.has(Defect::StayUnhealthy),
        State::Unknown => settings.defects.has(Defect::FreshnessPinned),
        State::Degraded | State::Healthy => false,
    }
}

/// Why a candidate that is not fit for use is left.
fn why(left: &View) -> Reason {
    match left.state {
        State::Unhealthy | State::Degraded => Reason::Loss,
        State::Unknown | State::Healthy => Reason::Silence,
    }
}

#[cfg(any(test, feature = "simulation"))]
mod arbitrary;
#[cfg(test)]
mod tests;
