//! `linkprobe reflect`: whom it answers, and how, as its flags say.

use std::{
    fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, thread, time::Duration,
};

use anyhow::{Result, ensure};
use lab::{Lab, Process, Signal};
use serde_json::Value;
use tests::{
    agents::eventually,
    ping::{Ping, all_answered, count, two_sites},
};

const KEY: &str = "one 00112233445566778899aabbccddeeff";
const OTHER: &str = "two 99887766554433221100ffeeddccbbaa";

/// Starts it in site "b", and waits until it reflects.
fn reflect(lab: &Lab, arguments: &str) -> Result<Process> {
    let mut command = Command::new(lab::agent::binary(None)?);
    command.arg("reflect").args(arguments.split_whitespace());
    let process = lab.site("b")?.spawn(command)?;
    eventually("it reflects", || {
        ensure!(process.status()?.is_none(), "it has ended:\n{}", process.logs()?);
        Ok(process.logs()?.contains("reflecting"))
    })?;
    Ok(process)
}

/// Pings it from site "a", by sockets: the flags are about the other end.
fn ping(lab: &Lab, arguments: &str) -> Result<Ping> {
    let target = lab.site("b")?.ipv4();
    let count = if arguments.contains("--count") { "" } else { "--count 50" };
    let arguments = format!("{target} --datapath socket --interval 5ms {count} {arguments}");
    Ping::run(lab.site("a")?, &format!("{arguments} --json"))
}

fn answered(ping: &Ping) -> Result<Value> {
    ensure!(ping.code == Some(0), "{ping:?}");
    Ok(serde_json::from_str(&ping.stdout)?)
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text)?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
}

#[test]
fn with_keys_it_answers_who_has_one_and_reads_them_again() -> Result<()> {
    for datapath in ["-i wan0", "--datapath socket"] {
        let lab = two_sites()?;
        let [ours, theirs] = ["ours", "theirs"].map(|name| lab.directory().join(name));
        write_private(&ours, KEY)?;
        write_private(&theirs, KEY)?;
        let reflector = reflect(&lab, &format!("{datapath} --auth {}", ours.display()))?;
        let auth = format!("--auth {}", theirs.display());
        all_answered(&answered(&ping(&lab, &auth)?)?, 50);
        assert_eq!(ping(&lab, "")?.code, Some(1), "without a key");
        write_private(&theirs, OTHER)?;
        assert_eq!(ping(&lab, &auth)?.code, Some(1), "with another key");
        write_private(&ours, &format!("{KEY}\n{OTHER}\n"))?;
        reflector.signal(Signal::Hangup);
        eventually("it has read them", || Ok(reflector.logs()?.contains("keys again")))?;
        all_answered(&answered(&ping(&lab, &auth)?)?, 50);
        reflector.stop()?;
        let logs = reflector.logs()?;
        assert!(logs.contains("hmac"), "the rejected are counted:\n{logs}");
    }
    Ok(())
}

#[test]
fn the_allow_list_decides_who_is_answered() -> Result<()> {
    let lab = two_sites()?;
    let sender = lab.site("a")?.ipv4();
    for datapath in ["-i wan0", "--datapath socket"] {
        let stranger = reflect(&lab, &format!("{datapath} --allow 198.51.100.0/24"))?;
        assert_eq!(ping(&lab, "")?.code, Some(1), "{datapath}");
        stranger.stop()?;
        let allow = format!("--allow 198.51.100.0/24 --allow {sender}/32");
        let friend = reflect(&lab, &format!("{datapath} {allow}"))?;
        all_answered(&answered(&ping(&lab, "")?)?, 50);
        friend.stop()?;
    }
    Ok(())
}

/// 200 requests per second, and 20 allowed: the others are lost on the way there, as a sender sees it.
#[test]
fn the_rate_of_one_source_is_limited() -> Result<()> {
    for datapath in ["-i wan0", "--datapath socket"] {
        let lab = two_sites()?;
        let reflector = reflect(&lab, &format!("{datapath} --rate 20"))?;
        let document = answered(&ping(&lab, "--count 400")?)?;
        let (answers, lost) = (count(&document, "answered"), count(&document, "lost_forward"));
        assert!((20..=150).contains(&answers), "2 s: {document}");
        assert!(lost > 200, "{document}");
        assert_eq!(count(&document, "lost_reverse"), 0, "{document}");
        reflector.stop()?;
    }
    Ok(())
}

#[test]
fn stateless_it_copies_the_senders_numbers() -> Result<()> {
    for datapath in ["-i wan0", "--datapath socket"] {
        let lab = two_sites()?;
        let reflector = reflect(&lab, &format!("{datapath} --stateless --ptp"))?;
        let document = answered(&ping(&lab, "--stateless")?)?;
        all_answered(&document, 50);
        reflector.stop()?;
    }
    Ok(())
}

/// The kernel tells of it: addresses are listed once a minute only, which is longer than anybody waits here.
#[test]
fn an_address_that_comes_later_is_answered_too() -> Result<()> {
    let lab = two_sites()?;
    let reflector = reflect(&lab, "--datapath xdp -i wan0")?;
    // It has listed them when it began to look.
    thread::sleep(Duration::from_secs(2));
    let later = "10.77.2.78";
    lab.site("b")?.ip(&format!("addr add {later}/24 dev wan0\n"))?;
    let arguments = format!("{later} --datapath socket --timeout 200ms --count 5");
    eventually("it is answered", || Ok(Ping::run(lab.site("a")?, &arguments)?.code == Some(0)))?;
    reflector.stop()?;
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_with_what_can() -> Result<()> {
    let lab = two_sites()?;
    for (arguments, expected) in [
        ("", "--datapath socket"),
        ("-i nowhere", "nowhere"),
        ("-i wan0 --allow 10.0.0.1/8", "10.0.0.0/8"),
        ("-i wan0 --auth /nonexistent", "/nonexistent"),
        ("-i wan0 --datapath tcp", "[possible values: auto, xdp, socket]"),
    ] {
        let mut command = Command::new(lab::agent::binary(None)?);
        command.arg("reflect").args(arguments.split_whitespace());
        let output = lab.site("b")?.output(command)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments}: {said}");
        assert!(said.contains(expected), "{arguments}: {said}");
    }
    Ok(())
}
