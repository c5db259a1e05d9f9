//! RFC 8972, section 4: the TLVs and their HMAC.

use super::*;

/// An HMAC TLV for a packet with these TLVs before it.
fn hmac_tlv(key: &Key, sequence: u32, tlvs: &[u8]) -> Vec<u8> {
    let mut tlv = octets("80080010");
    tlv.extend(key.tag(&[&sequence.to_be_bytes(), tlvs]));
    tlv
}

/// The TLVs of the reply to a request with these, and its traffic class.
fn reflected(settings: Settings, mode: Mode, tlvs: &[u8]) -> (Vec<u8>, u8) {
    let asked = match mode {
        Mode::Unauthenticated => payload(mode, tlvs),
        Mode::Authenticated => signed(&Key::new(SECRET), tlvs),
    };
    let answer = Reflector::new(settings).reflect(request(&asked), 0, || T3).unwrap();
    assert_eq!(answer.payload.len(), asked.len());
    (answer.payload[mode.length()..].to_vec(), answer.traffic_class)
}

#[track_caller]
fn check(request: &str, reply: &str) {
    let (tlvs, _) = reflected(Settings::default(), Mode::Unauthenticated, &octets(request));
    assert_eq!(tlvs, octets(reply), "{request}");
}

/// What the kernel can do too, with the facts of this request: DSCP 46, the first of its session.
#[test]
fn simple_tlvs_are_answered() {
    check("80010003 aabbcc", "00010003 aabbcc");
    check("80030004 00000000", "00030004 05020502");
    check("8005000c 00000007 00000000 00000000", "0005000c 00000007 00000001 00000001");
    check("80f00002 aabb", "80f00002 aabb");
    check("80030005 0000000000 80030004 00000000", "40030005 0000000000 80030004 00000000");
    check("00000000 ffff", "00000000 ffff");
}

/// RFC 8972, section 4.4, with erratum 8199, and section 6: the local policy.
#[test]
fn class_of_service_follows_the_policy() {
    let tlv = octets("80040004 28000000");
    let granted = reflected(Settings::default(), Mode::Unauthenticated, &tlv);
    assert_eq!(granted, (octets("00040004 2ae00000"), 0x28));
    let settings = Settings { permitted_dscps: 1 << 46, ..Settings::default() };
    let refused = reflected(settings, Mode::Unauthenticated, &tlv);
    assert_eq!(refused, (octets("00040004 2ae10000"), 0xb8));
}

/// Longer chains than the kernel walks.
#[test]
fn every_tlv_is_answered_however_many_there_are() {
    check(&"80030004 00000000".repeat(40), &"00030004 05020502".repeat(40));
}

/// RFC 8972, section 4.6.
#[test]
fn an_access_report_is_echoed() {
    check("80060004 1f01ffff", "00060004 10010000");
    check("80060004 20020000", "00060004 20020000");
    // An Access ID that does not exist: not taken notice of.
    check("80060004 3f01ffff", "80060004 3f01ffff");
    check("80060004 00010000", "80060004 00010000");
    check("80060005 1001000000", "40060005 1001000000");
}

/// RFC 8972, section 4.7: Sequence Number and T3 of the reply before.
#[test]
fn follow_up_telemetry_tells_of_the_last_reply() {
    let mut reflector = Reflector::new(Settings::default());
    let asked =
        payload(Mode::Unauthenticated, &octets("80070010 ffffffffffffffff ffffffff ffffffff"));
    let mut told = |number: u64| {
        let answer = reflector.reflect(request(&asked), 0, || T3 + number).unwrap();
        answer.payload[Mode::Unauthenticated.length()..].to_vec()
    };
    assert_eq!(told(0), octets("00070010 00000000 0000000000000000 00 000000"), "none before");
    assert_eq!(told(1), octets("00070010 00000000 ee00000100001000 02 000000"));
    assert_eq!(told(2), octets("00070010 00000001 ee00000100001001 02 000000"));

    // The kernel has answered number 3 itself: nothing is known about it here.
    let admitted = Some(Admitted { sequence: 4, key: 0 });
    let answer = reflector.reflect(Request { admitted, ..request(&asked) }, 0, || T3).unwrap();
    assert_eq!(answer.payload[44..], octets("00070010 00000000 0000000000000000 00 000000"));

    // Section 4.7: a stateless reflector knows none.
    reflector.settings_mut().stateless = true;
    let answer = reflector.reflect(request(&asked), 0, || T3).unwrap();
    assert_eq!(answer.payload[44..], octets("00070010 00000000 0000000000000000 00 000000"));
}

/// RFC 8972, section 4.7, with erratum 8339: zeroed as far as they are there, and M.
#[test]
fn malformed_follow_up_telemetry_is_zeroed() {
    check("80070008 ffffffffffffffff", "40070008 0000000000000000");
    let rest = "80010000";
    check(
        &format!("80070014 {} {rest}", "ff".repeat(20)),
        &format!("40070014 {}{} {rest}", "00".repeat(12), "ff".repeat(8)),
    );
    check("80070010 ffff", "40070010 0000");
}

/// RFC 8972, section 4.8: authenticated TLVs are answered, and signed again.
#[test]
fn tlvs_are_verified_and_signed() {
    let key = Key::new(SECRET);
    let tlvs = octets("80040004 28000000 80010002 aabb");
    let replied = octets("00040004 2ae00000 00010002 aabb");
    let padding = octets("80010001 cc");
    for mode in [Mode::Unauthenticated, Mode::Authenticated] {
        let settings =
            Settings { authenticated_only: mode == Mode::Authenticated, ..settings_with_keys() };
        let asked = [&tlvs[..], &hmac_tlv(&key, 7, &tlvs), &padding].concat();
        // The Sequence Number that the HMAC of the reply covers is the reply's.
        let mut own = hmac_tlv(&key, 0, &replied);
        own[0] = 0;
        let expected = [&replied[..], &own, &octets("00010001 cc")].concat();
        assert_eq!(reflected(settings, mode, &asked), (expected, 0x28), "{mode:?}");
    }
}

/// RFC 8972, section 4.8: nothing in the TLVs is used, all are copied with the I flag.
#[test]
fn tlvs_that_fail_verification_are_copied() {
    let key = Key::new(SECRET);
    let tlvs = octets("80040004 28000000");
    let good = hmac_tlv(&key, 7, &tlvs);
    let wrong = hmac_tlv(&Key::new(b"not ours"), 7, &tlvs);
    let replayed = hmac_tlv(&key, 6, &tlvs);
    let late = octets("80030004 00000000");
    let cases: [(&str, Vec<u8>); 5] = [
        ("another key", [&tlvs[..], &wrong].concat()),
        ("another packet's", [&tlvs[..], &replayed].concat()),
        ("not the last", [&tlvs[..], &good, &late].concat()),
        ("twice", [&tlvs[..], &good, &good].concat()),
        ("malformed", [&tlvs[..], &octets("80080004 00000000")].concat()),
    ];
    for mode in [Mode::Unauthenticated, Mode::Authenticated] {
        let settings =
            Settings { authenticated_only: mode == Mode::Authenticated, ..settings_with_keys() };
        for (what, asked) in &cases {
            let (copied, traffic_class) = reflected(settings.clone(), mode, asked);
            assert_eq!(traffic_class, 0xb8, "{what}: not used");
            let mut at = 0;
            while at < copied.len() {
                let malformed = u8::from(*what == "malformed" && at > 0) * tlv::flag::MALFORMED;
                assert_eq!(copied[at], tlv::flag::INTEGRITY | malformed, "{what}, offset {at}");
                let next = at + 4 + usize::from(copied[at + 3]);
                assert_eq!(copied[at + 1..next], asked[at + 1..next], "{what}: copied");
                at = next;
            }
        }
    }
}

/// Without any key there is nothing to verify an HMAC TLV with.
#[test]
fn an_hmac_that_nobody_can_verify_has_failed() {
    let asked = hmac_tlv(&Key::new(SECRET), 7, &[]);
    let (copied, _) = reflected(Settings::default(), Mode::Unauthenticated, &asked);
    assert_eq!(copied[0], tlv::flag::INTEGRITY);
    assert_eq!(copied[1..], asked[1..]);
}

/// RFC 8972, section 4.8: in authenticated mode all TLVs must be signed, but for a lone Extra Padding.
#[test]
fn authenticated_packets_need_authenticated_tlvs() {
    let check = |request: &str, reply: &str| {
        let reflected = reflected(settings_with_keys(), Mode::Authenticated, &octets(request));
        assert_eq!(reflected, (octets(reply), 0xb8), "{request}");
    };
    check("80010003 aabbcc", "00010003 aabbcc");
    check("00000000 aabbcc", "00000000 aabbcc");
    check("80010001 aa 80010001 bb", "20010001 aa 20010001 bb");
    check("80040004 28000000", "20040004 28000000");
    check("80f00001 aa 80030009 00000000", "a0f00001 aa 60030009 00000000");
}
