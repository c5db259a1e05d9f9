//! Golden packets, made with scapy's `scapy.contrib.stamp`, and their decoded twins.

use super::*;

/// Sequence number 7, T1 = 3992977408.25 s, Error Estimate 34 * 2^12 synchronised, SSID 0x1234.
const REQUEST: [u8; LENGTH] = [
    0x00, 0x00, 0x00, 0x07, 0xee, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x8c, 0x22, 0x12,
    0x34, //
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

const DECODED_REQUEST: Request =
    Request { sequence: 7, timestamp: 0xee00_0000_4000_0000, error_estimate: 0x8c22, ssid: 0x1234 };

/// The answer to it: the reflector's number 3, T2 = T1 + 0.25 s, T3 = T1 + 0.5 s, TTL 253.
const REPLY: [u8; LENGTH] = [
    0x00, 0x00, 0x00, 0x03, 0xee, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x00, 0x14, 0xff, 0x12,
    0x34, //
    0xee, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0xee, 0x00, 0x00,
    0x00, //
    0x40, 0x00, 0x00, 0x00, 0x8c, 0x22, 0x00, 0x00, 0xfd, 0x00, 0x00, 0x00,
];

const DECODED_REPLY: Reply = Reply {
    sequence: 3,
    timestamp: 0xee00_0000_c000_0000,
    error_estimate: 0x14ff,
    ssid: 0x1234,
    receive_timestamp: 0xee00_0000_8000_0000,
    sender_sequence: 7,
    sender_timestamp: 0xee00_0000_4000_0000,
    sender_error_estimate: 0x8c22,
    sender_ttl: 253,
};

/// RFC 8762, section 4.2.1; RFC 8972, section 3.
#[test]
fn a_request_in_both_directions() {
    assert_eq!(Request::read(&REQUEST[..], 0, Mode::Unauthenticated), Some(DECODED_REQUEST));
    assert_eq!(DECODED_REQUEST.encode(), REQUEST);
}

/// RFC 8762, section 4.3.1; RFC 8972, section 3.
#[test]
fn a_reply_in_both_directions() {
    assert_eq!(Reply::read(&REPLY[..], 0, Mode::Unauthenticated), Some(DECODED_REPLY));
    assert_eq!(DECODED_REPLY.encode(), REPLY);
}

/// RFC 8762, section 4.2.1: octets that must be zero are ignored on receipt.
#[test]
fn octets_that_must_be_zero_are_ignored() {
    let mut request = REQUEST;
    request[16..].fill(0xaa);
    assert_eq!(Request::read(&request[..], 0, Mode::Unauthenticated), Some(DECODED_REQUEST));
    let mut reply = REPLY;
    reply[38..40].fill(0xaa);
    reply[41..].fill(0xaa);
    assert_eq!(Reply::read(&reply[..], 0, Mode::Unauthenticated), Some(DECODED_REPLY));
}

/// RFC 8762, section 4.3.1: a reply overwrites whatever the request had in its place.
#[test]
fn a_reply_leaves_nothing_of_the_request_behind() {
    let mut octets = [0xaa; LENGTH];
    DECODED_REPLY.write(&mut octets[..], 0, Mode::Unauthenticated).unwrap();
    assert_eq!(octets, REPLY);
}

#[test]
fn a_packet_that_is_cut_short_is_none() {
    for length in 0..LENGTH {
        let mut octets = REPLY;
        assert_eq!(
            Reply::read(&octets[..length], 0, Mode::Unauthenticated).is_some(),
            length > Mode::Unauthenticated.offsets().sender_ttl
        );
        assert_eq!(
            Request::read(&REQUEST[..length], 0, Mode::Unauthenticated).is_some(),
            length >= Mode::Unauthenticated.offsets().ssid + 2
        );
        assert_eq!(DECODED_REPLY.write(&mut octets[..length], 0, Mode::Unauthenticated), None);
    }
}

#[test]
fn a_reply_is_told_from_a_request() {
    assert!(DECODED_REPLY.is_plausible());
    assert!(!Reply::read(&REQUEST[..], 0, Mode::Unauthenticated).unwrap().is_plausible());
    let mut padded = REQUEST;
    padded[16..].fill(0xaa);
    assert!(
        !Reply::read(&padded[..], 0, Mode::Unauthenticated).unwrap().is_plausible(),
        "padding is not a timestamp"
    );
}

#[test]
fn the_sum_of_a_packet_is_that_of_its_octets() {
    assert_eq!(DECODED_REQUEST.sum().folded(), Sum::ZERO.add_bytes(&REQUEST).folded());
    assert_eq!(DECODED_REPLY.sum().folded(), Sum::ZERO.add_bytes(&REPLY).folded());
}

/// What the TC program does to a checksum when it replaces the template.
#[test]
fn a_difference_of_sums_updates_a_checksum() {
    let template = Request { sequence: 0, timestamp: 0, error_estimate: 0, ssid: 0x1234 };
    let before = Sum::ZERO.add_bytes(&template.encode()).add_be16(0x5678);
    let after = Sum::ZERO.add_bytes(&REQUEST).add_be16(0x5678);
    let updated = before.add_partial(DECODED_REQUEST.sum().difference(template.sum()));
    assert_eq!(updated.folded(), after.folded());
}

/// RFC 8762, section 4.3.1: T3 and T2 are what the residence is reckoned from.
#[test]
fn the_residence_is_what_the_two_timestamps_say() {
    assert_eq!(DECODED_REPLY.residence(), 250_000_000);
    let set_back = Reply {
        timestamp: DECODED_REPLY.receive_timestamp,
        receive_timestamp: DECODED_REPLY.timestamp,
        ..DECODED_REPLY
    };
    assert_eq!(set_back.residence(), -250_000_000);
}

/// Invariant 11 of DESIGN: a reflector whose clock steps changes no round trip beyond what there is.
#[test]
fn a_residence_takes_no_more_than_there_is_and_adds_nothing() {
    for (elapsed, residence, expected) in [
        (1_000, 0, 1_000),
        (1_000, 400, 600),
        (1_000, 1_000, 0),
        (1_000, 1_001, 1_000),
        (1_000, -1, 1_000),
        (1_000, i64::MIN, 1_000),
        (1_000, i64::MAX, 1_000),
        (u64::MAX, 0, u32::MAX),
        (1 << 32, 1, u32::MAX),
    ] {
        assert_eq!(round_trip(elapsed, residence), expected, "{elapsed} {residence}");
    }
}
