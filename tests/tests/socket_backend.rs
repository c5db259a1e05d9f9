//! Agents whose probes are moved by sockets: among themselves, with the kernel programs at the other end,
//! and without privileges.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path as File, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Agent, Lab, Loss, Mesh, Signal};
use probe_user::verdict::State;
use tempfile::TempDir;
use tests::agents::{eventually, lost, path, since};

/// Longer than the timeout of a probe.
const SETTLED: Duration = Duration::from_millis(1_200);

/// A user without any privileges, and a port that such a user may have.
const NOBODY: &str = "65534";
const HIGH_PORT: u16 = 8_620;

/// The config of a site's agent with a certain datapath and reflector port.
fn config(mesh: &Mesh, lab: &Lab, site: &str, datapath: &str, port: u16) -> Result<String> {
    let config = mesh.config(lab, lab.site(site)?);
    let datapath = format!("[node]\ndatapath = \"{datapath}\"\n");
    let port = format!("[probe]\nport = {port}\n");
    Ok(config.replace("[node]\n", &datapath).replace("[probe]\n", &port))
}

/// Starts agents in sites "a" and "b" with these datapaths, and waits until both call both paths healthy.
fn pair(mesh: &Mesh, datapaths: [&str; 2]) -> Result<(Lab, [Agent; 2])> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let binary = lab::agent::binary(None)?;
    let start = |site, datapath| {
        let config = config(mesh, &lab, site, datapath, 862)?;
        Agent::start(&lab, lab.site(site)?, &binary, &config)
    };
    let agents = [start("a", datapaths[0])?, start("b", datapaths[1])?];
    await_health(&agents)?;
    Ok((lab, agents))
}

/// Waits until all is well, and what was lost before is counted.
fn await_health(agents: &[Agent; 2]) -> Result<()> {
    for agent in agents {
        agent.await_ready()?;
    }
    for agent in agents {
        eventually("both paths are healthy", || Ok(path(agent)?.state == State::Healthy))?;
    }
    thread::sleep(SETTLED);
    Ok(())
}

/// Loses packets one way, and compares what both agents say with what the lab knows.
fn losses_are_exact(lab: &Lab, [a, b]: &[Agent; 2]) -> Result<()> {
    let dropped_before = lab.counters("a", "b")?.dropped;
    let before = [path(a)?.probes, path(b)?.probes];
    lab.loss("a", "b", Loss::Every(0.3))?;
    eventually("a sees it", || Ok(path(a)?.forward.verdict == State::Unhealthy))?;
    eventually("b sees it", || Ok(path(b)?.reverse.verdict == State::Unhealthy))?;
    let (seen_by_a, seen_by_b) = (path(a)?, path(b)?);
    lab.clear("a", "b")?;
    assert_eq!(seen_by_a.reverse.verdict, State::Healthy, "{seen_by_a:?}");
    assert_eq!(seen_by_b.forward.verdict, State::Healthy, "{seen_by_b:?}");
    let (of_a, of_b) = (since(&before[0], a)?, since(&before[1], b)?);
    let dropped = lab.counters("a", "b")?.dropped - dropped_before;
    assert_eq!((of_a.lost_reverse, of_b.lost_forward), (0, 0), "{of_a:?} {of_b:?}");
    assert_eq!((of_a.lost_unknown, of_b.lost_unknown), (0, 0), "{of_a:?} {of_b:?}");
    assert_eq!(of_a.lost_forward + of_b.lost_reverse, dropped, "{of_a:?} {of_b:?}");
    assert!(dropped > 5, "only {dropped} were dropped");
    for agent in [a, b] {
        eventually("healthy again", || Ok(path(agent)?.state == State::Healthy))?;
    }
    Ok(())
}

/// The value of a metric with these labels.
fn metric(agent: &Agent, line: &str) -> Result<f64> {
    let (_, metrics) = agent.get("/metrics")?;
    let value = metrics.lines().find_map(|found| found.strip_prefix(line));
    let value = value.with_context(|| format!("no {line} in\n{metrics}"))?;
    Ok(value.trim().parse()?)
}

/// Over IPv4 and IPv6.
#[test]
fn two_agents_with_sockets_measure_each_other() -> Result<()> {
    for ipv6 in [false, true] {
        let (lab, agents) = pair(&Mesh { ipv6, ..Mesh::default() }, ["socket", "socket"])?;
        losses_are_exact(&lab, &agents)?;
        let info = "linkprobe_datapath_info{interface=\"any\",mode=\"socket\"}";
        for agent in &agents {
            assert_eq!(metric(agent, info)?, 1.0);
            let reflected = "linkprobe_reflector_packets_total{action=\"reflected\"}";
            assert!(metric(agent, reflected)? > 100.0);
            for reason in ["wrong_timestamp", "duplicate", "not_sent", "unknown_session"] {
                let refused = format!("linkprobe_dropped_packets_total{{reason=\"{reason}\"}}");
                assert_eq!(metric(agent, &refused)?, 0.0, "{reason}");
            }
            agent.stop()?;
        }
    }
    Ok(())
}

/// The far end cannot tell what moves a probe.
#[test]
fn sockets_and_kernel_programs_measure_each_other() -> Result<()> {
    for datapaths in [["socket", "xdp"], ["xdp", "socket"]] {
        let (lab, agents) = pair(&Mesh::default(), datapaths)?;
        losses_are_exact(&lab, &agents)?;
        // The way back is dead, and the peer's own probes say that the way there is not.
        lab.loss("b", "a", Loss::Blackhole)?;
        eventually("a sees it", || Ok(path(&agents[0])?.reverse.verdict == State::Unhealthy))?;
        eventually("b sees it", || Ok(path(&agents[1])?.forward.verdict == State::Unhealthy))?;
        assert_eq!(path(&agents[1])?.reverse.verdict, State::Healthy, "{datapaths:?}");
    }
    Ok(())
}

/// A round trip is that of the network and the host, without the other end's part.
#[test]
fn sockets_measure_the_delay() -> Result<()> {
    let (lab, agents) = pair(&Mesh::default(), ["socket", "socket"])?;
    let before = agents.each_ref().map(|agent| path(agent).map(|path| path.probes));
    lab.delay("a", "b", Duration::from_millis(15))?;
    lab.delay("b", "a", Duration::from_millis(5))?;
    thread::sleep(Duration::from_secs(4));
    for (agent, before) in agents.iter().zip(before) {
        let seen = since(&before?, agent)?;
        assert_eq!(lost(&seen), 0, "{seen:?}");
        let rtt = path(agent)?.rtt_us.expect("round trips were measured");
        assert!((19_000.0..60_000.0).contains(&rtt.p50), "15 ms and 5 ms are {} us", rtt.p50);
    }
    Ok(())
}

/// What waits in the sockets of an agent that stands still is not lost. (Its peer's probes are: who stands
/// still does not reflect.)
#[test]
fn a_stopped_agent_takes_no_reply_that_waits_for_lost() -> Result<()> {
    // That round trips are longer all of a sudden is not what this is about.
    let more = "\n[health]\nlatency_factor = 0\n".to_owned();
    let (lab, [a, _b]) = pair(&Mesh { more, ..Mesh::default() }, ["socket", "xdp"])?;
    // There always are some on their way.
    lab.delay("a", "b", Duration::from_millis(150))?;
    lab.delay("b", "a", Duration::from_millis(150))?;
    thread::sleep(SETTLED);
    // The sudden delay looks like loss at first.
    eventually("a is healthy again", || Ok(path(&a)?.state == State::Healthy))?;
    let before = path(&a)?;
    for _ in 0..3 {
        a.process().signal(Signal::Stop);
        thread::sleep(Duration::from_secs(2));
        a.process().signal(Signal::Continue);
        thread::sleep(Duration::from_secs(1));
    }
    let seen = since(&before.probes, &a)?;
    assert_eq!((lost(&seen), seen.late), (0, 0), "{seen:?}");
    assert!(seen.answered > 60, "{seen:?}");
    let after = path(&a)?;
    assert_eq!(after.forward.transitions.unhealthy, before.forward.transitions.unhealthy);
    Ok(())
}

/// The agent's binary as a user without privileges would run it: a script, and a directory that must stay.
fn unprivileged() -> Result<(PathBuf, TempDir)> {
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    // Where the agent has been built, not everybody may look.
    let binary = directory.path().join("linkprobe");
    fs::copy(lab::agent::binary(None)?, &binary)?;
    let script = directory.path().join("unprivileged");
    let drop = format!(
        "setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --inh-caps=-all --bounding-set=-all"
    );
    fs::write(&script, format!("#!/bin/sh\nexec {drop} {} \"$@\"\n", binary.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok((script, directory))
}

/// What an agent says that does not start.
fn refusal(lab: &Lab, binary: &File, config: &str) -> Result<String> {
    let file = lab.directory().join("refused.toml");
    fs::write(&file, config)?;
    let mut command = Command::new(binary);
    command.arg("run").arg("--config").arg(file);
    let output = lab.site("a")?.output(command)?;
    ensure!(!output.status.success(), "it has run");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// With `auto`, which says why it is not the kernel programs, and with `socket`.
#[test]
fn nobody_needs_privileges() -> Result<()> {
    let (binary, _directory) = unprivileged()?;
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let mesh = Mesh::default();
    let low = refusal(&lab, &binary, &config(&mesh, &lab, "a", "socket", 862)?)?;
    assert!(low.contains("sysctl net.ipv4.ip_unprivileged_port_start=862"), "{low}");
    assert!(low.contains("CAP_NET_BIND_SERVICE"), "{low}");
    let kernel = refusal(&lab, &binary, &config(&mesh, &lab, "a", "xdp", HIGH_PORT)?)?;
    assert!(kernel.contains("CAP_BPF"), "{kernel}");

    let start = |site, datapath| {
        let config = config(&mesh, &lab, site, datapath, HIGH_PORT)?;
        Agent::start(&lab, lab.site(site)?, &binary, &config)
    };
    let agents = [start("a", "auto")?, start("b", "socket")?];
    await_health(&agents)?;
    let status = fs::read_to_string(format!("/proc/{}/status", agents[0].process().pid()))?;
    for line in [format!("Uid:\t{NOBODY}\t{NOBODY}"), "CapEff:\t0000000000000000".to_owned()] {
        assert!(status.contains(&line), "{status}");
    }
    let logs = agents[0].process().logs()?;
    assert!(logs.contains("no BPF programs: sockets do their work"), "{logs}");
    losses_are_exact(&lab, &agents)
}
