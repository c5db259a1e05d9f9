use proptest::prelude::*;

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
}

impl World {
    /// One whose command runs at the first of the best.
    fn start(back: Return, standings: &[Standing]) -> Self {
        let choice = Choice::new(rules(back), standings.len());
        let mut world = Self { choice, second: 100, at: 0 };
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

    /// The command ends and is started again.
    fn exit(&mut self) -> Why {
        let (target, why) = self.choice.pick();
        self.choice.started(target, self.now());
        self.at = target;
        why
    }

    /// A second goes by in which this is seen.
    fn look(&mut self, look: Look) -> Option<Why> {
        self.second += 1;
        self.choice.observe(look, self.now());
        let (target, why) = self.choice.leave(self.now())?;
        self.choice.started(target, self.now());
        self.at = target;
        Some(why)
    }

    /// This is seen for as many seconds. The first move in it: after how many seconds, to which target, and why.
    fn pass(&mut self, seconds: u64, look: &Look) -> Option<(u64, usize, Why)> {
        (1..=seconds).fold(None, |first, second| {
            let why = self.look(look.clone());
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
fn a_command_that_ends_by_itself_is_free_to_come_back() {
    for (back, expected) in [
        (Return::Never, Why::Stays(Reachable)),
        (Return::OnExit, Why::Best(Reachable)),
        (AT_ONCE, Why::Best(Reachable)),
        (minutes(5), Why::Best(Reachable)),
    ] {
        let mut world = World::start(back, &[Isolated, Reachable]);
        world.see(&[Reachable; 2]);
        assert_eq!(world.exit(), expected, "{back:?}");
    }
    let mut world = World::start(Return::Never, &[Isolated, Reachable]);
    world.see(&[Reachable, Isolated]);
    assert_eq!((world.exit(), world.at), (Why::Best(Reachable), 0));
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

fn any_look(targets: usize) -> impl Strategy<Value = Look> {
    let standing = (0..Standing::ALL.len()).prop_map(|index| Standing::ALL[index]);
    prop_oneof![
        1 => Just(Look::Silent),
        1 => Just(Look::SelfIsolated),
        6 => proptest::collection::vec(standing, targets).prop_map(Look::Standings),
    ]
}

fn any_return() -> impl Strategy<Value = Return> {
    prop_oneof![
        Just(Return::Never),
        Just(Return::OnExit),
        (0..120_u64).prop_map(|seconds| Return::After(Duration::from_secs(seconds))),
    ]
}

/// So many targets, and what is seen of them, each for some seconds.
fn any_history() -> impl Strategy<Value = (usize, Vec<(u64, bool, Look)>)> {
    (1..5_usize).prop_flat_map(|targets| {
        let step = (1..40_u64, any::<bool>(), any_look(targets));
        (Just(targets), proptest::collection::vec(step, 1..40))
    })
}

proptest! {
    /// Nothing that runs is stopped without a better target, nor while this node is cut off, nor twice in a short time.
    #[test]
    fn no_move_does_harm(back in any_return(), (targets, history) in any_history()) {
        let mut world = World::start(back, &vec![Unknown; targets]);
        let mut moved_at = world.second;
        for (seconds, exits, look) in history {
            if exits {
                let before = world.at;
                world.exit();
                moved_at = if world.at == before { moved_at } else { world.second };
            }
            for _ in 0..seconds {
                let before = world.at;
                let Some(why) = world.look(look.clone()) else { continue };
                let Look::Standings(seen) = &look else { panic!("{why:?} in spite of {look:?}") };
                let (old, new) = (seen[before], seen[world.at]);
                prop_assert!(!new.is_bad());
                prop_assert!(world.second - moved_at >= DWELL.as_secs());
                match why {
                    Why::Left(standing) => prop_assert!(standing == old && old.is_bad()),
                    Why::Back => {
                        prop_assert!(world.at < before && new <= old && new.is_good());
                        prop_assert!(matches!(back, Return::After(_)));
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
                moved_at = world.second;
            }
        }
    }

    /// Whatever was before: a little after all is quiet, the command is where it should be.
    #[test]
    fn nothing_stays_stuck(
        back in any_return(),
        (targets, history) in any_history(),
        quiet in proptest::collection::vec(0..Standing::ALL.len(), 4),
    ) {
        let mut world = World::start(back, &vec![Unknown; targets]);
        for (seconds, exits, look) in history {
            if exits {
                world.exit();
            }
            world.pass(seconds, &look);
        }
        let quiet: Vec<Standing> = quiet[..targets].iter().map(|i| Standing::ALL[*i]).collect();
        let waits = if let Return::After(least) = back { least } else { Duration::ZERO };
        let bound = 2 * DWELL.as_secs() + PATIENCE.as_secs() + waits.as_secs() + 2;
        world.pass_standings(bound, &quiet);
        let own = quiet[world.at];
        prop_assert!(!own.is_bad() || quiet.iter().all(|standing| standing.is_bad()));
        if matches!(back, Return::After(_)) {
            let preferred = quiet[..world.at].iter().any(|s| s.is_good() && *s <= own);
            prop_assert!(!preferred, "at {} of {quiet:?}", world.at);
        }
    }
}
