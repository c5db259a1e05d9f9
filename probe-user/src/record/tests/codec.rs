use proptest::prelude::*;

use super::header;
use crate::{
    account::{Lost, Outcome},
    health::observation::{MOMENT, Observation},
    record::{
        Damage,
        codec::{self, Encoder, Seen},
        header::Header,
    },
    verdict::{MILLISECOND, Nanos},
};

type Tick = (Nanos, Vec<Seen>);
/// Path, flow, age, outcome.
type Fate = (usize, usize, Nanos, Outcome);

/// A segment of three paths with these ticks, each so many milliseconds after the one before.
fn encode(ticks: Vec<(u64, Vec<Fate>)>) -> (Vec<u8>, Vec<Tick>) {
    let header = header(3);
    let (mut bytes, mut encoder) = (header.encode(), Encoder::new(&header));
    let mut now = header.monotonic * MOMENT;
    let mut tick = |(since, observations): (u64, Vec<Fate>)| {
        now += since * MOMENT;
        let seen = |(path, flow, age, outcome)| Seen {
            path,
            observation: Observation::new(flow, now - age, outcome, now),
        };
        let seen: Vec<Seen> = observations.into_iter().map(seen).collect();
        for Seen { path, observation } in &seen {
            encoder.note(*path, observation, now);
        }
        encoder.tick(now, &mut bytes);
        (now, seen)
    };
    let ticks = ticks.into_iter().map(&mut tick).collect();
    (bytes, ticks)
}

fn decode(bytes: &[u8]) -> (Vec<Tick>, Option<Damage>) {
    let mut all = Vec::new();
    let mut ticks = match codec::open(bytes) {
        Ok((_, ticks)) => ticks,
        Err(damage) => return (all, Some(damage)),
    };
    let mut seen = Vec::new();
    loop {
        match ticks.next(&mut seen) {
            Ok(Some(now)) => all.push((now, seen.clone())),
            Ok(None) => return (all, None),
            Err(damage) => return (all, Some(damage)),
        }
    }
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let lost =
        || prop::sample::select(vec![Lost::Forward, Lost::Reverse, Lost::Unknown, Lost::Silent]);
    prop_oneof![
        4 => any::<u32>().prop_map(|round_trip| Outcome::Answered { round_trip }),
        2 => lost().prop_map(Outcome::Lost),
        1 => lost().prop_map(Outcome::TakenBack),
    ]
}

proptest! {
    #[test]
    fn ticks_come_back_as_they_were(ticks in prop::collection::vec(
        (0..100_000_u64, prop::collection::vec((0..3_usize, 0..4_usize, 0..1_u64 << 39, outcomes()), 0..9)),
        0..20,
    )) {
        let (bytes, ticks) = encode(ticks);
        prop_assert_eq!(decode(&bytes), (ticks, None));
    }

    #[test]
    fn octets_of_any_kind_do_no_harm(
        tail in prop::collection::vec(any::<u8>(), 0..200),
        whole in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        decode(&whole);
        decode(&[header(3).encode(), tail.clone()].concat());
        decode(&[header(0).encode(), tail].concat());
    }

    #[test]
    fn an_octet_that_was_changed_does_no_harm(place in any::<prop::sample::Index>(), octet: u8) {
        let lost = (1, 2, 150 * MILLISECOND, Outcome::Lost(Lost::Reverse));
        let (mut bytes, _) = encode(vec![(10, vec![lost]), (10, vec![]), (10, vec![lost, lost])]);
        let place = place.index(bytes.len());
        bytes[place] = octet;
        decode(&bytes);
    }
}

/// What an agent leaves behind that was killed while it wrote.
#[test]
fn what_comes_before_the_end_of_a_cut_off_segment_is_read() {
    let answered = |path, flow| (path, flow, 0, Outcome::Answered { round_trip: 31_000_000 });
    let lost = (2, 1, 150 * MILLISECOND, Outcome::Lost(Lost::Silent));
    let (bytes, ticks) =
        encode(vec![(10, vec![answered(0, 0), lost]), (10, vec![]), (300, vec![answered(1, 3)])]);
    let begins = header(3).encode().len();
    for end in 0..bytes.len() {
        let (read, damage) = decode(&bytes[..end]);
        assert_eq!(read, ticks[..read.len()], "cut off at {end}");
        match damage {
            Some(Damage::Truncated { offset }) => assert!(offset <= end),
            Some(corrupt @ Damage::Corrupt { .. }) => panic!("cut off at {end}: {corrupt}"),
            None => assert!(end >= begins, "cut off at {end}, in the header"),
        }
    }
}

#[test]
fn what_no_agent_writes_is_told_with_its_place() {
    let corrupt = |bytes: &[u8]| match decode(bytes).1 {
        Some(Damage::Corrupt { offset, what }) => (offset, what),
        other => panic!("{other:?}"),
    };
    let begins = header(3).encode();
    let at = begins.len();
    let followed_by = |tail: &[u8]| corrupt(&[&begins, tail].concat());
    // Three paths of four flows have 12 sessions, each with nine kinds of outcomes.
    assert_eq!(followed_by(&[21, 1, 108]), (at + 2, "there is no such path".to_owned()));
    let cut_off = "an observation is longer than its tick";
    assert_eq!(followed_by(&[21, 1, 0, 0]), (at + 2, cut_off.to_owned()));
    assert_eq!(followed_by(&[21, 2, 0, 1]).1, "a round trip cannot be so long");
    let long = followed_by(&[21, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).1;
    assert!(long.contains("octets are announced, more than"), "{long}");

    assert_eq!(corrupt(b"#!/bin/sh").1, "it does not begin as a recording does");
    let mut later = begins.clone();
    later[7] = 2;
    assert_eq!(corrupt(&later).1, "it has the format 2, and this linkprobe reads 1");
    let mut flows = header(3);
    flows.probe.flows = 0;
    let what = corrupt(&flows.encode()).1;
    assert_eq!(what, "the header: probe.flows is not what an agent would have written");
}

#[test]
fn what_the_header_does_not_have_is_left_out() {
    let (header, now) = (header(3), 2_000_000 * MOMENT);
    let mut encoder = Encoder::new(&header);
    let answered =
        |flow| Observation::new(flow, now, Outcome::Answered { round_trip: 31_000_000 }, now);
    encoder.note(3, &answered(0), now);
    encoder.note(0, &answered(4), now);
    encoder.note(2, &answered(3), now);
    let mut bytes = header.encode();
    encoder.tick(now, &mut bytes);
    assert_eq!(
        decode(&bytes),
        (vec![(now, vec![Seen { path: 2, observation: answered(3) }])], None)
    );
    let no_paths = Header { paths: Vec::new(), ..header };
    Encoder::new(&no_paths).note(0, &answered(0), now);
}

/// The size of a recording is promised in the README.
#[test]
fn an_answered_probe_takes_two_octets_and_a_tick_without_news_one() {
    let round_trip = |path, flow, jitter| {
        (path, flow, 0, Outcome::Answered { round_trip: 31_000_000 + jitter * 10_000 })
    };
    let length = |ticks| encode(ticks).0.len() - header(3).encode().len();
    let first: Vec<_> = (0..4).map(|flow| round_trip(1, flow, 0)).collect();
    let next: Vec<_> = (0..4).map(|flow| round_trip(1, flow, 60 * (flow as u32 % 2))).collect();
    let learnt = length(vec![(10, first.clone())]);
    assert_eq!(length(vec![(10, first.clone()), (11, next)]) - learnt, 2 + 4 * 2);
    assert_eq!(length(vec![(10, first.clone()), (11, vec![])]) - learnt, 1);
    let lost = (1, 0, 150 * MILLISECOND, Outcome::Lost(Lost::Unknown));
    assert_eq!(length(vec![(10, first), (11, vec![lost])]) - learnt, 2 + 3);
}
