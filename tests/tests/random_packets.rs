//! 100,000 random, mutated and truncated packets through each program: none is altered that is not
//! ours, none crashes, and the counters add up.

use std::collections::HashMap;

use probe_ebpf::{
    frame::{IPV4_LENGTH, IPV6_LENGTH, Udp},
    maps::{Counter, Fate},
};
use probe_user::datapath::SessionKeys;
use tests::{
    golden::{self, octets},
    kernel::{
        Kernel, SOURCE_PORT, XDP_DROP, XDP_PASS, XDP_TX, checksums_are_right, mend_checksums,
    },
    random::Random,
};

const PACKETS: usize = 100_000;

/// One packet: noise, or a golden one with some octets changed, or cut, or lengthened, half of
/// those with their checksums mended.
fn random_packet(random: &mut Random, golden: &[Vec<u8>]) -> Vec<u8> {
    if random.below(8) == 0 {
        // 14 octets is the least that the kernel runs a program on.
        let length = 14 + random.below(200);
        return (0..length).map(|_| random.next() as u8).collect();
    }
    let mut packet = golden[random.below(golden.len())].clone();
    for _ in 0..random.below(4) {
        let at = random.below(packet.len());
        packet[at] = random.next() as u8;
    }
    match random.below(4) {
        0 => packet.truncate(14 + random.below(packet.len() - 13)),
        1 => packet.extend((0..random.below(64)).map(|i| i as u8)),
        _ => {}
    }
    if random.below(2) == 0 && Udp::find(&packet[..]).is_ok() {
        mend_checksums(&mut packet);
    }
    packet
}

/// Whether `BPF_PROG_TEST_RUN` takes a frame for a TC program: since Linux 6.16 not one that announces
/// an IP header and ends within it.
fn runs_on_tc(frame: &[u8]) -> bool {
    let least = match frame[12..14] {
        [0x08, 0x00] => 14 + IPV4_LENGTH,
        [0x86, 0xdd] => 14 + IPV6_LENGTH,
        _ => 15,
    };
    frame.len() >= least
}

fn golden() -> Vec<Vec<u8>> {
    [
        golden::REQUEST_V4,
        golden::REQUEST_V6,
        golden::REQUEST_VLAN,
        golden::REQUEST_QINQ,
        golden::REQUEST_LONG,
        golden::REPLY_V4,
    ]
    .map(octets)
    .into()
}

#[test]
fn random_packets_through_xdp() {
    let mut kernel = Kernel::new();
    let (reflector, keys) = ("192.0.2.2:862".parse().unwrap(), SessionKeys::default());
    kernel.datapath.open_session(0x1234, SOURCE_PORT, reflector, keys).unwrap();
    let mut random = Random::new(0x5eed);
    let golden = golden();
    let mut actions: HashMap<u32, u64> = HashMap::new();
    for _ in 0..PACKETS {
        let packet = random_packet(&mut random, &golden);
        let (action, out) = kernel.ingress(&packet);
        *actions.entry(action).or_default() += 1;
        if action == XDP_TX {
            assert_eq!(out.len(), packet.len(), "{packet:02x?}");
            assert!(checksums_are_right(&out), "{packet:02x?} became {out:02x?}");
        } else {
            assert!(matches!(action, XDP_PASS | XDP_DROP), "action {action}");
            assert_eq!(out, packet, "altered, though it is not answered");
        }
    }

    let mut fates: HashMap<u32, u64> = HashMap::new();
    for (counter, count) in kernel.datapath.counters() {
        let action = match counter.fate() {
            Fate::Passed => XDP_PASS,
            Fate::Reflected => XDP_TX,
            Fate::Deferred | Fate::Accepted | Fate::Dropped => XDP_DROP,
            Fate::Stamped | Fate::Left => {
                assert_eq!(count, 0, "{} is of what leaves", counter.label());
                continue;
            }
        };
        *fates.entry(action).or_default() += count;
    }
    assert_eq!(fates, actions, "every packet is counted once, under what was done with it");
    for action in [XDP_PASS, XDP_TX, XDP_DROP] {
        assert!(actions[&action] > PACKETS as u64 / 50, "hardly any action {action}: {actions:?}");
    }
}

#[test]
fn random_packets_through_tc() {
    let mut kernel = Kernel::new();
    let (reflector, keys) = ("192.0.2.2:862".parse().unwrap(), SessionKeys::default());
    kernel.datapath.open_session(0x1234, SOURCE_PORT, reflector, keys).unwrap();
    let mut random = Random::new(0x5eed);
    let golden = golden();
    let mut altered = 0;
    let mut packets =
        (0..).map(|_| random_packet(&mut random, &golden)).filter(|packet| runs_on_tc(packet));
    for packet in packets.by_ref().take(PACKETS) {
        let out = kernel.egress(&packet);
        if out != packet {
            altered += 1;
            assert_eq!(out.len(), packet.len());
            let udp = Udp::find(&packet[..]).expect("only whole datagrams are stamped");
            assert_eq!((udp.source_port, udp.destination_port), (SOURCE_PORT, 862));
        }
    }
    assert_eq!(kernel.count(Counter::Stamped), altered);
    assert!(altered > PACKETS as u64 / 50, "hardly any was stamped: {altered}");
    let counted: u64 = kernel.datapath.counters().iter().map(|(_, count)| count).sum();
    assert_eq!(counted, PACKETS as u64);
}
