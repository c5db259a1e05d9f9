//! `[overlay]`.

use super::{NODE, accepted, errors};
use crate::config::{DEFAULT_METRIC, DestinationConfig, MAIN_TABLE, OverlayConfig};

const PEERS: &str = r#"
[[peer]]
name = "nyc"
region = "nyc"
address = "10.79.2.1"
[[peer]]
name = "sin"
region = "sin"
address = "10.79.3.1"
[[peer]]
name = "six"
region = "six"
address = "2001:db8::6"
[[peer]]
name = "named"
region = "named"
address = "gw.example.net"
"#;

/// The errors of an overlay, without the place, which is below the peers.
fn wrong(overlay: &str) -> Vec<String> {
    let text = format!("{NODE}{PEERS}{overlay}");
    let errors = errors(&text).into_iter();
    errors.map(|error| error.splitn(4, ':').nth(3).unwrap().trim().to_owned()).collect()
}

#[test]
fn every_field_reaches_its_place() {
    let config = accepted(&format!(
        r#"{PEERS}
        [overlay]
        table = 100
        metric = 5
        relays = ["sin"]
        local = ["10.1.0.0/16"]
        [[overlay.destinations]]
        peer = "nyc"
        interface = "vx-nyc"
        prefixes = ["10.2.0.0/16", "10.3.0.0/16"]
        [[overlay.destinations]]
        peer = "sin"
        interface = "vx-sin"
        "#
    ));
    let destination = |peer: &str, prefixes: &[&str]| DestinationConfig {
        peer: peer.to_owned(),
        interface: format!("vx-{peer}"),
        prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
    };
    let expected = OverlayConfig {
        table: 100,
        metric: 5,
        relays: Some(vec!["sin".to_owned()]),
        local: vec!["10.1.0.0/16".parse().unwrap()],
        destinations: vec![
            destination("nyc", &["10.2.0.0/16", "10.3.0.0/16"]),
            destination("sin", &[]),
        ],
    };
    assert_eq!(config.overlay, Some(expected));
    // To four peers directly, and to one of them through a relay.
    assert_eq!(config.paths(), 5);
}

#[test]
fn what_is_not_given_has_defaults() {
    let one = "[overlay]\ntable = \"main\"\n[[overlay.destinations]]\npeer = \"nyc\"\ninterface = \"vx\"\n";
    let overlay = accepted(&format!("{PEERS}{one}")).overlay.unwrap();
    assert_eq!((overlay.table, overlay.metric, overlay.relays), (MAIN_TABLE, DEFAULT_METRIC, None));
    assert_eq!(accepted("").overlay, None);
}

#[test]
fn what_needs_a_restart() {
    let with = |more: &str| {
        accepted(&format!(
            "{PEERS}[overlay]\n{more}\n[[overlay.destinations]]\npeer = \"nyc\"\ninterface = \"vx\"\n"
        ))
    };
    let before = with("");
    assert_eq!(before.needs_restart(&with("")), Vec::<&str>::new());
    assert_eq!(before.needs_restart(&with("metric = 7")), ["overlay"]);
    assert_eq!(before.needs_restart(&accepted(PEERS)), ["overlay"]);
    let mut moved = with("");
    moved.peers[0].address.host = crate::config::Host::Ip("10.79.2.9".parse().unwrap());
    assert_eq!(before.needs_restart(&moved), ["overlay"], "its routes lead to the old address");
    let mut another = with("");
    another.peers.pop();
    assert_eq!(before.needs_restart(&another), Vec::<&str>::new());
}

#[test]
fn mistakes_are_named() {
    let destination = |more: &str| {
        format!("[overlay]\n[[overlay.destinations]]\npeer = \"nyc\"\ninterface = \"vx\"\n{more}\n")
    };
    for (overlay, expected) in [
        (
            "[overlay]\n".to_owned(),
            "overlay.destinations: is missing; write destinations = [{ peer = \"nyc1-gw1\", \
             interface = \"vx-nyc1\", prefixes = [\"10.2.0.0/16\"] }]",
        ),
        (
            "[overlay]\ndestinations = []\n".to_owned(),
            "overlay.destinations: is not a list of tables; write [[overlay.destinations]], with \
             double brackets, above each",
        ),
        (
            destination("prefixes = [\"10.2.0.1/16\"]"),
            "overlay.destinations.prefixes: `10.2.0.1/16` has bits set behind its prefix: did you \
             mean `10.2.0.0/16`?",
        ),
        (
            destination("prefixes = [\"2001:db8::/32\"]"),
            "overlay.destinations.prefixes: 2001:db8::/32 and the gateway 10.79.2.1 are of \
             different versions of IP",
        ),
        (
            destination("prefixes = [\"0.0.0.0/0\"]"),
            "overlay.destinations.prefixes: 0.0.0.0/0 is everything, and the tunnels themselves are in \
             it; write what lies behind the gateway",
        ),
        (
            destination("prefix = \"10.2.0.0/16\""),
            "overlay.destinations.prefix: is not a field of this section; did you mean prefixes? it \
             has peer, interface, prefixes",
        ),
        (
            destination("").replace("nyc", "lon"),
            "overlay.destinations.peer: there is no [[peer]] named \"lon\"; write one that there is",
        ),
        (
            destination("").replace("nyc", "named"),
            "overlay.destinations.peer: \"named\" has a host name for its address; routes need an IP \
             address: give the peer the one that its gateway has in the overlay",
        ),
        (
            destination("").replace("[overlay]", "[overlay]\nrelays = [\"sin\"]"),
            "overlay.relays: \"sin\" is the peer of no destination; a relay needs one, for its tunnel \
             (prefixes may be empty)",
        ),
        (
            destination("").replace("[overlay]", "[overlay]\nrelays = [\"nyc\", \"nyc\"]"),
            "overlay.relays: \"nyc\" is named twice; take one of them out",
        ),
        (
            destination("").replace("[overlay]", "[overlay]\ntable = 255"),
            "overlay.table: 255 is the table of local addresses; write another one, or \"main\"",
        ),
        (
            destination("").replace("[overlay]", "[overlay]\ntable = 9862003"),
            "overlay.table: 9862003 is one of the overlay's own tables; write another one, or \
             \"main\"",
        ),
        (
            destination("").replace("[overlay]", "[overlay]\nmetric = 0"),
            "overlay.metric: 0 is out of range; write a whole number from 1 to 2147483647",
        ),
    ] {
        assert_eq!(wrong(&overlay), [expected], "{overlay}");
    }
}

#[test]
fn destinations_share_nothing() {
    let second = |peer: &str, interface: &str, prefix: &str| {
        format!(
            "[overlay]\n[[overlay.destinations]]\npeer = \"nyc\"\ninterface = \"vx-nyc\"\n\
             prefixes = [\"10.2.0.0/16\"]\n[[overlay.destinations]]\npeer = \"{peer}\"\n\
             interface = \"{interface}\"\nprefixes = [\"{prefix}\"]\n"
        )
    };
    accepted(&format!("{PEERS}{}", second("sin", "vx-sin", "10.3.0.0/16")));
    for (overlay, field) in [
        (
            second("nyc", "vx-sin", "10.3.0.0/16"),
            "overlay.destinations.peer: \"nyc\" is that of line",
        ),
        (
            second("sin", "vx-nyc", "10.3.0.0/16"),
            "overlay.destinations.interface: \"vx-nyc\" is that",
        ),
        (
            second("sin", "vx-sin", "10.2.0.0/16"),
            "overlay.destinations.prefixes: 10.2.0.0/16 is routed",
        ),
    ] {
        let told = wrong(&overlay);
        assert!(told.len() == 1 && told[0].starts_with(field), "{told:?}");
    }
}

/// A peer that is wrong itself is not said to be missing.
#[test]
fn a_gateway_whose_peer_is_wrong_is_told_of_once() {
    let text = format!(
        "{NODE}[[peer]]\nname = \"nyc\"\nregion = \"nyc\"\n[overlay]\n[[overlay.destinations]]\n\
         peer = \"nyc\"\ninterface = \"vx\"\n"
    );
    let told = errors(&text);
    assert!(told.len() == 1 && told[0].contains("peer.address: is missing"), "{told:?}");
}
