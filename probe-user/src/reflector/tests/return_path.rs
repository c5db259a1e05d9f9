//! RFC 9503: Destination Node Address and Return Path.

use super::*;

fn reflected(tlvs: &str) -> Result<(Vec<u8>, Address), Counter> {
    let second = Address::v4([192, 0, 2, 3]);
    let v6 = Address::from("2001:db8::2".parse::<std::net::IpAddr>().unwrap());
    let local_addresses = HashSet::from([own(), second, v6]);
    let settings = Settings { local_addresses, ..Settings::default() };
    let asked = payload(Mode::Unauthenticated, &octets(tlvs));
    let answer = Reflector::new(settings).reflect(request(&asked), 0, || T3)?;
    Ok((answer.payload[44..].to_vec(), answer.source))
}

/// RFC 9503, section 3: U where it is not us; else the reply comes from that address.
#[test]
fn the_destination_node_is_us_or_is_not() {
    for (asked, expected, source) in [
        ("80090004 c0000202", "00090004 c0000202", own()),
        ("80090004 c0000203", "00090004 c0000203", Address::v4([192, 0, 2, 3])),
        ("80090004 c0000209", "80090004 c0000209", own()),
        // An address of ours, but none that an IPv4 packet can come from.
        (
            "80090010 20010db8000000000000000000000002",
            "00090010 20010db8000000000000000000000002",
            own(),
        ),
        (
            "80090010 20010db8000000000000000000000003",
            "80090010 20010db8000000000000000000000003",
            own(),
        ),
        ("80090008 c000020200000000", "40090008 c000020200000000", own()),
    ] {
        assert_eq!(reflected(asked), Ok((octets(expected), source)), "{asked}");
    }
}

/// RFC 9503, section 4.1.1: a Control Code of 0 asks for no reply, whatever else is there.
#[test]
fn no_reply_where_none_is_wanted() {
    for asked in [
        "800a0008 80010004 00000000",
        "800a0008 80010004 fffffffe",
        "800a0010 80010004 00000000 80020004 c0000201",
    ] {
        assert_eq!(reflected(asked), Err(Counter::NoReplyWanted), "{asked}");
    }
}

/// RFC 9503, section 4: U where the path cannot be used; the reply goes the usual way.
#[test]
fn return_paths_are_used_or_marked() {
    let segments = "20010db8000000000000000000000009";
    for (asked, expected) in [
        // To where the request came from.
        ("800a0008 80020004 c0000201".into(), "000a0008 00020004 c0000201".into()),
        ("800a0008 80020004 c0000209".into(), "800a0008 00020004 c0000209".into()),
        // On the same link.
        ("800a0008 80010004 00000001".into(), "800a0008 00010004 00000001".into()),
        ("800a0008 80030004 00010140".into(), "800a0008 00030004 00010140".into()),
        (format!("800a0014 80040010 {segments}"), format!("800a0014 00040010 {segments}")),
        (
            format!("800a001c 80020004 c0000201 80040010 {segments}"),
            format!("800a001c 00020004 c0000201 00040010 {segments}"),
        ),
        (
            format!("800a001c 80040010 {segments} 80020004 c0000201"),
            format!("800a001c 00040010 {segments} 00020004 c0000201"),
        ),
        ("800a0005 80f00001 aa".into(), "800a0005 80f00001 aa".into()),
        // Section 4: only the first one counts.
        (
            "800a0008 80020004 c0000201 800a0008 80010004 00000000".to_owned(),
            "000a0008 00020004 c0000201 800a0008 80010004 00000000".to_owned(),
        ),
    ] {
        assert_eq!(reflected(&asked), Ok((octets(&expected), own())), "{asked}");
    }
}

/// RFC 8972, section 4, for the sub-TLVs of RFC 9503, section 4.1: lengths that cannot be.
#[test]
fn malformed_sub_tlvs_are_marked() {
    let rest = "80030004 00000000";
    for (asked, expected) in [
        ("800a0006 80010002 0000", "400a0006 40010002 0000"),
        ("800a0004 80040000", "400a0004 40040000"),
        ("800a000c 80040008 0000000000000000", "400a000c 40040008 0000000000000000"),
        ("800a0006 80030002 0000", "400a0006 40030002 0000"),
        ("800a0009 80020005 c000020100", "400a0009 40020005 c000020100"),
        ("800a0004 80f00001", "400a0004 c0f00001"),
        ("800a0000", "400a0000"),
    ] {
        let expected = octets(&format!("{expected} {rest}"));
        assert_eq!(reflected(&format!("{asked} {rest}")), Ok((expected, own())), "{asked}");
    }
}
