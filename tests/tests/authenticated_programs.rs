//! Authenticated mode in the kernel programs (RFC 8762, sections 4.2.2, 4.3.2 and 4.4).

use std::net::SocketAddr;

use probe_ebpf::{
    frame::{Address, Udp},
    hmac::Key,
    maps::Counter,
    stamp::{AUTHENTICATED_LENGTH, HMAC_AT, Mode, Reply, Request},
};
use probe_user::{
    account::Memory as _,
    datapath::{ReflectorOptions, SessionKeys},
};
use tests::{
    golden::{self, octets},
    kernel::{
        Kernel, SOURCE_PORT, XDP_DROP, XDP_TX, checksums_are_right, mend_checksums, payload,
        with_payload,
    },
};

const SSID: u16 = 7;

fn keys() -> [Key; 2] {
    [Key::new(b"the first secret of these tests!"), Key::new(b"the other secret of these tests!")]
}

/// An authenticated request from the sender of the golden packets, with octets behind it.
fn request(hex: &str, sequence: u32, key: &Key, tail: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; AUTHENTICATED_LENGTH];
    let timestamp = 0xee00_0000_4000_0000;
    let request = Request { sequence, timestamp, error_estimate: 0x8c22, ssid: 0x1234 };
    request.write(&mut payload[..], 0, Mode::Authenticated).unwrap();
    sign(&mut payload, key);
    payload.extend_from_slice(tail);
    with_payload(&octets(hex), &payload)
}

fn sign(payload: &mut [u8], key: &Key) {
    let tag = key.tag(&[&payload[..HMAC_AT]]);
    payload[HMAC_AT..AUTHENTICATED_LENGTH].copy_from_slice(&tag);
}

fn reply(frame: &[u8]) -> Reply {
    Reply::read(frame, Udp::find(frame).unwrap().payload_at(), Mode::Authenticated).unwrap()
}

/// RFC 8762, section 4.4: the HMAC covers the first 96 octets.
fn is_signed(frame: &[u8], key: &Key) -> bool {
    let payload = &frame[Udp::find(frame).unwrap().payload_at()..];
    payload[HMAC_AT..AUTHENTICATED_LENGTH] == key.tag(&[&payload[..HMAC_AT]])
}

/// RFC 8762, section 4.3.2: every field, and the reply is signed with the key of the request.
#[test]
fn a_signed_request_becomes_a_signed_reply() {
    for hex in [golden::REQUEST_V4, golden::REQUEST_V6, golden::REQUEST_QINQ] {
        for (sequence, tail) in [(0, 0), (1, 0), (2, 24), (3, 1_000)] {
            let keys = keys();
            let key = &keys[sequence % 2];
            let mut kernel = Kernel::authenticated(&keys);
            // One Extra Padding TLV, which needs no HMAC TLV (RFC 8972, section 4.8).
            let mut padding = vec![0x5a; tail];
            if tail > 0 {
                padding[..2].copy_from_slice(&[0x80, 1]);
                padding[2..4].copy_from_slice(&(tail as u16 - 4).to_be_bytes());
            }
            let request = request(hex, sequence as u32, key, &padding);
            let (action, out, counted) = kernel.counted(&request);
            assert_eq!((action, counted), (XDP_TX, vec![Counter::Reflected]));
            assert_eq!(out.len(), request.len(), "amplification is 1");
            assert!(checksums_are_right(&out) && is_signed(&out, key));
            let reply = reply(&out);
            assert_eq!((reply.sequence, reply.sender_sequence), (0, sequence as u32));
            assert_eq!((reply.ssid, reply.sender_ttl), (0x1234, 253));
            assert_eq!(reply.sender_timestamp, 0xee00_0000_4000_0000);
            assert_eq!(reply.sender_error_estimate, 0x8c22);
            assert!(reply.is_plausible(), "T2 and T3");
            for (from, to) in [(4, 16), (28, 32), (40, 48), (52, 64), (74, 80), (81, 96)] {
                let at = Udp::find(&out[..]).unwrap().payload_at();
                assert!(out[at + from..at + to].iter().all(|octet| *octet == 0), "{from}..{to}");
            }
        }
    }
}

/// RFC 8762, section 4.4: nothing of a packet is used that is not what its sender signed.
#[test]
fn a_request_that_is_altered_or_signed_by_others_is_dropped() {
    let mut kernel = Kernel::authenticated(&keys());
    let foreign = request(golden::REQUEST_V4, 0, &Key::new(b"somebody else's"), &[]);
    let (action, _, counted) = kernel.counted(&foreign);
    assert_eq!((action, counted), (XDP_DROP, vec![Counter::Hmac]));
    let genuine = request(golden::REQUEST_V4, 0, &keys()[0], &[]);
    let at = Udp::find(&genuine[..]).unwrap().payload_at();
    for octet in 0..AUTHENTICATED_LENGTH {
        let mut altered = genuine.clone();
        altered[at + octet] ^= 1;
        mend_checksums(&mut altered);
        let counted = kernel.counted(&altered).2;
        // What looks like T2 makes a request look like a reply.
        let known = matches!(counted[..], [Counter::Hmac] | [Counter::ReflectorLoop]);
        assert!(known, "octet {octet}: {counted:?}");
    }
    assert_eq!(reply(&kernel.ingress(&genuine).1).sequence, 0, "none of them has left a trace");
}

/// A place without a key holds zeros: nothing can be signed with those.
#[test]
fn without_keys_nothing_is_answered() {
    let mut kernel = Kernel::authenticated(&[]);
    let request = request(golden::REQUEST_V4, 0, &Key::default(), &[]);
    assert_eq!(kernel.counted(&request).2, [Counter::Hmac]);
}

#[test]
fn an_unauthenticated_request_is_not_answered_where_all_must_be() {
    let mut kernel = Kernel::authenticated(&keys());
    assert_eq!(kernel.counted(&octets(golden::REQUEST_V4)).2, [Counter::TooShort]);
    assert_eq!(kernel.counted(&octets(golden::REQUEST_LONG)).2, [Counter::TooShort]);
}

#[test]
fn a_peer_that_must_authenticate_does_not_bind_the_others() {
    let mut kernel = Kernel::new();
    kernel.datapath.set_keys(&[(1, keys()[0])]);
    kernel.datapath.set_reflector(&ReflectorOptions::default()).unwrap();
    kernel.datapath.set_peer(Address::v4([192, 0, 2, 1]), 0, true).unwrap();
    assert_eq!(kernel.counted(&octets(golden::REQUEST_V4)).2, [Counter::TooShort]);
    assert_eq!(kernel.datapath.arrivals(0).packets, 0, "and is no sign of life");
    assert_eq!(kernel.counted(&octets(golden::REQUEST_V6)).2, [Counter::Reflected]);
    let signed = request(golden::REQUEST_V4, 0, &keys()[0], &[]);
    assert_eq!(kernel.counted(&signed).2, [Counter::Reflected]);
    assert_eq!(kernel.datapath.arrivals(0).packets, 1);
}

/// A rotation, as the reflector sees it: the same session goes on with another key.
#[test]
fn numbering_goes_on_when_the_key_changes() {
    let mut kernel = Kernel::authenticated(&keys());
    for (sequence, key) in [0, 0, 1, 1, 0].into_iter().enumerate() {
        let key = &keys()[key];
        let out = kernel.ingress(&request(golden::REQUEST_V4, 7, key, &[])).1;
        assert_eq!(reply(&out).sequence, sequence as u32);
        assert!(is_signed(&out, key));
    }
}

/// Our own sender in authenticated mode, and the reply of a reflector that signs with `signer`.
fn exchange(kernel: &mut Kernel, signer: &Key) -> (Vec<u8>, Vec<u8>) {
    let mut template = vec![0; AUTHENTICATED_LENGTH];
    // The place of unauthenticated packets, whatever the mode.
    template[14..16].copy_from_slice(&SSID.to_be_bytes());
    let stamped = kernel.egress(&with_payload(&octets(golden::REQUEST_V4), &template));
    let at = Udp::find(&stamped[..]).unwrap().payload_at();
    let request = Request::read(&stamped[..], at, Mode::Authenticated).unwrap();
    let mut payload = vec![0; AUTHENTICATED_LENGTH];
    let reply = Reply {
        sequence: 3,
        timestamp: request.timestamp + 2_000,
        error_estimate: 0x8c22,
        ssid: request.ssid,
        receive_timestamp: request.timestamp + 1_000,
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error_estimate: request.error_estimate,
        sender_ttl: 255,
    };
    reply.write(&mut payload[..], 0, Mode::Authenticated).unwrap();
    sign(&mut payload, signer);
    (stamped, with_payload(&octets(golden::REPLY_V4), &payload))
}

fn sender(keys: &[Key], session: SessionKeys) -> Kernel {
    let mut kernel = Kernel::new();
    let keys: Vec<(u8, Key)> = (1..).zip(keys.iter().copied()).collect();
    kernel.datapath.set_keys(&keys);
    let reflector: SocketAddr = "192.0.2.2:862".parse().unwrap();
    kernel.datapath.open_session(SSID, SOURCE_PORT, reflector, session).unwrap();
    kernel
}

/// RFC 8762, section 4.2.2.
#[test]
fn our_own_packets_are_signed_as_they_leave() {
    let mut kernel = sender(&keys(), SessionKeys { key: 2, previous: 0 });
    for sequence in 0..3 {
        let (stamped, _) = exchange(&mut kernel, &keys()[1]);
        assert!(is_signed(&stamped, &keys()[1]) && checksums_are_right(&stamped));
        let at = Udp::find(&stamped[..]).unwrap().payload_at();
        let request = Request::read(&stamped[..], at, Mode::Authenticated).unwrap();
        assert_eq!((request.sequence, request.ssid), (sequence, SSID));
        assert_eq!(payload::<12>(&stamped, 4), [0; 12], "must be zero");
        assert_eq!(payload::<32>(&stamped, 28), [0; 32], "must be zero");
    }
}

#[test]
fn a_signed_reply_counts_and_another_does_not() {
    let mut kernel = sender(&keys(), SessionKeys { key: 1, previous: 0 });
    let (_, forged) = exchange(&mut kernel, &keys()[1]);
    assert_eq!(kernel.counted(&forged).2, [Counter::Hmac]);
    assert_eq!(kernel.datapath.session(SSID).answered(), 0);
    let (_, genuine) = exchange(&mut kernel, &keys()[0]);
    assert_eq!(kernel.counted(&genuine).2, [Counter::Accepted]);
    assert_eq!(kernel.datapath.session(SSID).answered(), 1);
}

#[test]
fn an_unauthenticated_reply_does_not_count_for_an_authenticated_session() {
    let mut kernel = sender(&keys(), SessionKeys { key: 1, previous: 0 });
    exchange(&mut kernel, &keys()[0]);
    let mut reply = octets(golden::REPLY_V4);
    let at = Udp::find(&reply[..]).unwrap().payload_at();
    reply[at + 14..at + 16].copy_from_slice(&SSID.to_be_bytes());
    mend_checksums(&mut reply);
    assert_eq!(kernel.counted(&reply).2, [Counter::TooShort]);
}

/// While a rotation is on, the reflector may sign with either key.
#[test]
fn replies_with_the_previous_key_count_during_a_rotation() {
    let mut kernel = sender(&keys(), SessionKeys { key: 1, previous: 0 });
    let (_, in_flight) = exchange(&mut kernel, &keys()[0]);
    kernel.datapath.set_session_keys(SSID, SessionKeys { key: 2, previous: 1 });
    assert_eq!(kernel.counted(&in_flight).2, [Counter::Accepted]);
    let (stamped, reply) = exchange(&mut kernel, &keys()[1]);
    assert!(is_signed(&stamped, &keys()[1]));
    assert_eq!(kernel.counted(&reply).2, [Counter::Accepted]);
    kernel.datapath.set_session_keys(SSID, SessionKeys { key: 2, previous: 0 });
    let (_, late) = exchange(&mut kernel, &keys()[0]);
    assert_eq!(kernel.counted(&late).2, [Counter::Hmac]);
}
