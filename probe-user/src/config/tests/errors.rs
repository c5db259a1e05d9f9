//! What is said of each mistake: file, line, column, field, what is wrong, what would be right.

use super::super::Config;
use super::{NODE, errors, errors_below_node};

/// Each text follows [`NODE`], so that its first line is line 5, and has exactly these problems.
fn check(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let version = |line: &str| line.replace("VERSION", env!("CARGO_PKG_VERSION"));
        let expected: Vec<String> =
            expected.iter().map(|line| format!("f.toml:{}", version(line))).collect();
        assert_eq!(errors_below_node(text), expected, "{text}");
    }
}

#[test]
fn durations() {
    check(&[
        (
            "[probe]\ninterval = 100",
            &[
                "6:12: probe.interval: 100 has no unit; write a duration with one, such as \"100ms\"",
            ],
        ),
        (
            "[probe]\n\n  timeout = '5'",
            &["7:13: probe.timeout: 5 has no unit; write a duration with one, such as \"1s\""],
        ),
        (
            "[probe]\ninterval = '100 parsecs'",
            &["6:12: probe.interval: \"100 parsecs\" is not a duration; \
               write a number and a unit, such as \"100ms\""],
        ),
        (
            "[probe]\ninterval = '-5ms'",
            &["6:12: probe.interval: \"-5ms\" is not a duration; \
               write a number and a unit, such as \"100ms\""],
        ),
        (
            "[probe]\ninterval = ''",
            &["6:12: probe.interval: \"\" is not a duration; \
               write a number and a unit, such as \"100ms\""],
        ),
        (
            "[probe]\ninterval = true",
            &["6:12: probe.interval: the boolean true is not a duration; \
               write one such as \"100ms\""],
        ),
        (
            "[probe]\ninterval = 0.1",
            &[
                "6:12: probe.interval: the number 0.1 is not a duration; write one such as \"100ms\"",
            ],
        ),
        (
            "[probe]\ninterval = '999us'",
            &["6:12: probe.interval: 999us is out of range; write a duration from 1ms to 1m"],
        ),
        (
            "[probe]\ninterval = '0s'\ntimeout = '61s'",
            &[
                "6:12: probe.interval: 0s is out of range; write a duration from 1ms to 1m",
                "7:11: probe.timeout: 61s is out of range; write a duration from 10ms to 1m",
            ],
        ),
    ]);
}

#[test]
fn numbers() {
    check(&[
        (
            "[probe]\nflows = 0\nport = 65536",
            &[
                "6:9: probe.flows: 0 is out of range; write a whole number from 1 to 64",
                "7:8: probe.port: 65536 is out of range; write a whole number from 1 to 65535",
            ],
        ),
        (
            "[probe]\nflows = 99999999999999999999",
            &["6:9: probe.flows: 99999999999999999999 is out of range; \
               write a whole number from 1 to 64"],
        ),
        (
            "[probe]\nflows = '4'\nport = 8.62",
            &[
                "6:9: probe.flows: the string \"4\" does not do; write a whole number from 1 to 64",
                "7:8: probe.port: the number 8.62 does not do; \
                 write a whole number from 1 to 65535",
            ],
        ),
        (
            "[probe]\ndscp = 64",
            &["6:8: probe.dscp: the number 64 is not a DSCP; \
               write a number from 0 to 63 or a name such as \"ef\""],
        ),
        (
            "[probe]\ndscp = 'gold'",
            &["6:8: probe.dscp: the string \"gold\" is not a DSCP; \
               write a number from 0 to 63 or a name such as \"ef\""],
        ),
    ]);
}

#[test]
fn health() {
    check(&[
        (
            "[health]\nprofile = 'quick'",
            &["6:11: health.profile: the string \"quick\" is not a profile; \
               write \"fast\", \"balanced\" or \"calm\""],
        ),
        (
            "[health]\naccepted_loss = '25%'\nfalse_alarms_per_year = 0\nrecovery_probes = 10001\n\
             recovery = '1ms'\nblip = '1h'\nexpiry = 3\nlatency_factor = 1",
            &[
                "6:17: health.accepted_loss: 25% is out of range; \
                 write a percentage from \"0.01%\" to \"20%\"",
                "7:25: health.false_alarms_per_year: the number 0 is out of range; \
                 write a number from 0.0001 to 100000",
                "8:19: health.recovery_probes: 10001 is out of range; \
                 write a whole number from 1 to 10000",
                "9:12: health.recovery: 1ms is out of range; write a duration from 10ms to 1h",
                "10:8: health.blip: 1h is out of range; write a duration from 0s to 10s",
                "11:10: health.expiry: 3 has no unit; write a duration with one, such as \"3s\"",
                "12:18: health.latency_factor: the number 1 is out of range; \
                 write a number from 1.1 to 100, or 0 not to look at round trips",
            ],
        ),
        (
            "[health]\naccepted_loss = 0.01\nfalse_alarms_per_year = 'few'",
            &[
                "6:17: health.accepted_loss: the number 0.01 has no sign; \
                 write a percentage from \"0.01%\" to \"20%\"",
                "7:25: health.false_alarms_per_year: the string \"few\" does not do; \
                 write a number from 0.0001 to 100000",
            ],
        ),
        (
            "[health]\naccepted_loss = 'one%'\nlatency_factor = true",
            &[
                "6:17: health.accepted_loss: \"one%\" is not a percentage; \
                 write a percentage from \"0.01%\" to \"20%\"",
                "7:18: health.latency_factor: the boolean true does not do; \
                 write a number from 1.1 to 100, or 0 not to look at round trips",
            ],
        ),
        (
            "[health]\nprofile = 'calm'\ndamping = '2s'",
            &[
                "7:11: health.damping: 2s is less than health.recovery, 5s (of the profile \"calm\"), \
               which it is the upper limit of; set it to 5s or more",
            ],
        ),
    ]);
}

#[test]
fn verdicts_that_would_expire_between_two_probes() {
    let why = "is less than probe.interval plus probe.timeout, so that verdicts would expire \
               between two probes; set health.expiry to";
    let ours = format!("6:10: health.expiry: 1s {why} 1s100ms or more");
    let profile = format!("7:11: health.expiry: 2s (of the profile \"fast\") {why} 3s20ms or more");
    let interval =
        format!("6:12: health.expiry: 3s (of the profile \"balanced\") {why} 6s or more");
    check(&[
        ("[health]\nexpiry = '1s'", &[&ours]),
        ("[probe]\ninterval = '20ms'\ntimeout = '3s'\n[health]\nprofile = 'fast'", &[&profile]),
        ("[probe]\ninterval = '5s'", &[&interval]),
    ]);
}

#[test]
fn a_field_that_is_refused_causes_no_second_error() {
    check(&[(
        "[health]\nrecovery = '1m'\ndamping = 10",
        &["7:11: health.damping: 10 has no unit; write a duration with one, such as \"48s\""],
    )]);
}

#[test]
fn record() {
    check(&[
        (
            "[record]\ndirectory = ''\nlimit = '64'",
            &[
                "6:13: record.directory: is empty; write a directory such as \"/var/lib/linkprobe\"",
                "7:9: record.limit: \"64\" is not a size; write a number and a unit, such as \"256MiB\"",
            ],
        ),
        (
            "[record]\nlimit = '64kB'",
            &["6:9: record.limit: 64kB is out of range; write a size from 1MiB to 1048576MiB"],
        ),
    ]);
}

#[test]
fn fields_and_sections_that_nobody_knows() {
    let known = "it knows [node], [probe], [health], [record], [auth], [reflector], [[peer]], [overlay], [web] and \
             [[hook]]";
    let routes = format!("5:2: routes: linkprobe VERSION does not know this section; {known}");
    let peers = format!(
        "5:3: peers: linkprobe VERSION does not know this section; did you mean peer? {known}"
    );
    check(&[
        (
            "[probe]\nintervall = '1s'\npayload = 5",
            &[
                "6:1: probe.intervall: is not a field of this section; did you mean interval? \
                 it has interval, timeout, flows, dscp, timestamps, port",
                "7:1: probe.payload: is not a field of this section; \
                 it has interval, timeout, flows, dscp, timestamps, port",
            ],
        ),
        (
            "[[peer]]\nname = 'a'\nregion = 'r'\naddres = '192.0.2.1'",
            &[
                "5:1: peer.address: is missing; write address = \"192.0.2.1\"",
                "8:1: peer.addres: is not a field of this section; did you mean address? \
                 it has name, region, address, reflector, auth",
            ],
        ),
        ("[routes]", &[&routes]),
        ("[[peers]]\nname = 'a'", &[&peers]),
    ]);
    assert_eq!(
        errors(&format!("name = 'x'\n{NODE}")),
        ["f.toml:1:1: name: stands outside of every section; write it below a header such as \
             [node]"]
    );
}

#[test]
fn sections_of_the_wrong_shape() {
    check(&[
        (
            "[peer]\nname = 'a'",
            &[
                "5:1: peer: is not a list of tables; write [[peer]], with double brackets, above each",
            ],
        ),
        (
            "[[probe]]\ninterval = '1s'",
            &["5:1: probe: is a list; write [probe] with single brackets, once"],
        ),
    ]);
    assert_eq!(
        errors("node = 'ams1'"),
        ["f.toml:1:8: node: the string \"ams1\" is not a section; \
          write the header [node], fields below it"]
    );
    assert_eq!(
        errors(&format!("peer = ['a']\n{NODE}")),
        [
            "f.toml:1:8: peer: is not a list of tables; write [[peer]], with double brackets, above each"
        ]
    );
}

#[test]
fn node() {
    assert_eq!(
        errors("\n[node]\n"),
        [
            "f.toml:2:1: node.name: is missing; write name = \"ams1-gw1\"",
            "f.toml:2:1: node.region: is missing; write region = \"ams1\"",
            "f.toml:2:1: node.interfaces: is missing; write interfaces = [\"eth0\"]",
        ]
    );
    assert_eq!(
        errors("[node]\nname = 1\nregion = 'a b'\ninterfaces = []\n"),
        [
            "f.toml:2:8: node.name: the number 1 is not a string; write one such as \"ams1\"",
            "f.toml:3:10: node.region: \"a b\" is not a name; write letters, digits, \"-\", \"_\" \
             and \".\", with a letter or digit in front",
            "f.toml:4:14: node.interfaces: is empty; name at least one, such as [\"eth0\"]",
        ]
    );
    let long = "x".repeat(64);
    assert_eq!(
        errors(&format!("[node]\nname = ''\nregion = '{long}'\ninterfaces = 'eth0'\n")),
        [
            "f.toml:2:8: node.name: is empty; write a name such as \"ams1\"".to_owned(),
            format!(
                "f.toml:3:10: node.region: {long:?} is too long; a name has at most 63 characters"
            ),
            "f.toml:4:14: node.interfaces: the string \"eth0\" is not a list; \
             write one such as [\"eth0\"]"
                .to_owned(),
        ]
    );
    assert_eq!(
        errors(
            "[node]\nname = 'a'\nregion = 'r'\n\
             interfaces = ['eth0', 'eth0',\n 'a/b', 'abcdefghijklmnop', 1, '..']\n"
        ),
        [
            "f.toml:4:23: node.interfaces: \"eth0\" is named twice; take one of them out",
            "f.toml:5:2: node.interfaces: \"a/b\" cannot be the name of an interface; \
             write one such as \"eth0\" (`ip link` lists them)",
            "f.toml:5:9: node.interfaces: \"abcdefghijklmnop\" has 16 bytes, but the name of an \
             interface has at most 15 (`ip link` lists them)",
            "f.toml:5:29: node.interfaces: the number 1 is not a string; write one such as \"eth0\"",
            "f.toml:5:32: node.interfaces: \"..\" cannot be the name of an interface; \
             write one such as \"eth0\" (`ip link` lists them)",
        ]
    );
}

#[test]
fn columns_are_characters() {
    assert_eq!(
        errors("[node]\nname = 'a'\nregion = 'r'\ninterfaces = ['größe', 'a/b']\n"),
        ["f.toml:4:24: node.interfaces: \"a/b\" cannot be the name of an interface; \
          write one such as \"eth0\" (`ip link` lists them)"]
    );
}

#[test]
fn peers() {
    check(&[
        (
            "[[peer]]",
            &[
                "5:1: peer.name: is missing; write name = \"nyc1-gw1\"",
                "5:1: peer.region: is missing; write region = \"nyc1\"",
                "5:1: peer.address: is missing; write address = \"192.0.2.1\"",
            ],
        ),
        (
            "[[peer]]\nname = 'a'\nregion = 'r'\naddress = 'a b'\nreflector = 'full'",
            &[
                "8:11: peer.address: \"a b\" is not a host name; write an address such as \
                 \"192.0.2.1\", \"[2001:db8::1]:862\" or \"gw1.example.net\"",
                "9:13: peer.reflector: the string \"full\" is not a kind of reflector; \
                 write \"stateful\" or \"stateless\"",
            ],
        ),
        (
            "[[peer]]\nname = 'ams1'\nregion = 'r'\naddress = '192.0.2.1'",
            &["6:8: peer.name: \"ams1\" is this node itself (node.name); take the peer out"],
        ),
        (
            "[[peer]]\nname = 'a'\nregion = 'r'\naddress = '192.0.2.1'\n\
             [[peer]]\nname = 'a'\nregion = 'r'\naddress = '192.0.2.1:862'",
            &[
                "10:8: peer.name: \"a\" is taken by line 6; names must differ",
                "12:11: peer.address: 192.0.2.1:862 is the address of the peer in line 8 too; \
                 give each peer its own",
            ],
        ),
    ]);
}

#[test]
fn more_sessions_than_there_are_identifiers() {
    let mut text = format!("{NODE}[probe]\nflows = 64\n");
    for i in 0..1024 {
        let (high, low) = (i / 256, i % 256);
        text += &format!("[[peer]]\nname = 'p{i}'\nregion = 'r'\naddress = '10.0.{high}.{low}'\n");
    }
    // 1023 x 64 = 65472 fit; peer 1024 begins in line 7 + 1023 x 4.
    assert_eq!(
        errors(&text),
        [
            "f.toml:4099:1: peer: this peer is number 1024 with 64 flows each, but there can be 65535 \
          sessions (peers times flows); take peers out or lower probe.flows"
        ]
    );
    let fits = text.replace("flows = 64", "flows = 63");
    assert_eq!(Config::parse(&fits, "f.toml").map(|config| config.peers.len()).unwrap(), 1024);
}

#[test]
fn web() {
    check(&[
        (
            "[web]\nlisten = 'localhost:9862'",
            &["6:10: web.listen: \"localhost:9862\" is not an address with a port; \
               write one such as \"127.0.0.1:9862\""],
        ),
        (
            "[web]\nlisten = 9862",
            &["6:10: web.listen: the number 9862 is not a string; \
               write one such as \"127.0.0.1:9862\""],
        ),
    ]);
}

#[test]
fn what_is_no_toml_has_a_place_and_its_field() {
    check(&[
        (
            "[probe]\ninterval = 100ms",
            &["6:12: probe.interval: this is not TOML: string values must be quoted, \
               expected literal string"],
        ),
        (
            "[probe]\ninterval = \"1s\nflows = 2",
            &["6:15: probe.interval: this is not TOML: invalid basic string, expected `\"`"],
        ),
        ("[probe\nflows = 1", &["5:7: probe: this is not TOML: unclosed table, expected `]`"]),
        ("[probe]\nflows = 1\nflows = 2", &["7:1: probe.flows: this is not TOML: duplicate key"]),
        ("a b", &["5:3: node: this is not TOML: key with no value, expected `=`"]),
    ]);
}

#[test]
fn mistakes_in_several_sections_are_told_at_once() {
    check(&[(
        "[probe]\nflows = 65\n[web]\nport = 1\n[oauth]\n[health]\nrecovery_probes = 0",
        &[
            "6:9: probe.flows: 65 is out of range; write a whole number from 1 to 64",
            "8:1: web.port: is not a field of this section; it has listen, agent_check",
            "9:2: oauth: linkprobe VERSION does not know this section; did you mean auth? \
             it knows [node], [probe], [health], [record], [auth], [reflector], [[peer]], [overlay], [web] and \
             [[hook]]",
            "11:19: health.recovery_probes: 0 is out of range; write a whole number from 1 to 10000",
        ],
    )]);
}
