//! linkprobe itself.

use std::{process::Command, thread, time::Duration};

use anyhow::{Context as _, Result};
use lab::{Agent, Site};
use probe_user::report::{Probes, Quantiles};
use serde_json::Value;

use super::{
    INTERVAL, TIMEOUT,
    contender::{ALL, Outcome, P50, P99, output, reflector},
    link::{Bed, INTERFACE, REFLECTOR, SENDER},
};

/// After both agents are ready, until what was sent before is answered or lost.
const SETTLED: Duration = Duration::from_millis(1_100);

/// Two agents that probe one another. Round trips are the last ones of the one that measures; loss is that of both.
///
/// # Errors
/// Where an agent does not start, does not answer, or does not end.
pub(super) fn agents(bed: &Bed) -> Result<Outcome> {
    let start = |site: &Site, peer: &str, address| {
        Agent::start(&bed.lab, site, &bed.agent, &config(site.name(), peer, address))
    };
    let agents = [start(bed.sender()?, "b", REFLECTOR)?, start(bed.reflector()?, "a", SENDER)?];
    for agent in &agents {
        agent.await_ready()?;
    }
    thread::sleep(SETTLED);
    let before = look(&agents)?;
    thread::sleep(bed.duration());
    let after = look(&agents)?;
    for agent in &agents {
        agent.stop()?;
    }
    let rtt = after[0].1.context("the agent has measured no round trip")?;
    // What was given up too early counts, though it was taken back.
    let lost = |Probes { lost_forward, lost_reverse, lost_unknown, late, .. }: Probes| {
        lost_forward + lost_reverse + lost_unknown + late
    };
    let sum = |of: &dyn Fn(Probes) -> u64| -> u64 {
        after.iter().zip(&before).map(|(after, before)| of(after.0) - of(before.0)).sum()
    };
    Ok(outcome(sum(&|probes| probes.sent), sum(&lost), &rtt))
}

/// An agent with one flow over the link.
fn config(node: &str, peer: &str, address: impl std::fmt::Display) -> String {
    format!(
        "[node]\nname = \"{node}1\"\nregion = \"{node}\"\ninterfaces = [\"{INTERFACE}\"]\n\n\
         [probe]\ninterval = \"{}ms\"\ntimeout = \"{}ms\"\nflows = 1\n\n\
         [web]\nlisten = \"{}\"\n\n\
         [[peer]]\nname = \"{peer}1\"\nregion = \"{peer}\"\naddress = \"{address}\"\n",
        INTERVAL.as_millis(),
        TIMEOUT.as_millis(),
        lab::agent::WEB
    )
}

/// Totals and the last round trips of the one path of each agent.
fn look(agents: &[Agent; 2]) -> Result<Vec<(Probes, Option<Quantiles>)>> {
    let paths = agents.iter().map(|agent| {
        let paths = agent.paths()?.paths;
        let path = paths.first().context("the agent has no path")?;
        Ok((path.probes, path.rtt_us))
    });
    paths.collect()
}

/// `linkprobe ping` and `linkprobe reflect`, both on one datapath.
///
/// # Errors
/// Where one of them fails.
pub(super) fn ping(bed: &Bed, datapath: &str) -> Result<Outcome> {
    let mut reflect = Command::new(&bed.agent);
    reflect.args(["reflect", "--datapath", datapath]);
    if datapath == "xdp" {
        reflect.args(["--interface", INTERFACE]);
    }
    let process = reflector(bed.reflector()?, reflect, "reflecting")?;
    let mut ping = Command::new(&bed.agent);
    ping.args(["ping", "--json", "--datapath", datapath, &REFLECTOR.to_string()])
        .args(["--count", &bed.probes.to_string()])
        .args(["--interval", &format!("{}ms", INTERVAL.as_millis())])
        .args(["--timeout", &format!("{}ms", TIMEOUT.as_millis())]);
    let (said, _) = output(bed.sender()?, ping)?;
    process.stop()?;
    parse(&said).with_context(|| said.clone())
}

/// What `linkprobe ping --json` says.
fn parse(text: &str) -> Result<Outcome> {
    let document: Value = serde_json::from_str(text)?;
    let number = |name: &str| document[name].as_u64().with_context(|| format!("no {name}"));
    let rtt: Quantiles = serde_json::from_value(document["rtt_us"].clone())?;
    let lost = number("lost_forward")? + number("lost_reverse")? + number("lost_unknown")?;
    Ok(outcome(number("sent")?, lost, &rtt))
}

fn outcome(sent: u64, lost: u64, rtt: &Quantiles) -> Outcome {
    let quantiles = [(P50, rtt.p50), (P99, rtt.p99), (ALL, rtt.max)];
    Outcome { sent, lost, quantiles: quantiles.map(|(share, us)| (share, us / 1e6)).to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ping_says_is_understood() {
        let text = r#"{ "sent": 200, "answered": 197, "lost_forward": 1, "lost_reverse": 0, "lost_unknown": 2,
            "rtt_us": { "min": 1.924, "p50": 14.0, "p99": 22.0, "max": 33.0 } }"#;
        let outcome = parse(text).unwrap();
        assert_eq!((outcome.sent, outcome.lost), (200, 3));
        let found = [P50, P99, ALL].map(|share| outcome.quantile(share).unwrap());
        assert_eq!(found, [14e-6, 22e-6, 33e-6]);
        assert!(parse(r#"{ "sent": 1, "rtt_us": null }"#).is_err());
    }
}
