//! Whether the probes of a session may go past the network stack.
//!
//! The way they go is a few moments old, and not every driver says what it does with frames. So whatever is wrong with it must
//! cost a session no more than [`UNANSWERED`] probes and one, seldom: as soon as so many are missing, the network stack sends
//! again, for [`PAUSE`]. If none at all has been answered that went past it, twice as long each time.

use crate::verdict::{Nanos, SECOND};

/// How long the way is good that the network stack chose last. It sends one probe in each such time, so routes and neighbours
/// that change are followed, and the neighbour's entry stays alive.
const FRESH: Nanos = 2 * SECOND;

/// Most probes that may be without an answer, those among them that are on their way. Where a round trip is as long as more
/// intervals than that, the network stack sends all.
const UNANSWERED: u32 = 3;

/// How long the network stack sends at least what fell silent.
const PAUSE: Nanos = 10 * SECOND;

/// And at most.
const LONGEST_PAUSE: Nanos = 3_600 * SECOND;

/// What is known of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When the network stack has sent a probe of its; 0 for never.
    pub(super) learned_at: Nanos,
    /// How many probes were sent: the number of the next.
    pub(super) sent: u32,
    /// How many of them were answered.
    pub(super) answered: u64,
    /// The number of the latest of these.
    pub(super) latest_answered: u32,
}

/// What is remembered of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trust {
    /// The number of the first probe that went past the network stack since the last pause, if one did.
    first: Option<u32>,
    /// How long the last pause is, and when it ends.
    pause: Nanos,
    pause_ends: Nanos,
}

impl Trust {
    /// Whether the next probe may go past the network stack.
    pub(super) fn may(&mut self, seen: &Seen, now: Nanos) -> bool {
        let is_fresh = seen.learned_at != 0 && now < seen.learned_at + FRESH;
        if now < self.pause_ends || !is_fresh || seen.answered == 0 {
            return false;
        }
        // Of a session that has begun anew under this SSID, nothing is remembered.
        let first = self.first.filter(|first| is_before(*first, seen.sent));
        let unanswered = seen.sent.wrapping_sub(seen.latest_answered).wrapping_sub(1);
        if unanswered <= UNANSWERED {
            self.first = first.or(Some(seen.sent));
            return true;
        }
        self.first = None;
        if let Some(first) = first {
            let is_answered = !is_before(seen.latest_answered, first);
            self.pause =
                if is_answered { PAUSE } else { (2 * self.pause).clamp(PAUSE, LONGEST_PAUSE) };
            self.pause_ends = now + self.pause;
        }
        false
    }
}

/// Whether a number comes before another one; both wrap.
const fn is_before(number: u32, other: u32) -> bool {
    (number.wrapping_sub(other) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::MILLISECOND;

    const INTERVAL: Nanos = 100 * MILLISECOND;

    /// A session that sends a probe each interval, and what becomes of these.
    struct Session {
        seen: Seen,
        trust: Trust,
        now: Nanos,
    }

    impl Session {
        fn new() -> Self {
            let seen = Seen { learned_at: 0, sent: 0, answered: 0, latest_answered: 0 };
            Self { seen, trust: Trust::default(), now: SECOND }
        }

        /// Sends the next probe, and says whether it went past the network stack. It is answered if `answers` says so of
        /// that.
        fn step(&mut self, answers: impl Fn(bool) -> bool) -> bool {
            self.now += INTERVAL;
            let is_past = self.trust.may(&self.seen, self.now);
            if !is_past {
                self.seen.learned_at = self.now;
            }
            let number = self.seen.sent;
            self.seen.sent = number.wrapping_add(1);
            if answers(is_past) {
                self.seen.answered += 1;
                self.seen.latest_answered = number;
            }
            is_past
        }

        /// Of so many probes, those that went past the network stack.
        fn steps(&mut self, count: usize, answers: impl Fn(bool) -> bool) -> usize {
            (0..count).filter(|_| self.step(&answers)).count()
        }
    }

    #[test]
    fn the_network_stack_sends_the_first_probe_and_one_every_two_seconds() {
        let mut session = Session::new();
        assert!(!session.step(|_| true));
        assert_eq!(session.steps(19, |_| true), 19);
        assert!(!session.step(|_| true));
        let past = session.steps(1000, |_| true);
        assert_eq!(past, 950);
    }

    #[test]
    fn nothing_goes_past_it_before_an_answer_has_come() {
        assert_eq!(Session::new().steps(1000, |_| false), 0);
    }

    #[test]
    fn what_falls_silent_goes_by_the_network_stack_until_it_is_heard_again() {
        let mut session = Session::new();
        session.steps(100, |_| true);
        assert!(session.steps(1000, |_| false) <= UNANSWERED as usize + 1);
        assert!(session.steps(200, |_| true) > 50, "it is used again");
    }

    #[test]
    fn a_way_that_passes_nothing_costs_next_to_nothing() {
        let mut session = Session::new();
        // A day: 864,000 probes.
        let lost = session.steps(864_000, |is_past| !is_past);
        assert!((4..=150).contains(&lost), "{lost} probes lost in a day");
        let later = session.steps(36_000, |is_past| !is_past);
        assert!(later <= 8, "{later} in the hour after");
    }

    #[test]
    fn after_a_pause_that_was_for_nothing_the_next_is_short_again() {
        let mut session = Session::new();
        session.steps(36_000, |is_past| !is_past);
        session.steps(72_000, |_| true);
        session.steps(10, |_| false);
        assert!(session.steps(300, |_| true) > 150, "ten seconds are over after 100 probes");
    }

    #[test]
    fn numbers_wrap() {
        let mut session = Session::new();
        session.seen.sent = u32::MAX - 50;
        session.steps(2, |_| true);
        assert!(session.steps(200, |_| true) >= 189);
    }

    #[test]
    fn round_trips_that_are_long_leave_it_to_the_network_stack() {
        let seen = Seen {
            learned_at: SECOND,
            sent: 100,
            answered: 90,
            latest_answered: 100 - 1 - UNANSWERED,
        };
        assert!(Trust::default().may(&seen, SECOND + INTERVAL));
        let longer = Seen { sent: 101, ..seen };
        assert!(!Trust::default().may(&longer, SECOND + INTERVAL));
        assert!(!Trust::default().may(&seen, SECOND + FRESH));
    }
}
