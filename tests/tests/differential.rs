//! The reflector in the kernel and the one in userspace: the same frames, and the same bytes.
//!
//! Both are set alike and see the same frames in the same order. T2, T3 and the Error Estimate of the
//! kernel's reply are handed to the userspace reflector; all else, numbers, HMACs and checksums among it,
//! has to come out the same by itself.

use fuzzing::{
    corpus,
    script::{self, OWN, SECRETS, Step, option},
};
use probe_ebpf::{
    checksum::Sum,
    frame::{Address, IPV4_LENGTH, IpVersion, NotOurs, Udp},
    hmac::Key,
    maps::{Counter, MAX_DEFERRED},
    stamp::{LENGTH, Mode, Reply},
    tlv::{self, Survey},
};
use probe_user::{
    datapath::{
        ReflectorOptions,
        deferred::{self, Queue},
    },
    reflector::{Admitted, Answer, Reflector, Request, Settings},
};
use tests::{
    encapsulation::{self, ENCAPSULATIONS, Headers, address},
    kernel::{
        Kernel, REFLECTOR_PORT, XDP_DROP, XDP_PASS, XDP_TX, checksums_are_right, mend_checksums,
    },
    random::Random,
};

/// Random frames for each way to set the reflectors.
const FRAMES: usize = 1_200;

/// Both reflectors, set alike.
struct Pair {
    kernel: Kernel,
    queue: Queue,
    userspace: Reflector,
    settings: Settings,
    defers: bool,
    reflected: u64,
    deferred: u64,
}

impl Pair {
    fn new(options: u8, defers: bool) -> Self {
        let mut settings = script::settings(options);
        // The kernel permits all; its table is larger than what these tests need.
        settings.permitted_dscps = tlv::EVERY_DSCP;
        settings.table_size = 65_536;
        let own = OWN.map(|[.., last]| last);
        for version in [IpVersion::V4, IpVersion::V6] {
            settings.local_addresses.extend(own.map(|last| address(version, last)));
        }
        if options & option::PEER != 0 {
            settings.peers.insert(address(IpVersion::V6, 1), true);
        }
        if let Some(allowed) = &mut settings.allowed {
            allowed.push("2001:db8::/125".parse().unwrap());
        }

        let mut kernel = Kernel::new();
        let datapath = &mut kernel.datapath;
        datapath.set_local_addresses(settings.local_addresses.iter().copied().collect()).unwrap();
        datapath
            .set_reflector(&ReflectorOptions {
                stateless: settings.stateless,
                authenticated_only: settings.authenticated_only,
                rate: (settings.source_cost > 0).then_some(1),
                allow: settings.allowed.clone(),
                defer: defers,
            })
            .unwrap();
        settings.source_cost = settings.source_cost.min(1) * 1_000_000_000;
        datapath.set_keys(&[1, 2].map(|index| (index, Key::new(SECRETS[usize::from(index) - 1]))));
        for (peer, authenticated) in &settings.peers {
            datapath.set_peer(*peer, 0, *authenticated).unwrap();
        }
        let queue = kernel.datapath.take_queue().unwrap();
        let userspace = Reflector::new(settings.clone());
        let mut pair =
            Self { kernel, queue, userspace, settings, defers, reflected: 0, deferred: 0 };
        pair.learn_clock();
        pair
    }

    /// Asks the kernel what its clock is set by, and how good it is, by a session of its own.
    fn learn_clock(&mut self) {
        let mut datapath = Kernel::new();
        let mut payload = vec![0; LENGTH];
        payload.extend([0x80, tlv::kind::TIMESTAMP_INFORMATION, 0, 4, 0, 0, 0, 0]);
        let headers = Headers {
            source: 1,
            source_port: 50_000,
            destination: 2,
            destination_port: REFLECTOR_PORT,
            ttl: 255,
            traffic_class: 0,
        };
        let (action, out) =
            datapath.ingress(&encapsulation::frame(ENCAPSULATIONS[0], &headers, &payload));
        assert_eq!(action, XDP_TX);
        let at = Udp::find(&out[..]).unwrap().payload_at() + LENGTH + tlv::HEADER_LENGTH;
        self.settings.synchronisation_source = out[at];
        self.userspace.settings_mut().synchronisation_source = out[at];
    }

    /// Hands a frame to both, and compares.
    fn compare(&mut self, frame: &[u8]) {
        let (action, out, counted) = self.kernel.counted(frame);
        let [counter] = counted[..] else { panic!("counted as {counted:?}: {frame:02x?}") };
        let udp = match self.ours(frame) {
            Ok(udp) => udp,
            Err(reason) => {
                assert_eq!(counter, reason, "{frame:02x?}");
                assert_eq!(out, frame, "not ours, or refused, and yet altered");
                assert!(matches!(action, XDP_PASS | XDP_DROP));
                return;
            }
        };
        let payload = &frame[udp.payload_at()..udp.payload_at() + udp.payload_length()];
        let source = udp.source(frame).unwrap();
        let mode = self.settings.mode_of(&source);
        let given = (action == XDP_TX)
            .then(|| Reply::read(&out[..], udp.payload_at(), mode).expect("a whole reply"));
        let handed_over = self.queue.take();
        if let Some(reply) = given {
            self.userspace.settings_mut().error_estimate = reply.error_estimate;
        }
        let received = given.map(|reply| reply.receive_timestamp);
        let received = received.or(handed_over.as_ref().map(|it| it.header.receive_timestamp));
        let request = Request {
            payload,
            source,
            source_port: udp.source_port,
            destination: udp.destination(frame).unwrap(),
            destination_port: udp.destination_port,
            ttl: udp.ttl(frame).unwrap(),
            traffic_class: encapsulation::traffic_class(frame),
            receive_timestamp: received.unwrap_or(0),
            admitted: None,
        };
        let timestamp = given.map_or(0, |reply| reply.timestamp);
        let before = handed_over.is_some().then(|| self.userspace.clone());
        let outcome = self.userspace.reflect(request, 0, || timestamp);

        let survey = tlv::survey(payload, mode.length(), payload.len(), mode);
        let is_taken_in = matches!(outcome, Ok(_) | Err(Counter::NoReplyWanted));
        let is_for_userspace = is_taken_in && survey == Survey::Userspace;
        let is_deferred = is_for_userspace && self.defers && payload.len() <= MAX_DEFERRED;
        assert_eq!(handed_over.is_some(), is_deferred, "{frame:02x?}");
        let expected = match &outcome {
            _ if is_deferred => (XDP_DROP, Counter::Deferred),
            _ if is_for_userspace && self.defers => (XDP_DROP, Counter::NotDeferred),
            _ if is_for_userspace => (XDP_TX, Counter::Reflected),
            Ok(_) => (XDP_TX, Counter::Reflected),
            Err(reason) => (XDP_DROP, *reason),
        };
        assert_eq!((action, counter), expected, "{frame:02x?}");
        if let (Some(mut before), Some(handed_over)) = (before, handed_over) {
            let again = reflect_admitted(&mut before, &handed_over, timestamp);
            assert_eq!(again, outcome, "what the kernel says of {frame:02x?} is not so");
            self.deferred += 1;
        }
        match outcome {
            Ok(answer) if action == XDP_TX && !is_for_userspace => {
                let expected = encapsulation::reply(frame, &answer.payload, answer.traffic_class);
                assert_eq!(out, expected, "kernel and userspace differ on {frame:02x?}");
                self.reflected += 1;
            }
            _ if action == XDP_TX => {
                assert_eq!(out.len(), frame.len());
                assert!(checksums_are_right(&out));
            }
            _ => assert_eq!(out, frame, "not answered, and yet altered"),
        }
    }

    /// What the kernel looks at before it comes to the reflector's rules, once more.
    fn ours(&self, frame: &[u8]) -> Result<Udp, Counter> {
        let udp = Udp::find(frame).map_err(|reason: NotOurs| Counter::from(reason))?;
        if udp.destination_port != REFLECTOR_PORT {
            return Err(Counter::OtherPort);
        }
        let (source, destination) = (udp.source(frame).unwrap(), udp.destination(frame).unwrap());
        if !self.settings.local_addresses.contains(&destination) {
            return Err(Counter::NotLocal);
        }
        if udp.payload_length() < self.settings.mode_of(&source).length() {
            return Err(Counter::TooShort);
        }
        let header = &frame[udp.ip_at..udp.ip_at + IPV4_LENGTH];
        let is_v4 = udp.version == IpVersion::V4;
        if is_v4 && Sum::ZERO.add_slice(header).folded() != [0xff, 0xff] {
            return Err(Counter::Ipv4Checksum);
        }
        let pseudo_header = udp.pseudo_header(frame).unwrap();
        let datagram = &frame[udp.udp_at..udp.udp_at + usize::from(udp.length)];
        let is_right = match udp.checksum(frame).unwrap() {
            [0, 0] => is_v4,
            // As a veth leaves it for a network card to complete.
            field if field == pseudo_header.folded() => true,
            _ => pseudo_header.add_slice(datagram).folded() == [0xff, 0xff],
        };
        if is_right { Ok(udp) } else { Err(Counter::UdpChecksum) }
    }
}

/// Answers a request that the kernel has handed over, as it says that it is.
fn reflect_admitted(
    reflector: &mut Reflector,
    handed_over: &deferred::Request,
    timestamp: u64,
) -> Result<Answer, Counter> {
    let header = &handed_over.header;
    let request = Request {
        payload: &handed_over.payload,
        source: header.source,
        source_port: header.source_port,
        destination: header.destination,
        destination_port: REFLECTOR_PORT,
        ttl: header.ttl,
        traffic_class: header.traffic_class,
        receive_timestamp: header.receive_timestamp,
        admitted: Some(Admitted { sequence: header.sequence, key: header.key }),
    };
    reflector.reflect(request, 0, || timestamp)
}

/// The frame of one request of a script.
fn frame_of(step: &Step, encapsulation: &str) -> Vec<u8> {
    let last = |address: Address| address.octets()[15];
    let headers = Headers {
        source: last(step.source),
        source_port: step.source_port,
        destination: last(step.destination),
        destination_port: REFLECTOR_PORT,
        ttl: step.ttl,
        traffic_class: step.traffic_class,
    };
    encapsulation::frame(encapsulation, &headers, &step.payload)
}

/// All frames of a script, in one encapsulation after the other.
fn frames_of(script: &[u8], settings: &Settings, first: usize) -> Vec<Vec<u8>> {
    let mut rest = script;
    let steps = std::iter::from_fn(|| {
        let (step, behind) = Step::read(rest, settings)?;
        rest = behind;
        Some(step)
    });
    steps
        .zip(first..)
        .map(|(step, number)| frame_of(&step, ENCAPSULATIONS[number % ENCAPSULATIONS.len()]))
        .collect()
}

/// A request of a script with a chain of TLVs, most of them well formed.
fn random_script(random: &mut Random) -> Vec<u8> {
    let mut tlvs = Vec::new();
    // In authenticated mode a lone Extra Padding TLV is all that the kernel answers.
    let only_padding = random.below(4) == 0;
    let most = if only_padding { 1 } else { random.below(12) };
    for _ in 0..most {
        // Most of the others are not for userspace.
        let kinds: &[u8] = match random.below(3) {
            _ if only_padding => &[1],
            0 => &[2, 6, 7, 8, 9, 10],
            _ => &[1, 3, 4, 5, 11, 0],
        };
        let kind = kinds[random.below(kinds.len())];
        let usual = match kind {
            3 | 4 | 6 | 9 => 4,
            5 => 12,
            7 | 8 => 16,
            _ => random.below(20),
        };
        let length = if random.below(12) == 0 { random.below(24) } else { usual };
        let flags = if random.below(8) == 0 { random.octet() } else { 0x80 };
        tlvs.extend([flags, kind, 0, length as u8]);
        tlvs.extend((0..length).map(|_| random.octet()));
        if tlvs.len() > 200 || random.below(3) == 0 {
            break;
        }
    }
    let cut = if random.below(12) == 0 { random.below(tlvs.len() + 1) } else { tlvs.len() };
    tlvs.truncate(cut.min(255));
    let mut signature = random.octet() & 0b11;
    if random.below(10) == 0 {
        signature |= random.octet() & 0xc4;
    }
    let who = (random.octet() & 0x10) | random.below(10) as u8;
    let port = if random.below(30) == 0 { 0xff } else { random.octet() & 0x33 };
    let mut script = vec![
        who,
        port,
        random.octet(),
        random.octet(),
        random.octet(),
        signature,
        tlvs.len() as u8,
    ];
    script.extend(tlvs);
    script
}

/// Damages a frame here and there.
fn damage(frame: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let at = 14 + random.below(frame.len() - 14);
        frame[at] = random.octet();
    }
    if random.below(3) == 0 {
        frame.truncate(14 + random.below(frame.len() - 13));
    }
    if random.below(2) == 0 && Udp::find(&frame[..]).is_ok() {
        mend_checksums(frame);
    }
}

/// Runs frames through a pair of reflectors, and returns how many were reflected and how many deferred.
fn run(options: u8, defers: bool, frames: impl Fn(&Settings) -> Vec<Vec<u8>>) -> (u64, u64) {
    let mut pair = Pair::new(options, defers);
    for frame in frames(&script::settings(options)) {
        pair.compare(&frame);
    }
    (pair.reflected, pair.deferred)
}

const WAYS: [u8; 6] = [
    0,
    option::AUTHENTICATED,
    option::STATELESS,
    option::STATELESS | option::AUTHENTICATED,
    option::PEER,
    option::ALLOW_LIST,
];

#[test]
fn random_requests_get_the_same_reply() {
    let mut random = Random::new(0x5eed_0003);
    for options in WAYS {
        let scripts: Vec<u8> = (0..FRAMES).flat_map(|_| random_script(&mut random)).collect();
        let mut damaged = Random::new(u64::from(options) + 1);
        let mut frames = frames_of(&scripts, &script::settings(options), 0);
        for frame in &mut frames {
            if damaged.below(8) == 0 {
                damage(frame, &mut damaged);
            }
        }
        let (reflected, deferred) = run(options, true, |_| frames.clone());
        let least = FRAMES as u64 / 8;
        assert!(
            reflected > least && deferred > least,
            "{reflected} and {deferred} of {options:#x}"
        );
    }
}

/// Where nobody reads the ring buffer, the kernel answers all, and gives up on none.
#[test]
fn without_a_userspace_reflector_the_kernel_answers_all() {
    let mut random = Random::new(0x5eed_0004);
    let scripts: Vec<u8> = (0..FRAMES).flat_map(|_| random_script(&mut random)).collect();
    for options in [0, option::AUTHENTICATED] {
        let (reflected, deferred) =
            run(options, false, |settings| frames_of(&scripts, settings, 0));
        assert_eq!(deferred, 0);
        assert!(reflected > FRAMES as u64 / 10);
    }
}

#[test]
fn the_corpus_of_the_fuzzers_gets_the_same_replies() {
    let scripts = corpus::of("reflector").unwrap();
    let tlvs = corpus::of("tlv").unwrap();
    for options in WAYS {
        let (reflected, deferred) = run(options, true, |settings| {
            let mut frames = Vec::new();
            for (number, (_, script)) in scripts.iter().enumerate() {
                frames.extend(frames_of(script.get(1..).unwrap_or_default(), settings, number));
            }
            for (number, (_, input)) in tlvs.iter().enumerate() {
                let tail = input.get(2..).unwrap_or_default();
                let tail = &tail[..tail.len().min(255)];
                let mut script = vec![0x11, 1, 253, 0xb8, 1, 0, tail.len() as u8];
                script.extend(tail);
                frames.extend(frames_of(&script, settings, number));
            }
            frames
        });
        assert!(reflected > 0 && deferred > 0, "{reflected} and {deferred} of {options:#x}");
    }
}

#[test]
fn both_limit_the_rate_alike() {
    let mut pair = Pair::new(option::RATE, true);
    let script = [1, 1, 253, 0xb8, 1, 0, 0].repeat(20);
    // A second's allowance would be back only after all of these have long been through.
    for frame in frames_of(&script, &pair.settings.clone(), 0) {
        pair.compare(&frame);
    }
    let limited = pair.kernel.count(Counter::RateLimited);
    assert!(limited > 10, "{limited}");
}

/// More than the ring buffer takes at once, and TLVs that the kernel cannot do.
#[test]
fn a_long_request_for_userspace_is_dropped() {
    let mut pair = Pair::new(0, true);
    for length in [MAX_DEFERRED, MAX_DEFERRED + 1] {
        let mut payload = vec![0; LENGTH];
        let padding = length - LENGTH - 12;
        payload.extend([0x80, tlv::kind::ACCESS_REPORT, 0, 4, 0x10, 1, 0, 0]);
        payload.extend([0x80, tlv::kind::EXTRA_PADDING, (padding >> 8) as u8, padding as u8]);
        payload.resize(length, 0xaa);
        let headers = Headers {
            source: 1,
            source_port: 50_001,
            destination: 2,
            destination_port: REFLECTOR_PORT,
            ttl: 255,
            traffic_class: 0,
        };
        pair.compare(&encapsulation::frame(ENCAPSULATIONS[0], &headers, &payload));
    }
    assert_eq!(pair.kernel.count(Counter::Deferred), 1);
    assert_eq!(pair.kernel.count(Counter::NotDeferred), 1);
    assert_eq!(Mode::Unauthenticated.length(), LENGTH);
}

/// The corpora as they are, as frames: whatever they are, they do no harm.
#[test]
fn the_raw_corpus_does_no_harm() {
    let mut pair = Pair::new(0, true);
    for (target, _) in fuzzing::TARGETS {
        for (name, input) in corpus::of(target).unwrap() {
            // 14 octets is the least that the kernel runs a program on.
            if input.len() < 14 {
                continue;
            }
            let (action, out, counted) = pair.kernel.counted(&input);
            assert_eq!(counted.len(), 1, "{target}/{name}");
            if action == XDP_TX {
                assert!(checksums_are_right(&out), "{target}/{name}");
                assert_eq!(out.len(), input.len());
            } else {
                assert!(matches!(action, XDP_PASS | XDP_DROP), "{target}/{name}: {action}");
                assert_eq!(out, input, "{target}/{name} is altered");
            }
        }
    }
}
