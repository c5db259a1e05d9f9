//! For whom the reflector in the kernel works, and how much.

use probe_ebpf::{
    frame::{Udp, udp},
    maps::{ALLOWANCE, Counter},
    ntp::NANOS_PER_SECOND,
    stamp::{Mode, Reply},
};
use probe_user::datapath::{ReflectorOptions, clock};
use tests::{
    golden::{self, octets},
    kernel::{Kernel, XDP_DROP, XDP_TX, mend_checksums},
};

/// The offset of the UDP header in [`golden::REQUEST_V4`].
const UDP: usize = 34;
/// The offset of the source address in it.
const SOURCE: usize = 26;

/// The golden request from another port, and so of another session.
fn from_port(port: u16) -> Vec<u8> {
    let mut request = octets(golden::REQUEST_V4);
    request[UDP + udp::SOURCE_PORT..][..2].copy_from_slice(&port.to_be_bytes());
    mend_checksums(&mut request);
    request
}

/// The golden request from another host.
fn from_host(host: [u8; 4]) -> Vec<u8> {
    let mut request = octets(golden::REQUEST_V4);
    request[SOURCE..SOURCE + 4].copy_from_slice(&host);
    mend_checksums(&mut request);
    request
}

fn sequence(frame: &[u8]) -> u32 {
    let udp = Udp::find(frame).unwrap();
    Reply::read(frame, udp.payload_at(), Mode::Unauthenticated).unwrap().sequence
}

fn set(kernel: &mut Kernel, options: &ReflectorOptions) {
    kernel.datapath.set_reflector(options).unwrap();
}

/// Makes a session last: several requests over more than a second.
fn make_last(kernel: &mut Kernel, request: &[u8]) {
    for _ in 0..4 {
        assert_eq!(kernel.ingress(request).0, XDP_TX);
    }
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    assert_eq!(kernel.ingress(request).0, XDP_TX);
}

#[test]
fn only_whom_the_list_names_is_answered() {
    let mut kernel = Kernel::new();
    let allow = |prefixes: &[&str]| ReflectorOptions {
        allow: Some(prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect()),
        ..ReflectorOptions::default()
    };
    let (v4, v6) = (octets(golden::REQUEST_V4), octets(golden::REQUEST_V6));
    for (prefixes, answers_v4, answers_v6) in [
        (&["192.0.2.0/24"][..], true, false),
        (&["2001:db8::1"], false, true),
        (&["192.0.2.0/31", "2001:db8::/32"], true, true),
        (&["0.0.0.0/0"], true, false),
        (&["192.0.2.2/31", "2001:db8:1::/48"], false, false),
        (&[], false, false),
    ] {
        set(&mut kernel, &allow(prefixes));
        for (request, answered) in [(&v4, answers_v4), (&v6, answers_v6)] {
            let expected = if answered { Counter::Reflected } else { Counter::NotAllowed };
            assert_eq!(kernel.counted(request).2, [expected], "{prefixes:?}");
        }
    }
    let peer = Udp::find(&v4[..]).unwrap().source(&v4[..]).unwrap();
    kernel.datapath.set_peer(peer, 0, false).unwrap();
    assert_eq!(kernel.counted(&v4).2, [Counter::Reflected], "a peer needs no prefix");
    set(&mut kernel, &ReflectorOptions::default());
    assert_eq!(kernel.counted(&v6).2, [Counter::Reflected], "without a list, everybody");
}

#[test]
fn a_source_gets_its_rate_and_no_more() {
    let mut kernel = Kernel::new();
    let rate = 200;
    set(&mut kernel, &ReflectorOptions { rate: Some(rate), ..ReflectorOptions::default() });
    let began = clock::monotonic();
    let outcomes: Vec<_> = (0..2_000).map(|_| kernel.counted(&from_port(50_001)).2[0]).collect();
    let took = clock::monotonic() - began;
    let answered = outcomes.iter().filter(|outcome| **outcome == Counter::Reflected).count();
    // A newcomer may run ahead by half of the allowance.
    let most = (took + ALLOWANCE / 2) * u64::from(rate) / NANOS_PER_SECOND + 1;
    assert!((100..=most).contains(&(answered as u64)), "{answered} answered, {most} at most");
    assert_eq!(kernel.count(Counter::RateLimited), 2_000 - answered as u64);
    assert_eq!(kernel.counted(&from_host([192, 0, 2, 9])).2, [Counter::Reflected], "another host");
}

/// A flood of new sessions from the address of a session that lasts takes nothing from it.
#[test]
fn newcomers_leave_lasting_sessions_their_share() {
    let mut kernel = Kernel::new();
    let lasting = octets(golden::REQUEST_V4);
    make_last(&mut kernel, &lasting);
    set(&mut kernel, &ReflectorOptions { rate: Some(200), ..ReflectorOptions::default() });
    for port in 1_024..6_024 {
        kernel.ingress(&from_port(port));
    }
    assert!(kernel.count(Counter::RateLimited) > 0, "the flood is too much");
    for expected in 5..55 {
        let (action, out) = kernel.ingress(&lasting);
        assert_eq!((action, sequence(&out)), (XDP_TX, expected));
    }
}

/// The table of those that have lasted is not the one in which the least recently used makes room.
#[test]
fn a_million_new_sessions_push_out_none_that_lasts() {
    let mut kernel = Kernel::new();
    let lasting = octets(golden::REQUEST_V4);
    make_last(&mut kernel, &lasting);
    let mut flood = octets(golden::REQUEST_V4);
    let ssid_at = UDP + 8 + Mode::Unauthenticated.offsets().ssid;
    let mut next = 5;
    for number in 0..1_000_000_u32 {
        let [host, port, high, low] = number.to_be_bytes();
        flood[SOURCE..SOURCE + 4].copy_from_slice(&[198, 51, 100, host]);
        flood[UDP..UDP + 2].copy_from_slice(&[0xc0, port]);
        flood[ssid_at..ssid_at + 2].copy_from_slice(&[high, low]);
        // Without checksums; IPv4 wants one for its header.
        flood[UDP + udp::CHECKSUM..UDP + 8].fill(0);
        if number.is_multiple_of(65_536) {
            mend_checksums(&mut flood);
            flood[UDP + udp::CHECKSUM..UDP + 8].fill(0);
        }
        assert_eq!(kernel.ingress(&flood).0, XDP_TX);
        if number.is_multiple_of(50_000) {
            assert_eq!(sequence(&kernel.ingress(&lasting).1), next, "after {number} others");
            next += 1;
        }
    }
    assert_eq!(kernel.datapath.sweep(0), (1, 1), "one session has lasted");
}

#[test]
fn what_has_gone_silent_is_swept() {
    let mut kernel = Kernel::new();
    let request = octets(golden::REQUEST_V4);
    make_last(&mut kernel, &request);
    assert_eq!(kernel.datapath.sweep(clock::monotonic()), (1, 0));
    assert_eq!(sequence(&kernel.ingress(&request).1), 0, "it begins anew");
}

/// Whoever has recorded requests and sends them again makes no new sessions.
#[test]
fn replayed_requests_make_no_sessions() {
    let mut kernel = Kernel::new();
    let request = octets(golden::REQUEST_V4);
    make_last(&mut kernel, &request);
    for _ in 0..100_000 {
        kernel.ingress(&request);
    }
    assert_eq!(kernel.datapath.sweep(0), (1, 1));
}

/// RFC 8762, section 4.3: a stateless reflector copies the number.
#[test]
fn a_stateless_reflector_does_not_count() {
    let mut kernel = Kernel::new();
    set(&mut kernel, &ReflectorOptions { stateless: true, ..ReflectorOptions::default() });
    for _ in 0..3 {
        assert_eq!(sequence(&kernel.ingress(&octets(golden::REQUEST_V4)).1), 7);
    }
}

/// Whatever its length, a request is answered with no more octets than it has, or not at all.
#[test]
fn no_reply_is_longer_than_its_request() {
    let mut kernel = Kernel::new();
    let base = octets(golden::REQUEST_V4);
    for length in (0..200).chain([500, 1_472, 3_000]) {
        let mut payload = vec![0; length];
        let known = length.min(44);
        payload[..known].copy_from_slice(&base[UDP + 8..][..known]);
        let request = tests::kernel::with_payload(&base, &payload);
        let (action, out, counted) = kernel.counted(&request);
        if length < 44 {
            assert_eq!((action, counted), (XDP_DROP, vec![Counter::TooShort]), "{length} octets");
        } else {
            assert_eq!((action, out.len()), (XDP_TX, request.len()), "{length} octets");
        }
    }
}
