//! The Session-Sender in the kernel: packets that leave, and the replies to them.

use std::net::SocketAddr;

use probe_ebpf::{
    frame::Udp,
    maps::{Counter, SlotState},
    stamp::{self, Mode, Reply, Request},
};
use probe_user::account::Memory as _;
use probe_user::datapath::SessionKeys;
use tests::{
    golden::{self, octets},
    kernel::{
        self, Kernel, SLOTS, SOURCE_PORT, XDP_DROP, XDP_PASS, checksums_are_right, mend_checksums,
    },
};

const SSID: u16 = 0x1234;

fn kernel() -> Kernel {
    let mut kernel = Kernel::new();
    let reflector: SocketAddr = "192.0.2.2:862".parse().unwrap();
    let keys = SessionKeys::default();
    kernel.datapath.open_session(SSID, SOURCE_PORT, reflector, keys).unwrap();
    kernel
}

/// What the agent hands to its socket.
fn template(hex: &str) -> Vec<u8> {
    kernel::template(hex, SSID)
}

fn request(frame: &[u8]) -> Request {
    Request::read(frame, Udp::find(frame).unwrap().payload_at(), Mode::Unauthenticated).unwrap()
}

/// The reply to a request that has left, as a reflector would send it.
fn reply_to(sent: &[u8], change: impl FnOnce(&mut Reply)) -> Vec<u8> {
    let request = request(sent);
    let mut reply = Reply {
        sequence: 41,
        timestamp: request.timestamp + 2_000,
        error_estimate: 1,
        ssid: request.ssid,
        receive_timestamp: request.timestamp + 1_000,
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error_estimate: request.error_estimate,
        sender_ttl: 250,
    };
    change(&mut reply);
    let mut frame = octets(golden::REPLY_V4);
    let at = Udp::find(&frame[..]).unwrap().payload_at();
    frame[at..at + stamp::LENGTH].copy_from_slice(&reply.encode());
    mend_checksums(&mut frame);
    frame
}

/// RFC 8762, section 4.2.1: numbers start at 0 and go up by one; the checksum follows.
#[test]
fn packets_are_numbered_and_stamped_as_they_leave() {
    for hex in [golden::REQUEST_V4, golden::REQUEST_LONG, golden::REQUEST_VLAN] {
        let mut kernel = kernel();
        let template = template(hex);
        let mut last = 0;
        for sequence in 0..3 {
            let out = kernel.egress(&template);
            let request = request(&out);
            assert_eq!((request.sequence, request.ssid), (sequence, SSID));
            assert!(request.timestamp > last, "time goes on");
            assert_ne!(request.error_estimate & 0xff, 0);
            assert!(checksums_are_right(&out));
            last = request.timestamp;

            let session = kernel.datapath.session(SSID);
            let slot = session.slot(sequence);
            assert_eq!(session.sent(), sequence + 1);
            assert_eq!((slot.sequence, slot.timestamp), (sequence, request.timestamp));
            assert_eq!(SlotState::from_u32(slot.state), SlotState::Sent);
        }
        assert_eq!(kernel.count(Counter::Stamped), 3);
    }
}

#[test]
fn what_is_of_no_session_leaves_as_it_is() {
    let other_port = |frame: &mut Vec<u8>| frame[35] ^= 1;
    let other_destination = |frame: &mut Vec<u8>| frame[33] ^= 1;
    let other_ssid = |frame: &mut Vec<u8>| frame[57] ^= 1;
    type Change = fn(&mut Vec<u8>);
    let cases: [(Counter, Change); 3] = [
        (Counter::OtherTraffic, other_port),
        (Counter::NoSession, other_destination),
        (Counter::NoSession, other_ssid),
    ];
    for (reason, change) in cases {
        let mut kernel = kernel();
        let mut frame = template(golden::REQUEST_V4);
        change(&mut frame);
        mend_checksums(&mut frame);
        assert_eq!(kernel.egress(&frame), frame);
        assert_eq!(kernel.count(reason), 1, "{reason:?}");
        assert_eq!(kernel.datapath.session(SSID).sent(), 0);
    }
    let mut kernel = kernel();
    kernel.datapath.close_session(SSID);
    let frame = template(golden::REQUEST_V4);
    assert_eq!(kernel.egress(&frame), frame, "the session has ended");
}

/// A router that runs an agent too: the packets of others carry the same ports and SSIDs.
#[test]
fn what_passes_through_is_left_alone() {
    let mut kernel = kernel();
    let forwarded = template(golden::REQUEST_V4);
    assert_eq!(kernel.egress_from(&forwarded, 1), forwarded);
    assert_eq!(kernel.count(Counter::OtherTraffic), 1);

    let sent = kernel.egress(&forwarded);
    let mut reply = reply_to(&sent, |_| {});
    reply[33] = 77;
    mend_checksums(&mut reply);
    let (action, out, counted) = kernel.counted(&reply);
    assert_eq!((action, counted), (XDP_PASS, vec![Counter::NotLocal]));
    assert_eq!(out, reply);
}

#[test]
fn a_reply_is_accounted_for_and_consumed() {
    let mut kernel = kernel();
    let sent = kernel.egress(&template(golden::REQUEST_V4));
    let (action, _, counted) = kernel.counted(&reply_to(&sent, |_| {}));
    assert_eq!((action, counted), (XDP_DROP, vec![Counter::Accepted]));
    let session = kernel.datapath.session(SSID);
    let slot = session.slot(0);
    assert_eq!(SlotState::from_u32(slot.state), SlotState::Answered);
    assert_eq!(slot.reflector_sequence, 41);
    assert!(slot.round_trip > 0);
    // T2 - T1 is 1000 / 2^32 s.
    assert_eq!(slot.forward_delay, 232);
    assert_eq!(session.answered(), 1);
    assert!(session.answered_at() >= slot.sent_at);
}

/// T3 - T2 is the reflector's, not the network's; whatever it claims, no round trip is negative.
#[test]
fn the_residence_is_taken_off_the_round_trip() {
    for (residence, whole) in [(0, true), (1 << 62, true), (-(1 << 40), true), (4_000, false)] {
        let mut kernel = kernel();
        let sent = kernel.egress(&template(golden::REQUEST_V4));
        let reply = reply_to(&sent, |reply: &mut Reply| {
            reply.timestamp = reply.receive_timestamp.wrapping_add_signed(residence);
        });
        kernel.ingress(&reply);
        let session = kernel.datapath.session(SSID);
        let slot = session.slot(0);
        let elapsed = session.answered_at() - slot.sent_at;
        let expected = if whole { elapsed } else { elapsed - 931 };
        assert_eq!(u64::from(slot.round_trip), expected, "T3 - T2 = {residence} / 2^32 s");
    }
}

/// Every reason to drop a reply.
#[test]
fn what_is_wrong_with_a_reply_has_a_reason() {
    type Change = fn(&mut Reply);
    let cases: [(Counter, Change); 4] = [
        (Counter::UnknownSession, |reply| reply.ssid = 9),
        (Counter::NotSent, |reply| reply.sender_sequence = 1),
        (Counter::NotSent, |reply| reply.sender_sequence = SLOTS),
        (Counter::WrongTimestamp, |reply| reply.sender_timestamp ^= 1),
    ];
    for (reason, change) in cases {
        let mut kernel = kernel();
        let sent = kernel.egress(&template(golden::REQUEST_V4));
        let frame = reply_to(&sent, change);
        let (action, out, counted) = kernel.counted(&frame);
        assert_eq!((action, counted), (XDP_DROP, vec![reason]));
        assert_eq!(out, frame);
        assert_eq!(kernel.datapath.session(SSID).answered(), 0);
    }

    type Corrupt = fn(&mut [u8]);
    let cases: [(Counter, Corrupt, bool); 4] = [
        (Counter::WrongPeer, |frame| frame[29] ^= 1, true),
        (Counter::WrongPeer, |frame| frame[35] ^= 1, true),
        (Counter::UdpChecksum, |frame| frame[60] ^= 1, false),
        (Counter::Ipv4Checksum, |frame| frame[22] ^= 1, false),
    ];
    for (reason, change, mend) in cases {
        let mut kernel = kernel();
        let sent = kernel.egress(&template(golden::REQUEST_V4));
        let mut frame = reply_to(&sent, |_| {});
        change(&mut frame);
        if mend {
            mend_checksums(&mut frame);
        }
        let (action, _, counted) = kernel.counted(&frame);
        assert_eq!((action, counted), (XDP_DROP, vec![reason]));
    }

    let mut kernel = kernel();
    let sent = kernel.egress(&template(golden::REQUEST_V4));
    let mut short = reply_to(&sent, |_| {});
    short.truncate(62);
    short[16..18].copy_from_slice(&48_u16.to_be_bytes());
    short[38..40].copy_from_slice(&28_u16.to_be_bytes());
    mend_checksums(&mut short);
    assert_eq!(kernel.counted(&short).2, [Counter::TooShort]);
}

#[test]
fn a_second_reply_is_a_duplicate_and_one_to_a_closed_slot_is_late() {
    let mut kernel = kernel();
    let first = kernel.egress(&template(golden::REQUEST_V4));
    let second = kernel.egress(&template(golden::REQUEST_V4));
    assert_eq!(kernel.counted(&reply_to(&first, |_| {})).2, [Counter::Accepted]);
    assert_eq!(kernel.counted(&reply_to(&first, |_| {})).2, [Counter::Duplicate]);
    assert!(!kernel.datapath.session(SSID).close(0), "an answer has come");
    assert!(kernel.datapath.session(SSID).close(1));
    assert_eq!(kernel.counted(&reply_to(&second, |_| {})).2, [Counter::Late]);
    assert_eq!(kernel.datapath.session(SSID).answered(), 1);
}

/// Invariant 5: after any gap, the first genuine reply is accepted.
#[test]
fn no_gap_is_too_long_for_the_next_reply() {
    let mut kernel = kernel();
    for _ in 0..10 * SLOTS {
        kernel.egress(&template(golden::REQUEST_V4));
    }
    let sent = kernel.egress(&template(golden::REQUEST_V4));
    assert_eq!(kernel.counted(&reply_to(&sent, |_| {})).2, [Counter::Accepted]);
}
