//! The TLVs that kernel and userspace handle alike.

use probe_ebpf::{
    stamp::Mode,
    tlv::{self, Facts, HEADER_LENGTH, Header, MAX_TLVS, Survey, flag, kind},
};

/// Octets before the TLVs, and behind them, that are none of them.
const AROUND: usize = 3;

/// The first octet says what mode, and whether some DSCPs are forbidden, the second is the traffic
/// class; the rest are TLVs.
///
/// # Panics
/// Where a rule of RFC 8972, section 4, does not hold.
pub fn check(input: &[u8]) {
    let [options, traffic_class, tlvs @ ..] = input else { return };
    let mode = if options & 1 == 0 { Mode::Unauthenticated } else { Mode::Authenticated };
    let mut facts = Facts::new(mode, *traffic_class, 0x0102_0304, 1);
    if options & 2 != 0 {
        facts.permitted = 0x5555_5555_5555_5555;
    }
    let mut frame = vec![0xe7; AROUND];
    frame.extend(tlvs);
    let end = frame.len();
    frame.extend([0xe7; AROUND]);
    let request = frame.clone();
    let survey = tlv::survey(&request[..], AROUND, end, mode);
    let asked = tlv::reflect(&mut frame[..], AROUND, end, &facts);
    assert_eq!((&frame[..AROUND], &frame[end..]), (&[0xe7; AROUND][..], &[0xe7; AROUND][..]));

    let mut again = frame.clone();
    assert_eq!(tlv::reflect(&mut again[..], AROUND, end, &facts), asked);
    assert_eq!(again, frame, "TLVs that are reflected twice are those that are reflected once");
    assert_eq!(tlv::survey(&frame[..], AROUND, end, mode), survey);
    if survey == Survey::None {
        assert_eq!(frame, request, "what is no TLV is copied");
        assert_eq!(asked, *traffic_class);
        return;
    }
    assert_eq!(asked & 0b11, *traffic_class & 0b11, "nobody asks for ECN");
    check_each(&request[..end], &frame[..end], &facts);
}

/// Compares the TLVs of request and reply, one by one.
fn check_each(request: &[u8], reply: &[u8], facts: &Facts) {
    let mut at = AROUND;
    for _ in 0..MAX_TLVS {
        let Some(asked) = Header::read(request, at, request.len()) else { return };
        let given = Header::read(reply, at, reply.len()).unwrap();
        assert_eq!(
            (given.kind, given.length, given.is_malformed),
            (asked.kind, asked.length, asked.is_malformed)
        );
        let is_known = asked.kind == kind::EXTRA_PADDING
            || facts.trusted
                && (kind::TIMESTAMP_INFORMATION..=kind::DIRECT_MEASUREMENT).contains(&asked.kind);
        let unrecognised = if is_known { 0 } else { flag::UNRECOGNISED };
        let malformed = if asked.is_malformed { flag::MALFORMED } else { 0 };
        let expected = unrecognised | malformed;
        assert_eq!(given.flags, expected, "at {at}");
        if asked.is_malformed {
            assert_eq!(reply[at + 1..], request[at + 1..], "the rest is copied");
            return;
        }
        let value = at + HEADER_LENGTH..asked.next(at);
        if !is_known || asked.kind == kind::EXTRA_PADDING {
            assert_eq!(reply[value.clone()], request[value.clone()], "a value that is copied");
        }
        at = value.end;
    }
    assert_eq!(reply[at..], request[at..], "what is beyond is left as it is");
}
