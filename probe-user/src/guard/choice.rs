//! Where the command runs, and when it moves: pure. What is seen, and the time, are arguments.
//!
//! Three rules keep it from doing harm. A target is left only for one that is better; nothing is left while this node is
//! the one that is cut off, or while nobody tells; and what is unknown is no reason to leave.

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use super::standing::Standing;
use crate::verdict::{Nanos, SECOND};

/// After so long without a look, nothing that was so before counts as having been so since.
const GAP: Nanos = 10 * SECOND;

/// When the command goes back to a target that is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Never while the present target is of use, not even when the command ends by itself.
    Never,
    /// When the command ends by itself.
    OnExit,
    /// Once the preferred target has been good all the time for so long; zero for at once.
    After(Duration),
}

/// How the choice is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// When to come back.
    pub(crate) back: Return,
    /// How long a target must have been bad before it is left.
    pub(crate) patience: Duration,
    /// The least time between two moves.
    pub(crate) dwell: Duration,
}

/// What is seen of the targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The agent here does not answer.
    Silent,
    /// This node is the one that is cut off.
    SelfIsolated,
    /// What each target is good for, in the order of preference.
    Standings(Vec<Standing>),
}

/// Why a target is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is the best: the first of those that are good for as much.
    Best(Standing),
    /// All are bad, and it is the least bad.
    LeastBad(Standing),
    /// It is where the command was, and still of use.
    Stays(Standing),
    /// The one where the command was is bad.
    Left(Standing),
    /// The one where the command was is no longer in the file.
    Gone,
    /// It is preferred, and good again.
    Back,
    /// Nobody tells what is good.
    Silent,
    /// This node is cut off, which says nothing of the targets.
    SelfIsolated,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best(standing) => write!(f, "the best is {standing}"),
            Self::LeastBad(standing) => write!(f, "all are bad, this one is {standing}"),
            Self::Stays(standing) => write!(f, "it was there, and that is {standing}"),
            Self::Left(standing) => write!(f, "the old one is {standing}"),
            Self::Gone => f.write_str("the old one is no longer in the file"),
            Self::Back => f.write_str("it is preferred, and good again"),
            Self::Silent => {
                f.write_str("the agent here does not answer: the last one, or the first")
            }
            Self::SelfIsolated => f.write_str(
                "this node is cut off, which says nothing of others: the last one, or the first",
            ),
        }
    }
}

/// Where the command was started last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// Nowhere yet.
    Nowhere,
    /// At the target of this place in the list.
    At(usize),
    /// At one that is not in the list any more.
    Gone,
}

/// A target over time.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Since when it has been good in every look.
    good_since: Option<Nanos>,
    /// Since when it has been bad in every look.
    bad_since: Option<Nanos>,
}

/// What was seen so far, and where the command is. There is always at least one target.
#[derive(Debug)]
pub(crate) struct Choice {
    rules: Rules,
    records: Vec<Record>,
    look: Look,
    /// When the answer came by which the targets were seen last.
    looked_at: Nanos,
    last: Last,
    /// Where the command is to go, and why, while it ends for that.
    moving: Option<(usize, Why)>,
    moved_at: Option<Nanos>,
}

impl Choice {
    /// Nothing is seen yet of so many targets, at least one.
    pub(crate) fn new(rules: Rules, targets: usize) -> Self {
        assert!(targets > 0, "a choice needs a target");
        Self {
            rules,
            records: vec![Record::default(); targets],
            look: Look::Silent,
            looked_at: 0,
            last: Last::Nowhere,
            moving: None,
            moved_at: None,
        }
    }

    /// Takes in what was seen at a time. To look at the same answer again makes nothing last longer.
    pub(crate) fn observe(&mut self, look: Look, at: Nanos) {
        match &look {
            // A moment of silence says nothing, but a longer one may hide anything.
            Look::Silent => {}
            // What seemed bad, or good, was our own doing.
            Look::SelfIsolated => self.records.fill(Record::default()),
            Look::Standings(standings) => {
                if at.saturating_sub(self.looked_at) > GAP {
                    self.records.fill(Record::default());
                }
                for (record, standing) in self.records.iter_mut().zip(standings) {
                    let since = |is: bool, before: Option<Nanos>| is.then(|| before.unwrap_or(at));
                    record.good_since = since(standing.is_good(), record.good_since);
                    record.bad_since = since(standing.is_bad(), record.bad_since);
                }
                self.looked_at = at;
            }
        }
        self.look = look;
    }

    /// What is seen at present.
    pub(crate) const fn look(&self) -> &Look {
        &self.look
    }

    /// The target to start the command at, now that it does not run.
    pub(crate) fn pick(&self) -> (usize, Why) {
        if let Some((target, why)) = self.moving
            && !self.is_bad(target)
        {
            return (target, why);
        }
        let last = match self.last {
            Last::At(index) => Some(index),
            Last::Nowhere | Last::Gone => None,
        };
        let standings = match &self.look {
            Look::Silent => return (last.unwrap_or(0), Why::Silent),
            Look::SelfIsolated => return (last.unwrap_or(0), Why::SelfIsolated),
            Look::Standings(standings) => standings,
        };
        let (best, standing) = best(standings);
        let stays = last.and_then(|last| self.stay(standings, last, best));
        let why = if standing.is_bad() { Why::LeastBad(standing) } else { Why::Best(standing) };
        stays.unwrap_or((best, why))
    }

    /// The target for a command that has ended by itself, where the user's word on coming back keeps it from the best.
    fn stay(&self, standings: &[Standing], last: usize, best: usize) -> Option<(usize, Why)> {
        let stays = (last, Why::Stays(standings[last]));
        match self.rules.back {
            _ if standings[last].is_bad() => None,
            Return::Never => Some(stays),
            Return::After(_) if best < last => {
                let back = self.back(standings, last);
                Some(back.map_or(stays, |target| (target, Why::Back)))
            }
            Return::OnExit | Return::After(_) => None,
        }
    }

    /// Whether a target is seen to be bad.
    fn is_bad(&self, target: usize) -> bool {
        matches!(&self.look, Look::Standings(standings) if standings[target].is_bad())
    }

    /// The target to move to, instead of where the command runs or is to run again; `None` to leave it there. It is what
    /// the next pick takes, unless it has become bad by then.
    pub(crate) fn leave(&mut self, now: Nanos) -> Option<(usize, Why)> {
        self.moving = self.destination(now);
        self.moving
    }

    fn destination(&self, now: Nanos) -> Option<(usize, Why)> {
        let Look::Standings(standings) = &self.look else { return None };
        let is_settled =
            self.moved_at.is_none() || has_lasted(self.moved_at, self.rules.dwell, now);
        if !is_settled {
            return None;
        }
        let better = || Some(best(standings)).filter(|(_, standing)| !standing.is_bad());
        match self.last {
            Last::Nowhere => None,
            Last::Gone => better().map(|(index, _)| (index, Why::Gone)),
            Last::At(last) if standings[last].is_bad() => {
                let since = self.records[last].bad_since;
                let is_long = has_lasted(since, self.rules.patience, self.looked_at);
                let better = better().filter(|_| is_long);
                better.map(|(index, _)| (index, Why::Left(standings[last])))
            }
            Last::At(last) => self.back(standings, last).map(|index| (index, Why::Back)),
        }
    }

    /// The target to go back to: the first of those in front that are good for no less, if it is time.
    fn back(&self, standings: &[Standing], last: usize) -> Option<usize> {
        let Return::After(least) = self.rules.back else { return None };
        (0..last).find(|&index| {
            standings[index].is_good()
                && standings[index] <= standings[last]
                && has_lasted(self.records[index].good_since, least, self.looked_at)
        })
    }

    /// The command was started at a target. After a move that is one, even if it is the old target again.
    pub(crate) fn started(&mut self, target: usize, now: Nanos) {
        if self.moving.take().is_some() || self.last != Last::At(target) {
            self.moved_at = Some(now);
        }
        self.last = Last::At(target);
    }

    /// The list of targets is another. `from` tells for each of the new ones, at least one, its place in the old list
    /// if it was there.
    pub(crate) fn relisted(&mut self, from: &[Option<usize>]) {
        assert!(!from.is_empty(), "a choice needs a target");
        let record = |old: &Option<usize>| old.map_or(Record::default(), |old| self.records[old]);
        self.records = from.iter().map(record).collect();
        let place = |old: usize| from.iter().position(|from| *from == Some(old));
        if let Last::At(last) = self.last {
            self.last = place(last).map_or(Last::Gone, Last::At);
        }
        self.moving = self.moving.and_then(|(target, why)| Some((place(target)?, why)));
        // Until the next look, nothing is known.
        self.look = Look::Silent;
    }
}

/// The first of the best.
fn best(standings: &[Standing]) -> (usize, Standing) {
    let first = (0, standings[0]);
    let better = |best: (usize, Standing), next: (usize, Standing)| {
        if next.1 < best.1 { next } else { best }
    };
    standings.iter().copied().enumerate().fold(first, better)
}

fn has_lasted(since: Option<Nanos>, least: Duration, now: Nanos) -> bool {
    since.is_some_and(|since| now >= since.saturating_add(nanos(least)))
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
