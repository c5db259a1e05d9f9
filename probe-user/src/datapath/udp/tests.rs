use std::net::UdpSocket;

use super::*;

#[test]
fn what_leaves_has_the_source_that_it_is_told() {
    for (receiver, source) in [("127.0.0.1:0", "127.0.0.9"), ("[::1]:0", "::1")] {
        let receiver = UdpSocket::bind(receiver).unwrap();
        let ports = Ports::open(0).unwrap();
        let source: IpAddr = source.parse().unwrap();
        let departure = Departure {
            payload: b"reply",
            destination: receiver.local_addr().unwrap(),
            source: source.into(),
            traffic_class: 0xb8,
        };
        ports.send(&departure).unwrap();
        let mut buffer = [0; 16];
        let (length, from) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.ip()), (&b"reply"[..], source));
    }
}
