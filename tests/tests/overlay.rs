//! Traffic leaves a sick path and comes back: agents that route, judged by the kernel's routes and by a TCP stream.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Agent, Lab, Loss, Signal, Stream, Way, agent, clock};
use probe_user::{report::overlay::Destination, verdict::State};
use tests::{
    agents::{PATIENCE, eventually},
    overlay::{is_well, mesh, routes},
};

const SITES: [&str; 3] = ["fra", "nyc", "sin"];

fn relay(name: &str) -> Way {
    Way::Relay(name.to_owned())
}

/// Whether an agent sends everything directly, over paths that it has found healthy, and so does the kernel.
fn is_direct_and_well(agent: &Agent) -> Result<bool> {
    let is_direct = |to: &Destination| {
        to.via.is_none() && to.installed && to.candidates.len() == SITES.len() - 1
    };
    Ok(is_well(agent)? && routes(agent)?.destinations.iter().all(is_direct))
}

/// Three gateways whose agents have found all well.
fn healthy_overlay() -> Result<(Lab, Vec<Agent>)> {
    let lab = Lab::builder().sites(&SITES).overlay().build()?;
    let agents = mesh().start(&lab, &agent::binary(None)?)?;
    for agent in &agents {
        eventually(&format!("all is well at {}", agent.node()), || is_direct_and_well(agent))
            .with_context(|| format!("{:#?}", routes(agent)))?;
    }
    Ok((lab, agents))
}

fn await_way(lab: &Lab, from: &str, to: &str, way: &Way) -> Result<()> {
    eventually(&format!("{from} to {to} goes {way:?}"), || Ok(lab.way(from, to)? == *way))
}

#[test]
fn only_the_sick_direction_moves_and_it_returns() -> Result<()> {
    let (lab, agents) = healthy_overlay()?;
    // Not twice the same path: relapses are held back.
    for (loss, from, to, via) in [(0.3, 0, 1, 2), (0.1, 1, 2, 0)] {
        let (source, [from, to, via]) = (&agents[from], [from, to, via].map(|site| SITES[site]));
        lab.loss(from, to, Loss::Random(loss))?;
        await_way(&lab, from, to, &relay(via))?;
        let overlay = routes(source)?;
        let moved = overlay.destinations.iter().find(|destination| destination.region == to);
        let relay = moved.and_then(|destination| destination.via.clone());
        assert_eq!(relay, Some(format!("{via}1")), "{overlay:#?}");
        for (from, to) in [(to, from), (from, via), (via, to)] {
            assert_eq!(lab.way(from, to)?, Way::Direct, "only the sick direction moves");
        }
        lab.clear(from, to)?;
        await_way(&lab, from, to, &Way::Direct)?;
    }
    Ok(())
}

#[test]
fn a_stream_survives_a_blackhole_and_an_agent_that_is_killed() -> Result<()> {
    let (lab, agents) = healthy_overlay()?;
    let stream = Stream::start(lab.host("fra")?, lab.host("nyc")?)?;
    std::thread::sleep(Duration::from_millis(500));
    lab.blackhole_both("fra", "nyc")?;
    let since = clock::now();
    await_way(&lab, "fra", "nyc", &relay("sin"))?;
    await_way(&lab, "nyc", "fra", &relay("sin"))?;
    stream.await_arrival_after(clock::now(), PATIENCE)?;
    // How long it usually takes, the bench says; a busy machine may lose a retransmission or two.
    assert!(stream.longest_gap(since) < Duration::from_secs(4), "{:?}", stream.longest_gap(since));

    // Fail static: without any agent, traffic goes on where it went.
    for agent in &agents {
        agent.process().signal(Signal::Kill);
        agent.process().wait(PATIENCE)?;
    }
    let killed = clock::now();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(lab.way("fra", "nyc")?, relay("sin"));
    let gap = stream.longest_gap(killed);
    assert!(gap < Duration::from_millis(700), "traffic goes on without agents: {gap:?}");

    // What is right stays, whatever is not known yet.
    let watch = lab.watch_way("fra", "nyc")?;
    let agents = mesh().start(&lab, &agent::binary(None)?)?;
    eventually("the relay is found healthy", || {
        let overlay = routes(&agents[0])?;
        let to_nyc = overlay.destinations.first().context("no destination")?;
        Ok(to_nyc.via.as_deref() == Some("sin1") && to_nyc.state == State::Healthy)
    })?;
    assert_eq!(watch.ways()?.len(), 1, "{:?}", watch.ways()?);
    lab.clear_both("fra", "nyc")?;
    await_way(&lab, "fra", "nyc", &Way::Direct)?;
    let totals = stream.finish()?;
    assert_eq!(totals.sent, totals.received);
    Ok(())
}
