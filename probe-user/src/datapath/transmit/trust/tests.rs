use super::*;

/// A session that sends a probe each interval, and what becomes of these.
struct Session {
    interval: Nanos,
    trust: Trust,
    now: Nanos,
    learned_at: Nanos,
    /// When each probe was sent, and whether it is answered.
    probes: Vec<(Nanos, bool)>,
    round_trip: Nanos,
}

impl Session {
    fn new(interval: Nanos) -> Self {
        Self {
            interval,
            trust: Trust::default(),
            now: 1_000 * SECOND,
            learned_at: 0,
            probes: Vec::new(),
            round_trip: MILLISECOND,
        }
    }

    /// Sends the next probe, and says whether it went past the network stack. It is answered if `answers` says so of
    /// that, and of its number.
    fn step(&mut self, answers: &impl Fn(bool, usize) -> bool) -> bool {
        self.now += self.interval;
        let (now, round_trip, probes) = (self.now, self.round_trip, &self.probes);
        let has_come = |probe: &&(Nanos, bool)| probe.1 && probe.0 + round_trip <= now;
        let seen = Seen {
            learned_at: self.learned_at,
            answered: probes.iter().take(10).filter(has_come).count() as u64,
        };
        let fate = |number: u32| {
            let probe = &probes[number as usize];
            if has_come(&probe) { Fate::Answered } else { Fate::Sent { at: probe.0, round_trip } }
        };
        let is_past = self.trust.may(&seen, now, fate);
        let number = self.probes.len();
        if is_past {
            self.trust.sent(number as u32);
        } else {
            self.learned_at = now;
        }
        self.probes.push((now, answers(is_past, number)));
        is_past
    }

    /// Of so many probes, those that went past the network stack.
    fn steps(&mut self, count: usize, answers: impl Fn(bool, usize) -> bool) -> usize {
        (0..count).filter(|_| self.step(&answers)).count()
    }

    /// Of probes for so long, those that were lost.
    fn lost(&mut self, time: Nanos, answers: impl Fn(bool, usize) -> bool) -> usize {
        let before = self.probes.len();
        self.steps((time / self.interval) as usize, answers);
        self.probes[before..].iter().filter(|probe| !probe.1).count()
    }
}

const INTERVALS: [Nanos; 5] =
    [20 * MILLISECOND, 100 * MILLISECOND, 400 * MILLISECOND, SECOND, 1_900 * MILLISECOND];

#[test]
fn the_network_stack_sends_the_first_probe_and_one_every_two_seconds() {
    let mut session = Session::new(100 * MILLISECOND);
    assert!(!session.step(&|_, _| true));
    assert_eq!(session.steps(19, |_, _| true), 19);
    assert!(!session.step(&|_, _| true));
    assert_eq!(session.steps(1_000, |_, _| true), 950);
    // Longer round trips than intervals are no reason against it.
    session.round_trip = 350 * MILLISECOND;
    assert!(session.steps(1_000, |_, _| true) >= 850);
}

#[test]
fn nothing_goes_past_it_before_an_answer_has_come() {
    assert_eq!(Session::new(100 * MILLISECOND).steps(1_000, |_, _| false), 0);
}

#[test]
fn probes_that_are_rare_are_the_network_stacks() {
    assert_eq!(Session::new(2 * SECOND).steps(1_000, |_, _| true), 0);
}

#[test]
fn what_falls_silent_goes_by_the_network_stack_until_it_is_heard_again() {
    for interval in INTERVALS {
        let mut session = Session::new(interval);
        session.steps(1_100, |_, _| true);
        let past = session.steps(1_000, |_, _| false);
        // A pause of ten seconds, then 20, 40 and so on.
        assert!(past <= 8, "{past} of a silence, one every {interval} ns");
        assert!(session.steps(100_000, |_, _| true) > 20_000, "it is used again");
    }
}

/// Whatever a driver drops, all of it or a part, without a word.
#[test]
fn a_driver_that_drops_costs_next_to_nothing() {
    for interval in INTERVALS {
        for one_of in [1, 3, 7, 97] {
            let mut session = Session::new(interval);
            session.steps(2, |_, _| true);
            let drops = |is_past: bool, number: usize| !is_past || !number.is_multiple_of(one_of);
            let lost = session.lost(6 * 3_600 * SECOND, drops);
            assert!(
                (1..=14).contains(&lost),
                "{lost} in six hours, one of {one_of}, {interval} ns"
            );
        }
    }
}

#[test]
fn a_way_that_passes_nothing_is_left_after_one_probe() {
    let mut session = Session::new(100 * MILLISECOND);
    session.steps(1_100, |_, _| true);
    let lost = session.lost(9 * SECOND, |is_past, _| !is_past);
    assert!(lost <= 1, "{lost} of 90");
}

#[test]
fn after_many_answers_the_next_pause_is_short_again() {
    let mut session = Session::new(100 * MILLISECOND);
    session.lost(3_600 * SECOND, |is_past, _| !is_past);
    session.lost(7_200 * SECOND, |_, _| true);
    session.steps(2, |_, _| false);
    assert!(session.steps(200, |_, _| true) > 80, "ten seconds are over after 100 probes");
}

#[test]
fn of_a_probe_that_is_forgotten_no_answer_is_expected() {
    let seen = Seen { learned_at: SECOND, answered: 1 };
    let mut trust = Trust::default();
    assert!(trust.may(&seen, SECOND + 1, |_| unreachable!("none was sent")));
    trust.sent(7);
    assert!(!trust.may(&seen, SECOND + 2, |number| {
        assert_eq!(number, 7);
        Fate::Gone
    }));
}

#[test]
fn what_the_network_stack_sends_after_all_is_not_watched() {
    let seen = Seen { learned_at: SECOND, answered: 1 };
    let mut trust = Trust::default();
    for _ in 0..2 {
        assert!(trust.may(&seen, SECOND + 1, |_| unreachable!("none was sent")));
    }
}
