//! What holds whatever is seen.

use proptest::prelude::*;

use super::*;

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

/// More than the command takes to end, in seconds.
const GRACE: u64 = 15;

/// For some seconds, before which the command may end by itself, and in which it takes some to end when it is told to,
/// this is seen.
type Step = (u64, bool, u64, Look);

/// So many targets, and what is seen of them.
fn any_history() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (1..5_usize).prop_flat_map(|targets| {
        let step = (1..40_u64, any::<bool>(), 0..GRACE, any_look(targets));
        (Just(targets), proptest::collection::vec(step, 1..40))
    })
}

/// What has been decided in this second, by what is seen in it.
fn is_no_harm(
    world: &World,
    back: Return,
    look: &Look,
    target: usize,
    why: Why,
) -> Result<(), TestCaseError> {
    let Look::Standings(seen) = look else { panic!("{why:?} in spite of {look:?}") };
    let (old, new) = (seen[world.at], seen[target]);
    prop_assert!(!new.is_bad());
    prop_assert!(world.second - world.moved_at >= DWELL.as_secs());
    match why {
        Why::Left(standing) => prop_assert!(standing == old && old.is_bad()),
        Why::Back => {
            prop_assert!(target < world.at && new <= old && new.is_good());
            prop_assert!(matches!(back, Return::After(_)));
        }
        other => prop_assert!(false, "{other:?}"),
    }
    Ok(())
}

proptest! {
    /// Nothing that runs is stopped without a better target, nor while this node is cut off, nor twice in a short time; and
    /// what is stopped is started there, unless that has become bad.
    #[test]
    fn no_move_does_harm(back in any_return(), (targets, history) in any_history()) {
        let mut world = World::start(back, &vec![Unknown; targets]);
        for (seconds, exits, grace, look) in history {
            if exits {
                world.exit();
            }
            world.grace = grace;
            for _ in 0..seconds {
                let was_ending = world.ending.is_some();
                world.look(&look);
                let Some(Ending { target, why, .. }) = world.ending else { continue };
                if !was_ending {
                    is_no_harm(&world, back, &look, target, why)?;
                }
                if world.arrive().is_some() {
                    let is_bad = |target: usize| matches!(&look, Look::Standings(seen) if seen[target].is_bad());
                    prop_assert!(world.at == target || is_bad(target));
                    prop_assert!(!is_bad(world.at) || (0..targets).all(is_bad));
                }
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
        for (seconds, exits, grace, look) in history {
            if exits {
                world.exit();
            }
            world.grace = grace;
            world.pass(seconds, &look);
        }
        let quiet: Vec<Standing> = quiet[..targets].iter().map(|i| Standing::ALL[*i]).collect();
        let waits = if let Return::After(least) = back { least } else { Duration::ZERO };
        // It may come back one by one.
        let moves = 4 * (DWELL.as_secs() + GRACE);
        let bound = moves + PATIENCE.as_secs() + waits.as_secs() + 2;
        world.pass_standings(bound, &quiet);
        let own = quiet[world.at];
        prop_assert!(!own.is_bad() || quiet.iter().all(|standing| standing.is_bad()));
        if matches!(back, Return::After(_)) {
            let preferred = quiet[..world.at].iter().any(|s| s.is_good() && *s <= own);
            prop_assert!(!preferred, "at {} of {quiet:?}", world.at);
        }
    }
}
