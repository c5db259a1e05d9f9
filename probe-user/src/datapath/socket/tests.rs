//! One thread's part at a time. What a session is told by the kernel programs (`tests/sender_programs.rs`),
//! it is told by these too.

use std::net::SocketAddr;

use probe_ebpf::{
    maps::{Slot, SlotState},
    ntp::Format,
    stamp::{HMAC_AT, Mode, Reply, Request},
    tlv::kind,
};

use super::{
    replies::{Arrival, Ledger},
    *,
};
use crate::{
    account::Memory as _,
    datapath::{Datapath, SessionKeys, backend::Backend},
    reflector::Settings,
    sender::{Target, sockets::Numbering as _, template::Template},
    verdict::MILLISECOND,
};

const SSID: u16 = 3;
const PORT: u16 = 50_000;

/// A datapath without threads, and what its threads would work with.
struct Bench {
    datapath: Datapath,
    numbers: Numbers,
    ledger: Ledger,
    target: Target,
}

impl Bench {
    fn new(keys: SessionKeys, timestamps: Format, tlvs: &[u8]) -> Self {
        let options = Options {
            sessions: 4,
            slots: 16,
            peers: 1,
            reflector_port: 0,
            first_source_port: PORT,
            source_ports: 1,
            timestamps,
        };
        let mut datapath = Datapath::socket(options, None).unwrap();
        datapath.set_keys(&[(1, Key::new(b"first")), (2, Key::new(b"second"))]);
        let reflector: SocketAddr = "192.0.2.1:862".parse().unwrap();
        datapath.open_session(SSID, PORT, reflector, keys).unwrap();
        let Backend::Socket(socket) = &datapath.backend else { unreachable!() };
        let mode = if keys.key == 0 { Mode::Unauthenticated } else { Mode::Authenticated };
        Self {
            numbers: Numbers::new(datapath.memory.share()),
            ledger: Ledger { memory: datapath.memory.share(), tables: Arc::clone(&socket.tables) },
            target: Target {
                ssid: SSID,
                flow: 0,
                reflector,
                mark: 0,
                template: Template::new(SSID, mode, tlvs),
                count: None,
            },
            datapath,
        }
    }

    fn plain() -> Self {
        Self::new(SessionKeys::default(), Format::Ntp, &[])
    }

    /// The next packet, as it leaves.
    fn send(&mut self) -> Vec<u8> {
        let mut payload = self.target.template.to_vec();
        assert!(self.numbers.number(&self.target, &mut payload));
        self.numbers.settle(&self.target, true);
        payload
    }

    /// Hands over a datagram that came some time after another moment, and says what it was counted as.
    fn receive(&mut self, base: &[u8], peer: &str, at: Nanos) -> Counter {
        let peer: SocketAddr = peer.parse().unwrap();
        let tuple = Tuple {
            peer: peer.ip().into(),
            peer_port: peer.port(),
            source_port: PORT,
            reserved: 0,
        };
        let before = self.datapath.counters();
        self.ledger.take(&Arrival { base, length: base.len(), tuple, at });
        let mut after = self.datapath.counters().into_iter().zip(before);
        let counted = after.find(|((_, now), (_, before))| now > before);
        counted.expect("everything is counted").0.0
    }

    fn slot(&self, sequence: u32) -> Slot {
        self.datapath.session(SSID).slot(sequence)
    }
}

/// What a reflector makes of a request.
fn reply(request: &[u8], mode: Mode, number: u32) -> Reply {
    let asked = Request::read(request, 0, mode).unwrap();
    // 3 ms at the reflector, whose clock is a second ahead.
    let received = asked.timestamp.wrapping_add(1 << 32);
    Reply {
        sequence: number,
        timestamp: Format::Ntp.later(received, 3 * MILLISECOND),
        error_estimate: 0x8101,
        ssid: asked.ssid,
        receive_timestamp: received,
        sender_sequence: asked.sequence,
        sender_timestamp: asked.timestamp,
        sender_error_estimate: asked.error_estimate,
        sender_ttl: 254,
    }
}

const FROM_PEER: &str = "192.0.2.1:862";

#[test]
fn packets_are_numbered_stamped_and_answered() {
    let mut bench = Bench::plain();
    for number in 0..3 {
        let request = bench.send();
        let asked = Request::read(&request[..], 0, Mode::Unauthenticated).unwrap();
        assert_eq!((asked.sequence, asked.ssid), (number, SSID));
        assert_ne!(asked.error_estimate, 0);
        let slot = bench.slot(number);
        assert_eq!((slot.state, slot.timestamp), (SlotState::Sent as u32, asked.timestamp));
        let answer = reply(&request, Mode::Unauthenticated, number + 10);
        let at = slot.sent_at + 20 * MILLISECOND;
        assert_eq!(bench.receive(&answer.encode(), FROM_PEER, at), Counter::Accepted);
        let slot = bench.slot(number);
        assert_eq!(
            (slot.state, slot.reflector_sequence),
            (SlotState::Answered as u32, number + 10)
        );
        let round_trip = u64::from(slot.round_trip);
        assert!(round_trip.abs_diff(17 * MILLISECOND) < 10, "less the residence: {round_trip}");
        assert!((slot.forward_delay - 1_000_000_000).abs() < 10);
    }
    let memory = bench.datapath.session(SSID);
    assert_eq!((memory.sent(), memory.answered()), (3, 3));
    assert_eq!((memory.replies().sender_ttl, memory.replies().error_estimate), (254, 0x8101));
}

#[test]
fn what_has_not_left_takes_no_number() {
    let mut bench = Bench::plain();
    bench.send();
    let mut payload = bench.target.template.to_vec();
    assert!(bench.numbers.number(&bench.target, &mut payload));
    bench.numbers.settle(&bench.target, false);
    assert_eq!((bench.datapath.session(SSID).sent(), bench.slot(1).state), (1, 0));
    let request = Request::read(&bench.send()[..], 0, Mode::Unauthenticated).unwrap();
    assert_eq!(request.sequence, 1, "the next one has it");
    bench.datapath.close_session(SSID);
    assert!(!bench.numbers.number(&bench.target, &mut payload), "there is no such session");
}

#[test]
fn replies_that_nobody_asked_for_change_nothing() {
    let mut bench = Bench::plain();
    let request = bench.send();
    let at = bench.slot(0).sent_at + MILLISECOND;
    let good = reply(&request, Mode::Unauthenticated, 0);
    let cases = [
        (Reply { sender_timestamp: good.sender_timestamp ^ 1, ..good }, Counter::WrongTimestamp),
        (Reply { sender_sequence: 1, ..good }, Counter::NotSent),
        (Reply { sender_sequence: 16, ..good }, Counter::NotSent),
        (Reply { ssid: 2, ..good }, Counter::UnknownSession),
        (Reply { ssid: 0x7fff, ..good }, Counter::UnknownSession),
    ];
    for (forged, reason) in cases {
        assert_eq!(bench.receive(&forged.encode(), FROM_PEER, at), reason, "{forged:?}");
    }
    for peer in ["192.0.2.2:862", "192.0.2.1:863", "[2001:db8::1]:862"] {
        assert_eq!(bench.receive(&good.encode(), peer, at), Counter::WrongPeer, "from {peer}");
    }
    assert_eq!(bench.receive(&good.encode()[..43], FROM_PEER, at), Counter::TooShort);
    assert_eq!(bench.slot(0).state, SlotState::Sent as u32);
    // A reflector without RFC 8972 returns no SSID.
    let without = Reply { ssid: 0, ..good };
    assert_eq!(bench.receive(&without.encode(), FROM_PEER, at), Counter::Accepted);
    assert_eq!(bench.receive(&good.encode(), FROM_PEER, at), Counter::Duplicate);
    assert_eq!(bench.datapath.session(SSID).replies().duplicates, 1);
}

#[test]
fn what_was_given_up_comes_too_late_and_order_is_noted() {
    let mut bench = Bench::plain();
    let requests: Vec<Vec<u8>> = (0..3).map(|_| bench.send()).collect();
    let at = bench.slot(2).sent_at + MILLISECOND;
    let answers: Vec<_> =
        requests.iter().map(|request| reply(request, Mode::Unauthenticated, 0).encode()).collect();
    assert!(bench.datapath.session(SSID).close(0));
    assert_eq!(bench.receive(&answers[0], FROM_PEER, at), Counter::Late);
    assert_eq!(bench.receive(&answers[2], FROM_PEER, at), Counter::Accepted);
    assert_eq!(bench.receive(&answers[1], FROM_PEER, at), Counter::Accepted);
    assert_eq!(bench.datapath.session(SSID).replies().reordered, 1);
}

/// Invariant 11, and a reply that claims to have come before its request.
#[test]
fn a_round_trip_is_never_negative() {
    let mut bench = Bench::plain();
    let cases = [(-5_i64, 3_u64, 0), (20, 30, 20), (20, 3, 17), (-5, 0, 0)];
    for (number, (after, residence, expected)) in (0..).zip(cases) {
        let request = bench.send();
        let answer = reply(&request, Mode::Unauthenticated, number);
        let timestamp = Format::Ntp.later(answer.receive_timestamp, residence * MILLISECOND);
        let answer = Reply { timestamp, ..answer };
        let sent_at = bench.slot(number).sent_at;
        let at = sent_at.wrapping_add_signed(after * MILLISECOND as i64);
        assert_eq!(bench.receive(&answer.encode(), FROM_PEER, at), Counter::Accepted);
        let round_trip = u64::from(bench.slot(number).round_trip);
        assert!(round_trip.abs_diff(expected * MILLISECOND) < 10, "{round_trip}");
    }
}

/// RFC 8762, section 4.4, with a rotation under way.
#[test]
fn only_what_is_signed_counts_in_authenticated_mode() {
    let mut bench = Bench::new(SessionKeys { key: 2, previous: 1 }, Format::Ntp, &[]);
    let keys = [b"first".as_slice(), b"second", b"third"].map(Key::new);
    for (number, (signer, counter)) in
        (0..).zip([(1, Counter::Accepted), (0, Counter::Accepted), (2, Counter::Hmac)])
    {
        let request = bench.send();
        assert_eq!(request[14..16], [0, 0], "the template's SSID");
        let tag: &[u8; 16] = request[HMAC_AT..].first_chunk().unwrap();
        assert!(keys[1].has_signed(&[&request[..HMAC_AT]], tag));
        let mut answer = vec![0; request.len()];
        let written = reply(&request, Mode::Authenticated, number);
        written.write(&mut answer[..], 0, Mode::Authenticated).unwrap();
        let tag = keys[signer].tag(&[&answer[..HMAC_AT]]);
        answer[HMAC_AT..].copy_from_slice(&tag);
        let at = bench.slot(number).sent_at + MILLISECOND;
        assert_eq!(bench.receive(&answer[..111], FROM_PEER, at), Counter::TooShort);
        answer[50] ^= 1;
        assert_eq!(bench.receive(&answer, FROM_PEER, at), Counter::Hmac, "altered");
        answer[50] ^= 1;
        assert_eq!(bench.receive(&answer, FROM_PEER, at), counter, "signed with key {signer}");
    }
    // Where there is no key, there is no probe.
    bench.datapath.set_keys(&[]);
    let mut payload = bench.target.template.to_vec();
    assert!(!bench.numbers.number(&bench.target, &mut payload));
}

/// RFC 8972, sections 4.5 and 4.8.
#[test]
fn tlvs_are_filled_in_and_signed() {
    let direct_measurement =
        [0x80, kind::DIRECT_MEASUREMENT, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut bench =
        Bench::new(SessionKeys { key: 1, previous: 0 }, Format::Ptp, &direct_measurement);
    bench.datapath.set_direct_measurement(SSID, true);
    for number in 1..=2_u32 {
        let request = bench.send();
        let error_estimate = u16::from_be_bytes([request[24], request[25]]);
        assert_eq!(Format::of(error_estimate), Format::Ptp);
        assert_eq!(request[116..120], number.to_be_bytes());
        let (covered, tag) = request.split_at(112 + 16 + 4);
        let covered = &covered[..128];
        let tag: &[u8; 16] = tag.try_into().unwrap();
        assert!(Key::new(b"first").has_signed(&[&request[..4], &covered[112..]], tag));
    }
}

/// RFC 8972, section 4.8: what we sign, a reflector believes, and answers; what it signs is right.
#[test]
fn a_reflector_believes_our_tlvs() {
    let tlvs = [0x80, kind::FOLLOW_UP_TELEMETRY, 0, 16].into_iter().chain([0; 16]);
    let tlvs: Vec<u8> = tlvs.chain([0x80, kind::CLASS_OF_SERVICE, 0, 4, 0xb8, 0, 0, 0]).collect();
    let mut bench = Bench::new(SessionKeys { key: 1, previous: 0 }, Format::Ntp, &tlvs);
    let key = Key::new(b"first");
    let mut keys = [None; MAX_KEYS as usize];
    keys[0] = Some(key);
    let settings = Settings { authenticated_only: true, keys, ..Settings::default() };
    let mut reflector = Reflector::new(settings);
    for number in 0..2 {
        let payload = bench.send();
        let request = crate::reflector::Request {
            payload: &payload,
            source: Address::v4([198, 51, 100, 1]),
            source_port: PORT,
            destination: Address::v4([192, 0, 2, 1]),
            destination_port: 862,
            ttl: 255,
            traffic_class: 0,
            receive_timestamp: Request::read(&payload[..], 0, Mode::Authenticated)
                .unwrap()
                .timestamp,
            admitted: None,
        };
        let timestamp = request.receive_timestamp + 1;
        let answer = reflector.reflect(request, 0, || timestamp).unwrap();
        let flags = [112, 132, 140].map(|at| answer.payload[at]);
        assert_eq!((flags, answer.traffic_class), ([0; 3], 0xb8), "nothing is wrong with them");
        let tag = answer.payload[144..].first_chunk().unwrap();
        assert!(key.has_signed(&[&answer.payload[..4], &answer.payload[112..140]], tag));
        let at = bench.slot(number).sent_at + MILLISECOND;
        assert_eq!(bench.receive(&answer.payload, FROM_PEER, at), Counter::Accepted);
        assert_eq!(bench.slot(number).reflector_sequence, number);
    }
}
