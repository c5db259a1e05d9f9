//! Tools that others wrote.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    INTERVAL, TIMEOUT,
    contender::{ALL, Outcome, P50, P99, output, reflector},
    link::{Bed, REFLECTOR, SENDER},
};

/// fping. The kernel of the other end answers.
///
/// # Errors
/// Where it is missing or fails.
pub(super) fn fping(bed: &Bed) -> Result<Outcome> {
    let mut command = Command::new("fping");
    command
        .args(["-q", "-C", &bed.probes.to_string(), "-p", &INTERVAL.as_millis().to_string()])
        // By itself it would wait for no longer than an interval, and lose what takes longer.
        .args(["-t", &TIMEOUT.as_millis().to_string(), &REFLECTOR.to_string()]);
    let (_, said) = output(bed.sender()?, command)?;
    parse_fping(&said).with_context(|| said.clone())
}

/// `ADDRESS : 0.042 - 0.051`: a round trip in milliseconds, or `-`, for each probe.
fn parse_fping(text: &str) -> Result<Outcome> {
    let line = text.lines().find_map(|line| line.split_once(" : ")).context("no round trips")?.1;
    let times: Vec<&str> = line.split_whitespace().collect();
    let answered = times.iter().filter(|time| **time != "-");
    let seconds = answered
        .map(|time| Ok(time.parse::<f64>()? / 1e3))
        .collect::<Result<Vec<f64>, std::num::ParseFloatError>>()?;
    let (sent, lost) = (times.len() as u64, (times.len() - seconds.len()) as u64);
    Outcome::of_probes(sent, lost, seconds)
}

/// irtt: a client and a server.
///
/// # Errors
/// Where it is missing or fails.
pub(super) fn irtt(bed: &Bed) -> Result<Outcome> {
    let mut server = Command::new("irtt");
    server.args(["server", "-b", &REFLECTOR.to_string()]);
    let process = reflector(bed.reflector()?, server, "starting IPv4 listener")?;
    let mut client = Command::new("irtt");
    client
        .args(["client", "-Q", "-o", "-", "-i", &format!("{}ms", INTERVAL.as_millis())])
        .args(["-d", &format!("{}ms", bed.duration().as_millis())])
        // The server takes off the time that it has had a probe for.
        .args(["--tstamp=both", "--clock=both"])
        .args([&format!("--wait={}ms", TIMEOUT.as_millis()), &REFLECTOR.to_string()]);
    let (said, _) = output(bed.sender()?, client)?;
    process.stop()?;
    parse_irtt(&said).context("what irtt says is not as expected")
}

/// Its document, with round trips in nanoseconds.
fn parse_irtt(text: &str) -> Result<Outcome> {
    let document: Value = serde_json::from_str(text)?;
    let number = |name: &str| {
        let number = document["stats"][name].as_u64();
        number.with_context(|| format!("no {name}"))
    };
    let (sent, received) = (number("packets_sent")?, number("packets_received")?);
    let probes = document["round_trips"].as_array().context("no round_trips")?;
    let round_trips = probes.iter().filter_map(|probe| probe["delay"]["rtt"].as_f64());
    let seconds = round_trips.map(|nanos| nanos / 1e9).collect();
    Outcome::of_probes(sent, sent.saturating_sub(received), seconds)
}

/// stamp-suite: a Session-Sender and a stateful Session-Reflector.
///
/// # Errors
/// Where it is missing or fails.
pub(super) fn stamp_suite(bed: &Bed) -> Result<Outcome> {
    let command = |local: &str| {
        let mut command = Command::new(Path::new(&bed.stamp_suite));
        command.args(["--local-addr", local, "--output-format", "json", "--log-format", "json"]);
        command.env("RUST_LOG", "info").env_remove("STAMP_HMAC_KEY");
        command
    };
    let mut reflect = command(&REFLECTOR.to_string());
    reflect.args(["--is-reflector", "--local-port", "862", "--stateful-reflector"]);
    let process = reflector(bed.reflector()?, reflect, "listening on")?;
    let mut send = command(&SENDER.to_string());
    send.env("RUST_LOG", "warn")
        .args(["--remote-addr", &REFLECTOR.to_string(), "--count", &bed.probes.to_string()])
        .args(["--send-delay", &format!("{}ms", INTERVAL.as_millis())])
        .args(["--timeout", &TIMEOUT.as_secs().to_string()]);
    let (said, _) = output(bed.sender()?, send)?;
    process.stop()?;
    parse_stamp_suite(&said).with_context(|| said.clone())
}

/// Its summary: one of the lines, a JSON object with quantiles in milliseconds.
fn parse_stamp_suite(text: &str) -> Result<Outcome> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let summary =
        lines.into_iter().find(|line| line.get("packets_sent").is_some()).context("no summary")?;
    let count = |name: &str| summary[name].as_u64().with_context(|| format!("no {name}"));
    let seconds = |(share, name): (f64, &str)| {
        let milliseconds = summary[name].as_f64().with_context(|| format!("no {name}"))?;
        Ok((share, milliseconds / 1e3))
    };
    let names =
        [(P50, "median_rtt_ms"), (0.95, "p95_rtt_ms"), (P99, "p99_rtt_ms"), (ALL, "max_rtt_ms")];
    let quantiles = names.into_iter().map(seconds).collect::<Result<_>>()?;
    Ok(Outcome { sent: count("packets_sent")?, lost: count("packets_lost")?, quantiles })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fping_says_is_understood() {
        let outcome = parse_fping("10.79.250.2 : 0.066 - 0.039 12.5\n").unwrap();
        assert_eq!((outcome.sent, outcome.lost), (4, 1));
        assert_eq!(outcome.quantile(P50), Some(66e-6));
        assert_eq!(outcome.quantile(ALL), Some(12.5e-3));
        for wrong in ["", "10.79.250.2 : - -", "10.79.250.2 : x"] {
            assert!(parse_fping(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_irtt_says_is_understood() {
        let text = r#"{ "stats": { "packets_sent": 3, "packets_received": 2 }, "round_trips": [
            { "lost": "false", "delay": { "rtt": 80000 } },
            { "lost": "true", "delay": {} },
            { "lost": "false", "delay": { "rtt": 90000 } } ] }"#;
        let outcome = parse_irtt(text).unwrap();
        assert_eq!((outcome.sent, outcome.lost), (3, 1));
        assert_eq!(outcome.quantile(P50), Some(80e-6));
        assert_eq!(outcome.quantile(ALL), Some(90e-6));
        assert!(parse_irtt("{}").is_err());
    }

    #[test]
    fn what_stamp_suite_says_is_understood() {
        let text = "{\"level\":\"WARN\"}\n{\"packets_sent\":300,\"packets_lost\":2,\"median_rtt_ms\":0.08,\
                    \"p95_rtt_ms\":4.0,\"p99_rtt_ms\":10.0,\"max_rtt_ms\":16.0}\n";
        let outcome = parse_stamp_suite(text).unwrap();
        assert_eq!((outcome.sent, outcome.lost), (300, 2));
        assert_eq!(outcome.quantile(P99), Some(0.01));
        assert!(parse_stamp_suite("{\"packets_sent\":300}").is_err());
    }
}
