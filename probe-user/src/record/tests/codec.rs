use proptest::prelude::*;

use super::header;
use crate::{
    account::{Lost, Outcome},
    health::observation::{MOMENT, Observation},
    record::{
        Damage,
        codec::{self, Encoder, Seen},
        header::Header,
        part,
    },
    verdict::{MILLISECOND, Nanos},
};

type Tick = (Nanos, Vec<Seen>);
/// Path, flow, age, outcome.
type Fate = (usize, usize, Nanos, Outcome);

/// A segment of three paths with these ticks, each so many milliseconds after the one before; three are written at once.
fn encode(ticks: Vec<(u64, Vec<Fate>)>) -> (Vec<u8>, Vec<Tick>) {
    let header = header(3);
    let (mut bytes, mut encoder) = (header.encode(), Encoder::new(&header));
    let (mut now, mut count) = (header.monotonic * MOMENT, 0);
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
        encoder.tick(now);
        count += 1;
        if count % 3 == 0 {
            encoder.write(&mut bytes);
        }
        (now, seen)
    };
    let ticks = ticks.into_iter().map(&mut tick).collect();
    encoder.write(&mut bytes);
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
        // The checksum is right, and what is in it is not.
        decode(&followed_by(3, &tail));
        decode(&followed_by(0, &tail));
    }

    #[test]
    fn an_octet_that_was_changed_is_noticed(place in any::<prop::sample::Index>(), change in 1..=u8::MAX) {
        let lost = (1, 2, 150 * MILLISECOND, Outcome::Lost(Lost::Reverse));
        let (mut bytes, ticks) = encode(vec![(10, vec![lost]); 5]);
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        let (read, damage) = decode(&bytes);
        prop_assert!(damage.is_some());
        prop_assert!(read.is_empty() || read == ticks[..3], "{read:?}");
    }
}

/// A segment with a part whose checksum is right.
fn followed_by(paths: usize, ticks: &[u8]) -> Vec<u8> {
    let mut bytes = header(paths).encode();
    part::put(&mut bytes, ticks);
    bytes
}

/// What a loss of power leaves behind. An octet of zero alone would be a tick.
#[test]
fn zeros_are_no_ticks() {
    let (mut bytes, ticks) = encode(vec![(10, vec![]); 4]);
    let offset = bytes.len();
    bytes.extend([0; 10_000]);
    assert_eq!(decode(&bytes), (ticks, Some(Damage::Blank { offset })));
    assert_eq!(decode(&[0; 5]), (Vec::new(), Some(Damage::Blank { offset: 0 })));
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
            Some(other) => panic!("cut off at {end}: {other}"),
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
    let at = begins.len() + 1;
    let with = |ticks: &[u8]| corrupt(&followed_by(3, ticks));
    // Three paths of four flows have 12 sessions, each with nine kinds of outcomes.
    assert_eq!(with(&[21, 1, 108]), (at + 2, "there is no such path".to_owned()));
    let cut_off = "an observation is longer than its tick";
    assert_eq!(with(&[21, 1, 0, 0]), (at + 2, cut_off.to_owned()));
    assert_eq!(with(&[20, 21, 9, 0]), (at + 1, "a tick is longer than its part".to_owned()));
    assert_eq!(with(&[21, 2, 0, 1]).1, "a round trip cannot be so long");
    let long = with(&[21, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).1;
    assert!(long.contains("octets are announced, more than"), "{long}");

    for other in [&b"#!/bin/sh"[..], b"hi", b"lpr0"] {
        assert_eq!(corrupt(other), (0, "it does not begin as a recording does".to_owned()));
    }
    let mut before = begins.clone();
    before[7] = 1;
    let version = "it has the format 1, and this linkprobe reads 2; replay it with the version that recorded it";
    assert_eq!(corrupt(&before).1, version);
    let two = corrupt(&[&begins[..], &begins].concat());
    let text = "another segment begins here; replay segments as the files that they were";
    assert_eq!(two, (begins.len(), text.to_owned()));
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
    encoder.tick(now);
    encoder.write(&mut bytes);
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
