//! Loss is told apart by direction, and verdicts come and go with it.

use std::{thread, time::Duration};

use anyhow::Result;
use lab::{Lab, Loss, Mesh};
use probe_user::{report::Path, verdict::State};
use tests::agents::{eventually, healthy_pair, lost, path, since};

/// Loses three packets of ten from `from` to `to` for a while, and returns what both agents say then.
fn with_loss(lab: &Lab, agents: [&lab::Agent; 2], from: &str, to: &str) -> Result<[Path; 2]> {
    lab.loss(from, to, Loss::Every(0.3))?;
    for agent in agents {
        eventually("the loss is seen", || Ok(path(agent)?.state == State::Unhealthy))?;
    }
    // Long enough that chance does not decide which direction has more.
    thread::sleep(Duration::from_secs(3));
    let seen = [path(agents[0])?, path(agents[1])?];
    lab.clear(from, to)?;
    for agent in agents {
        eventually("both are healthy again", || Ok(path(agent)?.state == State::Healthy))?;
    }
    Ok(seen)
}

/// Invariant 9, over IPv4 and IPv6: a's forward is b's reverse, and nothing else is touched.
#[test]
fn loss_one_way_is_the_verdict_on_that_way_only() -> Result<()> {
    for ipv6 in [false, true] {
        let (lab, a, b) = healthy_pair(&Mesh { ipv6, ..Mesh::default() })?;
        for (from, to) in [("a", "b"), ("b", "a")] {
            let [seen_by_a, seen_by_b] = with_loss(&lab, [&a, &b], from, to)?;
            let (sender, receiver) =
                if from == "a" { (seen_by_a, seen_by_b) } else { (seen_by_b, seen_by_a) };
            assert_eq!(sender.forward.verdict, State::Unhealthy, "{from} to {to}: {sender:?}");
            assert_eq!(sender.reverse.verdict, State::Healthy, "{from} to {to}: {sender:?}");
            assert_eq!(receiver.forward.verdict, State::Healthy, "{from} to {to}: {receiver:?}");
            assert_eq!(receiver.reverse.verdict, State::Unhealthy, "{from} to {to}: {receiver:?}");
            for direction in [&sender.forward, &receiver.reverse] {
                let estimate = direction.evidence.loss_ratio.unwrap_or(0.0);
                assert!((0.15..0.45).contains(&estimate), "30 % is called {estimate}");
            }
        }
        for agent in [&a, &b] {
            let path = path(agent)?;
            for direction in [&path.forward, &path.reverse] {
                assert_eq!(direction.transitions.unhealthy, 1, "{path:?}");
                assert_eq!(direction.transitions.healthy, 2, "{path:?}");
            }
        }
    }
    Ok(())
}

/// The counters agree with what the lab has in fact dropped.
#[test]
fn the_counters_are_exact() -> Result<()> {
    let (lab, a, b) = healthy_pair(&Mesh::default())?;
    // Of all packets there, requests of a and replies to b alike.
    let before = lab.counters("a", "b")?;
    let (before_a, before_b) = (path(&a)?.probes, path(&b)?.probes);
    lab.loss("a", "b", Loss::Every(0.2))?;
    thread::sleep(Duration::from_secs(5));
    lab.clear("a", "b")?;
    let dropped = lab.counters("a", "b")?.dropped - before.dropped;
    let (a, b) = (since(&before_a, &a)?, since(&before_b, &b)?);
    assert_eq!((a.lost_reverse, b.lost_forward), (0, 0), "{a:?} {b:?}");
    assert_eq!((a.lost_unknown, b.lost_unknown), (0, 0), "{a:?} {b:?}");
    assert_eq!(a.lost_forward + b.lost_reverse, dropped, "{a:?} {b:?}");
    assert!(dropped > 50, "only {dropped} were dropped");
    Ok(())
}

/// Total loss one way: there are no replies to tell the direction by, but the peer's own probes come.
#[test]
fn a_blackhole_one_way_is_told_by_the_peers_own_probes() -> Result<()> {
    let (lab, a, b) = healthy_pair(&Mesh::default())?;
    lab.loss("a", "b", Loss::Blackhole)?;
    eventually("a sees it", || Ok(path(&a)?.forward.verdict == State::Unhealthy))?;
    eventually("b sees it", || Ok(path(&b)?.reverse.verdict == State::Unhealthy))?;
    let (seen_by_a, seen_by_b) = (path(&a)?, path(&b)?);
    assert_eq!(seen_by_a.reverse.verdict, State::Healthy, "the way back lives: {seen_by_a:?}");
    assert_ne!(seen_by_b.forward.verdict, State::Unhealthy, "b has no evidence: {seen_by_b:?}");
    lab.clear("a", "b")?;
    for agent in [&a, &b] {
        eventually("healthy again", || Ok(path(agent)?.state == State::Healthy))?;
    }
    Ok(())
}

/// One dead flow is not averaged away (DESIGN: "degraded: flow 7 of 16").
#[test]
fn a_dead_flow_degrades_the_path() -> Result<()> {
    let (lab, a, _b) = healthy_pair(&Mesh::default())?;
    let port = path(&a)?.flows[2].source_port;
    lab.loss_on_port("a", "b", port, Loss::Blackhole)?;
    eventually("the path is degraded", || Ok(path(&a)?.state == State::Degraded))?;
    let seen = path(&a)?;
    let dead = seen.flows.iter().filter(|flow| flow.state == State::Unhealthy);
    assert_eq!(dead.map(|flow| flow.source_port).collect::<Vec<_>>(), [port]);
    assert_eq!(seen.forward.transitions.unhealthy, 0, "{seen:?}");
    lab.clear("a", "b")?;
    eventually("the path is healthy again", || Ok(path(&a)?.state == State::Healthy))?;
    Ok(())
}

#[test]
fn without_loss_there_is_none() -> Result<()> {
    let (lab, a, b) = healthy_pair(&Mesh::default())?;
    lab.delay("a", "b", Duration::from_millis(15))?;
    lab.delay("b", "a", Duration::from_millis(5))?;
    let before = [path(&a)?.probes, path(&b)?.probes];
    thread::sleep(Duration::from_secs(4));
    for (agent, before) in [&a, &b].into_iter().zip(before) {
        let seen = since(&before, agent)?;
        assert_eq!(lost(&seen), 0, "{seen:?}");
        let path = path(agent)?;
        assert_eq!(path.forward.transitions.unhealthy + path.reverse.transitions.unhealthy, 0);
        let rtt = path.rtt_us.expect("round trips were measured");
        assert!(rtt.p50 > 19_000.0, "15 ms there and 5 ms back are {} us", rtt.p50);
    }
    Ok(())
}
