//! tshark, an independent dissector, on the traffic of pings and reflectors: nothing is malformed.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::Lab;
use tests::{
    agents::eventually,
    ping::{Ping, two_sites},
    stamp_suite::private_file,
};

const KEY: &str = "one 00112233445566778899aabbccddeeff";

/// Probes of each ping.
const PROBES: usize = 20;

/// After this, tshark captures; after this, all that was captured is written.
const SETTLED: Duration = Duration::from_secs(1);

/// Who has answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replier {
    Kernel,
    Userspace,
}

/// What tshark says of a frame.
#[derive(Debug)]
struct Frame {
    is_reply: bool,
    length: usize,
    protocols: String,
    /// Of UDP: 1 for a good one.
    checksum: String,
    /// Whatever it finds wrong.
    complaints: String,
}

/// Captures at site "a" what some pings send and receive, and lets tshark dissect it. Their replies are
/// those of the kernel program in site "b", whose arguments are given.
fn dissect(lab: &Lab, reflector: &str, pings: &[&str]) -> Result<Vec<Frame>> {
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let mut command = Command::new(lab::agent::binary(None)?);
    command.args(["reflect", "-i", lab::site::INTERFACE]).args(reflector.split_whitespace());
    let reflector = b.spawn(command)?;
    eventually("it reflects", || Ok(reflector.logs()?.contains("reflecting")))?;
    let file = lab.directory().join("capture.pcapng");
    let mut command = Command::new("tshark");
    command.args(["-i", lab::site::INTERFACE, "-f", "udp port 862", "-w"]).arg(&file);
    let capture = a.spawn(command).context("`cargo xtask setup` installs tshark")?;
    eventually("tshark captures", || {
        ensure!(capture.status()?.is_none(), "it has ended:\n{}", capture.logs()?);
        Ok(capture.logs()?.contains("Capturing on"))
    })?;
    // It says so a little before it does so.
    thread::sleep(SETTLED);
    for arguments in pings {
        let arguments = format!("{} --count {PROBES} --interval 5ms {arguments}", b.ipv4());
        let ping = Ping::run(a, &arguments)?;
        ensure!(ping.code == Some(0), "{arguments}: {ping:?}");
    }
    // The last frames are on their way into the file.
    thread::sleep(SETTLED);
    capture.stop()?;
    reflector.stop()?;
    let output = Command::new("tshark")
        .arg("-r")
        .arg(&file)
        .args(["-o", "udp.check_checksum:TRUE", "-d", "udp.port==862,twamp.test"])
        .args(["-T", "fields", "-E", "separator=;", "-e", "udp.srcport", "-e", "udp.length"])
        .args(["-e", "frame.protocols", "-e", "udp.checksum.status"])
        .args(["-e", "_ws.malformed", "-e", "_ws.expert.message"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "tshark -r: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(frame).collect()
}

fn frame(line: &str) -> Result<Frame> {
    let fields: Vec<&str> = line.splitn(5, ';').collect();
    let [source, length, protocols, checksum, complaints] = fields[..] else {
        anyhow::bail!("not what was asked for: {line}");
    };
    Ok(Frame {
        is_reply: source == "862",
        length: length.parse::<usize>()? - 8,
        protocols: protocols.to_owned(),
        checksum: checksum.to_owned(),
        complaints: complaints.replace(';', ""),
    })
}

/// Every frame is one of the protocol, and nothing is wrong with it. The checksum of what sockets send is
/// left to the network card, so it is checked in the kernel's replies only.
#[track_caller]
fn nothing_is_wrong(frames: &[Frame], requests: usize, replies: usize, replier: Replier) {
    let count = |is_reply| frames.iter().filter(|frame| frame.is_reply == is_reply).count();
    assert_eq!((count(false), count(true)), (requests, replies), "{frames:?}");
    for frame in frames {
        assert!(frame.protocols.ends_with("udp:twamp.test"), "{frame:?}");
        if frame.is_reply && replier == Replier::Kernel {
            assert_eq!((&frame.checksum[..], &frame.complaints[..]), ("1", ""), "{frame:?}");
        } else {
            let is_of_checksum = frame.complaints.starts_with("Bad checksum [should be");
            assert!(is_of_checksum || frame.complaints.is_empty(), "{frame:?}");
            assert!(!frame.complaints.contains(','), "one complaint at most: {frame:?}");
        }
    }
}

#[test]
fn tshark_finds_nothing_wrong_with_plain_probes_and_tlvs() -> Result<()> {
    let lab = two_sites()?;
    let tlvs = "--tlv direct-measurement --tlv class-of-service --tlv timestamp-information";
    let [socket, xdp] = ["socket", "xdp"].map(|datapath| format!("--datapath {datapath} {tlvs}"));
    let pings = ["--datapath socket", "--datapath xdp", &socket, &xdp];
    let frames = dissect(&lab, "", &pings)?;
    // XDP takes the replies before anybody could capture them.
    nothing_is_wrong(&frames, 4 * PROBES, 2 * PROBES, Replier::Kernel);
    assert!(frames.iter().any(|frame| frame.is_reply && frame.length > 44), "with TLVs");
    let all = format!("{socket} --tlv location --tlv follow-up-telemetry --tlv access-report");
    let frames = dissect(&lab, "", &[&all])?;
    nothing_is_wrong(&frames, PROBES, PROBES, Replier::Userspace);
    Ok(())
}

/// This dissector knows nothing of TLVs and of HMAC: it takes them for padding and for what follows.
#[test]
fn tshark_finds_nothing_wrong_with_authenticated_probes() -> Result<()> {
    let lab = two_sites()?;
    let keys = private_file(&lab, "keys", KEY)?;
    let auth = format!("--auth {}", keys.display());
    let (socket, xdp) = (format!("--datapath socket {auth}"), format!("--datapath xdp {auth}"));
    let frames = dissect(&lab, &auth, &[&socket, &xdp])?;
    nothing_is_wrong(&frames, 2 * PROBES, PROBES, Replier::Kernel);
    assert!(frames.iter().all(|frame| frame.length == 112), "{frames:?}");
    Ok(())
}
