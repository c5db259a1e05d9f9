//! `[auth]`, `[reflector]` and the file of keys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::super::{Config, PeerAuth};
use super::{NODE, accepted, errors_below_node};

const SECRET: &str = "000102030405060708090a0b0c0d0e0f";

/// A config beside a key file with the keys `a` and `b`.
fn load(directory: &Path, text: &str) -> Result<Config, String> {
    let keys = directory.join("keys");
    fs::write(&keys, format!("a {SECRET}\nb {SECRET}\n")).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    let file = directory.join("f.toml");
    fs::write(&file, format!("{NODE}{text}")).unwrap();
    let directory = format!("{}/", directory.display());
    Config::load(&file).map_err(|error| error.to_string().replace(&directory, ""))
}

fn peers(auth: &[&str]) -> String {
    let peers = (1..).zip(auth).map(|(n, auth)| {
        format!("[[peer]]\nname = 'p{n}'\nregion = 'r'\naddress = '192.0.2.{n}'\n{auth}\n")
    });
    peers.collect()
}

#[test]
fn each_peer_has_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let text = peers(&["", "auth = 'none'", "auth = 'b'", "auth = 'a'"]);
    let keys = |config: &Config| {
        let keys = config.peers.iter().map(|peer| config.key_of(peer).map(str::to_owned));
        keys.collect::<Vec<_>>()
    };
    let key = |id: &str| Some(id.to_owned());
    let config = load(directory.path(), &format!("[auth]\nkeys = 'keys'\n{text}")).unwrap();
    assert_eq!((config.auth.key.as_str(), config.auth.require), ("a", true));
    assert_eq!(keys(&config), [key("a"), None, key("b"), key("a")]);
    let text = format!("[auth]\nkeys = 'keys'\nkey = 'b'\nrequire = false\n{text}");
    let config = load(directory.path(), &text).unwrap();
    assert_eq!((config.auth.key.as_str(), config.auth.require), ("b", false));
    assert_eq!(keys(&config), [key("b"), None, key("b"), key("a")]);

    let config = accepted(&peers(&["", "auth = 'none'"]));
    assert_eq!(config.peers[1].auth, PeerAuth::None);
    assert_eq!(keys(&config), [None, None]);
    assert!(!config.auth.require);
}

#[test]
fn keys_that_are_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("[auth]\nkeys = 'keys'\nkey = 'c'\n{}", peers(&["auth = 'd'"]));
    assert_eq!(
        load(directory.path(), &text).unwrap_err(),
        "f.toml:7:7: auth.key: there is no key `c` in the key file; it has a, b\n\
         f.toml:12:8: peer.auth: there is no key `d` in the key file; it has a, b"
    );
    let text = format!("[auth]\nkey = 'c'\nrequire = true\n{}", peers(&["auth = 'd'"]));
    let why = "name the file that has it in [auth] keys";
    assert_eq!(
        load(directory.path(), &text).unwrap_err(),
        format!(
            "f.toml:6:7: auth.key: there is no key `c`; {why}\n\
             f.toml:7:11: auth.require: needs keys; name their file in keys\n\
             f.toml:12:8: peer.auth: there is no key `d`; {why}"
        )
    );
    // What is wrong with the file is said once, and nothing else that may only follow from it.
    let text = text.replace("key = 'c'", "keys = 'f.toml'\nkey = 'c'");
    let error = load(directory.path(), &text).unwrap_err();
    assert_eq!(
        error,
        "f.toml:6:8: auth.keys: the key file f.toml is open to others (mode 0644): `chmod 600 f.toml`"
    );
}

/// What judges a config without its keys need not have them, and still finds what is wrong.
#[test]
fn a_config_can_be_read_where_its_keys_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.toml");
    let load = |text: &str| {
        fs::write(&file, format!("{NODE}{text}")).unwrap();
        Config::load_without_keys(&file)
    };
    let text =
        format!("[auth]\nkeys = '/none'\nkey = 'c'\nrequire = true\n{}", peers(&["auth = 'd'"]));
    let config = load(&text).unwrap();
    assert!(config.auth.keys.is_empty());
    assert_eq!(config.peers[0].auth, PeerAuth::Key("d".to_owned()));
    let error = load(&format!("{text}[health]\nexpiry = '1ms'\n")).unwrap_err().to_string();
    assert!(error.contains("health.expiry"), "{error}");
    assert!(load("[auth]\nkeys = 7\n").is_err());
    assert!(load("[auth]\nrequire = true\n").is_err(), "no key file is named");
}

#[test]
fn what_no_reflector_is() {
    assert_eq!(
        errors_below_node(
            "[reflector]\nrate = -1\nallow = ['192.0.2.1/24', 'gw', 7]\nstateless = 1\n"
        ),
        [
            "f.toml:6:8: reflector.rate: -1 is out of range; write a whole number from 0 to 100000000",
            "f.toml:7:10: reflector.allow: `192.0.2.1/24` has bits set behind its prefix: \
             did you mean `192.0.2.0/24`?",
            "f.toml:7:26: reflector.allow: `gw` is not an IP address",
            "f.toml:7:32: reflector.allow: the number 7 is not a string; \
             write one such as \"192.0.2.0/24\"",
            "f.toml:8:13: reflector.stateless: the number 1 does not do; write true or false",
        ]
    );
    assert_eq!(
        errors_below_node("[reflector]\nallow = 'all'\n[probe]\ntimestamps = 'gps'\n"),
        [
            "f.toml:6:9: reflector.allow: the string \"all\" is not a list; \
             write one such as [\"192.0.2.0/24\", \"2001:db8::/32\"]",
            "f.toml:8:14: probe.timestamps: the string \"gps\" does not do; \
             write \"ntp\" or \"ptp\"",
        ]
    );
}
