//! The rules of the base packet; those of the TLVs have modules of their own.

mod abuse;
mod authentication;
mod extensions;
mod location;
mod return_path;

use super::*;
use crate::verdict::SECOND;

/// T2 and T3 of these tests.
const T2: u64 = 0xee00_0001_0000_0000;
const T3: u64 = 0xee00_0001_0000_1000;

const SECRET: &[u8] = b"a secret of more than 32 octets, as RFC 2104 advises";

fn sender() -> Address {
    Address::v4([192, 0, 2, 1])
}

fn own() -> Address {
    Address::v4([192, 0, 2, 2])
}

/// The request that the tests vary: number 7 of SSID 0x1234, with these TLVs.
fn payload(mode: Mode, tlvs: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; mode.length()];
    let request = stamp::Request {
        sequence: 7,
        timestamp: 0xee00_0000_4000_0000,
        error_estimate: 0x8c22,
        ssid: 0x1234,
    };
    request.write(&mut payload[..], 0, mode).unwrap();
    payload.extend(tlvs);
    payload
}

fn signed(key: &Key, tlvs: &[u8]) -> Vec<u8> {
    let mut payload = payload(Mode::Authenticated, tlvs);
    let tag = key.tag(&[&payload[..HMAC_AT]]);
    payload[HMAC_AT..HMAC_AT + 16].copy_from_slice(&tag);
    payload
}

fn request(payload: &[u8]) -> Request<'_> {
    Request {
        payload,
        source: sender(),
        source_port: 50_000,
        destination: own(),
        destination_port: 862,
        ttl: 253,
        traffic_class: 0xb8,
        receive_timestamp: T2,
        admitted: None,
    }
}

fn settings_with_keys() -> Settings {
    let mut settings = Settings { authenticated_only: true, ..Settings::default() };
    settings.keys[0] = Some(Key::new(b"another"));
    settings.keys[1] = Some(Key::new(SECRET));
    settings
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let octet = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

/// RFC 8762, section 4.3.1: every field of the reply.
#[test]
fn a_request_becomes_its_reply() {
    let asked = payload(Mode::Unauthenticated, &[]);
    let settings = Settings { error_estimate: 0x14ff, ..Settings::default() };
    let answer = Reflector::new(settings).reflect(request(&asked), 0, || T3).unwrap();
    let expected = octets(
        "00000000 ee00000100001000 14ff 1234 ee00000100000000 \
         00000007 ee00000040000000 8c22 0000 fd 000000",
    );
    assert_eq!(answer.payload, expected);
    assert_eq!((answer.traffic_class, answer.source), (0xb8, own()));
    let reply = Reply::read(&answer.payload[..], 0, Mode::Unauthenticated).unwrap();
    assert_eq!(
        reply,
        Reply {
            sequence: 0,
            timestamp: T3,
            error_estimate: 0x14ff,
            ssid: 0x1234,
            receive_timestamp: T2,
            sender_sequence: 7,
            sender_timestamp: 0xee00_0000_4000_0000,
            sender_error_estimate: 0x8c22,
            sender_ttl: 253,
        }
    );
}

/// RFC 8762, section 4.2.1: what must be zero is ignored where it comes in, and is zero where it goes out.
#[test]
fn what_must_be_zero_is_ignored_and_zeroed() {
    let mut asked = payload(Mode::Unauthenticated, &[]);
    let clean = Reflector::new(Settings::default()).reflect(request(&asked), 0, || T3);
    asked[16..44].fill(0xff);
    let answer = Reflector::new(Settings::default()).reflect(request(&asked), 0, || T3);
    assert_eq!(answer, clean);
}

/// RFC 8762, section 4.3: stateful, each session by itself; RFC 8972, section 3: by the SSID too.
#[test]
fn each_session_is_numbered_by_itself() {
    let mut reflector = Reflector::new(Settings::default());
    let asked = payload(Mode::Unauthenticated, &[]);
    let mut other_ssid = asked.clone();
    other_ssid[15] ^= 1;
    let mut number = |request| {
        let answer = reflector.reflect(request, 0, || T3).unwrap();
        u32::from_be_bytes(*answer.payload.first_chunk().unwrap())
    };
    for expected in 0..3 {
        assert_eq!(number(request(&asked)), expected);
    }
    assert_eq!(number(request(&other_ssid)), 0);
    assert_eq!(number(Request { source_port: 50_001, ..request(&asked) }), 0);
    assert_eq!(number(Request { source: Address::v4([192, 0, 2, 9]), ..request(&asked) }), 0);
    assert_eq!(number(Request { destination: Address::v4([192, 0, 2, 3]), ..request(&asked) }), 0);
    assert_eq!(number(request(&asked)), 3);
}

/// RFC 8762, section 4.3: a stateless reflector copies the Sequence Number.
#[test]
fn a_stateless_reflector_copies_the_number() {
    let mut reflector = Reflector::new(Settings { stateless: true, ..Settings::default() });
    let asked = payload(Mode::Unauthenticated, &[]);
    for _ in 0..2 {
        let answer = reflector.reflect(request(&asked), 0, || T3).unwrap();
        assert_eq!(answer.payload[..4], asked[..4]);
    }
}

/// RFC 8762, section 4.3: a reply is as long as its request, padding included, and never longer.
#[test]
fn a_reply_is_as_long_as_its_request() {
    let mut reflector = Reflector::new(Settings::default());
    let asked = payload(Mode::Unauthenticated, &[0; 100]);
    for length in 0..asked.len() {
        let outcome = reflector.reflect(request(&asked[..length]), 0, || T3);
        if length < stamp::LENGTH {
            assert_eq!(outcome, Err(Counter::TooShort), "{length}");
        } else {
            assert_eq!(outcome.unwrap().payload.len(), length);
        }
    }
}

#[test]
fn what_the_kernel_has_decided_stands() {
    let mut reflector = Reflector::new(Settings::default());
    let asked = payload(Mode::Unauthenticated, &[]);
    let admitted = Some(Admitted { sequence: 41, key: 0 });
    let answer = reflector.reflect(Request { admitted, ..request(&asked) }, 0, || T3).unwrap();
    assert_eq!(answer.payload[..4], [0, 0, 0, 41]);
    assert_eq!(reflector.sessions(), 0, "the session is the kernel's");

    *reflector.settings_mut() = settings_with_keys();
    let signed = signed(&Key::new(SECRET), &[]);
    let admitted = Some(Admitted { sequence: 42, key: 2 });
    let answer = reflector.reflect(Request { admitted, ..request(&signed) }, 0, || T3).unwrap();
    assert_eq!(answer.payload[..4], [0, 0, 0, 42]);
    // The key has gone since.
    let admitted = Some(Admitted { sequence: 43, key: 3 });
    let outcome = reflector.reflect(Request { admitted, ..request(&signed) }, 0, || T3);
    assert_eq!(outcome, Err(Counter::Hmac));
}
