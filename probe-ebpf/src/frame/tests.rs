use super::*;

/// An IPv4 UDP frame from 192.0.2.1:50000 to 192.0.2.2:862 with four octets of payload.
const V4: [u8; 46] = [
    0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00, // Ethernet
    0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
    0xc3, 0x50, 0x03, 0x5e, 0, 12, 0, 0, // UDP
    1, 2, 3, 4,
];

fn v6(next_header: u8) -> Vec<u8> {
    let mut frame = V4[..12].to_vec();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 12, next_header, 64]);
    frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    frame.extend(&V4[34..]);
    frame
}

/// The frame with VLAN tags of these types put in.
fn tagged(frame: &[u8], types: &[u16]) -> Vec<u8> {
    let tags = types.iter().flat_map(|tag| [tag.to_be_bytes(), [0, 100]].concat());
    frame[..12].iter().copied().chain(tags).chain(frame[12..].iter().copied()).collect()
}

fn changed(at: usize, octets: &[u8]) -> Vec<u8> {
    let mut frame = V4.to_vec();
    frame[at..at + octets.len()].copy_from_slice(octets);
    frame
}

#[test]
fn a_datagram_is_found_behind_up_to_two_tags() {
    for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100], &[0x8100, 0x8100]] {
        let frame = tagged(&V4, tags);
        let udp = Udp::find(&frame[..]).unwrap();
        assert_eq!(udp.ip_at, 14 + 4 * tags.len());
        assert_eq!((udp.source_port, udp.destination_port), (50_000, 862));
        assert_eq!(frame[udp.payload_at()..], [1, 2, 3, 4]);
        assert_eq!(udp.source(&frame[..]), Some(Address::v4([192, 0, 2, 1])));
        assert_eq!(udp.destination(&frame[..]), Some(Address::v4([192, 0, 2, 2])));
    }
}

#[test]
fn a_datagram_is_found_in_ipv6() {
    let frame = v6(17);
    let udp = Udp::find(&frame[..]).unwrap();
    assert_eq!((udp.version, udp.ip_at, udp.udp_at), (IpVersion::V6, 14, 54));
    let address: core::net::IpAddr = "2001:db8::2".parse().unwrap();
    assert_eq!(udp.destination(&frame[..]), Some(Address::from(address)));
    assert_eq!(udp.ttl(&frame[..]), Some(64));
}

/// Every reason for which a frame is not ours.
#[test]
fn what_is_not_understood_is_not_ours() {
    for (reason, frame) in [
        (NotOurs::NotIp, changed(12, &[0x08, 0x06])),
        (NotOurs::NotIp, changed(14, &[0x65])),
        (NotOurs::VlanDepth, tagged(&V4, &[0x88a8, 0x8100, 0x8100])),
        (NotOurs::Ipv4Options, changed(14, &[0x46])),
        (NotOurs::Fragment, changed(20, &[0x20, 0])),
        (NotOurs::Fragment, changed(20, &[0, 1])),
        (NotOurs::NotUdp, changed(23, &[6])),
        (NotOurs::NotUdp, v6(58)),
        (NotOurs::Ipv6Extension, v6(0)),
        (NotOurs::Ipv6Extension, v6(44)),
        (NotOurs::Truncated, changed(16, &[0, 33])),
        (NotOurs::Truncated, changed(16, &[0, 19])),
        (NotOurs::Truncated, changed(38, &[0, 13])),
        (NotOurs::Truncated, changed(38, &[0, 7])),
    ] {
        assert_eq!(Udp::find(&frame[..]), Err(reason), "{frame:02x?}");
    }
    let dont_fragment = changed(20, &[0x40, 0]);
    assert!(Udp::find(&dont_fragment[..]).is_ok(), "Don't Fragment is no fragment");
}

#[test]
fn a_frame_that_is_cut_short_is_truncated() {
    for frame in [V4.to_vec(), v6(17), tagged(&V4, &[0x88a8, 0x8100])] {
        for length in 0..frame.len() {
            assert_eq!(Udp::find(&frame[..length]), Err(NotOurs::Truncated), "{length} octets");
        }
        let padded = [frame.clone(), vec![0; 20]].concat();
        assert!(Udp::find(&padded[..]).is_ok(), "padding to the least size of a frame is allowed");
    }
}

#[test]
fn a_traffic_class_is_read_and_written_in_both_versions() {
    for (version, header, written) in
        [(IpVersion::V4, [0x45, 0x2e], [0x45, 0xb9]), (IpVersion::V6, [0x62, 0xe7], [0x6b, 0x97])]
    {
        let udp = Udp {
            ip_at: 0,
            udp_at: 0,
            version,
            source_port: 0,
            destination_port: 0,
            length: UDP_LENGTH as u16,
        };
        let mut frame = header;
        assert_eq!(udp.traffic_class(&frame[..]), Some(0x2e));
        udp.set_traffic_class(&mut frame[..], 0xb9).unwrap();
        assert_eq!((udp.traffic_class(&frame[..]), frame), (Some(0xb9), written));
        assert_eq!(udp.traffic_class(&frame[..1]), None);
    }
}
