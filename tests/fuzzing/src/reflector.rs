//! The userspace reflector, and a sequence of requests.

use probe_ebpf::{
    hmac::{Key, TAG_LENGTH},
    maps::Counter,
    stamp::{HMAC_AT, Mode, Reply},
    tlv::{self, HEADER_LENGTH, Header, flag},
};
use probe_user::reflector::{Answer, MAX_PAYLOAD, Reflector, Request};

use crate::script::{SECRETS, Step, TABLE_SIZE, find_hmac_tlv, option, settings};

/// T2 of all requests.
const RECEIVED: u64 = 0xee00_0001_0000_0000;

/// A script ([`crate::script`]).
///
/// # Panics
/// Where a reply is not what it must be in any case.
pub fn check(input: &[u8]) {
    let Some((&options, mut rest)) = input.split_first() else { return };
    let settings = settings(options);
    let mut reflector = Reflector::new(settings.clone());
    let mut now = 0;
    while let Some((step, behind)) = Step::read(rest, &settings) {
        rest = behind;
        now += step.after;
        let request = Request {
            payload: &step.payload,
            source: step.source,
            source_port: step.source_port,
            destination: step.destination,
            destination_port: settings.port,
            ttl: step.ttl,
            traffic_class: step.traffic_class,
            receive_timestamp: RECEIVED,
            admitted: None,
        };
        let mut stamps = 0;
        let outcome = reflector.reflect(request, now, || {
            stamps += 1;
            RECEIVED + 0x1000
        });
        assert!(reflector.sessions() <= 2 * TABLE_SIZE, "the tables are bounded");
        match outcome {
            Ok(answer) => {
                assert_eq!(stamps, 1, "T3 is taken once");
                let mode = settings.mode_of(&step.source);
                check_answer(&step, &answer, mode);
                assert!(settings.local_addresses.contains(&answer.source));
                if options & option::STATELESS != 0 {
                    assert_eq!(answer.payload[..4], step.payload[..4]);
                }
                let echo = Request { payload: &answer.payload, source_port: 50_999, ..request };
                let again = reflector.reflect(echo, now, || RECEIVED);
                assert!(again.is_err() || step.ttl == 0, "a reply is not answered");
            }
            Err(reason) => check_refusal(&step, reason, options),
        }
    }
}

fn check_answer(step: &Step, answer: &Answer, mode: Mode) {
    assert_eq!(answer.payload.len(), step.payload.len(), "amplification is 1");
    let reply = Reply::read(&answer.payload[..], 0, mode).expect("a whole reply");
    assert_eq!((reply.sender_ttl, reply.receive_timestamp), (step.ttl, RECEIVED));
    assert_eq!(reply.sender_sequence.to_be_bytes(), step.payload[..4]);
    assert_eq!(answer.traffic_class & 0b11, step.traffic_class & 0b11);
    let signed = |key: &Key| key.tag(&[&answer.payload[..HMAC_AT]]);
    if mode == Mode::Authenticated {
        let tag = &answer.payload[HMAC_AT..mode.length()];
        assert!(SECRETS.iter().any(|secret| signed(&Key::new(secret)) == tag));
    }
    if tlv::is_plain_padding(&step.payload[..], mode.length(), step.payload.len()) {
        assert_eq!(answer.payload[mode.length()..], step.payload[mode.length()..]);
    } else {
        check_tlvs(step, answer, mode);
    }
}

/// RFC 8972, section 4: types and lengths stay; flags are the reflector's own.
fn check_tlvs(step: &Step, answer: &Answer, mode: Mode) {
    let (asked, given) = (&step.payload[..], &answer.payload[..]);
    let mut integrity = None;
    let mut at = mode.length();
    while let Some(tlv) = Header::read(given, at, given.len()) {
        let request = Header::read(asked, at, asked.len()).expect("as many as in the request");
        assert_eq!((tlv.kind, tlv.length), (request.kind, request.length));
        assert_eq!(tlv.flags & 0x1f, 0, "reserved flags are zero");
        let failed = tlv.flags & flag::INTEGRITY != 0;
        assert_eq!(*integrity.get_or_insert(failed), failed, "I is set in all or in none");
        if failed {
            assert_eq!(
                given[at + 1..tlv.next(at).min(given.len())],
                asked[at + 1..tlv.next(at).min(asked.len())]
            );
        }
        if tlv.flags & flag::MALFORMED != 0 {
            break;
        }
        assert!(!tlv.is_malformed, "M is set where it must be");
        at = tlv.next(at);
    }
    if integrity == Some(true) {
        assert_eq!(answer.traffic_class, step.traffic_class, "what is not verified is not used");
    } else if let Some(at) = find_hmac_tlv(given, mode) {
        let tag = &given[at + HEADER_LENGTH..at + HEADER_LENGTH + TAG_LENGTH];
        let covered = [&given[..4], &given[mode.length()..at]];
        assert!(SECRETS.iter().any(|secret| Key::new(secret).tag(&covered) == tag), "signed again");
    }
}

fn check_refusal(step: &Step, reason: Counter, options: u8) {
    let has = |bit| options & bit != 0;
    match reason {
        Counter::TooShort => assert!(step.payload.len() < Mode::Authenticated.length()),
        Counter::TooLong => assert!(step.payload.len() > MAX_PAYLOAD),
        Counter::NotAllowed => assert!(has(option::ALLOW_LIST)),
        Counter::RateLimited => assert!(has(option::RATE)),
        Counter::Hmac => assert!(has(option::AUTHENTICATED | option::PEER)),
        Counter::ReflectorLoop | Counter::NoReplyWanted => {}
        other => panic!("{other:?} is no reason of the reflector's"),
    }
}
