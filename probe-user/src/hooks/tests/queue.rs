use std::collections::BTreeMap;

use super::{super::queue::*, Change, change};
use crate::{
    random::Random,
    verdict::{MILLISECOND, Nanos, SECOND},
};

fn told(queue: &mut Queue, now: Nanos) -> Option<Change> {
    match queue.next(now) {
        Next::Tell(waiting) => Some(waiting.change),
        Next::Wait(_) | Next::Idle => None,
    }
}

fn waiting(queue: &mut Queue, now: Nanos) -> Waiting {
    match queue.next(now) {
        Next::Tell(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_a_region_the_newest_change_is_told_and_says_what_it_stands_for() {
    let mut queue = Queue::new(0, 0);
    queue.push(change("nyc", "reachable", "impaired"));
    queue.push(change("nyc", "impaired", "isolated"));
    queue.push(change("nyc", "isolated", "impaired"));
    let expected = Change { left_out: 2, ..change("nyc", "reachable", "impaired") };
    assert_eq!(told(&mut queue, 0), Some(expected));
    // What has been told is over.
    queue.push(change("nyc", "impaired", "reachable"));
    assert_eq!(told(&mut queue, 0), Some(change("nyc", "impaired", "reachable")));
    assert_eq!(queue.next(0), Next::Idle);
}

#[test]
fn regions_take_turns() {
    let mut queue = Queue::new(0, 0);
    queue.push(change("a", "reachable", "isolated"));
    queue.push(change("b", "reachable", "isolated"));
    // One that changes all the time gets no other turn by that.
    queue.push(change("a", "isolated", "reachable"));
    let mut regions = || told(&mut queue, 0).and_then(|change| change.region);
    assert_eq!([regions(), regions(), regions()], [Some("a".into()), Some("b".into()), None]);
}

#[test]
fn the_least_interval_is_that_of_each_region_alone() {
    let mut queue = Queue::new(SECOND, 0);
    let [down, up] = [("reachable", "isolated"), ("isolated", "reachable")];
    queue.push(change("a", down.0, down.1));
    assert!(told(&mut queue, 10 * SECOND).is_some());
    queue.push(change("a", up.0, up.1));
    queue.push(change("b", down.0, down.1));
    let other = told(&mut queue, 10 * SECOND + MILLISECOND).unwrap();
    assert_eq!(other.region.as_deref(), Some("b"));
    assert_eq!(queue.next(10 * SECOND + MILLISECOND), Next::Wait(11 * SECOND));
    queue.push(change("a", down.0, down.1));
    assert_eq!(queue.next(11 * SECOND - 1), Next::Wait(11 * SECOND));
    let last = told(&mut queue, 11 * SECOND).unwrap();
    assert_eq!((&*last.from, &*last.to, last.left_out), ("isolated", "isolated", 1));
}

#[test]
fn what_fails_is_tried_again_ever_later_and_then_once_a_minute() {
    for (retries, pauses) in
        [(0, &[60, 60, 60][..]), (3, &[1, 2, 4, 60, 60]), (10, &[1, 2, 4, 8, 16, 32, 60, 60])]
    {
        let mut queue = Queue::new(0, retries);
        queue.push(change("nyc", "reachable", "isolated"));
        let mut now = 0;
        for pause in pauses {
            let failed = waiting(&mut queue, now);
            assert_eq!(failed.change, change("nyc", "reachable", "isolated"));
            queue.failed(failed, now);
            assert_eq!(queue.next(now), Next::Wait(now + pause * SECOND), "{retries}");
            now += pause * SECOND;
        }
        // What comes then waits for nothing.
        queue.push(change("nyc", "isolated", "reachable"));
        assert_eq!(told(&mut queue, now - SECOND).unwrap().to, "reachable");
    }
}

#[test]
fn what_is_newer_goes_in_place_of_what_failed() {
    let mut queue = Queue::new(0, 1);
    queue.push(change("nyc", "reachable", "isolated"));
    let failed = waiting(&mut queue, 0);
    // It comes while the older one is told...
    queue.push(change("nyc", "isolated", "reachable"));
    queue.failed(failed, 0);
    let failed = waiting(&mut queue, 0);
    let newer = Change { left_out: 1, ..change("nyc", "reachable", "reachable") };
    assert_eq!(failed.change, newer);
    // ...or while that one waits to be tried again: then it waits no longer, and may fail as often as any.
    queue.failed(failed, 0);
    queue.push(change("nyc", "reachable", "impaired"));
    let failed = waiting(&mut queue, 0);
    assert_eq!((&*failed.change.to, failed.change.left_out), ("impaired", 2));
    queue.failed(failed, 0);
}

/// Whatever happens in which order: of each region changes are told in their order, the last one in the end, and none is
/// missing that is not said to be left out.
#[test]
fn nothing_is_told_out_of_order_and_the_last_state_always() {
    const STATES: [&str; 3] = ["reachable", "impaired", "isolated"];
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut queue = Queue::new(random.below(2) * 50 * MILLISECOND, (seed % 4) as u32);
        let mut now = 0;
        // By region: what is so, what was told, how many changes came, and how many were told or left out.
        let mut regions: BTreeMap<String, (usize, usize, u64, u64)> = BTreeMap::new();
        let mut telling: Option<Waiting> = None;
        for round in 0.. {
            now += random.below(20) * MILLISECOND;
            if round < 200 && random.chance(0.5) {
                let name = ["a", "b", "c"][random.below(3) as usize];
                let (state, _, came, _) = regions.entry(name.to_owned()).or_default();
                let next = (*state + 1 + random.below(2) as usize) % 3;
                queue.push(change(name, STATES[*state], STATES[next]));
                (*state, *came) = (next, *came + 1);
            }
            match telling.take() {
                Some(told) if random.chance(0.3) => queue.failed(told, now),
                Some(told) => {
                    let change = told.change;
                    let (_, last, _, over) =
                        regions.get_mut(change.region.as_ref().unwrap()).unwrap();
                    assert_eq!(change.from, STATES[*last], "seed {seed}: {change:?}");
                    *last = STATES.iter().position(|state| *state == change.to).unwrap();
                    *over += 1 + change.left_out;
                }
                None => match queue.next(now) {
                    Next::Tell(waiting) => telling = Some(waiting),
                    Next::Wait(until) => now = until.max(now),
                    Next::Idle if round >= 200 => break,
                    Next::Idle => {}
                },
            }
        }
        for (name, (state, told, came, over)) in regions {
            assert_eq!((told, over), (state, came), "seed {seed}: {name}");
        }
    }
}
