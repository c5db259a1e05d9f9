mod properties;

use super::{Standing::*, *};

const DWELL: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(2);

fn rules(back: Return) -> Rules {
    Rules { back, patience: PATIENCE, dwell: DWELL }
}

/// After a time that only the last two seconds of tell.
fn minutes(minutes: u64) -> Return {
    Return::After(Duration::from_secs(60 * minutes))
}

const AT_ONCE: Return = Return::After(Duration::ZERO);

/// A choice over seconds: a command that runs unless it is said to have ended.
struct World {
    choice: Choice,
    second: u64,
    at: usize,
    /// How many seconds the command takes to end when it is told to.
    grace: u64,
    ending: Option<Ending>,
    /// When it was started elsewhere, or was to be.
    moved_at: u64,
}

/// The command has been told to end.
#[derive(Clone, Copy)]
struct Ending {
    target: usize,
    why: Why,
    /// The second in which it will have ended.
    over: u64,
}

impl World {
    /// One whose command runs at the first of the best.
    fn start(back: Return, standings: &[Standing]) -> Self {
        let choice = Choice::new(rules(back), standings.len());
        let mut world = Self { choice, second: 100, at: 0, grace: 0, ending: None, moved_at: 100 };
        world.see(standings);
        world.exit();
        world
    }

    fn now(&self) -> Nanos {
        self.second * SECOND
    }

    fn see(&mut self, standings: &[Standing]) {
        self.choice.observe(Look::Standings(standings.to_vec()), self.now());
    }

    /// The command ends, as it was told to or by itself, and is started again.
    fn exit(&mut self) -> Why {
        let (target, why) = self.choice.pick();
        self.choice.started(target, self.now());
        if self.ending.take().is_some() || self.at != target {
            self.moved_at = self.second;
        }
        self.at = target;
        why
    }

    /// A second goes by in which this is seen, and which may be that in which the command is told to end.
    fn look(&mut self, look: &Look) {
        self.second += 1;
        self.choice.observe(look.clone(), self.now());
        if self.ending.is_none() {
            let over = self.second + self.grace;
            let going = self.choice.leave(self.now());
            self.ending = going.map(|(target, why)| Ending { target, why, over });
        }
    }

    /// The command is started again if it was told to end, and has.
    fn arrive(&mut self) -> Option<Why> {
        self.ending.filter(|ending| ending.over <= self.second).map(|_| self.exit())
    }

    /// This is seen for as many seconds. The first move in it: after how many seconds, to which target, and why.
    fn pass(&mut self, seconds: u64, look: &Look) -> Option<(u64, usize, Why)> {
        (1..=seconds).fold(None, |first, second| {
            self.look(look);
            let why = self.arrive();
            first.or(why.map(|why| (second, self.at, why)))
        })
    }

    fn pass_standings(&mut self, seconds: u64, seen: &[Standing]) -> Option<(u64, usize, Why)> {
        self.pass(seconds, &Look::Standings(seen.to_vec()))
    }
}

#[test]
fn the_first_of_the_best_is_started() {
    for (standings, expected, why) in [
        (&[Reachable, Reachable][..], 0, Why::Best(Reachable)),
        (&[Impaired, Reachable], 1, Why::Best(Reachable)),
        (&[Unknown, Impaired], 1, Why::Best(Impaired)),
        (&[Isolated, CutOff, Unknown], 2, Why::Best(Unknown)),
        (&[Isolated, CutOff], 1, Why::LeastBad(CutOff)),
        (&[Isolated, Isolated], 0, Why::LeastBad(Isolated)),
    ] {
        let mut choice = Choice::new(rules(AT_ONCE), standings.len());
        choice.observe(Look::Standings(standings.to_vec()), 0);
        assert_eq!(choice.pick(), (expected, why), "{standings:?}");
    }
}

#[test]
fn while_nobody_tells_it_is_the_first_or_the_last_one() {
    for (look, why) in [(Look::Silent, Why::Silent), (Look::SelfIsolated, Why::SelfIsolated)] {
        let mut choice = Choice::new(rules(AT_ONCE), 2);
        choice.observe(look.clone(), 0);
        assert_eq!(choice.pick(), (0, why));
        choice.started(1, 0);
        choice.observe(look, SECOND);
        assert_eq!(choice.pick(), (1, why));
    }
}

/// Every standing of the one where it runs against every one of the other: it moves to what is better if that where it
/// runs is bad, else only back.
#[test]
fn a_running_command_moves_from_what_is_bad_to_what_is_not() {
    for (own, other) in Standing::ALL.into_iter().flat_map(|a| Standing::ALL.map(|b| (a, b))) {
        let mut world = World::start(AT_ONCE, &[Reachable, Reachable]);
        let moved = world.pass_standings(60, &[own, other]);
        // It was started more than DWELL ago only in the tenth second.
        let expected = (own.is_bad() && !other.is_bad()).then_some((10, 1, Why::Left(own)));
        assert_eq!(moved, expected, "at {own}, other {other}");

        let mut world = World::start(AT_ONCE, &[Isolated, Reachable]);
        let moved = world.pass_standings(60, &[other, own]);
        let left = (own.is_bad() && !other.is_bad()).then_some((10, 0, Why::Left(own)));
        let back = (!own.is_bad() && other.is_good() && other <= own).then_some((10, 0, Why::Back));
        assert_eq!(moved, left.or(back), "at {own}, preferred {other}");
    }
}

#[test]
fn it_leaves_the_best_for_the_first_of_the_next_best() {
    let mut world = World::start(AT_ONCE, &[Reachable; 4]);
    let seen = [CutOff, Impaired, Reachable, Reachable];
    assert_eq!(world.pass_standings(20, &seen), Some((10, 2, Why::Left(CutOff))));
}

#[test]
fn what_is_bad_for_a_moment_is_not_left() {
    let mut world = World::start(minutes(5), &[Reachable; 2]);
    world.pass_standings(20, &[Reachable; 2]);
    for _ in 0..50 {
        assert_eq!(world.pass_standings(2, &[Isolated, Reachable]), None);
        assert_eq!(world.pass_standings(1, &[Unknown, Reachable]), None);
    }
    assert_eq!(world.pass_standings(3, &[Isolated, Reachable]), Some((3, 1, Why::Left(Isolated))));
}

/// At first only one region seems to fail, and it is known a moment later that it is us.
#[test]
fn what_was_seen_before_this_node_was_known_to_be_cut_off_does_not_count() {
    for seconds in [1, 600] {
        let mut world = World::start(AT_ONCE, &[Reachable; 2]);
        world.pass_standings(20, &[Reachable; 2]);
        assert_eq!(world.pass_standings(2, &[Isolated, Reachable]), None);
        assert_eq!(world.pass(seconds, &Look::SelfIsolated), None);
        assert_eq!(world.pass_standings(2, &[Isolated, Reachable]), None);
        assert_eq!(world.pass_standings(60, &[Reachable; 2]), None);
    }
}

#[test]
fn two_moves_have_the_dwelling_time_between_them() {
    let mut world = World::start(AT_ONCE, &[Reachable; 2]);
    let mut moves = Vec::new();
    for second in 0..100 {
        let seen = if world.at == 0 { [Isolated, Reachable] } else { [Reachable, Isolated] };
        moves.extend(world.pass_standings(1, &seen).map(|_| second));
    }
    assert_eq!(moves.len(), 10, "{moves:?}");
    assert!(moves.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{moves:?}");
}

#[test]
fn it_comes_back_as_the_user_says() {
    for (back, expected) in [
        (Return::Never, None),
        (Return::OnExit, None),
        (AT_ONCE, Some((1, 0, Why::Back))),
        (minutes(5), Some((301, 0, Why::Back))),
    ] {
        let mut world = World::start(back, &[Isolated, Reachable]);
        world.pass_standings(20, &[Isolated, Reachable]);
        assert_eq!(world.pass_standings(400, &[Reachable; 2]), expected, "{back:?}");
    }
}

#[test]
fn a_command_that_ends_by_itself_comes_back_as_the_user_says() {
    for (back, expected) in [
        (Return::Never, Why::Stays(Reachable)),
        (Return::OnExit, Why::Best(Reachable)),
        (AT_ONCE, Why::Back),
        (minutes(5), Why::Stays(Reachable)),
    ] {
        let mut world = World::start(back, &[Isolated, Reachable]);
        world.see(&[Reachable; 2]);
        assert_eq!(world.exit(), expected, "{back:?}");
    }
    let mut world = World::start(Return::Never, &[Isolated, Reachable]);
    world.see(&[Reachable, Isolated]);
    assert_eq!((world.exit(), world.at), (Why::Best(Reachable), 0));

    // Nothing keeps it from what is better and behind, nor from the best if its own is bad.
    let mut world = World::start(minutes(5), &[Reachable, Isolated]);
    world.see(&[Impaired, Reachable]);
    assert_eq!((world.exit(), world.at), (Why::Best(Reachable), 1));
    world.see(&[Reachable, CutOff]);
    assert_eq!((world.exit(), world.at), (Why::Best(Reachable), 0));
    // Of those in front, it takes the one that has been good for long.
    let mut world = World::start(minutes(5), &[Isolated, Isolated, Reachable]);
    world.choice.rules.dwell = Duration::from_secs(3600);
    world.pass_standings(301, &[Isolated, Reachable, Reachable]);
    world.see(&[Reachable; 3]);
    assert_eq!((world.exit(), world.at), (Why::Back, 1));
}

/// One for which the command has been stopped, whatever else has become good meanwhile.
#[test]
fn a_move_ends_where_it_was_to_go() {
    // The preferred has not been good for long enough.
    let mut world = World::start(minutes(5), &[Isolated, Isolated, Reachable]);
    world.grace = 5;
    world.pass_standings(299, &[Isolated, Reachable, Reachable]);
    let seen = world.pass_standings(9, &[Reachable; 3]);
    assert_eq!(seen, Some((7, 1, Why::Back)));
    // The old one is good again before the command has ended.
    for meanwhile in [Look::Standings(vec![Reachable; 2]), Look::Silent, Look::SelfIsolated] {
        let mut world = World::start(Return::Never, &[Reachable; 2]);
        world.grace = 5;
        assert_eq!(world.pass_standings(12, &[Isolated, Reachable]), None);
        assert_eq!(world.pass(5, &meanwhile), Some((3, 1, Why::Left(Isolated))));
    }
}

#[test]
fn a_move_to_what_has_become_bad_meanwhile_goes_elsewhere_and_counts() {
    let mut world = World::start(AT_ONCE, &[Reachable; 3]);
    world.grace = 5;
    assert_eq!(world.pass_standings(12, &[Isolated, Reachable, Reachable]), None);
    let seen = [Isolated, CutOff, Reachable];
    assert_eq!(world.pass_standings(3, &seen), Some((3, 2, Why::Best(Reachable))));
    // The old one is good again: the command was stopped in vain, and must not be soon again.
    let mut world = World::start(AT_ONCE, &[Reachable; 2]);
    world.grace = 5;
    assert_eq!(world.pass_standings(12, &[Isolated, Reachable]), None);
    assert_eq!(world.pass_standings(3, &[Reachable, CutOff]), Some((3, 0, Why::Best(Reachable))));
    world.grace = 0;
    let seen = [Isolated, Reachable];
    assert_eq!(world.pass_standings(20, &seen), Some((10, 1, Why::Left(Isolated))));
}

/// Whoever else answers, it is the agent here that must have said it for so long.
#[test]
fn an_answer_that_is_looked_at_again_makes_nothing_last() {
    let well = [Reachable; 2];
    let cases =
        [(AT_ONCE, well, [Isolated, Reachable], 2), (minutes(5), [Isolated, Reachable], well, 300)];
    for (back, before, after, seconds) in cases {
        let mut world = World::start(back, &before);
        world.pass_standings(20, &before);
        let at = world.now();
        for second in 0..2 * seconds {
            world.choice.observe(Look::Standings(after.to_vec()), at);
            assert_eq!(world.choice.leave(at + second * SECOND), None, "{back:?}");
        }
        for second in (0..=seconds).step_by(2) {
            world.choice.observe(Look::Standings(after.to_vec()), at + second * SECOND);
        }
        assert!(world.choice.leave(at + seconds * SECOND).is_some(), "{back:?}");
    }
}

#[test]
fn good_for_so_long_means_all_the_time() {
    let mut world = World::start(minutes(5), &[Isolated, Reachable]);
    let well = [Reachable; 2];
    for interruption in [[Isolated, Reachable], [Unknown, Reachable], [CutOff, Reachable]] {
        assert_eq!(world.pass_standings(299, &well), None);
        assert_eq!(world.pass_standings(1, &interruption), None);
    }
    // An agent that is restarted is silent for a moment; for longer, nobody knows what was in between.
    assert_eq!(world.pass_standings(200, &well), None);
    assert_eq!(world.pass(5, &Look::Silent), None);
    assert_eq!(world.pass_standings(90, &well), None);
    assert_eq!(world.pass(30, &Look::Silent), None);
    assert_eq!(world.pass_standings(302, &well), Some((301, 0, Why::Back)));
}

#[test]
fn a_list_that_changes_keeps_what_is_known() {
    let mut world = World::start(minutes(5), &[Isolated, Reachable]);
    world.pass_standings(200, &[Reachable; 2]);
    // The two change places, and a third comes in front: the old first is preferred no longer.
    world.choice.relisted(&[None, Some(1), Some(0)]);
    world.at = 1;
    assert_eq!(world.pass_standings(200, &[Isolated, Reachable, Reachable]), None);
    // Back again; it was good in every look.
    world.choice.relisted(&[Some(2), Some(1)]);
    assert_eq!(world.pass_standings(2, &[Reachable; 2]), Some((1, 0, Why::Back)));

    // A move that is under way goes where it was to go, but where that is gone, it is as if the command had just ended.
    for (from, expected) in
        [([None, Some(1)], (1, Why::Left(Isolated))), ([None, Some(0)], (1, Why::Stays(Reachable)))]
    {
        let mut world = World::start(minutes(5), &[Reachable; 2]);
        world.grace = 5;
        world.pass_standings(12, &[Isolated, Reachable]);
        world.choice.relisted(&from);
        world.see(&[Reachable; 2]);
        assert_eq!(world.choice.pick(), expected);
    }
}

#[test]
fn a_target_that_is_gone_is_left_for_one_that_is_not_bad() {
    let mut world = World::start(Return::Never, &[Reachable; 2]);
    world.pass_standings(20, &[Reachable; 2]);
    world.choice.relisted(&[Some(1), None]);
    for seen in [Look::Silent, Look::SelfIsolated, Look::Standings(vec![Isolated, CutOff])] {
        assert_eq!(world.pass(20, &seen), None, "{seen:?}");
    }
    assert_eq!(world.pass_standings(1, &[Isolated, Unknown]), Some((1, 1, Why::Gone)));
}
