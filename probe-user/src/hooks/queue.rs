//! What one hook has yet to be told. Pure: time is an argument.
//!
//! Of each subject (a region, a direction of a path, the node) only the latest change waits, and says how many it stands
//! for. So the queue is no longer than there are subjects, a subject's changes are told in their order, and its last state is
//! told in the end, however slow the hook is and however often it fails: what is told in vain waits again, and nothing is ever
//! given up. Subjects take turns: one that changes all the time holds up no other.

use std::collections::{BTreeMap, HashMap};

use super::change::{Change, Subject};
use crate::verdict::{Nanos, SECOND};

/// So many subjects can wait at most, more than a config has; the one that has waited longest makes room for another.
const CAPACITY: usize = 1 << 17;

/// How long the first retry waits, in nanoseconds; each further one waits twice as long...
const FIRST_RETRY: Nanos = SECOND;
/// ...up to this, and after as many as the config says this is what all wait.
const LONGEST_RETRY: Nanos = 60 * SECOND;

/// The changes that wait for a hook.
#[derive(Debug)]
pub(super) struct Queue {
    /// The least time from one telling of a subject to the next.
    min_interval: Nanos,
    /// So many retries come soon.
    retries: u32,
    /// By their turns.
    waiting: BTreeMap<u64, Waiting>,
    turns: HashMap<Subject, u64>,
    next_turn: u64,
    /// When each subject was told of, as long as that matters.
    told: HashMap<Subject, Nanos>,
}

/// A change that waits, or is being told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) change: Change,
    not_before: Nanos,
    /// How often it was told in vain.
    failures: u32,
}

/// What is to be done now.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Tell this.
    Tell(Waiting),
    /// Nothing, until then.
    Wait(Nanos),
    /// Nothing, until there is a change.
    Idle,
}

impl Queue {
    pub(super) fn new(min_interval: Nanos, retries: u32) -> Self {
        Self {
            min_interval,
            retries,
            waiting: BTreeMap::new(),
            turns: HashMap::new(),
            next_turn: 0,
            told: HashMap::new(),
        }
    }

    /// Takes in a change. One of the same subject that waits is left out for it, and it takes that one's turn.
    pub(super) fn push(&mut self, mut change: Change) {
        let subject = change.subject();
        if let Some(older) = self.turns.get(&subject).and_then(|turn| self.waiting.get_mut(turn)) {
            supersede(&older.change, &mut change);
            // What was told in vain waits no longer now that there is something else to tell.
            let not_before = self.told.get(&subject).map_or(0, |told| told + self.min_interval);
            *older = Waiting { change, not_before, failures: 0 };
            return;
        }
        let not_before = self.told.get(&subject).map_or(0, |told| told + self.min_interval);
        self.enqueue(subject, Waiting { change, not_before, failures: 0 });
    }

    /// What to do now. What it says is to be told has left the queue, and comes back only by [`Self::failed`].
    pub(super) fn next(&mut self, now: Nanos) -> Next {
        self.told.retain(|_, told| *told + self.min_interval > now);
        let due = self.waiting.iter().find(|(_, waiting)| waiting.not_before <= now);
        let Some(turn) = due.map(|(turn, _)| *turn) else {
            let earliest = self.waiting.values().map(|waiting| waiting.not_before).min();
            return earliest.map_or(Next::Idle, Next::Wait);
        };
        let Some(waiting) = self.waiting.remove(&turn) else { return Next::Idle };
        let subject = waiting.change.subject();
        self.turns.remove(&subject);
        self.told.insert(subject, now);
        Next::Tell(waiting)
    }

    /// Takes back what was told in vain, to tell it once more, later, unless something newer is there to be told in its place.
    pub(super) fn failed(&mut self, mut waiting: Waiting, now: Nanos) {
        let subject = waiting.change.subject();
        if let Some(newer) = self.turns.get(&subject).and_then(|turn| self.waiting.get_mut(turn)) {
            supersede(&waiting.change, &mut newer.change);
            return;
        }
        let pause = match waiting.failures {
            failures if failures < self.retries => FIRST_RETRY << failures.min(16),
            _ => LONGEST_RETRY,
        };
        waiting.not_before = now + pause.min(LONGEST_RETRY).max(self.min_interval);
        waiting.failures = waiting.failures.saturating_add(1);
        self.enqueue(subject, waiting);
    }

    fn enqueue(&mut self, subject: Subject, waiting: Waiting) {
        if self.waiting.len() >= CAPACITY
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            self.turns.remove(&oldest.change.subject());
        }
        self.turns.insert(subject, self.next_turn);
        self.waiting.insert(self.next_turn, waiting);
        self.next_turn += 1;
    }
}

/// The newer change stands for the older one too.
fn supersede(older: &Change, newer: &mut Change) {
    newer.from = older.from.clone();
    newer.left_out += older.left_out + 1;
}
