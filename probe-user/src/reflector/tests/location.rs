//! RFC 8972, section 4.2: the Location TLV.

use super::*;

#[track_caller]
fn check_from(source: Address, destination: Address, asked: &str, expected: &str) {
    let asked = payload(Mode::Unauthenticated, &octets(asked));
    let from = Request { source, destination, ..request(&asked) };
    let answer = Reflector::new(Settings::default()).reflect(from, 0, || T3).unwrap();
    assert_eq!(answer.payload[44..], octets(expected));
}

#[track_caller]
fn check(asked: &str, expected: &str) {
    check_from(sender(), own(), asked, expected);
}

/// Destination Port, then Source Port, of the request.
#[test]
fn ports_are_told() {
    check("80020004 00000000", "00020004 035ec350");
    check("80020004 ffffffff 80010000", "00020004 035ec350 00010000");
}

/// Section 4.2.2: a request for an address is answered with a sub-TLV of that address's kind.
#[test]
fn addresses_are_told() {
    let zeros = "00".repeat(16);
    check(
        &format!("8002002c 00000000 80040010 {zeros} 80070010 {zeros}"),
        &format!(
            "0002002c 035ec350 00050010 c0000202{} 00080010 c0000201{}",
            &zeros[8..],
            &zeros[8..]
        ),
    );
    let v6 = |last| Address::v6([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    check_from(
        v6(1),
        v6(2),
        &format!("8002002c 00000000 80040010 {zeros} 80070010 {zeros}"),
        "0002002c 035ec350 00060010 20010db8000000000000000000000002 \
         00090010 20010db8000000000000000000000001",
    );
}

/// Section 4.2.2: no Source MAC Address is known here, so the EUI-64 field is zero.
#[test]
fn an_unknown_mac_address_is_zero() {
    check(
        "80020010 00000000 80010008 ffffffffffffffff",
        "00020010 035ec350 00030008 0000000000000000",
    );
}

/// Section 4.2.1: flags of sub-TLVs are as those of TLVs, but for I, which is 0.
#[test]
fn unknown_sub_tlvs_are_copied() {
    check("8002000a 00000000 a0f00002 aabb", "0002000a 035ec350 80f00002 aabb");
}

/// Section 4.2: a Location TLV that is not well formed is a malformed TLV; the rest is copied.
#[test]
fn malformed_sub_tlvs_are_marked() {
    let rest = "80030004 00000000";
    for (asked, expected) in [
        ("80020008 00000000 80040000", "40020008 00000000 40040000"),
        ("8002000a 00000000 80f00003 aabb", "4002000a 00000000 40f00003 aabb"),
        ("80020006 00000000 8004", "40020006 00000000 4004"),
        ("80020003 000000", "40020003 000000"),
    ] {
        check(&format!("{asked} {rest}"), &format!("{expected} {rest}"));
    }
}
