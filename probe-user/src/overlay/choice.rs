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
//! 4. One that is fit is left for a faster one only if that is faster by far, and not sooner than [`LONG_DWELL`].
//!
//! A candidate has to be healthy and heard for some time before it is changed to ([`maturity`]), and must not seem to fail,
//! unless it is the direct one or the tunnel in use is down: with the far end all fail, and all become healthy again, one a
//! little later than the other.

#[cfg(any(test, feature = "simulation"))]
mod arbitrary;
mod lookout;
#[cfg(test)]
mod tests;
mod view;

use std::cmp::Reverse;

pub use lookout::{Candidate, Lookout};
pub use view::{LEAST_GAIN, View};

use crate::{
    health::{Settings, defect::Defect},
    verdict::{Cause, Nanos, SECOND, State},
};

/// The place of the direct candidate among those of a destination.
pub const DIRECT: usize = 0;

/// A change to where less is lost, though too much still, waits until the last change is so long ago, in nanoseconds.
pub const DWELL: Nanos = 10 * SECOND;

/// A change for a shorter round trip does for so long: it may be the traffic itself that makes the other one long.
pub const LONG_DWELL: Nanos = 60 * SECOND;

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

    /// Begins now, long after it was made maybe: nothing of the time until then counts.
    pub const fn begin(&mut self, now: Nanos) {
        self.since = now;
        self.begun = now;
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
        let here = candidates.get(self.current)?;
        let sight = Sight { choice: self, candidates, here, isolated, now, settings };
        let (to, reason) = sight.better()?;
        let from = std::mem::replace(&mut self.current, to);
        self.reason = reason;
        self.since = now;
        self.moves += 1;
        Some(Move { from, to, reason })
    }
}

/// All that one look sees.
struct Sight<'v> {
    choice: &'v Choice,
    candidates: &'v [View],
    /// The candidate in use.
    here: &'v View,
    isolated: bool,
    now: Nanos,
    settings: &'v Settings,
}

impl<'v> Sight<'v> {
    /// The candidate to change to, and why.
    fn better(&self) -> Option<(usize, Reason)> {
        let Self { here, candidates, .. } = self;
        let is_direct = self.choice.current == DIRECT;
        if !is_direct && candidates[DIRECT].is_healthy() && self.may_return() {
            return Some((DIRECT, Reason::Direct));
        }
        let fastest = self.fastest();
        if here.is_healthy() || here.is_merely_slow() || self.is_pinned() {
            let is_called_for = !is_direct || !here.is_healthy();
            let (to, view) = fastest.filter(|_| is_called_for && self.has_stayed(LONG_DWELL))?;
            let is_worth_it = view.is_faster_by_far(here) || self.gains_anything(view);
            return is_worth_it.then_some((to, Reason::Latency));
        }
        if here.is_down {
            let up = candidates.iter().enumerate().filter(|(_, view)| !view.is_down);
            let best = fastest.or_else(|| up.max_by_key(|(at, view)| (view.rank(), Reverse(*at))));
            return best.map(|(to, _)| (to, Reason::Down));
        }
        if self.is_too_soon() {
            return None;
        }
        match fastest {
            Some((to, _)) => Some((to, here.why_left())),
            None => self.least_bad(),
        }
    }

    /// Whether the candidate in use has been so for so long.
    const fn has_stayed(&self, time: Nanos) -> bool {
        self.now - self.choice.since >= time
    }

    /// Whether nothing can be known yet of the candidate in use: this agent has just started, or has not probed for a while.
    /// Others of which something is known a moment sooner are no better for it.
    fn is_too_soon(&self) -> bool {
        let patience = patience(self.settings);
        match self.here.cause {
            Cause::Starting if self.settings.defects.has(Defect::HastyStart) => false,
            Cause::Starting => self.now - self.choice.begun < patience,
            Cause::Expired => {
                self.now.checked_sub(self.here.since).is_some_and(|age| age < patience)
            }
            _ => false,
        }
    }

    /// The candidates other than the one in use that are known to be heard of still.
    fn others(&self) -> impl Iterator<Item = (usize, &'v View)> {
        let current = self.choice.current;
        let anyway = self.settings.defects.has(Defect::Unheard);
        let others = self.candidates.iter().enumerate().filter(move |(place, _)| *place != current);
        others.filter(move |(_, view)| anyway || self.is_heard(view))
    }

    /// Whether something was heard of another candidate lately, for long enough that the one in use would have been heard of
    /// too, and since that one has become what it is. Where it fails because nobody answers at the far end, the others fail
    /// with it, one a little later than the other, and there is nothing to be won by a change.
    fn is_heard(&self, view: &View) -> bool {
        let Self { here, now, settings, .. } = *self;
        let lately = view.lull(settings).max(here.silent_for(now) / 2);
        if view.silent_for(now) > lately || !is_over(view.heard_since, here.lull(settings), now) {
            return false;
        }
        // The far end had answered for the last time by then that told for this verdict.
        let told_at = here.since.saturating_sub(here.half_way());
        here.since > now || here.is_healthy() || view.heard.is_some_and(|heard| heard >= told_at)
    }

    /// The healthy one of them with the shortest round trip, of those that do not seem to fail as well.
    fn fastest(&self) -> Option<(usize, &'v View)> {
        let is_fit = |view: &View| {
            let is_trusted = self.here.is_down || self.is_mature(view) && !view.is_failing;
            view.is_healthy() && is_trusted
        };
        let fit = self.others().filter(|(_, view)| is_fit(view));
        fit.min_by_key(|(_, view)| view.round_trip.unwrap_or(Nanos::MAX))
    }

    /// Whether a candidate has been healthy and heard for long enough.
    fn is_mature(&self, view: &View) -> bool {
        let Self { now, settings, .. } = *self;
        let [immature, hasty] =
            [Defect::Immature, Defect::HastyStart].map(|defect| settings.defects.has(defect));
        let is_old = is_over(view.since, maturity(settings), now);
        is_old && view.is_heard_steadily(now, settings) || immature || hasty
    }

    /// Where none is healthy: a candidate that is better than the one in use, which is one that certainly loses less, or one
    /// that is good for more and does not certainly lose more.
    fn least_bad(&self) -> Option<(usize, Reason)> {
        let is_better = |view: &View| {
            let is_fitter = view.rank() > self.here.rank() && !self.loses_less(self.here, view);
            // Nothing but what certainly passes moves a node that is cut off.
            is_fitter && !self.isolated
                || self.settings.defects.has(Defect::HastyLeastBad) && self.seems_to_lose_less(view)
                || self.has_stayed(DWELL) && self.loses_less(view, self.here)
        };
        let least = |a: &View, b: &View| {
            let most = |view: &View| self.loss(view).map_or(1.0, |[_, most]| most);
            most(a).total_cmp(&most(b)).then(b.rank().cmp(&a.rank()))
        };
        // One that is healthy, but not for long, will be that soon.
        let others = self.others().filter(|(_, view)| !view.is_healthy() && !view.is_down);
        let better = others.filter(|(_, view)| is_better(view));
        better.min_by(|(_, a), (_, b)| least(a, b)).map(|(to, _)| (to, Reason::LeastBad))
    }

    fn loss(&self, view: &View) -> Option<[f64; 2]> {
        view.loss(std::ptr::eq(view, self.here), self.now, self.settings)
    }

    /// Whether less is lost on one candidate than on another, with 95 % confidence in either.
    fn loses_less(&self, one: &View, other: &View) -> bool {
        let losses = (self.loss(one), self.loss(other));
        matches!(losses, (Some([_, most]), Some([least, _])) if most < least)
    }

    /// Whether less seems to be lost there.
    fn seems_to_lose_less(&self, view: &View) -> bool {
        let middle = |view: &View| view.loss.map(|[least, most]| least + most);
        matches!((middle(view), middle(self.here)), (Some(one), Some(other)) if one < other)
    }

    /// Whether any gain is worth a change: never, but for a negative control.
    fn gains_anything(&self, view: &View) -> bool {
        self.settings.defects.has(Defect::AnyGain) && view.round_trip < self.here.round_trip
    }

    /// Whether traffic may go back to the direct candidate now: always, but for the negative controls.
    const fn may_return(&self) -> bool {
        let defects = self.settings.defects;
        !(defects.has(Defect::NeverReturn)
            || defects.has(Defect::SlowReturn) && !self.has_stayed(DWELL))
    }

    /// Whether a candidate is kept though it is not fit for use: never, but for the negative controls.
    const fn is_pinned(&self) -> bool {
        match self.here.state {
            State::Unhealthy => {
                let is_relay = self.choice.current != DIRECT;
                self.settings.defects.has(Defect::StayUnhealthy)
                    || is_relay && self.settings.defects.has(Defect::SickRelay)
            }
            State::Unknown => self.settings.defects.has(Defect::FreshnessPinned),
            State::Degraded | State::Healthy => false,
        }
    }
}

/// Whether so much time has passed since then. A time that has not come yet must not hold anything.
fn is_over(since: Nanos, time: Nanos, now: Nanos) -> bool {
    now.checked_sub(since).is_none_or(|age| age >= time)
}

/// For how long the candidate of the start is kept while nothing is known of it, in nanoseconds: twice what a path takes to
/// become healthy that is, and a second for a host that has much to do at its start.
#[must_use]
pub const fn patience(settings: &Settings) -> Nanos {
    2 * settings.time_of(settings.recovery) + SECOND
}

/// For how long a candidate must have been healthy to be changed to, in nanoseconds: half of what it takes to become so.
#[must_use]
pub const fn maturity(settings: &Settings) -> Nanos {
    settings.time_of(settings.recovery) / 2
}

/// For how long it must have been heard without a lull, in nanoseconds: a little longer than it takes to become healthy. One
/// that was silent for a moment less than the one in use, and so has never been called so, is no better for it.
#[must_use]
pub const fn steadiness(settings: &Settings) -> Nanos {
    settings.time_of(settings.recovery) + settings.lull()
}
