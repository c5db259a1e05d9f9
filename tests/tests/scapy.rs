//! scapy, an independent encoder and decoder: it reads what we write, and we read what it writes.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use probe_ebpf::{
    hmac::Key,
    ntp,
    stamp::{HMAC_AT, LENGTH, Mode, Reply, Request},
};
use serde_json::{Value, json};
use tests::{
    golden::{REQUEST_V4, octets},
    kernel::{Kernel, XDP_TX, checksums_are_right, with_payload},
    tools::tool,
};

/// The secret of `golden.py`.
const SECRET: [u8; 32] = [0x5a; 32];
/// Its times: seconds since the epoch of NTP, and a fraction.
const T1: u64 = 0xee00_0000_4000_0000;
const T2: u64 = 0xee00_0001_8000_0000;
const T3: u64 = 0xee00_0001_c000_0000;
/// Its Error Estimate: synchronised, Scale 12, Multiplier 34.
const ERROR_ESTIMATE: u16 = 0x8c22;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scapy/golden.py")
}

/// Runs `golden.py`.
fn python(argument: &str, input: &str) -> Result<String> {
    let mut child = Command::new(tool("python/bin/python3"))
        .arg(script())
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("`cargo xtask setup` installs scapy")?;
    child.stdin.take().context("no pipe")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "golden.py {argument}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// The packet of this name in the file that is kept.
fn golden(name: &str) -> Result<Vec<u8>> {
    let text = fs::read_to_string(script().with_extension("txt"))?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    Ok(octets(lines.find(|(known, _)| *known == name).context("no such packet")?.1))
}

fn expected_request() -> Request {
    Request { sequence: 7, timestamp: T1, error_estimate: ERROR_ESTIMATE, ssid: 0x1234 }
}

/// The reply of our kernel program to a golden request, as scapy reads it.
fn kernels_reply(kernel: &mut Kernel, payload: &[u8]) -> Result<(Vec<u8>, Value)> {
    let (action, frame) = kernel.ingress(&with_payload(&octets(REQUEST_V4), payload));
    assert_eq!(action, XDP_TX);
    assert!(checksums_are_right(&frame));
    let reply = frame[frame.len() - payload.len()..].to_vec();
    let line: String = reply.iter().map(|octet| format!("{octet:02x}")).collect();
    Ok((reply, serde_json::from_str(&python("decode", &line)?)?))
}

#[test]
fn scapy_still_makes_the_golden_packets() -> Result<()> {
    let kept = fs::read_to_string(script().with_extension("txt"))?;
    assert_eq!(python("encode", "")?, kept, "tests/scapy/golden.txt");
    Ok(())
}

#[test]
fn we_read_what_scapy_writes() -> Result<()> {
    let plain = golden("request")?;
    assert_eq!(Request::read(&plain[..], 0, Mode::Unauthenticated), Some(expected_request()));
    assert_eq!(expected_request().encode(), plain[..], "and write the same");
    let reply = golden("reply")?;
    let expected = Reply {
        sequence: 9,
        timestamp: T3,
        error_estimate: ERROR_ESTIMATE,
        ssid: 0x1234,
        receive_timestamp: T2,
        sender_sequence: 7,
        sender_timestamp: T1,
        sender_error_estimate: ERROR_ESTIMATE,
        sender_ttl: 253,
    };
    assert_eq!(Reply::read(&reply[..], 0, Mode::Unauthenticated), Some(expected));
    assert_eq!(expected.encode(), reply[..], "and write the same");
    let signed = golden("authenticated-request")?;
    assert_eq!(Request::read(&signed[..], 0, Mode::Authenticated), Some(expected_request()));
    assert_eq!(Key::new(&SECRET).tag(&[&signed[..HMAC_AT]]), signed[HMAC_AT..]);
    Ok(())
}

/// The kernel program answers what scapy has made, and scapy understands the answer.
#[test]
fn scapy_reads_what_the_kernel_answers() -> Result<()> {
    let mut kernel = Kernel::new();
    let (octets, plain) = kernels_reply(&mut kernel, &golden("request")?)?;
    let reply = Reply::read(&octets[..], 0, Mode::Unauthenticated).context("a short reply")?;
    let seconds =
        |timestamp: u64| (timestamp >> 32) as f64 + f64::from(timestamp as u32) / 2_f64.powi(32);
    for (field, expected) in [("t1", T1), ("t2", reply.receive_timestamp), ("t3", reply.timestamp)]
    {
        let read = plain[field].as_f64().context(field)?;
        assert!((read - seconds(expected)).abs() < 1e-6, "{field}: {plain}");
    }
    assert!(ntp::difference_nanos(reply.timestamp, reply.receive_timestamp) > 0, "{plain}");
    for (field, expected) in [
        ("seq", json!(0)),
        ("ssid", json!(0x1234)),
        ("seq_sender", json!(7)),
        ("multiplier_sender", json!(34)),
        ("ttl_sender", json!(253)),
        ("mbz", json!(0)),
        ("tlvs", json!([])),
    ] {
        assert_eq!(plain[field], expected, "{field}: {plain}");
    }

    let (octets, reply) = kernels_reply(&mut kernel, &golden("request-tlvs")?)?;
    assert_eq!(octets.len(), golden("request-tlvs")?.len());
    assert_eq!(reply["seq"], 1);
    let tlvs = reply["tlvs"].as_array().context("no TLVs")?;
    let kinds: Vec<u64> = tlvs.iter().filter_map(|tlv| tlv[1].as_u64()).collect();
    assert_eq!(kinds, [1, 3, 4, 5, 240]);
    let flags: Vec<u64> = tlvs.iter().filter_map(|tlv| tlv[0].as_u64()).collect();
    assert_eq!(flags, [0, 0, 0, 0, 0x80], "U for what nobody knows, and nothing else");
    assert_eq!(tlvs[0][2], "aabbcc");
    // DSCP1 is that which was asked for; DSCP2 is that of the request: EF, as the frame has it.
    assert_eq!(tlvs[2][2], "bae00000", "{reply}");
    assert_eq!(tlvs[3][2], "000000080000000200000002", "{reply}");
    assert_eq!(tlvs[4][2], "0102030405");
    Ok(())
}

#[test]
fn an_authenticated_packet_of_others_is_answered_and_signed() -> Result<()> {
    let key = Key::new(&SECRET);
    let mut kernel = Kernel::authenticated(&[key]);
    let request = golden("authenticated-request")?;
    let (action, frame) = kernel.ingress(&with_payload(&octets(REQUEST_V4), &request));
    assert_eq!(action, XDP_TX);
    let reply = &frame[frame.len() - request.len()..];
    assert!(reply.len() > LENGTH && key.tag(&[&reply[..HMAC_AT]]) == reply[HMAC_AT..]);
    let mut forged = request;
    forged[40] ^= 1;
    let (action, _) = kernel.ingress(&with_payload(&octets(REQUEST_V4), &forged));
    assert_ne!(action, XDP_TX, "one bit was changed");
    Ok(())
}
