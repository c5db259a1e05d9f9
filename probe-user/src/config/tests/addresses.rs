//! The forms of a peer's address.

use super::super::PeerAddress;

#[test]
fn good_addresses() {
    let cases = [
        ("192.0.2.1", "192.0.2.1:862"),
        ("192.0.2.1:5000", "192.0.2.1:5000"),
        ("2001:db8::1", "[2001:db8::1]:862"),
        ("[2001:db8::1]", "[2001:db8::1]:862"),
        ("[2001:db8::1]:65535", "[2001:db8::1]:65535"),
        ("2001:db8::1:5000", "[2001:db8::1:5000]:862"),
        ("::ffff:192.0.2.1", "192.0.2.1:862"),
        ("127.0.0.1", "127.0.0.1:862"),
        ("gw1", "gw1:862"),
        ("gw1:1", "gw1:1"),
        ("Gw-1.Example.net.", "gw-1.example.net.:862"),
        ("3com.example", "3com.example:862"),
        ("my_host.example:99", "my_host.example:99"),
    ];
    for (text, expected) in cases {
        match PeerAddress::parse(text, 862) {
            Ok(address) => assert_eq!(address.to_string(), expected, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn an_address_reads_back_from_what_it_prints() {
    for text in ["192.0.2.1", "2001:db8::1", "gw1.example.net"] {
        let address = PeerAddress::parse(text, 4000).unwrap();
        assert_eq!(PeerAddress::parse(&address.to_string(), 1), Ok(address));
    }
}

#[test]
fn bad_addresses() {
    let label = "x".repeat(64);
    let long = format!("{}.example", "abcdefgh.".repeat(30));
    let cases = [
        ("", "\"\" is empty"),
        ("192.0.2.1:0", "\"192.0.2.1:0\" has no valid port (\"0\" is not 1 to 65535)"),
        ("192.0.2.1:65536", "\"192.0.2.1:65536\" has no valid port (\"65536\" is not 1 to 65535)"),
        ("gw1:", "\"gw1:\" has no valid port (\"\" is not 1 to 65535)"),
        ("gw1:stamp", "\"gw1:stamp\" has no valid port (\"stamp\" is not 1 to 65535)"),
        ("[2001:db8::1]x", "\"[2001:db8::1]x\" has no IPv6 address between its brackets"),
        ("[192.0.2.1]:862", "\"[192.0.2.1]:862\" has no IPv6 address between its brackets"),
        ("2001:db8::g", "\"2001:db8::g\" is not an IPv6 address"),
        ("192.0.2.256", "\"192.0.2.256\" is not an IPv4 address"),
        ("192.0.2", "\"192.0.2\" is not an IPv4 address"),
        ("192.0.2.1/24", "\"192.0.2.1/24\" is not a host name"),
        ("gw 1", "\"gw 1\" is not a host name"),
        ("-gw", "\"-gw\" is not a host name"),
        ("gw..example", "\"gw..example\" is not a host name"),
        ("münchen.example", "\"münchen.example\" is not a host name"),
        (&label, &format!("{label:?} is not a host name")),
        (&long, &format!("{long:?} is not a host name")),
        ("0.0.0.0", "\"0.0.0.0\" is no address of any host"),
        ("[::]:862", "\"[::]:862\" is no address of any host"),
        ("224.0.0.1", "\"224.0.0.1\" is a multicast address, but a peer is one host"),
        ("ff02::1", "\"ff02::1\" is a multicast address, but a peer is one host"),
        ("255.255.255.255", "\"255.255.255.255\" is the broadcast address, but a peer is one host"),
        ("fe80::1", "\"fe80::1\" is link-local, and link-local addresses cannot be probed"),
        ("fe80::1%eth0", "\"fe80::1%eth0\" has a zone, and link-local addresses cannot be probed"),
    ];
    for (text, expected) in cases {
        let right = "write an address such as \
                     \"192.0.2.1\", \"[2001:db8::1]:862\" or \"gw1.example.net\"";
        assert_eq!(PeerAddress::parse(text, 862), Err(format!("{expected}; {right}")), "{text}");
    }
}
