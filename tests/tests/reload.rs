//! SIGHUP: what can change while the agent runs, and what a bad config does.

use std::{thread, time::Duration};

use anyhow::Result;
use lab::{Lab, Mesh};
use probe_user::verdict::State;
use tests::agents::{eventually, healthy_pair, lost, path, since};

fn metric(agent: &lab::Agent, name: &str) -> Result<Option<f64>> {
    let (_, text) = agent.get("/metrics")?;
    let line = text.lines().find(|line| line.starts_with(name));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()))
}

#[test]
fn peers_come_and_go_and_those_that_stay_lose_nothing() -> Result<()> {
    let mesh = Mesh::default();
    let (lab, a, _b) = healthy_pair(&mesh)?;
    let one_peer = mesh.config(&lab, lab.site("a")?);
    let two_peers = format!(
        "{one_peer}\n[[peer]]\nname = \"more\"\nregion = \"x\"\naddress = \"10.77.1.99\"\n"
    );
    let before = path(&a)?.probes;
    a.reconfigure(&two_peers)?;
    eventually("the new peer is there", || Ok(a.paths()?.paths.len() == 2))?;
    a.reconfigure(&one_peer)?;
    eventually("it is gone again", || Ok(a.paths()?.paths.len() == 1))?;
    let seen = since(&before, &a)?;
    assert!(seen.sent > 0, "its counters go on");
    assert_eq!(lost(&seen), 0, "{seen:?}");
    let stayed = path(&a)?;
    assert_eq!(stayed.state, State::Healthy, "{stayed:?}");
    assert_eq!(stayed.forward.transitions.healthy, 1, "its verdict was never in doubt");
    assert!(metric(&a, "linkprobe_probes_sent_total{peer=\"more\"")?.is_none());
    Ok(())
}

#[test]
fn a_bad_config_is_refused_and_the_old_one_stays() -> Result<()> {
    let mesh = Mesh::default();
    let (lab, a, _b) = healthy_pair(&mesh)?;
    let good = mesh.config(&lab, lab.site("a")?);
    let gauge = "linkprobe_config_last_reload_successful";
    assert_eq!(metric(&a, gauge)?, Some(1.0));
    for (bad, reason) in [
        (good.replace("flows = 4", "flows = 4\nflow = 4"), "probe.flow"),
        (good.replace("flows = 4", "flows = 5"), "a restart is needed to change"),
        (good.replace("interval = \"100ms\"", "interval = \"1ms\""), "a restart is needed"),
        ("[node".to_owned(), "line 1"),
    ] {
        a.reconfigure(&bad)?;
        eventually("the refusal shows", || Ok(metric(&a, gauge)? == Some(0.0)))?;
        let (status, body) = a.post("/-/reload")?;
        assert_eq!(status, 400, "{body}");
        let place = body.contains(reason) || (reason == "line 1" && body.contains(":1:"));
        assert!(place, "{reason:?} is not in: {body}");
        a.reconfigure(&good)?;
        eventually("the good one is taken", || Ok(metric(&a, gauge)? == Some(1.0)))?;
    }
    assert_eq!(path(&a)?.forward.transitions.healthy, 1);
    Ok(())
}

#[test]
fn the_pace_of_probes_can_change() -> Result<()> {
    let mesh = Mesh { interval: Duration::from_millis(50), ..Mesh::default() };
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let agents = mesh.start(&lab, &lab::agent::binary(None)?)?;
    let a = &agents[0];
    let slower = Mesh { interval: Duration::from_millis(500), ..mesh.clone() };
    a.reconfigure(&slower.config(&lab, lab.site("a")?))?;
    thread::sleep(Duration::from_millis(500));
    let before = path(a)?.probes.sent;
    thread::sleep(Duration::from_secs(4));
    let sent = path(a)?.probes.sent - before;
    assert!((16..=48).contains(&sent), "4 flows, twice a second, 4 s: {sent} probes");
    Ok(())
}
