//! A real HAProxy in front of two regions: it leaves one that is cut off, and comes back.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Agent, Lab, Loss, Mesh, Process, Site, agent, clock};
use serde_json::Value;
use tests::{agents::eventually, tools::tool};

/// Answers every HTTP request in a site with a word, for as long as the test runs.
fn serve(site: &Site, port: u16, word: &'static str) -> Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let listener = site.run(|| TcpListener::bind(address))?.context("cannot bind")?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 4_096];
            // Those of HAProxy fit into one segment.
            if !matches!(stream.read(&mut request), Ok(1..)) {
                continue;
            }
            let length = word.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{word}"
            );
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    Ok(())
}

/// HAProxy at port 8000, before a server for each of the regions "b" and "c".
fn haproxy(site: &Site, directory: &Path) -> Result<Process> {
    let config = directory.join("haproxy.cfg");
    let server = |region: &str, port: u16| {
        format!(
            "  server {region} 127.0.0.1:{port} weight 100 check inter 500 agent-check agent-addr 127.0.0.1 \
             agent-port 9863 agent-inter 200 agent-send \"{region}\\n\"\n"
        )
    };
    let text = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n\
         listen statistics\n  bind 127.0.0.1:8404\n  stats enable\n  stats uri /\n\
         frontend regions\n  bind 127.0.0.1:8000\n  default_backend servers\n\
         backend servers\n  balance roundrobin\n{}{}",
        server("b", 8001),
        server("c", 8002),
    );
    fs::write(&config, text)?;
    let mut command = Command::new(tool("usr/sbin/haproxy"));
    command.arg("-db").arg("-f").arg(&config);
    site.spawn(command).context("HAProxy does not start (`cargo xtask setup` installs it)")
}

fn get(site: &Site, url: &str) -> Result<Option<String>> {
    site.run(|| {
        ureq::get(url).call().ok().and_then(|mut answer| answer.body_mut().read_to_string().ok())
    })
}

/// What HAProxy says of a server: its status and its weight.
fn server(site: &Site, region: &str) -> Result<Option<(String, String)>> {
    let Some(table) = get(site, "http://127.0.0.1:8404/;csv")? else { return Ok(None) };
    let row = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut lines = table.lines();
    let header = row(lines.next().context("no header")?);
    let place = |name: &str| header.iter().position(|column| column == name).context("no column");
    let (status, weight) = (place("status")?, place("weight")?);
    let found = lines.map(row).find(|row| row[0] == "servers" && row[1] == region);
    Ok(found.map(|row| (row[status].clone(), row[weight].clone())))
}

/// Waits until HAProxy says so of a server.
fn await_server(site: &Site, region: &str, status: &str, weight: &str) -> Result<()> {
    let begin = clock::now();
    let mut last = None;
    let seen = eventually(&format!("{region} is {status}"), || {
        last = server(site, region)?;
        Ok(last.as_ref().is_some_and(|(s, w)| s.starts_with(status) && w == weight))
    });
    eprintln!("{region} is {status} with weight {weight} after {:?}", begin.elapsed());
    seen.with_context(|| format!("the last was {last:?}"))
}

/// Which regions answer to twenty requests.
fn regions(site: &Site) -> Result<String> {
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(get(site, "http://127.0.0.1:8000/")?.context("no answer by HAProxy")?);
    }
    seen.sort();
    seen.dedup();
    Ok(seen.concat())
}

/// `linkprobe check --region`: its exit code.
fn check(site: &Site, region: &str) -> Result<Option<i32>> {
    let mut command = Command::new(agent::binary(None)?);
    command.args(["check", "--region", region]);
    Ok(site.output(command)?.status.code())
}

/// What the hook was told that a region has become, in the order in which it was.
fn told(file: &Path, region: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let told = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let of_it = told.iter().filter(|told| told["region"] == region);
    Ok(of_it.filter_map(|told| told["to"].as_str().map(str::to_owned)).collect())
}

/// Waits until the hook was told of a region more often than that, and of this last.
fn await_told(file: &Path, region: &str, more_than: usize, last: &str) -> Result<()> {
    eventually("the hook is told", || {
        let told = told(file, region)?;
        Ok(told.len() > more_than && told.last().is_some_and(|to| to == last))
    })
}

/// Agents in three regions, of which that of "a" answers HAProxy and tells a hook.
fn agents(lab: &Lab, hook: &Path) -> Result<Vec<Agent>> {
    let mesh = Mesh::default();
    let binary = agent::binary(None)?;
    let mut agents = Vec::new();
    for site in lab.sites() {
        let mut config = mesh.config(lab, site);
        if site.name() == "a" {
            let web = "[web]\nagent_check = \"127.0.0.1:9863\"\n";
            ensure!(config.contains("[web]\n"));
            config = config.replace("[web]\n", web);
            config += &format!(
                "\n[[hook]]\nname = \"file\"\ncommand = [\"/bin/sh\", \"-c\", \"cat >>{}\"]\n",
                hook.display()
            );
        }
        agents.push(Agent::start(lab, site, &binary, &config)?);
    }
    for agent in &agents {
        agent.await_ready()?;
    }
    Ok(agents)
}

#[test]
fn traffic_leaves_a_region_that_is_cut_off_and_comes_back() -> Result<()> {
    let lab = Lab::builder().sites(&["a", "b", "c"]).build()?;
    let hook = lab.directory().join("told");
    let agents = agents(&lab, &hook)?;
    let site = lab.site("a")?;
    serve(site, 8001, "b")?;
    serve(site, 8002, "c")?;
    let process = haproxy(site, lab.directory())?;
    let health = |region: &str| -> Result<u16> {
        Ok(agents[0].get(&format!("/api/v1/regions/{region}/health"))?.0)
    };
    eventually("HAProxy runs", || {
        ensure!(process.status()?.is_none(), "HAProxy has ended:\n{}", process.logs()?);
        Ok(server(site, "b")?.is_some())
    })?;
    for region in ["b", "c"] {
        eventually("it is reachable", || Ok(check(site, region)? == Some(0)))?;
        await_server(site, region, "UP", "100")?;
    }
    assert_eq!(regions(site)?, "bc");
    // One agent may have come up later than the other, so that a region was something else before.
    await_told(&hook, "c", 0, "reachable")?;
    let before = told(&hook, "c")?.len();

    lab.blackhole_both("a", "c")?;
    await_server(site, "c", "DOWN (agent)", "100")?;
    assert_eq!(regions(site)?, "b");
    assert_eq!((health("b")?, health("c")?), (200, 503));
    assert_eq!((check(site, "b")?, check(site, "c")?), (Some(0), Some(2)));

    lab.clear_both("a", "c")?;
    await_server(site, "c", "UP", "100")?;
    assert_eq!(regions(site)?, "bc");
    assert_eq!((health("c")?, check(site, "c")?), (200, Some(0)));
    await_told(&hook, "c", before, "reachable")?;
    let told = told(&hook, "c")?;
    assert!(told[before..].contains(&"isolated".to_owned()), "{told:?}");

    // One flow of four is dead: less traffic, but not none.
    let port = agents[0].paths()?.paths[0].flows[0].source_port;
    lab.loss_on_port("a", "b", port, Loss::Blackhole)?;
    await_server(site, "b", "UP", "50")?;
    assert_eq!((health("b")?, check(site, "b")?), (200, Some(1)));
    process.stop()?;
    Ok(())
}
