use std::{
    fs,
    net::{TcpListener, UdpSocket},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    WORKER,
    fake::{Agent, Place, eventually},
};

fn dry_run(place: &Place, options: &str) -> (Option<i32>, String) {
    let output = place.output(&format!("--dry-run {options}"));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_dry_run_tells_what_is_seen_and_chosen() {
    let agent = Agent::start("ams", "nyc=reachable fra=impaired sin=reachable");
    let there = Agent::start("nyc", "ams=reachable fra=isolated sin=isolated");
    let targets = [&format!("nyc={}", there.url), "fra", "tyo", "sin=http://127.0.0.1:1"];
    let place = Place::new(&agent.url, &targets);
    let expected = "\
seen by ams1 (region ams)
TARGET  REGION  ADDRESS  FROM HERE  STANDING   FROM THERE
nyc     nyc     nyc:7    reachable  cut off    reaches 1 of 3 regions
fra     fra     fra:7    impaired   impaired   -
tyo     tyo     tyo:7    -          unknown    -
sin     sin     sin:7    reachable  reachable  no agent answers at http://127.0.0.1:1: is `linkprobe run` running there?
would be started: sin (the best is reachable)
";
    assert_eq!(dry_run(&place, ""), (Some(0), expected.to_owned()));

    let (code, text) = dry_run(&place, "--json");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!((&document["choice"], &document["agent"]["node"]), (&"sin".into(), &"ams1".into()));
    assert_eq!(document["targets"][0]["standing"], "cut_off");
    assert_eq!(document["targets"][0]["good"], false);
    assert_eq!(document["targets"][1]["here"], "impaired");
    assert_eq!(document["targets"][2]["here"], Value::Null);

    agent.says_isolated("ams", "nyc=isolated fra=isolated sin=self_isolated");
    let (code, text) = dry_run(&place, "");
    assert_eq!(code, Some(1));
    assert!(text.contains("isolated: most regions fail at once"), "{text}");
    assert!(text.contains("would be started: nyc (this node is cut off"), "{text}");

    agent.hangs();
    let (code, text) = dry_run(&place, "");
    assert_eq!(code, Some(1));
    let problem = format!("nothing is seen from here: {} does not answer within 3 s\n", agent.url);
    assert!(text.starts_with(&problem), "{text}");
}

#[test]
fn a_file_that_is_wrong_is_refused_by_line_and_field() {
    let place = Place::new("https://ams1", &["nyc", "nyc"]);
    let output = place.output("-- true");
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{log}");
    let file = place.targets().display().to_string();
    for expected in [
        format!(
            "{file}:1:9: agent: https://ams1 is not the URL of an agent, which speaks plain HTTP"
        ),
        format!("{file}:7:8: target.name: \"nyc\" is taken by line 3; names must differ"),
    ] {
        assert!(log.contains(&expected), "{log}");
    }
    fs::remove_file(place.targets()).unwrap();
    assert_eq!(place.output("--dry-run").status.code(), Some(125));
    assert_eq!(place.output("").status.code(), Some(125), "without a command");
}

#[test]
fn the_file_is_read_again_and_a_bad_one_changes_nothing() {
    let agent = Agent::start("ams", "nyc=reachable fra=reachable");
    let place = Place::new(&agent.url, &["nyc"]);
    let guard = place.guard("", WORKER);
    guard.said(&["nyc"]);
    fs::write(place.targets(), "[[target]]\nname = 1\n").unwrap();
    guard.signal(libc::SIGHUP);
    agent.is_asked(10);
    guard.said(&["nyc"]);
    // A new one beside it, of which the command need not know.
    place.write_targets(&agent.url, &["nyc", "fra"]);
    guard.signal(libc::SIGHUP);
    agent.is_asked(10);
    guard.said(&["nyc"]);
    place.write_targets(&agent.url, &["fra"]);
    guard.signal(libc::SIGHUP);
    guard.said(&["nyc", "end-nyc", "fra"]);
    guard.signal(libc::SIGTERM);
    let log = guard.ends_with(0);
    assert!(log.contains("the old targets stay"), "{log}");
    assert!(log.contains("target.name: the number 1 is not a string"), "{log}");
    assert!(log.contains("reloaded kept=1 new=1 removed=0"), "{log}");
    assert!(log.contains("why=the old one is no longer in the file"), "{log}");
}

#[test]
fn the_agent_of_the_command_line_goes_before_that_of_the_file() {
    let agent = Agent::start("ams", "nyc=isolated fra=reachable");
    let place = Place::new("http://127.0.0.1:1", &["nyc", "fra"]);
    let (code, text) = dry_run(&place, &format!("--agent {}", agent.url));
    assert_eq!(code, Some(0));
    assert!(text.contains("would be started: fra"), "{text}");
}

/// What an agent really says is understood: one that probes itself, and a peer that is not there.
#[test]
fn a_real_agent_is_understood() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = Place::new(&format!("http://{web}"), &["dead", "self"]);
    let config = place.targets().with_file_name("linkprobe.toml");
    let text = format!(
        r#"
        [node]
        name = "ams1"
        region = "ams"
        datapath = "socket"
        interfaces = ["lo"]
        [probe]
        port = {port}
        interval = "20ms"
        [web]
        listen = "{web}"
        [[peer]]
        name = "self"
        region = "self"
        address = "127.0.0.1:{port}"
        [[peer]]
        name = "dead"
        region = "dead"
        address = "127.0.0.1:1"
        "#
    );
    fs::write(&config, text).unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_linkprobe"))
        .args(["run", "--config"])
        .arg(config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut last = String::new();
    let understood = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("one is reachable, the other isolated", || {
            last = dry_run(&place, "").1;
            let row = |name: &str, standing: &str| {
                last.lines().any(|line| line.starts_with(name) && line.contains(standing))
            };
            (row("self", "reachable") && row("dead", "isolated")).then_some(())
        });
    }));
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(understood.is_ok(), "{last}");
    assert!(last.contains("would be started: self (the best is reachable)"), "{last}");
}
