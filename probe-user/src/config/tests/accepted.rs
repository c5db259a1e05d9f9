//! What a config may say, and what it then means.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use probe_ebpf::ntp::Format;
use serde_json::Value;

use super::super::{
    AuthConfig, Config, DatapathKind, HealthConfig, HookAction, HookConfig, Host, NodeConfig,
    PeerAddress, PeerAuth, PeerConfig, ProbeConfig, RecordConfig, ReflectorConfig, ReflectorKind,
    WebConfig, schema,
};
use super::{NODE, accepted};
use crate::hooks::Kind;

const EXAMPLE: &str = include_str!("../../../../deploy/linkprobe.toml");

#[test]
fn the_least_config_has_the_defaults_of_the_documentation() {
    let expected = Config {
        node: NodeConfig {
            name: "ams1".to_owned(),
            region: "ams".to_owned(),
            interfaces: vec!["eth0".to_owned()],
            datapath: DatapathKind::Auto,
        },
        probe: ProbeConfig {
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(1),
            flows: 4,
            dscp: 0,
            timestamps: Format::Ntp,
            port: 862,
        },
        health: HealthConfig {
            accepted_loss: 0.01,
            false_alarms_per_year: 1.0,
            recovery: Duration::from_millis(1_500),
            recovery_probes: 60,
            damping: Duration::from_secs(48),
            blip: Duration::from_millis(5),
            expiry: Duration::from_secs(3),
            latency_factor: 3.0,
        },
        record: RecordConfig { directory: None, limit: 256 << 20 },
        auth: AuthConfig::default(),
        reflector: ReflectorConfig {
            rate: 10_000,
            allow: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
            stateless: false,
        },
        peers: Vec::new(),
        overlay: None,
        web: WebConfig { listen: SocketAddr::from(([127, 0, 0, 1], 9862)), agent_check: None },
        hooks: Vec::new(),
    };
    assert_eq!(accepted(""), expected);
}

#[test]
fn every_field_reaches_its_place() {
    let config = accepted(
        r#"
        [probe]
        interval = "20ms"
        timeout = "500ms"
        flows = 16
        dscp = "EF"
        timestamps = "ptp"
        port = 5000

        [health]
        profile = "calm"
        accepted_loss = "2.5 %"
        false_alarms_per_year = 0x0a
        recovery = "3s"
        recovery_probes = 1_000
        damping = "1m"
        blip = "20ms"
        expiry = "1m 30s"
        latency_factor = 1.5

        [record]
        directory = "record"
        limit = "64MiB"

        [reflector]
        rate = 0
        allow = ["192.0.2.0/24"]
        stateless = true

        [[peer]]
        name = "nyc1"
        region = "nyc"
        address = "192.0.2.1"

        [[peer]]
        name = "fra1"
        region = "fra"
        address = "Gw.Example.NET:7000"
        reflector = "stateless"
        auth = "none"

        [web]
        listen = "[::]:80"
        agent_check = "127.0.0.1:9863"

        [[hook]]
        name = "drain"
        command = ["/bin/drain", "now"]

        [[hook]]
        name = "page"
        webhook = "http://example.net:8080/x"
        on = ["path", "isolated"]
        timeout = "1s"
        min_interval = "0s"
        retries = 0
        "#,
    );
    let probe = ProbeConfig {
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(500),
        flows: 16,
        dscp: 46,
        timestamps: Format::Ptp,
        port: 5000,
    };
    let health = HealthConfig {
        accepted_loss: 0.025,
        false_alarms_per_year: 10.0,
        recovery: Duration::from_secs(3),
        recovery_probes: 1000,
        damping: Duration::from_secs(60),
        blip: Duration::from_millis(20),
        expiry: Duration::from_secs(90),
        latency_factor: 1.5,
    };
    let record = RecordConfig { directory: Some("record".into()), limit: 64 << 20 };
    let peers = [
        PeerConfig {
            name: "nyc1".to_owned(),
            region: "nyc".to_owned(),
            address: PeerAddress { host: Host::Ip([192, 0, 2, 1].into()), port: 5000 },
            reflector: ReflectorKind::Stateful,
            auth: PeerAuth::Node,
        },
        PeerConfig {
            name: "fra1".to_owned(),
            region: "fra".to_owned(),
            address: PeerAddress { host: Host::Name("gw.example.net".to_owned()), port: 7000 },
            reflector: ReflectorKind::Stateless,
            auth: PeerAuth::None,
        },
    ];
    assert_eq!(config.probe, probe);
    assert_eq!(config.health, health);
    assert_eq!(config.record, record);
    let allow = vec!["192.0.2.0/24".parse().unwrap()];
    assert_eq!(config.reflector, ReflectorConfig { rate: 0, allow, stateless: true });
    assert_eq!(config.peers, peers);
    assert_eq!(config.web.listen, "[::]:80".parse().unwrap());
    assert_eq!(config.web.agent_check, Some("127.0.0.1:9863".parse().unwrap()));
    assert_eq!(config.hooks, hooks());
}

/// Those of the test above; the first has the defaults.
fn hooks() -> [HookConfig; 2] {
    let command = vec!["/bin/drain".to_owned(), "now".to_owned()];
    [
        HookConfig {
            name: "drain".to_owned(),
            action: HookAction::Command(command),
            on: vec![Kind::Region],
            timeout: Duration::from_secs(10),
            min_interval: Duration::from_secs(1),
        },
        HookConfig {
            name: "page".to_owned(),
            action: HookAction::Webhook { url: "http://example.net:8080/x".to_owned(), retries: 0 },
            on: vec![Kind::Path, Kind::Isolated],
            timeout: Duration::from_secs(1),
            min_interval: Duration::ZERO,
        },
    ]
}

#[test]
fn profiles_set_what_is_not_given() {
    let health = |text: &str| accepted(&format!("[health]\n{text}\n")).health;
    let profile = |text: &str| health(&format!("profile = '{text}'"));
    assert_eq!(health(""), profile("balanced"));
    for (one, other) in [("fast", "balanced"), ("balanced", "calm")] {
        let (one, other) = (profile(one), profile(other));
        assert!(one.false_alarms_per_year > other.false_alarms_per_year);
        assert!(one.recovery < other.recovery && one.damping <= other.damping);
        assert!(one.expiry < other.expiry && one.blip < other.blip);
    }
    let calm = health("profile = 'calm'\nrecovery_probes = 7");
    assert_eq!(calm, HealthConfig { recovery_probes: 7, ..profile("calm") });
}

#[test]
fn limits_are_inside() {
    let config = accepted("[probe]\ninterval = '1ms'\ntimeout = '10ms'\nflows = 1\ndscp = 63\n");
    assert_eq!((config.probe.flows, config.probe.dscp), (1, 63));
    let config = accepted(
        "[probe]\ninterval = '60s'\ntimeout = '60s'\nflows = 64\nport = 65535\n\
         [health]\naccepted_loss = '20%'\nfalse_alarms_per_year = 0.0001\nrecovery_probes = 10000\n\
         blip = '0s'\nexpiry = '2m'\nlatency_factor = 0\n[record]\nlimit = '1TiB'\n",
    );
    assert_eq!((config.probe.flows, config.probe.port), (64, 65535));
}

#[test]
fn line_ends_and_marks_of_other_systems_do_no_harm() {
    let text = format!("\u{feff}{NODE}").replace('\n', "\r\n");
    assert_eq!(Config::parse(&text, "f.toml").unwrap(), accepted(""));
}

#[test]
fn the_example_states_the_defaults() {
    let config = Config::parse(EXAMPLE, "deploy/linkprobe.toml").unwrap();
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(field) if field.contains(" = ") && !field.starts_with(' ') => field,
            _ => line,
        })
        .fold(String::new(), |text, line| text + line + "\n");
    assert_ne!(uncommented, EXAMPLE);
    assert_eq!(Config::parse(&uncommented, "all fields").unwrap(), config);
    assert_eq!(config.health, HealthConfig::default());
    assert_eq!(config.probe, ProbeConfig::default());
    assert_eq!(config.record, RecordConfig::default());
    assert_eq!(config.reflector, ReflectorConfig::default());
    assert_eq!(config.web, WebConfig::default());

    // Every field of the schema is in it.
    let schema = schema();
    for (section, definition) in schema["properties"].as_object().unwrap() {
        for field in fields(definition) {
            let is_there = [
                format!("\n{field} = "),
                format!("\n#     {field} = "),
                format!("\n#     [[{section}.{field}]]"),
            ]
            .iter()
            .any(|line| uncommented.contains(line));
            assert!(is_there, "{section}.{field} is not in the example");
        }
    }
}

/// The fields of a section in the schema.
fn fields(definition: &Value) -> BTreeSet<String> {
    let table = definition.get("items").unwrap_or(definition);
    table["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_knows_the_fields_that_the_parser_knows() {
    let schema = schema();
    for (section, definition) in schema["properties"].as_object().unwrap() {
        let is_list = definition["type"] == "array";
        let header = if is_list { format!("[[{section}]]") } else { format!("[{section}]") };
        let text = format!("{header}\nnothing_like_it = 1\n");
        let error = Config::parse(&text, "f.toml").unwrap_err().to_string();
        let (_, known) = error
            .lines()
            .find_map(|line| line.split_once("is not a field of this section; it has "))
            .unwrap_or_else(|| panic!("{error}"));
        let known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
        assert_eq!(known, fields(definition), "[{section}]");
    }
}

#[test]
fn only_what_a_running_agent_cannot_take_over_needs_a_restart() {
    let old = accepted("");
    let reloadable = accepted(
        "[probe]\ninterval = '20ms'\ndscp = 46\n[health]\nprofile = 'calm'\n\
         [[peer]]\nname = 'a'\nregion = 'r'\naddress = '192.0.2.1'\n",
    );
    assert_eq!(old.needs_restart(&reloadable), Vec::<&str>::new());

    let other = Config::parse(
        "[node]\nname = 'x'\nregion = 'y'\ninterfaces = ['z']\ndatapath = 'xdp'\n\
         [probe]\nflows = 5\ntimeout = '2s'\ntimestamps = 'ptp'\nport = 863\n[web]\nlisten = '127.0.0.1:1'\nagent_check = '127.0.0.1:2'\n\
         [[hook]]\nname = 'h'\ncommand = ['/h']\n\
         [record]\ndirectory = 'd'\nlimit = '1MiB'\n",
        "f.toml",
    )
    .unwrap();
    let all = [
        "node.name",
        "node.region",
        "node.interfaces",
        "node.datapath",
        "probe.timeout",
        "probe.flows",
        "probe.timestamps",
        "probe.port",
        "record.directory",
        "record.limit",
        "web.listen",
        "web.agent_check",
        "hook",
    ];
    assert_eq!(old.needs_restart(&other), all);
}
