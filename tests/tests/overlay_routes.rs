//! The overlay and the kernel: whose routes are touched, what is put back, what stays behind.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::{Agent, Lab, Mesh, Site, Way, agent};
use tests::{
    agents::{PATIENCE, eventually},
    overlay::{is_well, mesh, routes},
};

/// What a command prints in a site.
fn output(site: &Site, line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().context("no command")?);
    command.args(words);
    let output = site.output(command)?;
    ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Three gateways, of which the first has an agent, once it has put in its routes.
fn one_agent() -> Result<(Lab, Agent)> {
    let lab = Lab::builder().sites(&["fra", "nyc", "sin"]).overlay().build()?;
    let fra = lab.site("fra")?;
    let agent = Agent::start(&lab, fra, &agent::binary(None)?, &mesh().config(&lab, fra))?;
    agent.await_ready()?;
    Ok((lab, agent))
}

fn problems(agent: &Agent) -> Result<String> {
    Ok(routes(agent)?.problems.join("\n"))
}

#[test]
fn what_others_change_of_our_routes_is_put_back() -> Result<()> {
    let (lab, agent) = one_agent()?;
    let fra = lab.site("fra")?;
    assert_eq!(lab.way("fra", "nyc")?, Way::Direct);
    for change in [
        "ip route del 10.78.2.0/24 proto 98",
        "ip route replace 10.78.2.0/24 via 10.79.3.1 dev ov-sin metric 10 proto 98",
        "ip route flush table 9862000",
        "ip rule del priority 9862 iif ov-nyc",
        "ip rule del fwmark 0x6c700000",
    ] {
        let all = || -> Result<Vec<String>> {
            let (routes, rules) = ("ip route show table all proto 98", "ip rule");
            let both = output(fra, routes)? + &output(fra, rules)?;
            let mut lines: Vec<String> = both.lines().map(str::to_owned).collect();
            // Rules of one priority stand in the order in which they came.
            lines.sort_unstable();
            Ok(lines)
        };
        let (before, repairs) = (all()?, routes(&agent)?.repairs);
        output(fra, change)?;
        eventually(change, || Ok(all()? == before && routes(&agent)?.repairs > repairs))?;
    }
    assert_eq!(problems(&agent)?, "");
    Ok(())
}

#[test]
fn no_route_is_touched_that_is_not_ours() -> Result<()> {
    let lab = Lab::builder().sites(&["fra", "nyc", "sin"]).overlay().build()?;
    let fra = lab.site("fra")?;
    // In our place, and in front of it.
    let in_place = "10.78.2.0/24 via 10.79.3.1 dev ov-sin proto static metric 10";
    let in_front = "10.78.3.0/24 via 10.79.2.1 dev ov-nyc proto static metric 5";
    for foreign in [in_place, in_front] {
        output(fra, &format!("ip route add {foreign}"))?;
    }
    let before = output(fra, "ip route show proto static")?;
    let agent = Agent::start(&lab, fra, &agent::binary(None)?, &mesh().config(&lab, fra))?;
    agent.await_ready()?;
    let told = problems(&agent)?;
    assert!(told.contains("another route to 10.78.2.0/24 with metric 10"), "{told}");
    assert!(told.contains("misleads traffic to 10.78.3.0/24"), "{told}");
    assert!(routes(&agent)?.destinations.iter().all(|destination| !destination.installed));
    assert_eq!(output(fra, "ip route show proto static")?, before);
    for foreign in [in_place, in_front] {
        output(fra, &format!("ip route del {foreign}"))?;
    }
    eventually("ours are in", || Ok(problems(&agent)?.is_empty()))?;
    assert_eq!(lab.way("fra", "nyc")?, Way::Direct);
    Ok(())
}

#[test]
fn routes_stay_when_the_agent_ends_and_go_when_they_are_flushed() -> Result<()> {
    let (lab, agent) = one_agent()?;
    let fra = lab.site("fra")?;
    let binary = agent::binary(None)?;
    let flush = format!("{} overlay flush", binary.display());
    let all = || output(fra, "ip route show table all proto 98");
    let before = all()?;
    let refused = output(fra, &flush).expect_err("an agent runs").to_string();
    assert!(refused.contains("stop it first"), "{refused}");
    assert_eq!(all()?, before, "nothing was touched");
    agent.stop()?;
    assert_eq!(lab.way("fra", "nyc")?, Way::Direct);
    let foreign = "10.99.0.0/16 via 10.79.3.1 dev ov-sin proto static metric 10";
    output(fra, &format!("ip route add {foreign}"))?;
    let told = output(fra, &flush)?;
    assert!(told.contains("routes and 5 rules taken out"), "{told}");
    assert_eq!(lab.way("fra", "nyc")?, Way::None);
    assert_eq!(output(fra, "ip route show table all proto 98")?, "");
    assert!(!output(fra, "ip rule")?.contains("proto 98"));
    assert!(output(fra, "ip route show")?.contains("10.99.0.0/16"));
    assert_eq!(output(fra, &flush)?, "0 routes and 0 rules taken out\n");
    Ok(())
}

#[test]
fn ipv6_is_routed_too() -> Result<()> {
    let lab = Lab::builder().sites(&["fra", "nyc", "sin"]).overlay().build()?;
    let agents = Mesh { ipv6: true, ..mesh() }.start(&lab, &agent::binary(None)?)?;
    let fra = lab.site("fra")?;
    let way = || output(fra, "ip -6 route get fd78:0:0:2::2");
    eventually("all is well", || is_well(&agents[0]))?;
    assert!(way()?.contains("via fd79::2:1 dev ov-nyc proto 98"), "{}", way()?);
    lab.blackhole_both("fra", "nyc")?;
    eventually("a detour", || Ok(way()?.contains("via fd79::3:1 dev ov-sin proto 98")))?;
    lab.clear_both("fra", "nyc")?;
    eventually("direct again", || Ok(way()?.contains("via fd79::2:1 dev ov-nyc proto 98")))?;
    let flush = format!("{} overlay flush", agent::binary(None)?.display());
    agents[0].stop()?;
    output(fra, &flush)?;
    assert_eq!(output(fra, "ip -6 route show table all proto 98")?, "");
    Ok(())
}

#[test]
fn a_tunnel_that_goes_down_is_left_at_once_and_used_again_when_it_is_back() -> Result<()> {
    let lab = Lab::builder().sites(&["fra", "nyc", "sin"]).overlay().build()?;
    let agents = mesh().start(&lab, &agent::binary(None)?)?;
    let fra = lab.site("fra")?;
    eventually("all is well", || is_well(&agents[0]))?;
    output(fra, "ip link set ov-nyc down")?;
    eventually("a detour", || Ok(lab.way("fra", "nyc")? == Way::Relay("sin".to_owned())))?;
    assert!(problems(&agents[0])?.contains("the tunnel `ov-nyc` to nyc1 is down or gone"));
    output(fra, "ip link set ov-nyc up")?;
    eventually("direct again", || {
        Ok(lab.way("fra", "nyc")? == Way::Direct && problems(&agents[0])?.is_empty())
    })
}

#[test]
fn a_host_that_does_not_forward_says_so() -> Result<()> {
    let (lab, agent) = one_agent()?;
    let fra = lab.site("fra")?;
    fra.sysctl(&[("ipv4/conf/ov-nyc/forwarding", "0"), ("ipv4/conf/ov-sin/rp_filter", "1")])?;
    eventually("it is told", || {
        let told = problems(&agent)?;
        Ok(told.contains("set net/ipv4/conf/ov-nyc/forwarding to 1")
            && told.contains("net/ipv4/conf/ov-sin/rp_filter"))
    })
}

/// A tunnel that is missing is no reason not to look after the others.
#[test]
fn an_agent_starts_without_a_tunnel_and_uses_it_when_it_comes() -> Result<()> {
    let lab = Lab::builder().sites(&["fra", "nyc", "sin"]).overlay().build()?;
    let fra = lab.site("fra")?;
    output(fra, "ip link set ov-nyc down")?;
    output(fra, "ip link set ov-nyc name ov-later")?;
    let agents = mesh().start(&lab, &agent::binary(None)?)?;
    assert!(problems(&agents[0])?.contains("the tunnel `ov-nyc` to nyc1 is down or gone"));
    eventually("a detour", || Ok(lab.way("fra", "nyc")? == Way::Relay("sin".to_owned())))?;
    output(fra, "ip link set ov-later name ov-nyc")?;
    output(fra, "ip link set ov-nyc up")?;
    eventually("direct", || Ok(lab.way("fra", "nyc")? == Way::Direct && is_well(&agents[0])?))
}

/// A tunnel that carries no Ethernet frames cannot be measured, and says so.
#[test]
fn a_tunnel_without_ethernet_is_told_of() -> Result<()> {
    let lab = Lab::builder().sites(&["fra", "nyc"]).overlay().build()?;
    let fra = lab.site("fra")?;
    // GRE, IPIP and WireGuard are alike in this; every kernel has TUN.
    output(fra, "ip tuntap add mode tun name tun-nyc")?;
    output(fra, "ip link set tun-nyc up")?;
    let config = mesh().config(&lab, fra).replace("ov-nyc", "tun-nyc");
    let agent = Agent::start(&lab, fra, &agent::binary(None)?, &config)?;
    agent.await_ready()?;
    let told = problems(&agent)?;
    assert!(told.contains("`tun-nyc` to nyc1 carries no Ethernet frames"), "{told}");
    Ok(())
}

#[test]
fn two_agents_do_not_route_in_one_place() -> Result<()> {
    let (lab, _first) = one_agent()?;
    let fra = lab.site("fra")?;
    let config = mesh().config(&lab, fra).replace(":9862", ":9872");
    let second = Agent::start(&lab, fra, &agent::binary(None)?, &config)?;
    let status = second.process().wait(PATIENCE)?;
    let told = second.process().logs()?;
    assert!(!status.success() && told.contains("another agent routes"), "{told}");
    Ok(())
}
