use proptest::prelude::*;

use super::*;
use crate::{
    config::{HealthConfig, ProbeConfig},
    verdict::MILLISECOND,
};

/// The present, in nanoseconds.
const NOW: Nanos = 1_000 * SECOND;

fn settings() -> Settings {
    HealthConfig::default().settings(&ProbeConfig::default())
}

const fn view(state: State, cause: Cause, loss: f64) -> View {
    View {
        state,
        cause,
        since: NOW - 60 * SECOND,
        loss: Some([loss * 0.9, loss * 1.1]),
        dead_flows: 0.0,
        round_trip: Some(20 * MILLISECOND),
        heard: Some(NOW),
        heard_since: NOW - 60 * SECOND,
        is_failing: false,
        is_down: false,
    }
}

const HEALTHY: View = view(State::Healthy, Cause::Passing, 0.0);
const LOSSY: View = view(State::Unhealthy, Cause::Loss, 0.3);
const GRAY: View = view(State::Degraded, Cause::FlowLoss, 0.1);
const SLOW: View =
    View { round_trip: Some(90 * MILLISECOND), ..view(State::Degraded, Cause::Latency, 0.0) };
const SILENT: View =
    View { heard: Some(NOW - SECOND / 2), ..view(State::Unknown, Cause::Silence, 1.0) };
/// Silent for so long that it is no lull.
const DEAD: View = heard(SILENT, 3 * SECOND);
const STALE: View =
    View { heard: Some(NOW - 9 * SECOND), loss: None, ..view(State::Unknown, Cause::Expired, 0.0) };
const DOWN: View = View { is_down: true, ..HEALTHY };

const fn taking(view: View, milliseconds: u64) -> View {
    View { round_trip: Some(milliseconds * MILLISECOND), ..view }
}

const fn heard(view: View, ago: Nanos) -> View {
    View { heard: Some(NOW - ago), ..view }
}

/// What a choice that has stood for long does when it sees these.
fn seen_from(current: usize, candidates: &[View], isolated: bool) -> Option<(usize, Reason)> {
    let mut choice = Choice { current, ..Choice::new(None, 0) };
    let change = choice.look(candidates, isolated, NOW, &settings())?;
    assert_eq!((change.from, change.to), (current, choice.current()));
    assert_eq!((choice.since(), choice.moves()), (NOW, 1));
    Some((change.to, change.reason))
}

#[test]
fn what_is_not_fit_for_use_is_left_at_once_for_the_fastest_that_is() {
    let relays = [taking(HEALTHY, 40), taking(HEALTHY, 30), taking(LOSSY, 10)];
    for (direct, why) in [
        (LOSSY, Reason::Loss),
        (GRAY, Reason::Loss),
        (SILENT, Reason::Silence),
        (STALE, Reason::Silence),
        (View::NEW, Reason::Silence),
        (DOWN, Reason::Down),
    ] {
        let candidates = [direct, relays[0], relays[1], relays[2]];
        assert_eq!(seen_from(DIRECT, &candidates, false), Some((2, why)), "{direct:?}");
        // A node that is cut off may go where its probes pass.
        assert_eq!(seen_from(DIRECT, &candidates, true), Some((2, why)), "{direct:?}");
    }
}

#[test]
fn a_relay_that_fails_is_left_for_another_one() {
    assert_eq!(seen_from(1, &[LOSSY, SILENT, HEALTHY], false), Some((2, Reason::Silence)));
    assert_eq!(seen_from(1, &[LOSSY, DOWN, HEALTHY], false), Some((2, Reason::Down)));
}

/// Invariant 16: the direct candidate is used as soon as it is healthy, whatever the relays offer.
#[test]
fn invariant_16_the_direct_candidate_is_used_as_soon_as_it_is_healthy() {
    for relay in [HEALTHY, LOSSY, SILENT, STALE, DOWN, SLOW, View::NEW] {
        let candidates = [taking(HEALTHY, 900), relay];
        for isolated in [false, true] {
            assert_eq!(seen_from(1, &candidates, isolated), Some((DIRECT, Reason::Direct)));
            assert_eq!(seen_from(DIRECT, &candidates, isolated), None);
        }
    }
}

/// Invariant 13: where none is healthy, traffic goes on, where the least is lost.
#[test]
fn invariant_13_where_none_is_healthy_the_least_bad_is_used() {
    let little = view(State::Unhealthy, Cause::Loss, 0.05);
    for (current, candidates, expected) in [
        (DIRECT, [LOSSY, little, LOSSY], Some(1)),
        // It may be chance.
        (DIRECT, [LOSSY, view(State::Unhealthy, Cause::Loss, 0.25), SILENT], None),
        (DIRECT, [DEAD, LOSSY, little], Some(2)),
        // It may be a lull.
        (DIRECT, [SILENT, LOSSY, little], None),
        // What is heard steadily again loses what it does, whatever it has done.
        (DIRECT, [LOSSY, View { loss: Some([0.0, 0.05]), ..heard(SILENT, 0) }, LOSSY], Some(1)),
        (DIRECT, [LOSSY, View { heard_since: NOW - SECOND, ..heard(SILENT, 0) }, LOSSY], None),
        (DIRECT, [SILENT, heard(LOSSY, SECOND / 2), heard(GRAY, SECOND / 2)], None),
        (DIRECT, [LOSSY, LOSSY, GRAY], Some(2)),
        // What is known of it is no verdict yet.
        (DIRECT, [LOSSY, view(State::Unknown, Cause::Starting, 0.02), STALE], Some(1)),
        (DIRECT, [LOSSY, View::NEW, STALE], None),
        (DIRECT, [GRAY, LOSSY, SILENT], None),
        (1, [SILENT, SILENT, SILENT], None),
        (2, [STALE, STALE, STALE], None),
        // Nothing is known of it, and was not for long.
        (DIRECT, [STALE, LOSSY, SILENT], Some(1)),
        (DIRECT, [View::NEW, LOSSY, SILENT], Some(1)),
        (DIRECT, [heard(STALE, 3 * SECOND), LOSSY, SILENT], None),
        (1, [SILENT, DOWN, DOWN], Some(0)),
        (1, [DOWN, DOWN, DOWN], None),
    ] {
        let to = seen_from(current, &candidates, false).map(|(to, _)| to);
        assert_eq!(to, expected, "{candidates:?}");
    }
}

/// Invariant 12: a node that is cut off moves nothing for it, but where certainly more passes (invariant 13).
#[test]
fn invariant_12_a_node_that_is_cut_off_stays_where_it_is() {
    let little = view(State::Unhealthy, Cause::Loss, 0.1);
    assert_eq!(seen_from(DIRECT, &[little, LOSSY, GRAY], true), None);
    assert_eq!(seen_from(DIRECT, &[little, LOSSY, GRAY], false), Some((2, Reason::LeastBad)));
    // Not to where nothing can be sent, however little was lost there.
    let down = View { is_down: true, ..little };
    assert_eq!(seen_from(DIRECT, &[SILENT, down, SILENT], true), None);
    let unheard = [SILENT, heard(LOSSY, SECOND / 2), heard(GRAY, SECOND / 2)];
    assert_eq!(seen_from(DIRECT, &unheard, true), None);
    assert_eq!(seen_from(DIRECT, &[SILENT, LOSSY, GRAY], true), None);
    assert_eq!(seen_from(DIRECT, &[DEAD, LOSSY, GRAY], true), Some((2, Reason::LeastBad)));
}

/// Invariant 13: what flows lose that are dead counts, though it is no evidence of the path's.
#[test]
fn a_candidate_half_of_whose_flows_are_dead_is_no_better_than_one_that_loses_little() {
    let little = view(State::Unhealthy, Cause::Loss, 0.03);
    let half = View { dead_flows: 0.44, loss: Some([0.0, 0.02]), ..GRAY };
    assert_eq!(seen_from(DIRECT, &[little, half], false), None);
    assert_eq!(seen_from(DIRECT, &[half, little], false), Some((1, Reason::LeastBad)));
    assert_eq!(
        seen_from(DIRECT, &[LOSSY, View { dead_flows: 0.1, ..half }], false).map(|to| to.0),
        Some(1)
    );
}

/// Whatever the length of a way, its answers are on their way for half of it.
#[test]
fn a_long_way_is_as_good_as_a_short_one() {
    for round_trip in [1, 50, 600, 1_000] {
        let far = heard(taking(HEALTHY, round_trip), (round_trip / 2 + 100) * MILLISECOND);
        assert_eq!(
            seen_from(DIRECT, &[LOSSY, far], false),
            Some((1, Reason::Loss)),
            "{round_trip}"
        );
        let gone = heard(far, (round_trip / 2 + 201) * MILLISECOND);
        assert_eq!(seen_from(DIRECT, &[LOSSY, gone], false), None, "{round_trip}");
    }
}

/// The far end was away for a moment, and the direct way is the first that tells.
#[test]
fn what_was_not_heard_since_is_not_known_to_be_better() {
    let just_now = View { since: NOW - 5 * MILLISECOND, ..LOSSY };
    let told_at = 5 * MILLISECOND + 10 * MILLISECOND;
    assert_eq!(seen_from(DIRECT, &[just_now, heard(HEALTHY, told_at + 1)], false), None);
    let to = seen_from(DIRECT, &[just_now, heard(HEALTHY, told_at)], false);
    assert_eq!(to, Some((1, Reason::Loss)));
    // Times that have not come yet hold nothing.
    let future = View { since: NOW + 1, ..LOSSY };
    assert!(seen_from(DIRECT, &[future, heard(HEALTHY, SECOND / 10)], false).is_some());
}

#[test]
fn a_far_end_that_answers_nobody_is_no_reason_to_move() {
    // The direct candidate has been missed for long enough, the relays not yet; the last answers came at the same time.
    let relay = heard(HEALTHY, SECOND / 2 - 50 * MILLISECOND);
    assert_eq!(seen_from(DIRECT, &[SILENT, relay], false), None);
    let relay = heard(HEALTHY, SECOND / 5);
    assert_eq!(seen_from(DIRECT, &[SILENT, relay], false), Some((1, Reason::Silence)));
}

/// The agent at the far end was away for so short a time that nothing fell silent: what the one lost, the others lost too.
#[test]
fn a_candidate_that_seems_to_fail_too_is_no_better() {
    let failing = View { is_failing: true, ..HEALTHY };
    assert_eq!(seen_from(DIRECT, &[LOSSY, failing], false), None);
    assert_eq!(seen_from(DIRECT, &[LOSSY, failing, HEALTHY], false), Some((2, Reason::Loss)));
    assert_eq!(seen_from(DIRECT, &[DOWN, failing], false), Some((1, Reason::Down)));
    assert_eq!(seen_from(1, &[failing, LOSSY], false), Some((DIRECT, Reason::Direct)));
}

/// The agent at the far end was started again: all have been silent, and become healthy one after the other.
#[test]
fn an_outage_of_the_far_end_moves_nothing_when_it_is_over() {
    let settings = settings();
    let (healthy_for, heard_for) = (maturity(&settings), steadiness(&settings));
    let just_now = View { since: NOW - healthy_for + 1, ..HEALTHY };
    let coming =
        [heard(SILENT, 0), heard(LOSSY, 0), View { cause: Cause::Expired, ..heard(SILENT, 0) }];
    for direct in coming {
        assert_eq!(seen_from(DIRECT, &[direct, just_now], false), None, "{direct:?}");
        let heard_anew = View { heard_since: NOW - heard_for + 1, ..HEALTHY };
        assert_eq!(seen_from(DIRECT, &[direct, heard_anew], false), None, "{direct:?}");
        let mature = View { since: NOW - healthy_for, heard_since: NOW - heard_for, ..HEALTHY };
        assert!(seen_from(DIRECT, &[direct, mature], false).is_some(), "{direct:?}");
        // Nobody waits for that where the tunnel is gone, nor to go back to the direct one.
        let down = View { is_down: true, ..direct };
        assert_eq!(seen_from(DIRECT, &[down, just_now], false), Some((1, Reason::Down)));
        assert_eq!(seen_from(1, &[just_now, direct], false), Some((DIRECT, Reason::Direct)));
    }
}

#[test]
fn a_change_for_the_better_must_be_worth_it() {
    for (current, candidates, expected) in [
        (DIRECT, [SLOW, taking(HEALTHY, 60)], Some(1)),
        (DIRECT, [SLOW, taking(HEALTHY, 61)], None),
        (DIRECT, [taking(SLOW, 24), taking(HEALTHY, 14)], Some(1)),
        (DIRECT, [taking(SLOW, 24), taking(HEALTHY, 15)], None),
        (1, [LOSSY, taking(HEALTHY, 60)], None),
    ] {
        let to = seen_from(current, &candidates, false).map(|(to, _)| to);
        assert_eq!(to, expected, "{candidates:?}");
    }
    let relays = [LOSSY, taking(HEALTHY, 90), taking(HEALTHY, 60)];
    assert_eq!(seen_from(1, &relays, false), Some((2, Reason::Latency)));
}

#[test]
fn what_is_not_urgent_waits_after_a_change() {
    let settings = settings();
    let mut choice = Choice { current: 1, ..Choice::new(None, 0) };
    choice.since = NOW;
    let relays = [LOSSY, taking(HEALTHY, 90), taking(HEALTHY, 60)];
    let later = |by| relays.map(|view| View { heard: Some(NOW + by), ..view });
    assert_eq!(choice.look(&later(LONG_DWELL - 1), false, NOW + LONG_DWELL - 1, &settings), None);
    assert!(choice.look(&later(LONG_DWELL), false, NOW + LONG_DWELL, &settings).is_some());
    let mut choice = Choice { current: 1, since: NOW, ..Choice::new(None, 0) };
    let bad = |by| [LOSSY, DEAD].map(|view| View { heard: view.heard.map(|at| at + by), ..view });
    assert_eq!(choice.look(&bad(DWELL - 1), false, NOW + DWELL - 1, &settings), None);
    assert!(choice.look(&bad(DWELL), false, NOW + DWELL, &settings).is_some());
    // What is urgent does not.
    let mut choice = Choice { current: 1, since: NOW, ..Choice::new(None, 0) };
    assert!(choice.look(&[LOSSY, SILENT, HEALTHY], false, NOW, &settings).is_some());
}

#[test]
fn what_the_kernel_had_at_the_start_stays_until_something_is_known_of_it() {
    let settings = settings();
    let patience = patience(&settings);
    let mut choice = Choice::new(Some(1), NOW);
    assert_eq!(choice.reason(), Reason::Adopted);
    let at = |now| [SILENT, View::NEW, HEALTHY].map(|view| View { heard: Some(now), ..view });
    assert_eq!(choice.look(&at(NOW), false, NOW, &settings), None);
    assert_eq!(choice.look(&at(NOW), false, NOW + patience - 1, &settings), None);
    let change = choice.look(&at(NOW + patience), false, NOW + patience, &settings);
    assert_eq!(change, Some(Move { from: 1, to: 2, reason: Reason::Silence }));
}

/// After a standstill of the agent the relay may be known to be healthy a moment before the candidate in use is.
#[test]
fn what_was_not_probed_for_a_while_stays_until_something_is_known_of_it() {
    let settings = settings();
    let patience = patience(&settings);
    let mut choice = Choice::new(None, 0);
    let at = |now| [View { since: NOW, ..STALE }, View { heard: Some(now), ..HEALTHY }];
    assert_eq!(choice.look(&at(NOW), false, NOW, &settings), None);
    assert_eq!(choice.look(&at(NOW + patience - 1), false, NOW + patience - 1, &settings), None);
    let change = choice.look(&at(NOW + patience), false, NOW + patience, &settings);
    assert_eq!(change, Some(Move { from: DIRECT, to: 1, reason: Reason::Silence }));
    // A time that has not come yet holds nothing.
    let future = [View { since: u64::MAX, ..STALE }, HEALTHY];
    assert!(Choice::new(None, 0).look(&future, false, NOW, &settings).is_some());
}

#[test]
fn a_candidate_that_is_gone_is_replaced_by_the_direct_one() {
    let mut choice = Choice { current: 7, ..Choice::new(None, 0) };
    assert_eq!(choice.look(&[HEALTHY, HEALTHY], false, NOW, &settings()), None);
    assert_eq!(choice.current(), DIRECT);
    assert_eq!(choice.look(&[], false, NOW, &settings()), None);
}

#[test]
fn what_is_heard_again_loses_as_much_in_use_as_out_of_use() {
    let heard_again = View { loss: Some([0.0, 0.1]), ..heard(SILENT, 0) };
    let gray = View { loss: Some([0.6, 0.7]), ..GRAY };
    assert_eq!(seen_from(DIRECT, &[gray, heard_again], false), Some((1, Reason::LeastBad)));
    assert_eq!(seen_from(1, &[gray, heard_again], false), None);
}

fn any_view() -> impl Strategy<Value = View> {
    let verdict = prop::sample::select(vec![
        HEALTHY,
        LOSSY,
        GRAY,
        SLOW,
        SILENT,
        STALE,
        DOWN,
        View::NEW,
        View { is_down: true, ..SILENT },
    ]);
    let times = (0..400_u64, 0..3_000_u64, 0..100_000_u64, 0..100_000_u64);
    let doubts = (0.0..0.9, prop_oneof![2 => Just(0.0), 1 => 0.0..1.0], any::<bool>());
    (verdict, times, doubts).prop_map(|(view, times, (least, dead_flows, is_failing))| View {
        round_trip: Some(times.0 * MILLISECOND),
        heard: view.heard.map(|_| NOW - times.1 * MILLISECOND),
        since: NOW + 1_000 * MILLISECOND - times.2 * MILLISECOND,
        heard_since: NOW + 1_000 * MILLISECOND - times.3 * MILLISECOND,
        loss: view.loss.map(|_| [least, least + 0.1]),
        dead_flows,
        is_failing,
        ..view
    })
}

fn any_choice() -> impl Strategy<Value = Choice> {
    (0..9_usize, any::<u64>(), any::<u64>()).prop_map(|(current, since, begun)| Choice {
        current,
        since,
        begun,
        ..Choice::new(None, 0)
    })
}

/// Looks again and again until nothing changes any more, as time goes by and the candidates stay as they are, but for those
/// that seem to fail, which do not for ever.
fn settle(choice: &mut Choice, candidates: &[View], isolated: bool) -> usize {
    let settings = settings();
    let mut moves = 0;
    for round in 0..200 {
        let later = round * SECOND;
        let at = |view: &View| View {
            heard: view.heard.map(|heard| heard + later),
            is_failing: view.is_failing && round < 10,
            ..*view
        };
        let views: Vec<View> = candidates.iter().map(at).collect();
        moves += usize::from(choice.look(&views, isolated, NOW + later, &settings).is_some());
    }
    moves
}

proptest! {
    /// Invariants 13, 16 and 17: from any state at all, a candidate is chosen that exists; the direct one if it is healthy,
    /// at once; else in the end no unhealthy one while a healthy one is heard of; and nothing goes round in circles.
    #[test]
    fn from_any_state_the_choice_settles_on_what_is_best(
        mut choice in any_choice(),
        candidates in prop::collection::vec(any_view(), 1..6),
        isolated: bool,
    ) {
        choice.look(&candidates, isolated, NOW, &settings());
        prop_assert!(choice.current() < candidates.len());
        if candidates[DIRECT].is_healthy() {
            prop_assert_eq!(choice.current(), DIRECT);
        }
        let moves = settle(&mut choice, &candidates, isolated);
        prop_assert!(moves <= 2 * candidates.len(), "{} moves", moves);
        let here = candidates[choice.current()];
        let lively = |view: &View| view.is_healthy() && view.silent_for(NOW) <= 200 * MILLISECOND;
        if candidates.iter().any(lively) {
            prop_assert!(here.is_healthy() || here.is_merely_slow(), "{:?}", here);
        }
        if candidates.iter().any(|view| !view.is_down) {
            prop_assert!(!here.is_down);
        }
    }

    /// What was decided before does not count but for the candidate in use: with that one and long after the last change,
    /// any two choices do the same.
    #[test]
    fn invariant_2_the_choice_has_no_history(
        mut one in any_choice(),
        candidates in prop::collection::vec(any_view(), 1..6),
        isolated: bool,
    ) {
        one.current %= candidates.len();
        (one.since, one.begun) = (one.since % (NOW / 2), one.begun % (NOW / 2));
        let mut other = Choice { current: one.current, ..Choice::new(Some(0), 0) };
        let settings = settings();
        let changes = [&mut one, &mut other].map(|choice| choice.look(&candidates, isolated, NOW, &settings));
        prop_assert_eq!(changes[0], changes[1]);
    }
}
