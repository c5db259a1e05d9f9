//! Our Session-Sender, `linkprobe ping`, and stamp-suite's stateful Session-Reflector: 10,000 probes each,
//! none lost, none rejected.

use std::{net::IpAddr, path::Path, thread};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Site};
use serde_json::Value;
use tests::{
    ping::{Ping, all_answered, count},
    stamp_suite::{Reflector, key_file, number, private_file},
};

/// Probes of each run.
const PROBES: u64 = 10_000;

/// Time between two probes: see `interop_reflector.rs`.
const PACE: &str = "-n 2ms --timeout 5s";

/// All TLVs that we can send but Extra Padding.
const TLVS: &str = "--tlv class-of-service --tlv direct-measurement --tlv timestamp-information \
                    --tlv location --tlv follow-up-telemetry --tlv access-report";

const SECRET: [u8; 32] = [0x5a; 32];
const OTHER_SECRET: [u8; 32] = [0xa5; 32];

/// Sites of senders: each has one interface, and so one program in XDP.
const SENDERS: [&str; 4] = ["a1", "a2", "a3", "a4"];

/// One run: over this version of IP, with these arguments.
struct Run {
    ipv6: bool,
    arguments: String,
}

impl Run {
    fn new(ipv6: bool, arguments: &str) -> Self {
        Self { ipv6, arguments: arguments.to_owned() }
    }
}

/// Runs `linkprobe ping` in each of the senders' sites, all at once, and returns what they have come to.
fn run(lab: &Lab, runs: &[Run], count: u64) -> Result<Vec<Ping>> {
    let b = lab.site("b")?;
    thread::scope(|scope| {
        let pings: Vec<_> = SENDERS
            .iter()
            .zip(runs)
            .map(|(site, Run { ipv6, arguments })| {
                let target = if *ipv6 { IpAddr::from(b.ipv6()) } else { IpAddr::from(b.ipv4()) };
                let arguments = format!("{target} {PACE} --count {count} --json {arguments}");
                Ok(scope.spawn(move || Ping::run(lab.site(site)?, &arguments)))
            })
            .collect::<Result<_>>()?;
        pings.into_iter().map(|ping| ping.join().expect("no panic")).collect()
    })
}

/// The documents of pings that have got answers.
fn documents(pings: &[Ping]) -> Result<Vec<Value>> {
    pings
        .iter()
        .map(|ping| {
            ensure!(ping.code == Some(0), "{ping:?}");
            serde_json::from_str(&ping.stdout).with_context(|| ping.stdout.clone())
        })
        .collect()
}

fn build() -> Result<Lab> {
    Lab::builder().sites(&SENDERS).site("b").build()
}

/// stamp-suite at both addresses of a site.
fn reflectors(site: &Site, key: Option<&Path>) -> Result<[Reflector; 2]> {
    Ok([
        Reflector::start(site, site.ipv4().into(), key)?,
        Reflector::start(site, site.ipv6().into(), key)?,
    ])
}

/// What a run must have come to, by what we and by what stamp-suite has counted.
#[track_caller]
fn all_is_well(documents: &[Value], reflectors: &[Reflector; 2]) -> Result<()> {
    for document in documents {
        all_answered(document, PROBES);
        assert_eq!(count(document, "reordered"), 0, "{document}");
    }
    let mut reflected = 0;
    for reflector in reflectors {
        let summary = reflector.stop()?;
        assert_eq!(number(&summary, "/total_packets_dropped"), 0, "{summary:#}");
        reflected += number(&summary, "/total_packets_reflected");
    }
    assert_eq!(reflected, PROBES * documents.len() as u64);
    Ok(())
}

/// IPv4 and IPv6, without and with TLVs.
#[test]
fn stamp_suite_answers_us_in_unauthenticated_mode() -> Result<()> {
    let lab = build()?;
    let reflectors = reflectors(lab.site("b")?, None)?;
    let with_tlvs = format!("{TLVS} --size 300 --dscp ef --datapath xdp");
    let runs = [
        Run::new(false, "--datapath xdp"),
        Run::new(true, "--datapath xdp"),
        Run::new(false, &with_tlvs),
        Run::new(true, &with_tlvs),
    ];
    all_is_well(&documents(&run(&lab, &runs, PROBES)?)?, &reflectors)
}

/// The same with a key that both know. TLVs need an HMAC of their own (RFC 8972, section 4.8), which only
/// sockets can sign; Extra Padding alone does not.
#[test]
fn stamp_suite_answers_us_in_authenticated_mode() -> Result<()> {
    let lab = build()?;
    let reflectors = reflectors(lab.site("b")?, Some(&key_file(&lab, "theirs", &SECRET)?))?;
    let key = our_key(&lab, &SECRET)?;
    let runs = [
        Run::new(false, &format!("{key} --datapath xdp")),
        Run::new(true, &format!("{key} --datapath xdp --size 300")),
        Run::new(false, &format!("{key} {TLVS} --datapath socket")),
        Run::new(true, &format!("{key} {TLVS} --datapath socket --size 300")),
    ];
    all_is_well(&documents(&run(&lab, &runs, PROBES)?)?, &reflectors)
}

/// One wrong key: no answer.
#[test]
fn stamp_suite_with_another_key_does_not_answer_us() -> Result<()> {
    const PROBES: u64 = 1_000;
    let lab = build()?;
    let reflectors = reflectors(lab.site("b")?, Some(&key_file(&lab, "theirs", &OTHER_SECRET)?))?;
    let key = our_key(&lab, &SECRET)?;
    let runs = [
        Run::new(false, &format!("{key} --datapath xdp")),
        Run::new(true, &format!("{key} --datapath xdp")),
        Run::new(false, &format!("{key} {TLVS} --datapath socket")),
        Run::new(true, &format!("{key} {TLVS} --datapath socket")),
    ];
    for ping in run(&lab, &runs, PROBES)? {
        assert_eq!(ping.code, Some(1), "{ping:?}");
        let document: Value = serde_json::from_str(&ping.stdout)?;
        assert_eq!((count(&document, "sent"), count(&document, "answered")), (PROBES, 0));
    }
    for reflector in reflectors {
        let summary = reflector.stop()?;
        assert_eq!(number(&summary, "/total_packets_received"), 2 * PROBES, "{summary:#}");
        assert_eq!(number(&summary, "/total_packets_reflected"), 0, "{summary:#}");
    }
    Ok(())
}

/// Writes a key file of ours, and returns the arguments that name it.
fn our_key(lab: &Lab, secret: &[u8]) -> Result<String> {
    let hex: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    let file = private_file(lab, "ours", &format!("key {hex}\n"))?;
    Ok(format!("--auth {}", file.display()))
}
