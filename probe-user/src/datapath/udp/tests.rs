//! On the loopback interface.

use std::net::UdpSocket;

use probe_ebpf::ntp::Format;

use super::{
    inbox::{Batch, Header, Inbox},
    *,
};
use crate::datapath::clock;

fn departure(destination: SocketAddr, source: &str) -> Departure<'static> {
    let source: IpAddr = source.parse().unwrap();
    Departure { payload: b"a reply", destination, source: source.into(), traffic_class: 0xb9 }
}

#[test]
fn what_leaves_has_the_source_that_it_is_told() {
    for (receiver, source) in [("127.0.0.1:0", "127.0.0.9"), ("[::1]:0", "::1")] {
        let receiver = UdpSocket::bind(receiver).unwrap();
        let ports = Ports::open(0).unwrap();
        ports.send(&departure(receiver.local_addr().unwrap(), source)).unwrap();
        let mut buffer = [0; 16];
        let (length, from) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"a reply");
        assert_eq!(from.ip(), source.parse::<IpAddr>().unwrap());
    }
}

#[test]
fn what_arrives_comes_with_its_header_and_its_time() {
    for any in ["0.0.0.0:0", "[::]:0"] {
        let socket = open(any.parse().unwrap()).unwrap().unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let mut inbox = Inbox::with_headers(socket).unwrap();
        // Of what is longer, the beginning and the length are there.
        let mut batch = Batch::new(4);
        assert_eq!(inbox.receive(&mut batch), 0);
        let (ours, theirs) =
            if any.starts_with('0') { ("127.0.0.7", "127.0.0.9") } else { ("::1", "::1") };
        let ours: IpAddr = ours.parse().unwrap();
        let before = clock::monotonic();
        Ports::open(0).unwrap().send(&departure(SocketAddr::new(ours, port), theirs)).unwrap();
        let after = clock::monotonic();
        while inbox.receive(&mut batch) == 0 {}
        let received = batch.get(0).unwrap();
        assert_eq!((received.payload, received.length), (&b"a re"[..], 7));
        assert_eq!(received.source.ip(), theirs.parse::<IpAddr>().unwrap());
        let header = Header { destination: Some(ours.into()), ttl: TTL, traffic_class: 0xb9 };
        assert_eq!(received.header, header);
        // The two clocks are not read in the same instant, neither here nor there.
        let slack = 100_000;
        assert!((before - slack..after + slack).contains(&received.at), "{before} {after}");
        assert_ne!(clock::offset(Format::Ntp), 0);
    }
}

/// The message says what to do.
#[test]
fn a_port_that_is_taken_is_told() {
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let error = bind(taken.local_addr().unwrap().port()).err().unwrap().to_string();
    assert!(error.contains("another process has it"), "{error}");
}
