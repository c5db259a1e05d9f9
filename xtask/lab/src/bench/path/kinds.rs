//! The kinds of packets that meet the programs.

use std::net::{Ipv4Addr, SocketAddrV4};

use probe_ebpf::{
    maps::Counter,
    stamp::{self, Mode, Reply, Request},
};
use probe_user::sender::template::Template;

use super::super::frame;

/// Session of ours.
pub(super) const SSID: u16 = 7;
/// T1 in all of its slots.
pub(super) const TIMESTAMP: u64 = 0xe000_0000_1234_5678;

/// This host, and another.
pub(super) const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The port that our session sends from.
pub(super) const SOURCE_PORT: u16 = 50_000;

/// A kind of packet that meets one of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// XDP: a request, answered.
    Request,
    /// XDP: a reply, accounted for.
    Reply,
    /// XDP: TCP that comes in.
    TcpIn,
    /// XDP: UDP that comes in, to somebody else's port.
    UdpIn,
    /// TC: a probe, numbered and stamped.
    Probe,
    /// TC: TCP that leaves.
    TcpOut,
    /// TC: UDP that leaves, from somebody else's port.
    UdpOut,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Request,
        Self::Reply,
        Self::TcpIn,
        Self::UdpIn,
        Self::Probe,
        Self::TcpOut,
        Self::UdpOut,
    ];

    /// What it is called in tables.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Request => "XDP: request, reflected",
            Self::Reply => "XDP: reply, accounted for",
            Self::TcpIn => "XDP: TCP, passed",
            Self::UdpIn => "XDP: UDP, passed",
            Self::Probe => "TC: our probe, stamped",
            Self::TcpOut => "TC: TCP, left alone",
            Self::UdpOut => "TC: UDP, left alone",
        }
    }

    /// What the program counts it as.
    pub(super) const fn counter(self) -> Counter {
        match self {
            Self::Request => Counter::Reflected,
            Self::Reply => Counter::Accepted,
            Self::TcpIn => Counter::NotUdp,
            Self::UdpIn => Counter::OtherPort,
            Self::Probe => Counter::Stamped,
            Self::TcpOut | Self::UdpOut => Counter::OtherTraffic,
        }
    }

    /// The frame; requests and probes of two numbers are of two sources and sessions.
    pub(super) fn frame(self, number: u16) -> Vec<u8> {
        let here = |port| SocketAddrV4::new(HERE, port);
        let there = |port| SocketAddrV4::new(THERE, port);
        let tcp = |from, to| {
            let mut segment = vec![0; 20 + 40];
            segment[12] = 5 << 4;
            frame::ipv4(frame::TCP, from, to, &segment)
        };
        match self {
            Self::Request => {
                let request =
                    Request { sequence: 7, timestamp: 1, error_estimate: 0x8001, ssid: 1 };
                let source = Ipv4Addr::from(u32::from(THERE) + u32::from(number));
                frame::udp(SocketAddrV4::new(source, 50_001), here(stamp::PORT), &request.encode())
            }
            Self::Reply => reply(),
            Self::TcpIn => tcp(there(443), here(40_000)),
            Self::UdpIn => frame::udp(there(443), here(40_000), &[0; 44]),
            Self::Probe => {
                let template = Template::new(SSID + number, Mode::Unauthenticated, &[]);
                frame::udp(here(SOURCE_PORT), there(stamp::PORT), &template)
            }
            Self::TcpOut => tcp(here(443), there(40_000)),
            Self::UdpOut => frame::udp(here(443), there(40_000), &[0; 44]),
        }
    }

    /// Whether it meets the TC program.
    pub(super) const fn is_egress(self) -> bool {
        matches!(self, Self::Probe | Self::TcpOut | Self::UdpOut)
    }
}

/// A reply to test packet -1 of our session, without checksum: `next_reply` gives it the next number each time.
fn reply() -> Vec<u8> {
    let reply = Reply {
        sequence: 0,
        receive_timestamp: TIMESTAMP + 1,
        sender_sequence: u32::MAX,
        sender_timestamp: TIMESTAMP,
        sender_error_estimate: 1,
        sender_ttl: 255,
        ssid: SSID,
        error_estimate: 1,
        timestamp: TIMESTAMP + 2,
    };
    let mut payload = vec![0; stamp::LENGTH];
    // There is room for it.
    let _ = reply.write(&mut payload[..], 0, Mode::Unauthenticated);
    let (from, to) = (SocketAddrV4::new(THERE, stamp::PORT), SocketAddrV4::new(HERE, SOURCE_PORT));
    let mut frame = frame::udp(from, to, &payload);
    frame[14 + 20 + 6..][..2].fill(0);
    frame
}
