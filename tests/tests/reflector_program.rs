//! The Session-Reflector in the kernel: golden packets in, action and bytes out.

use probe_ebpf::{
    frame::{Udp, udp},
    maps::Counter,
    stamp::{self, Mode, Reply},
    tlv::flag,
};
use tests::{
    golden::{self, octets},
    kernel::{Kernel, XDP_DROP, XDP_PASS, XDP_TX, checksums_are_right, mend_checksums, payload},
};

/// The offset of the IP header in an untagged frame.
const IP: usize = 14;
/// The offset of the UDP header in [`golden::REQUEST_V4`].
const UDP: usize = 34;

fn reply(frame: &[u8]) -> Reply {
    let udp = Udp::find(frame).unwrap();
    Reply::read(frame, udp.payload_at(), Mode::Unauthenticated).unwrap()
}

/// RFC 8762, section 4.3.1: every field of the reply, in every encapsulation.
#[test]
fn a_request_becomes_its_reply() {
    for hex in [
        golden::REQUEST_V4,
        golden::REQUEST_V6,
        golden::REQUEST_VLAN,
        golden::REQUEST_QINQ,
        golden::REQUEST_LONG,
    ] {
        let mut kernel = Kernel::new();
        let request = octets(hex);
        let (action, out, counted) = kernel.counted(&request);
        assert_eq!((action, counted), (XDP_TX, vec![Counter::Reflected]), "{hex}");
        assert_eq!(out.len(), request.len(), "amplification is 1");
        assert!(checksums_are_right(&out), "{hex}");
        // Addresses and ports are swapped, what is between Ethernet addresses and IP stays.
        assert_eq!((&out[..6], &out[6..12]), (&request[6..12], &request[..6]));
        let (was, is) = (Udp::find(&request[..]).unwrap(), Udp::find(&out[..]).unwrap());
        assert_eq!(out[12..was.ip_at], request[12..was.ip_at], "Ethertype and tags");
        assert_eq!(is.source(&out[..]), was.destination(&request[..]));
        assert_eq!(is.destination(&out[..]), was.source(&request[..]));
        assert_eq!((is.source_port, is.destination_port), (862, 50_000));
        assert_eq!(is.ttl(&out[..]), Some(stamp::TTL));
        let tail = was.payload_at() + stamp::LENGTH;
        // What is behind the base packet of the long one is no TLV: copied, and flagged so.
        let (copied, flags) = (out[tail..].iter().skip(1), out.get(tail));
        assert!(copied.eq(request[tail..].iter().skip(1)), "{hex}");
        assert!(flags.is_none_or(|flags| *flags == flag::UNRECOGNISED | flag::MALFORMED));

        let reply = reply(&out);
        assert_eq!(reply.sequence, 0, "the reflector numbers from 0 (RFC 8762, section 4.3)");
        assert_eq!((reply.sender_sequence, reply.ssid), (7, 0x1234));
        assert_eq!(reply.sender_timestamp, 0xee00_0000_4000_0000);
        assert_eq!((reply.sender_error_estimate, reply.sender_ttl), (0x8c22, 253));
        assert_ne!(reply.error_estimate & 0xff, 0, "a multiplier of 0 is invalid");
        let residence = reply.timestamp.wrapping_sub(reply.receive_timestamp);
        assert!(residence > 0 && residence < 1 << 32, "T3 - T2 is {residence} / 2^32 s");
        assert_eq!(payload::<2>(&out, 38), [0; 2], "must be zero");
        assert_eq!(payload::<3>(&out, 41), [0; 3], "must be zero");
    }
}

/// RFC 8762, section 4.3: stateful, each session by itself.
#[test]
fn each_session_is_numbered_by_itself() {
    let mut kernel = Kernel::new();
    let request = octets(golden::REQUEST_V4);
    let mut other = request.clone();
    other[UDP + 8 + Mode::Unauthenticated.offsets().ssid + 1] ^= 1;
    mend_checksums(&mut other);
    for expected in 0..3 {
        assert_eq!(reply(&kernel.ingress(&request).1).sequence, expected);
    }
    assert_eq!(reply(&kernel.ingress(&other).1).sequence, 0, "another SSID");
    assert_eq!(
        reply(&kernel.ingress(&octets(golden::REQUEST_V6)).1).sequence,
        0,
        "another address"
    );
    assert_eq!(reply(&kernel.ingress(&request).1).sequence, 3);
}

#[test]
fn numbering_goes_on_when_peers_or_addresses_change() {
    let mut kernel = Kernel::new();
    let request = octets(golden::REQUEST_V4);
    kernel.ingress(&request);
    let address = Udp::find(&request[..]).unwrap().source(&request[..]).unwrap();
    kernel.datapath.set_peer(address, 2, false).unwrap();
    assert_eq!(reply(&kernel.ingress(&request).1).sequence, 1);
    assert_eq!(kernel.datapath.arrivals(2).packets, 1, "the peer is known from now on");
    assert!(kernel.datapath.arrivals(2).last_at > 0);

    kernel.datapath.set_local_addresses([].into()).unwrap();
    let (action, out) = kernel.ingress(&request);
    assert_eq!((action, out), (XDP_PASS, request), "no longer an address of ours");
}

/// RFC 768: no checksum is allowed over IPv4. A reply has one in any case.
#[test]
fn a_request_without_checksum_is_answered_with_one() {
    let mut request = octets(golden::REQUEST_V4);
    request[UDP + udp::CHECKSUM..UDP + 8].fill(0);
    let (action, out) = Kernel::new().ingress(&request);
    assert_eq!(action, XDP_TX);
    assert!(checksums_are_right(&out));
}

/// On a veth, the sender's kernel has summed up the pseudo-header only.
#[test]
fn a_partial_checksum_is_accepted_and_the_replys_is_full() {
    for hex in [golden::REQUEST_V4, golden::REQUEST_V6, golden::REQUEST_LONG] {
        let mut request = octets(hex);
        let udp = Udp::find(&request[..]).unwrap();
        let partial = udp.pseudo_header(&request[..]).unwrap().folded();
        let at = udp.udp_at + udp::CHECKSUM;
        request[at..at + 2].copy_from_slice(&partial);
        let (action, out) = Kernel::new().ingress(&request);
        assert_eq!(action, XDP_TX, "{hex}");
        assert!(checksums_are_right(&out), "{hex}");
    }
}

/// Every length that a frame can have, odd ones and those around the chunks of the checksum too.
#[test]
fn requests_of_all_lengths_are_answered() {
    let mut kernel = Kernel::new();
    let base = octets(golden::REQUEST_V4);
    for extra in (0..80).chain(500..520).chain(1010..1040).chain([1400, 1428]) {
        let mut request = base.clone();
        request.extend((0..extra).map(|i| (i * 7) as u8));
        let length = (8 + stamp::LENGTH + extra) as u16;
        request[IP + 2..IP + 4].copy_from_slice(&(length + 20).to_be_bytes());
        request[UDP + udp::LENGTH..UDP + udp::LENGTH + 2].copy_from_slice(&length.to_be_bytes());
        mend_checksums(&mut request);
        let (action, out) = kernel.ingress(&request);
        assert_eq!(action, XDP_TX, "{extra} octets behind the base packet");
        assert!(checksums_are_right(&out), "{extra} octets behind the base packet");
    }
}

/// Changes a golden packet, and mends its checksums if it is still a datagram.
fn changed(hex: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = octets(hex);
    change(&mut frame);
    if Udp::find(&frame[..]).is_ok() {
        mend_checksums(&mut frame);
    }
    frame
}

/// Every reason to pass: the frame leaves as it came.
#[test]
fn what_is_not_ours_passes_untouched() {
    let arp = octets("ffffffffffff 020000000001 0806 0001080006040001");
    for (reason, frame) in [
        (Counter::NotIp, arp),
        (
            Counter::VlanDepth,
            octets("020000000002 020000000001 88a80007 81000064 81000065 0800 4500"),
        ),
        (Counter::Truncated, octets(golden::REQUEST_V4)[..60].to_vec()),
        (Counter::Truncated, octets(golden::REQUEST_V6)[..40].to_vec()),
        (Counter::Truncated, changed(golden::REQUEST_V4, |f| f[UDP + udp::LENGTH + 1] -= 1)),
        (Counter::Ipv4Options, changed(golden::REQUEST_V4, |f| f[IP] = 0x46)),
        (Counter::Fragment, changed(golden::REQUEST_V4, |f| f[IP + 6] = 0x20)),
        (Counter::Ipv6Extension, changed(golden::REQUEST_V6, |f| f[IP + 6] = 44)),
        (Counter::NotUdp, changed(golden::REQUEST_V4, |f| f[IP + 9] = 6)),
        (Counter::OtherPort, changed(golden::REQUEST_V4, |f| f[UDP + 3] ^= 1)),
        (Counter::NotLocal, changed(golden::REQUEST_V4, |f| f[IP + 19] = 77)),
        (Counter::NotLocal, changed(golden::REQUEST_V6, |f| f[IP + 39] = 77)),
    ] {
        let (action, out, counted) = Kernel::new().counted(&frame);
        assert_eq!((action, counted), (XDP_PASS, vec![reason]), "{reason:?}");
        assert_eq!(out, frame, "{reason:?}");
    }
}

/// Every reason to drop a request.
#[test]
fn what_is_wrong_with_a_request_has_a_reason() {
    let short = |f: &mut Vec<u8>| {
        f.truncate(UDP + 8 + 20);
        f[IP + 2..IP + 4].copy_from_slice(&48_u16.to_be_bytes());
        f[UDP + udp::LENGTH..UDP + udp::LENGTH + 2].copy_from_slice(&28_u16.to_be_bytes());
    };
    let corrupt = |hex: &str, at: usize| {
        let mut frame = octets(hex);
        frame[at] ^= 0x10;
        frame
    };
    for (reason, frame) in [
        (Counter::TooShort, changed(golden::REQUEST_V4, short)),
        (Counter::Ipv4Checksum, corrupt(golden::REQUEST_V4, IP + 8)),
        (Counter::UdpChecksum, corrupt(golden::REQUEST_V4, UDP + 8 + 5)),
        (Counter::UdpChecksum, corrupt(golden::REQUEST_LONG, UDP + 8 + stamp::LENGTH + 9)),
        (Counter::UdpChecksum, {
            let mut frame = octets(golden::REQUEST_V6);
            frame[IP + 40 + udp::CHECKSUM..IP + 48].fill(0);
            frame
        }),
        // What a reflector at another port has sent is not answered either. Its destination is ours.
        (
            Counter::ReflectorLoop,
            changed(golden::REPLY_V4, |f| {
                f[UDP..UDP + 2].copy_from_slice(&5_000_u16.to_be_bytes());
                f[UDP + 2..UDP + 4].copy_from_slice(&862_u16.to_be_bytes());
            }),
        ),
        (
            Counter::ReflectorLoop,
            changed(golden::REQUEST_V4, |f| {
                f[UDP..UDP + 2].copy_from_slice(&862_u16.to_be_bytes());
            }),
        ),
    ] {
        let (action, out, counted) = Kernel::new().counted(&frame);
        assert_eq!((action, counted), (XDP_DROP, vec![reason]), "{reason:?}");
        assert_eq!(out, frame, "{reason:?}: a packet that is dropped is not written to either");
    }
}
