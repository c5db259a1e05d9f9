//! Whole frames for programs and rings.

use std::net::SocketAddrV4;

use probe_ebpf::{
    checksum::Sum,
    frame::{Udp, udp as udp_field},
};

/// Protocol number of TCP.
pub(super) const TCP: u8 = 6;
/// Protocol number of UDP.
const UDP: u8 = 17;

/// A UDP datagram over IPv4 and Ethernet, with its checksums.
pub(super) fn udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut datagram: Vec<u8> =
        [from.port(), to.port()].iter().flat_map(|port| port.to_be_bytes()).collect();
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let mut frame = ipv4(UDP, from, to, &datagram);
    let udp = Udp::find(&frame[..]).expect("the frame is one of UDP");
    let pseudo_header = udp.pseudo_header(&frame[..]).expect("it is whole");
    let sum = pseudo_header.add_slice(&frame[udp.udp_at..]).udp_checksum();
    frame[udp.udp_at + udp_field::CHECKSUM..][..2].copy_from_slice(&sum);
    frame
}

/// A packet of IPv4 over Ethernet, with the checksum of its header.
pub(super) fn ipv4(protocol: u8, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 255, protocol, 0, 0];
    header[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    header.extend(from.ip().octets());
    header.extend(to.ip().octets());
    let sum = Sum::ZERO.add_slice(&header).checksum();
    header[10..12].copy_from_slice(&sum);
    frame.extend(header);
    frame.extend(payload);
    frame
}
