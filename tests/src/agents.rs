//! What tests of running agents ask again and again.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use lab::{Agent, Lab, Mesh, clock};
use probe_ebpf::maps::Counter;
use probe_user::{
    report::{Path, Probes},
    verdict::State,
};

/// How long anything may take that is no test of time itself.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than the timeout of a probe: after this, what was on the way is counted.
const SETTLED: Duration = Duration::from_millis(1_200);

/// Two sites, "a" and "b", with an agent in each, once both have called both paths healthy. What the
/// first of them lost before the second was there is counted by then.
///
/// # Errors
/// Those of the lab, and of agents that do not get so far.
pub fn healthy_pair(mesh: &Mesh) -> Result<(Lab, Agent, Agent)> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let mut agents = mesh.start(&lab, &lab::agent::binary(None)?)?.into_iter();
    let (a, b) = (agents.next().context("agent a")?, agents.next().context("agent b")?);
    for agent in [&a, &b] {
        eventually("both paths are healthy", || Ok(path(agent)?.state == State::Healthy))?;
    }
    thread::sleep(SETTLED);
    Ok((lab, a, b))
}

/// The only path, or the first, that an agent reports.
///
/// # Errors
/// Where the agent does not answer, or has no path.
pub fn path(agent: &Agent) -> Result<Path> {
    agent.paths()?.paths.into_iter().next().context("the agent has no path")
}

/// Waits until something is so.
///
/// # Errors
/// Where it is not so in time, or cannot be found out.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    while !is_so()? {
        if clock::now() >= deadline {
            bail!("not within {PATIENCE:?}: {what}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until what is on the way is counted, and returns what became of an agent's probes since an
/// earlier count.
///
/// # Errors
/// Where the agent does not answer.
pub fn since(before: &Probes, agent: &Agent) -> Result<Probes> {
    thread::sleep(SETTLED);
    let now = path(agent)?.probes;
    Ok(Probes {
        sent: now.sent - before.sent,
        answered: now.answered - before.answered,
        lost_forward: now.lost_forward - before.lost_forward,
        lost_reverse: now.lost_reverse - before.lost_reverse,
        lost_unknown: now.lost_unknown - before.lost_unknown,
        not_sent: now.not_sent - before.not_sent,
        late: now.late - before.late,
    })
}

/// All losses, whatever their direction.
#[must_use]
pub const fn lost(probes: &Probes) -> u64 {
    probes.lost_forward + probes.lost_reverse + probes.lost_unknown
}

/// How many packets an agent has dropped for a reason, as its metrics say.
///
/// # Errors
/// Where the agent does not answer, or has no such counter.
pub fn dropped(agent: &Agent, reason: Counter) -> Result<u64> {
    let sample = format!("linkprobe_dropped_packets_total{{reason=\"{}\"}} ", reason.label());
    let text = agent.get("/metrics")?.1;
    let value = text.lines().find_map(|line| line.strip_prefix(&sample)).context(sample.clone())?;
    Ok(value.parse()?)
}
