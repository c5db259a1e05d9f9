//! Agents, peers and interfaces come and go.

use std::{process::Command, thread, time::Duration};

use anyhow::{Context as _, Result};
use lab::{Agent, Lab, Link, Mesh, Signal, Site};
use probe_user::{
    report::Path,
    verdict::{Cause, State},
};
use tests::agents::{eventually, healthy_pair, lost, path, since};

/// What `ip` and `tc` say of programs on the interface of a site.
fn programs(site: &Site) -> Result<String> {
    let mut all = String::new();
    for (tool, arguments) in
        [("ip", &["-details", "link", "show", "dev", "wan0"][..]), ("tc", &["qdisc", "show"])]
    {
        let mut command = Command::new(tool);
        command.args(arguments);
        all += &String::from_utf8_lossy(&site.output(command)?.stdout);
    }
    Ok(all)
}

#[test]
fn an_agent_that_ends_leaves_nothing_behind() -> Result<()> {
    let (lab, a, b) = healthy_pair(&Mesh::default())?;
    assert!(programs(lab.site("a")?)?.contains("prog/xdp"), "the program is attached");
    a.stop()?;
    b.process().signal(Signal::Kill);
    b.process().wait(Duration::from_secs(5))?;
    for site in ["a", "b"] {
        let left = programs(lab.site(site)?)?;
        assert!(!left.contains("xdp") && !left.contains("clsact"), "{left}");
    }
    Ok(())
}

/// Invariant 18, in the small: a peer that restarts costs a pause, not a rejection.
#[test]
fn a_peer_that_restarts_is_healthy_again_and_costs_no_wrong_direction() -> Result<()> {
    let mesh = Mesh::default();
    let (lab, a, b) = healthy_pair(&mesh)?;
    let before = path(&a)?.probes;
    let mut peer = b;
    for signal in [Signal::Terminate, Signal::Kill] {
        peer.process().signal(signal);
        peer.process().wait(Duration::from_secs(5))?;
        eventually("the silence is seen", || Ok(path(&a)?.reverse.verdict == State::Unhealthy))?;
        let site = lab.site("b")?;
        peer = Agent::start(&lab, site, &lab::agent::binary(None)?, &mesh.config(&lab, site))?;
        peer.await_ready()?;
        for agent in [&a, &peer] {
            eventually("healthy again", || Ok(path(agent)?.state == State::Healthy))?;
        }
    }
    let probes = since(&before, &a)?;
    assert_eq!(probes.lost_forward, 0, "nothing was lost on the way there: {probes:?}");
    Ok(())
}

#[test]
fn an_interface_that_goes_down_is_unknown_and_comes_back() -> Result<()> {
    let (lab, a, b) = healthy_pair(&Mesh::default())?;
    let before = path(&a)?.probes;
    let site = lab.site("a")?;
    site.set_link(Link::Down)?;
    eventually("what is not sent is counted", || Ok(path(&a)?.probes.not_sent > 20))?;
    eventually("the verdicts expire", || {
        let path = path(&a)?;
        Ok(path.forward.verdict == State::Unknown && path.reverse.verdict == State::Unknown)
    })?;
    let down = path(&a)?;
    assert_eq!(down.forward.cause, Cause::Expired, "no evidence, no blame: {down:?}");
    assert_eq!(down.forward.transitions.unhealthy, 0, "{down:?}");
    let lost = lost(&down.probes) - lost(&before);
    assert!(lost <= 8, "{lost} lost: at most what was on the way");

    site.set_link(Link::Up)?;
    for agent in [&a, &b] {
        eventually("healthy again", || Ok(path(agent)?.state == State::Healthy))?;
    }
    Ok(())
}

#[test]
fn peers_that_do_not_resolve_or_answer_disturb_nobody() -> Result<()> {
    let more = "[[peer]]\nname = \"nobody\"\nregion = \"x\"\naddress = \"10.77.1.99\"\n\n\
                [[peer]]\nname = \"nowhere\"\nregion = \"x\"\naddress = \"no.such.name.invalid\"\n\n\
                [[peer]]\nname = \"unroutable\"\nregion = \"x\"\naddress = \"2001:db8::1\"\n";
    let (_lab, a, _b) = healthy_pair(&Mesh { more: more.to_owned(), ..Mesh::default() })?;
    let before = path(&a)?.probes;
    thread::sleep(Duration::from_secs(3));
    let seen = since(&before, &a)?;
    assert!(seen.answered > 80, "probed all the time: {seen:?}");
    assert_eq!(lost(&seen), 0, "{seen:?}");
    let unresolved =
        |path: &Path| path.problem.as_ref().is_some_and(|why| why.contains("resolve:"));
    eventually("the name is known not to resolve", || {
        Ok(a.paths()?.paths.iter().any(|path| path.peer == "nowhere" && unresolved(path)))
    })?;
    let paths = a.paths()?.paths;
    let peer = |name: &str| {
        paths.iter().find(|path| path.peer == name).with_context(|| format!("no peer {name}"))
    };
    let good = peer("b1")?;
    assert_eq!(good.state, State::Healthy, "{good:?}");
    assert_eq!(good.forward.transitions.healthy, 1);
    let nowhere = peer("nowhere")?;
    assert_eq!((nowhere.state, nowhere.probes.sent), (State::Unknown, 0));
    assert_ne!(peer("nobody")?.state, State::Healthy);
    Ok(())
}

#[test]
fn another_xdp_program_is_named_and_left_alone() -> Result<()> {
    let (lab, a, _b) = healthy_pair(&Mesh::default())?;
    // The other program is that of the agent that runs there already.
    let site = lab.site("a")?;
    let mut second = Command::new(lab::agent::binary(None)?);
    second.args(["reflect", "--interface", "wan0"]);
    let output = site.output(second)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("`wan0` already has the XDP program `linkprobe_xdp` (id "), "{said}");
    assert_eq!(path(&a)?.state, State::Healthy, "the first agent goes on");

    let mut missing = Command::new(lab::agent::binary(None)?);
    missing.args(["reflect", "--interface", "wan9"]);
    let output = site.output(missing)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("there is no interface `wan9`"), "{said}");
    Ok(())
}

#[test]
fn labs_stand_side_by_side() -> Result<()> {
    let labs: Vec<Lab> =
        (0..2).map(|_| Lab::builder().sites(&["a", "b"]).build()).collect::<Result<_>>()?;
    let binary = lab::agent::binary(None)?;
    let agents: Vec<Vec<Agent>> =
        labs.iter().map(|lab| Mesh::default().start(lab, &binary)).collect::<Result<_>>()?;
    labs[0].loss("a", "b", lab::Loss::Blackhole)?;
    eventually("the first lab sees it", || {
        Ok(path(&agents[0][0])?.forward.verdict == State::Unhealthy)
    })?;
    eventually("the second is well", || Ok(path(&agents[1][0])?.state == State::Healthy))?;
    assert_eq!(path(&agents[1][0])?.forward.transitions.unhealthy, 0);
    Ok(())
}
