//! Frames around a UDP payload.

use std::net::Ipv6Addr;

use probe_ebpf::frame::{Address, IpVersion, Udp, ipv4, ipv6, udp};

use crate::{
    golden::{self, octets},
    kernel::mend_checksums,
};

/// What there is around IP: as in golden packets.
pub const ENCAPSULATIONS: [&str; 4] =
    [golden::REQUEST_V4, golden::REQUEST_V6, golden::REQUEST_VLAN, golden::REQUEST_QINQ];

/// What stands in the headers of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    /// Last octet of the source address.
    pub source: u8,
    /// Its port.
    pub source_port: u16,
    /// Last octet of the destination address.
    pub destination: u8,
    /// Its port.
    pub destination_port: u16,
    /// TTL or Hop Limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
}

/// The address that ends with an octet: 192.0.2.0/24 or 2001:db8::/120.
#[must_use]
pub fn address(version: IpVersion, last: u8) -> Address {
    match version {
        IpVersion::V4 => Address::v4([192, 0, 2, last]),
        IpVersion::V6 => {
            Address::v6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).octets())
        }
    }
}

/// A frame with valid checksums that carries a payload.
///
/// # Panics
/// Where the payload is too long for a datagram.
#[must_use]
pub fn frame(encapsulation: &str, headers: &Headers, payload: &[u8]) -> Vec<u8> {
    let mut frame = octets(encapsulation);
    let found = Udp::find(&frame[..]).expect("golden packets are UDP");
    frame.truncate(found.payload_at());
    frame.extend(payload);
    let length = u16::try_from(payload.len() + 8).expect("a payload that fits a datagram");
    let mut put = |at: usize, octets: &[u8]| frame[at..at + octets.len()].copy_from_slice(octets);
    let ip = found.ip_at;
    match found.version {
        IpVersion::V4 => {
            put(ip + ipv4::TOTAL_LENGTH, &(length + 20).to_be_bytes());
            put(ip + ipv4::SOURCE + 3, &[headers.source]);
            put(ip + ipv4::DESTINATION + 3, &[headers.destination]);
        }
        IpVersion::V6 => {
            put(ip + ipv6::PAYLOAD_LENGTH, &length.to_be_bytes());
            put(ip + ipv6::SOURCE + 15, &[headers.source]);
            put(ip + ipv6::DESTINATION + 15, &[headers.destination]);
        }
    }
    put(found.udp_at + udp::SOURCE_PORT, &headers.source_port.to_be_bytes());
    put(found.udp_at + udp::DESTINATION_PORT, &headers.destination_port.to_be_bytes());
    put(found.udp_at + udp::LENGTH, &length.to_be_bytes());
    set_ttl(&mut frame, &found, headers.ttl);
    set_traffic_class(&mut frame, &found, headers.traffic_class);
    mend_checksums(&mut frame);
    frame
}

/// The frame that brings a payload back to where a frame came from.
///
/// # Panics
/// Where the frame holds no UDP datagram, or one of another length.
#[must_use]
pub fn reply(request: &[u8], payload: &[u8], traffic_class: u8) -> Vec<u8> {
    let found = Udp::find(request).expect("a UDP frame");
    let mut frame = request.to_vec();
    let (source, destination, length) = match found.version {
        IpVersion::V4 => (ipv4::SOURCE, ipv4::DESTINATION, 4),
        IpVersion::V6 => (ipv6::SOURCE, ipv6::DESTINATION, 16),
    };
    let mut swap = |a: usize, b: usize, length: usize| {
        frame[a..a + length].copy_from_slice(&request[b..b + length]);
        frame[b..b + length].copy_from_slice(&request[a..a + length]);
    };
    swap(0, 6, 6);
    swap(found.ip_at + source, found.ip_at + destination, length);
    swap(found.udp_at + udp::SOURCE_PORT, found.udp_at + udp::DESTINATION_PORT, 2);
    let end = found.payload_at() + found.payload_length();
    frame[found.payload_at()..end].copy_from_slice(payload);
    set_ttl(&mut frame, &found, probe_ebpf::stamp::TTL);
    set_traffic_class(&mut frame, &found, traffic_class);
    mend_checksums(&mut frame);
    frame
}

fn set_ttl(frame: &mut [u8], found: &Udp, ttl: u8) {
    let at = match found.version {
        IpVersion::V4 => ipv4::TTL,
        IpVersion::V6 => ipv6::HOP_LIMIT,
    };
    frame[found.ip_at + at] = ttl;
}

fn set_traffic_class(frame: &mut [u8], found: &Udp, traffic_class: u8) {
    let at = found.ip_at;
    match found.version {
        IpVersion::V4 => frame[at + 1] = traffic_class,
        IpVersion::V6 => {
            frame[at] = (frame[at] & 0xf0) | (traffic_class >> 4);
            frame[at + 1] = (traffic_class << 4) | (frame[at + 1] & 0x0f);
        }
    }
}

/// DSCP and ECN of a frame.
///
/// # Panics
/// Where the frame holds no UDP datagram.
#[must_use]
pub fn traffic_class(frame: &[u8]) -> u8 {
    let found = Udp::find(frame).expect("a UDP frame");
    match found.version {
        IpVersion::V4 => frame[found.ip_at + 1],
        IpVersion::V6 => (frame[found.ip_at] << 4) | (frame[found.ip_at + 1] >> 4),
    }
}
