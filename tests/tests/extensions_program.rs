//! TLVs (RFC 8972) and timestamps of PTP in the kernel programs.

use probe_ebpf::{
    frame::Udp,
    maps::{Counter, SlotState},
    ntp::Format,
    stamp::{LENGTH, Mode, Reply, Request},
    tlv::{flag, kind},
};
use probe_user::{
    account::Memory as _,
    datapath::{ReflectorOptions, SessionKeys},
};
use tests::{
    golden::{self, octets},
    kernel::{
        Kernel, SOURCE_PORT, XDP_DROP, XDP_TX, checksums_are_right, mend_checksums, with_payload,
    },
};

/// The golden request with TLVs: type, value. The sender sets the U flag (RFC 8972, section 4).
fn request(hex: &str, tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let frame = octets(hex);
    let at = Udp::find(&frame[..]).unwrap().payload_at();
    let mut payload = frame[at..at + LENGTH].to_vec();
    for (kind, value) in tlvs {
        payload.extend_from_slice(&[flag::UNRECOGNISED, *kind]);
        payload.extend_from_slice(&(value.len() as u16).to_be_bytes());
        payload.extend_from_slice(value);
    }
    with_payload(&frame, &payload)
}

/// Flags, type and value of each TLV of a reply.
fn tlvs(frame: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let mut rest = &frame[Udp::find(frame).unwrap().payload_at() + LENGTH..];
    let mut found = Vec::new();
    while let [flags, kind, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        found.push((*flags, *kind, tail[..length].to_vec()));
        rest = &tail[length..];
    }
    found
}

/// RFC 8972, sections 4.1, 4.3, 4.4 and 4.5, over both versions of IP, at even and odd places.
#[test]
fn the_kernel_fills_in_what_it_knows() {
    for hex in [golden::REQUEST_V4, golden::REQUEST_V6] {
        let mut kernel = Kernel::new();
        kernel.ingress(&octets(hex));
        let request = request(
            hex,
            &[
                (kind::EXTRA_PADDING, &[1, 2, 3]),
                (kind::CLASS_OF_SERVICE, &[0x2a << 2, 0, 0, 0]),
                (kind::DIRECT_MEASUREMENT, &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]),
                (kind::TIMESTAMP_INFORMATION, &[0; 4]),
                (200, b"unknown"),
            ],
        );
        let (action, out, counted) = kernel.counted(&request);
        assert_eq!((action, counted), (XDP_TX, vec![Counter::Reflected]), "{hex}");
        assert!(out.len() == request.len() && checksums_are_right(&out), "{hex}");
        let found = tlvs(&out);
        assert_eq!(found[0], (0, kind::EXTRA_PADDING, vec![1, 2, 3]));
        // The golden requests come with DSCP EF (46) and without ECN: DSCP2 is 46.
        assert_eq!(found[1], (0, kind::CLASS_OF_SERVICE, vec![0xaa, 0xe0, 0, 0]));
        let measured = vec![0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2];
        assert_eq!(found[2], (0, kind::DIRECT_MEASUREMENT, measured));
        let source = found[3].2[0];
        assert!(source == 1 || source == 5, "NTP or free-running: {source}");
        assert_eq!(found[3], (0, kind::TIMESTAMP_INFORMATION, vec![source, 2, source, 2]));
        assert_eq!(found[4], (flag::UNRECOGNISED, 200, b"unknown".to_vec()));
        let udp = Udp::find(&out[..]).unwrap();
        assert_eq!(udp.traffic_class(&out[..]), Some(0x2a << 2), "it goes out as it was asked to");
    }
}

/// RFC 8972, section 4: processing stops at a malformed TLV, and the rest is copied.
#[test]
fn a_malformed_tlv_is_flagged_and_ends_it() {
    let mut kernel = Kernel::new();
    let mut request = request(
        golden::REQUEST_V4,
        &[(kind::CLASS_OF_SERVICE, &[0; 3]), (kind::TIMESTAMP_INFORMATION, &[7; 4])],
    );
    mend_checksums(&mut request);
    let out = kernel.ingress(&request).1;
    let found = tlvs(&out);
    assert_eq!(found[0].0 & flag::MALFORMED, flag::MALFORMED);
    assert_eq!(found[1], (flag::UNRECOGNISED, kind::TIMESTAMP_INFORMATION, vec![7; 4]));
    assert!(checksums_are_right(&out));
}

/// A request for the userspace reflector comes there as it was sent, verified and with the number of its
/// reply.
#[test]
fn what_the_kernel_cannot_do_goes_to_userspace() {
    for hex in [golden::REQUEST_V4, golden::REQUEST_V6] {
        let mut kernel = Kernel::new();
        let options = ReflectorOptions { defer: true, ..ReflectorOptions::default() };
        kernel.datapath.set_reflector(&options).unwrap();
        let mut queue = kernel.datapath.take_queue().unwrap();
        kernel.ingress(&octets(hex));
        let request = request(hex, &[(kind::FOLLOW_UP_TELEMETRY, &[0; 16])]);
        let (action, out, counted) = kernel.counted(&request);
        assert_eq!((action, counted), (XDP_DROP, vec![Counter::Deferred]));
        assert_eq!(out, request, "and is left as it is");
        let taken = queue.take().expect("the request is in the queue");
        let udp = Udp::find(&request[..]).unwrap();
        assert_eq!(taken.payload, request[udp.payload_at()..]);
        let header = taken.header;
        assert_eq!(Some(header.source), udp.source(&request[..]));
        assert_eq!(Some(header.destination), udp.destination(&request[..]));
        assert_eq!((header.source_port, header.sequence, header.key), (50_000, 1, 0));
        assert_eq!((header.ttl, header.traffic_class), (253, 46 << 2));
        assert!(header.receive_timestamp > 0xe000_0000 << 32, "T2");
        assert!(queue.take().is_none());
        // What is behind it in the session has the next number.
        let out = kernel.ingress(&octets(hex)).1;
        assert_eq!(reply(&out).sequence, 2);
    }
}

#[test]
fn what_userspace_has_no_room_for_is_counted_and_takes_no_number() {
    let mut kernel = Kernel::new();
    let options = ReflectorOptions { defer: true, ..ReflectorOptions::default() };
    kernel.datapath.set_reflector(&options).unwrap();
    let request = request(golden::REQUEST_V4, &[(kind::LOCATION, &[0; 4])]);
    let mut deferred = 0;
    while kernel.counted(&request).2 == [Counter::Deferred] {
        deferred += 1;
        assert!(deferred < 10_000, "the queue has an end");
    }
    assert_eq!(kernel.counted(&request).2, [Counter::NotDeferred]);
    assert_eq!(reply(&kernel.ingress(&octets(golden::REQUEST_V4)).1).sequence, deferred);
}

/// Without a userspace reflector, what the kernel does not know is unrecognised.
#[test]
fn without_userspace_the_rest_is_unrecognised() {
    let mut kernel = Kernel::new();
    let request = request(golden::REQUEST_V4, &[(kind::LOCATION, &[0; 4])]);
    let (action, out) = kernel.ingress(&request);
    assert_eq!(action, XDP_TX);
    assert_eq!(tlvs(&out), [(flag::UNRECOGNISED, kind::LOCATION, vec![0; 4])]);
}

fn reply(frame: &[u8]) -> Reply {
    let at = Udp::find(frame).unwrap().payload_at();
    Reply::read(frame, at, Mode::Unauthenticated).unwrap()
}

/// A kernel with a session on its way to 192.0.2.2, and that session's first packet as it left.
fn departed(kernel: &mut Kernel, ssid: u16) -> Request {
    let reflector = "192.0.2.2:862".parse().unwrap();
    let keys = SessionKeys::default();
    kernel.datapath.open_session(ssid, SOURCE_PORT, reflector, keys).unwrap();
    let template = Request { sequence: 0, timestamp: 0, error_estimate: 0, ssid };
    let stamped = kernel.egress(&with_payload(&octets(golden::REQUEST_V4), &template.encode()));
    let at = Udp::find(&stamped[..]).unwrap().payload_at();
    Request::read(&stamped[..], at, Mode::Unauthenticated).unwrap()
}

fn answer(request: &Request) -> Reply {
    Reply {
        sequence: 0,
        timestamp: request.timestamp + 2,
        error_estimate: request.error_estimate,
        ssid: request.ssid,
        receive_timestamp: request.timestamp + 1,
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error_estimate: request.error_estimate,
        sender_ttl: 250,
    }
}

/// RFC 8972, section 3: a reflector that knows no SSID returns zeros in its place.
#[test]
fn a_reply_without_ssid_is_known_by_its_addresses_and_ports() {
    let mut kernel = Kernel::new();
    let request = departed(&mut kernel, 9);
    let reply = Reply { ssid: 0, ..answer(&request) };
    let frame = with_payload(&octets(golden::REPLY_V4), &reply.encode());
    assert_eq!(kernel.counted(&frame).2, [Counter::Accepted]);
    assert_eq!(kernel.datapath.session(9).slot(0).state, SlotState::Answered as u32);
    kernel.datapath.close_session(9);
    assert_eq!(kernel.counted(&frame).2, [Counter::UnknownSession]);
}

/// RFC 8762, section 4.2.1: the Z bit of the reflector's Error Estimate says what its timestamps are.
#[test]
fn a_reflector_may_use_ptp_timestamps() {
    let mut kernel = Kernel::new();
    let request = departed(&mut kernel, 9);
    // 1,000 s since 1970, and half a second of residence: longer than the round trip, so not believed;
    // then 100 ns, which is.
    for (sequence, residence) in [(0, 500_000_000), (1, 100)] {
        let request = if sequence == 0 { request } else { departed_again(&mut kernel) };
        let reply = Reply {
            timestamp: (1_000 << 32) | (7 + residence),
            receive_timestamp: (1_000 << 32) | 7,
            error_estimate: Format::Ptp.mark(0x8001),
            ..answer(&request)
        };
        let frame = with_payload(&octets(golden::REPLY_V4), &reply.encode());
        assert_eq!(kernel.counted(&frame).2, [Counter::Accepted]);
        let slot = kernel.datapath.session(9).slot(sequence);
        let sent_at = i128::from(request.timestamp >> 32) - 2_208_988_800;
        let forward = i128::from(slot.forward_delay) / 1_000_000_000;
        assert!((forward - (1_000 - sent_at)).abs() <= 1, "{forward} s, sent at {sent_at} s");
    }
}

fn departed_again(kernel: &mut Kernel) -> Request {
    let template = Request { sequence: 0, timestamp: 0, error_estimate: 0, ssid: 9 };
    let stamped = kernel.egress(&with_payload(&octets(golden::REQUEST_V4), &template.encode()));
    let at = Udp::find(&stamped[..]).unwrap().payload_at();
    Request::read(&stamped[..], at, Mode::Unauthenticated).unwrap()
}

/// RFC 8762, section 4.2.1: our own timestamps may be PTP's, in both roles.
#[test]
fn our_timestamps_may_be_ptps() {
    let mut kernel = Kernel::with_timestamps(Format::Ptp);
    let request = departed(&mut kernel, 9);
    let reply = reply(&kernel.ingress(&octets(golden::REQUEST_V4)).1);
    for (timestamp, error_estimate) in [
        (request.timestamp, request.error_estimate),
        (reply.timestamp, reply.error_estimate),
        (reply.receive_timestamp, reply.error_estimate),
    ] {
        assert_eq!(Format::of(error_estimate), Format::Ptp, "the Z bit");
        assert!(timestamp as u32 <= 999_999_999, "nanoseconds");
        assert!((1_700_000_000..2_208_988_800).contains(&(timestamp >> 32)), "seconds since 1970");
    }
}

#[test]
fn replies_that_come_out_of_order_are_counted_and_so_are_duplicates() {
    let mut kernel = Kernel::new();
    let mut requests = vec![departed(&mut kernel, 9)];
    requests.extend((0..3).map(|_| departed_again(&mut kernel)));
    for index in [0, 2, 1, 3, 3] {
        let frame = with_payload(&octets(golden::REPLY_V4), &answer(&requests[index]).encode());
        kernel.ingress(&frame);
    }
    let counts = kernel.datapath.session(9).replies();
    assert_eq!((counts.reordered, counts.duplicates), (1, 1));
    assert_eq!((counts.sender_ttl, counts.error_estimate), (250, requests[3].error_estimate));
}
