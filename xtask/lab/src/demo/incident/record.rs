//! What was seen of the incident: who was in which state when. Pure.
//!
//! All times are seconds since the Unix epoch.

use lab::Way;
use probe_user::verdict::State;

/// What stands for a region where no request is answered.
pub(super) const NOBODY: &str = "nobody";

/// The states of one thing over time.
#[derive(Clone, Debug)]
pub(super) struct History<T> {
    /// What it is, for people.
    pub(super) name: String,
    /// Each state, and since when; the latest last.
    states: Vec<(f64, T)>,
}

impl<T: PartialEq> History<T> {
    /// Of a thing that has not been seen yet.
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), states: Vec::new() }
    }

    /// Takes in a state since some time. Returns whether it is another than before, and not the first.
    pub(super) fn note(&mut self, since: f64, state: T) -> bool {
        match self.states.last() {
            Some((_, last)) if *last == state => return false,
            // What was seen later cannot have begun earlier.
            Some((at, _)) => self.states.push((since.max(*at), state)),
            None => self.states.push((since, state)),
        }
        self.states.len() > 1
    }

    /// How many states there were.
    pub(super) const fn len(&self) -> usize {
        self.states.len()
    }

    /// The latest state.
    pub(super) fn now(&self) -> Option<&T> {
        self.states.last().map(|(_, state)| state)
    }

    /// When it changed for the first time since then.
    pub(super) fn changed(&self, since: f64) -> Option<f64> {
        self.states.iter().skip(1).map(|(at, _)| *at).find(|at| *at >= since)
    }

    /// Since when it has been so all the time; `None` if it is not so now.
    pub(super) fn settled(&self, is_so: impl Fn(&T) -> bool) -> Option<f64> {
        let lasting = self.states.iter().rev().take_while(|(_, state)| is_so(state));
        lasting.last().map(|(at, _)| *at)
    }

    /// When it was so for the first time since then.
    pub(super) fn first(&self, since: f64, is_so: impl Fn(&T) -> bool) -> Option<f64> {
        self.states.iter().find(|(at, state)| *at >= since && is_so(state)).map(|(at, _)| *at)
    }
}

/// When the first of several changed since then.
pub(super) fn first_change<T: PartialEq>(all: &[History<T>], since: f64) -> Option<f64> {
    all.iter().filter_map(|one| one.changed(since)).min_by(f64::total_cmp)
}

/// When the last of several settled; `None` if any has not.
pub(super) fn all_settled<T: PartialEq>(
    all: &[History<T>],
    is_so: impl Fn(&T) -> bool,
) -> Option<f64> {
    let settled: Option<Vec<f64>> = all.iter().map(|one| one.settled(&is_so)).collect();
    settled?.into_iter().max_by(f64::total_cmp)
}

/// When what happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The first link of the sick region failed.
    pub(super) begun: f64,
    /// All of its links failed.
    pub(super) cut: f64,
    /// All links were well again.
    pub(super) ended: f64,
    /// Nobody looked any more.
    pub(super) until: f64,
}

/// What clients of the load balancer got.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Requests {
    /// Answered in full, and by which region was plain to see.
    pub(super) answered: u64,
    /// Octets of these answers.
    pub(super) octets: u64,
    /// Not answered, or not in full.
    pub(super) failed: u64,
}

/// A TCP connection from one host to another.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// From where to where.
    pub(super) name: String,
    /// Whether it neither begins nor ends in the sick region.
    pub(super) is_past: bool,
    /// The longest time without a record while only the first link had failed, in seconds.
    pub(super) stall_at_first: f64,
    /// And from when all had failed until the end.
    pub(super) stall: f64,
    /// Octets that were sent, and received as they were sent; or what was wrong.
    pub(super) octets: Result<u64, String>,
}

/// What was seen of those who are to move.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Each verdict: of each agent, on each way to each region, in each direction.
    pub(super) verdicts: Vec<History<State>>,
    /// The way from each region to each other.
    pub(super) routes: Vec<History<Way>>,
    /// The region that answered through the load balancer, or [`NOBODY`].
    pub(super) balancer: History<String>,
    /// What its clients got.
    pub(super) requests: Requests,
    /// The region where each worker was registered.
    pub(super) workers: Vec<History<String>>,
}

/// All that was seen.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// When.
    pub(super) times: Times,
    /// Who moved.
    pub(super) seen: Seen,
    /// The connections.
    pub(super) connections: Vec<Connection>,
    /// Whether all of them flowed at the end.
    pub(super) is_flowing: bool,
    /// Packets that the lab itself lost.
    pub(super) undelivered: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(states: &[(f64, u8)]) -> History<u8> {
        let mut history = History::new("x");
        for (at, state) in states {
            history.note(*at, *state);
        }
        history
    }

    #[test]
    fn only_changes_are_kept_and_the_first_state_is_none() {
        let mut history = History::new("x");
        assert!(!history.note(1.0, 'a'));
        assert!(!history.note(2.0, 'a'));
        assert!(history.note(3.0, 'b'));
        // A clock that was set back does not turn the order round.
        assert!(history.note(2.5, 'a'));
        assert_eq!(history.states, [(1.0, 'a'), (3.0, 'b'), (3.0, 'a')]);
        assert_eq!(history.now(), Some(&'a'));
    }

    #[test]
    fn changes_count_from_a_time_on_and_the_first_state_is_none() {
        let history = history(&[(1.0, 0), (2.0, 1), (5.0, 0)]);
        assert_eq!(history.changed(0.0), Some(2.0));
        assert_eq!(history.changed(3.0), Some(5.0));
        assert_eq!(history.changed(6.0), None);
        assert_eq!(history.first(1.5, |state| *state == 0), Some(5.0));
    }

    #[test]
    fn what_is_settled_is_so_now_and_has_been_all_the_time() {
        let is_zero = |state: &u8| *state == 0;
        assert_eq!(history(&[]).settled(is_zero), None);
        assert_eq!(history(&[(1.0, 0)]).settled(is_zero), Some(1.0));
        assert_eq!(history(&[(1.0, 0), (2.0, 1)]).settled(is_zero), None);
        let back = history(&[(1.0, 0), (2.0, 1), (3.0, 0)]);
        assert_eq!(back.settled(is_zero), Some(3.0));
        // Two good states in a row are one good time.
        assert_eq!(history(&[(2.0, 1), (3.0, 0), (4.0, 2)]).settled(|s| *s != 1), Some(3.0));
        let later = history(&[(4.0, 0)]);
        assert_eq!(all_settled(&[back.clone(), later], is_zero), Some(4.0));
        assert_eq!(all_settled(&[back, history(&[(2.0, 1)])], is_zero), None);
    }
}
