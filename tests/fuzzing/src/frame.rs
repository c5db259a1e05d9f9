//! From a frame to the fields of a test packet.

use probe_ebpf::{
    frame::{IpVersion, Udp},
    stamp::{Mode, Reply, Request},
};

/// Any octets as an Ethernet frame.
///
/// # Panics
/// Where what is found does not lie in the frame, or does not come out as it went in.
pub fn check(frame: &[u8]) {
    let Ok(udp) = Udp::find(frame) else { return };
    assert!(udp.ip_at < udp.udp_at && udp.payload_at() + udp.payload_length() <= frame.len());
    let (source, destination) = (udp.source(frame).unwrap(), udp.destination(frame).unwrap());
    if udp.version == IpVersion::V4 {
        assert_eq!((source.version(), destination.version()), (IpVersion::V4, IpVersion::V4));
    }
    udp.ttl(frame).unwrap();
    udp.checksum(frame).unwrap();
    udp.pseudo_header(frame).unwrap();
    let payload = &frame[udp.payload_at()..udp.payload_at() + udp.payload_length()];
    for mode in [Mode::Unauthenticated, Mode::Authenticated] {
        packets(payload, mode);
    }
}

fn packets(payload: &[u8], mode: Mode) {
    let (request, reply) = (Request::read(payload, 0, mode), Reply::read(payload, 0, mode));
    assert_eq!(reply.is_some(), payload.len() > mode.offsets().sender_ttl);
    if payload.len() < mode.length() {
        return;
    }
    let (request, reply) = (request.unwrap(), reply.unwrap());
    let mut copy = payload.to_vec();
    request.write(&mut copy[..], 0, mode).unwrap();
    assert_eq!(copy, payload, "a request does not change when it is written again");
    reply.write(&mut copy[..], 0, mode).unwrap();
    assert_eq!(Reply::read(&copy[..], 0, mode), Some(reply));
    assert_eq!(copy[mode.length()..], payload[mode.length()..]);
}
