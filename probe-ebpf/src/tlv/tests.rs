use super::*;

/// Octets of the headers before the TLVs in these tests: none of their offsets may be taken for zero.
const AT: usize = 5;

const FACTS: Facts = Facts {
    traffic_class: 0xb9,
    received: 0x0102_0304,
    transmitted: 0x0506_0708,
    synchronisation_source: synchronisation_source::NTP,
    permitted: EVERY_DSCP,
    trusted: true,
};

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let octet = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

/// The TLVs of the reply to these, and the traffic class with which it goes out.
fn reflected(hex: &str, facts: &Facts) -> (Vec<u8>, u8) {
    let mut frame = vec![0xee; AT];
    frame.extend(octets(hex));
    // What lies behind the end of the datagram (an Ethernet trailer) is none of its TLVs.
    let end = frame.len();
    frame.extend([0xdd; 64]);
    let traffic_class = reflect(&mut frame[..], AT, end, facts);
    assert_eq!((&frame[..AT], &frame[end..]), (&[0xee; AT][..], &[0xdd; 64][..]));
    (frame[AT..end].to_vec(), traffic_class)
}

#[track_caller]
fn check(request: &str, reply: &str) {
    assert_eq!(reflected(request, &FACTS), (octets(reply), FACTS.traffic_class), "{request}");
}

fn surveyed(hex: &str, mode: Mode) -> Survey {
    let mut frame = vec![0xee; AT];
    frame.extend(octets(hex));
    let end = frame.len();
    frame.extend([0x80, kind::HMAC, 0, 16]);
    survey(&frame[..], AT, end, mode)
}

/// RFC 8972, section 4.1: copied, with the flags of a TLV that was understood.
#[test]
fn extra_padding_is_copied() {
    check("80010003 aabbcc", "00010003 aabbcc");
    check("80010000", "00010000");
    // Section 4: the flags of the request count for nothing, reserved ones among them.
    check("ff010001 aa 60010001 bb", "00010001 aa 00010001 bb");
}

/// RFC 8972, section 4.3: Sync Src In and Timestamp In, Sync Src Out and Timestamp Out.
#[test]
fn timestamp_information_is_filled_in() {
    check("80030004 00000000", "00030004 01020102");
}

/// RFC 8972, section 4.5: S_TxC, R_RxC, R_TxC.
#[test]
fn direct_measurement_is_filled_in() {
    check("8005000c 00000007 00000000 00000000", "0005000c 00000007 01020304 05060708");
    check("8005000c 00000007 ffffffff ffffffff", "0005000c 00000007 01020304 05060708");
}

/// RFC 8972, section 4.4, with erratum 8199.
#[test]
fn class_of_service_is_granted() {
    // DSCP1 10 (AF11). The request came with DSCP 46 (EF) and ECN 1: DSCP2 46, ECN 1, RP 0.
    let (tlv, traffic_class) = reflected("80040004 28000000", &FACTS);
    assert_eq!(tlv, octets("00040004 2ae40000"));
    assert_eq!(tlv[4] >> 2, 10, "DSCP1 stays");
    let fields = u16::from_be_bytes([tlv[4], tlv[5]]);
    assert_eq!(((fields >> 4) & 0x3f, (fields >> 2) & 3, fields & 3), (46, 1, 0), "DSCP2, ECN, RP");
    assert_eq!((traffic_class >> 2, traffic_class & 3), (10, 1), "of the reply's IP header");
    // What the sender has put into DSCP2, ECN, RP and Reserved is ignored.
    assert_eq!(reflected("80040004 2bffffff", &FACTS), (tlv, traffic_class));
}

/// RFC 8972, sections 4.4 and 6: the local policy.
#[test]
fn class_of_service_is_refused() {
    let facts = Facts { permitted: EVERY_DSCP & !(1 << 10), ..FACTS };
    let (tlv, traffic_class) = reflected("80040004 28000000", &facts);
    assert_eq!(tlv, octets("00040004 2ae50000"), "RP is 1");
    assert_eq!(traffic_class, FACTS.traffic_class);
}

/// RFC 8972, section 4: copied, with the U flag; what follows is processed.
#[test]
fn unknown_types_are_copied() {
    for kind in ["00", "0b", "f0", "ff"] {
        check(
            &format!("80{kind}0002 aabb 80030004 00000000"),
            &format!("80{kind}0002 aabb 00030004 01020102"),
        );
    }
    check("000b0000", "800b0000");
    // So does what only the userspace reflector can do.
    check("80020004 00000000", "80020004 00000000");
}

/// RFC 8972, section 4: M is set, the rest is copied as it came.
#[test]
fn malformed_tlvs_end_the_processing() {
    let rest = "80030004 00000000";
    for (request, reply) in [
        ("80030005 0000000000", "40030005 0000000000"),
        ("80030000", "40030000"),
        ("80040003 280000", "40040003 280000"),
        ("80050008 0000000000000000", "40050008 0000000000000000"),
        ("80060005 0000000000", "c0060005 0000000000"),
    ] {
        check(&format!("{request} {rest}"), &format!("{reply} {rest}"));
    }
    // Beyond the end of the packet.
    check("80010001", "40010001");
    check("8001ffff aabb", "4001ffff aabb");
    check("800bffff aabb", "c00bffff aabb");
    // Not even a header.
    check("80010000 80", "00010000 c0");
    check("80010000 800100", "00010000 c00100");
}

/// RFC 8762, section 4.6, by RFC 6038, section 4: a peer without TLVs pads with whatever it likes.
#[test]
fn plain_padding_is_copied() {
    for hex in ["", "00", "7f", "0000", "000000", "00000000 ffff", "00000001"] {
        check(hex, hex);
        for mode in [Mode::Unauthenticated, Mode::Authenticated] {
            assert_eq!(surveyed(hex, mode), Survey::None, "{hex}");
        }
    }
}

/// RFC 8972, section 4.8: without their HMAC, nothing in the TLVs of an authenticated packet counts.
#[test]
fn what_is_not_trusted_is_not_used() {
    let facts = Facts { trusted: false, ..FACTS };
    let (tlvs, traffic_class) =
        reflected("80010001 aa 80040004 28000000 80030004 00000000", &facts);
    assert_eq!(tlvs, octets("00010001 aa 80040004 28000000 80030004 00000000"));
    assert_eq!(traffic_class, FACTS.traffic_class);
    assert!(!Facts::new(Mode::Authenticated, 0, 0, 1).trusted);
    assert!(Facts::new(Mode::Unauthenticated, 0, 0, 1).trusted);
}

#[test]
fn the_survey_names_who_can_do_it() {
    use Survey::{Simple, Userspace};
    for (hex, unauthenticated, authenticated) in [
        ("80010002 aabb", Simple, Simple),
        ("80010000", Simple, Simple),
        ("80010001 aa 80010001 bb", Simple, Userspace),
        ("80030004 00000000", Simple, Userspace),
        ("80040004 00000000 8005000c 000000000000000000000000", Simple, Userspace),
        ("800b0000", Simple, Userspace),
        ("80010003 aabb", Simple, Userspace),
        ("80", Simple, Userspace),
        // What follows a malformed TLV is not looked at.
        ("80030000 80020004 00000000", Simple, Userspace),
        ("80020004 00000000", Userspace, Userspace),
        ("80060004 10010000", Userspace, Userspace),
        ("80070010 00000000000000000000000000000000", Userspace, Userspace),
        ("80010000 80080010 00000000000000000000000000000000", Userspace, Userspace),
        ("80090004 c0000202", Userspace, Userspace),
        ("800a0004 00000000", Userspace, Userspace),
        // RFC 8972, section 4.7: malformed, but some of it is to be zeroed.
        ("80070008 0000000000000000", Userspace, Userspace),
    ] {
        assert_eq!(surveyed(hex, Mode::Unauthenticated), unauthenticated, "{hex}");
        assert_eq!(surveyed(hex, Mode::Authenticated), authenticated, "{hex}, authenticated");
    }
}

#[test]
fn more_tlvs_than_the_kernel_walks_are_for_userspace() {
    let padding = "80010000";
    assert_eq!(surveyed(&padding.repeat(MAX_TLVS), Mode::Unauthenticated), Survey::Simple);
    assert_eq!(surveyed(&padding.repeat(MAX_TLVS + 1), Mode::Unauthenticated), Survey::Userspace);
    let mut expected = octets(&"00010000".repeat(MAX_TLVS));
    expected.extend(octets(padding));
    assert_eq!(reflected(&padding.repeat(MAX_TLVS + 1), &FACTS).0, expected);
}

/// A frame that ends before its datagram does (the caller's mistake) is no reason to panic.
#[test]
fn a_short_frame_is_left_alone() {
    let mut frame = octets("80030004 00");
    assert_eq!(reflect(&mut frame[..], 0, 8, &FACTS), FACTS.traffic_class);
    assert_eq!(survey(&frame[..4], 0, 64, Mode::Unauthenticated), Survey::Simple);
}
