//! The load balancer in front of two regions: HAProxy, which asks the agent of its own region about both, the servers behind
//! it, and a client that notes who answers.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{Lab, Process, agent::AGENT_CHECK_PORT, clock};

use super::{
    burst::{BALANCED, OTHER, SICK},
    observe::Sighting,
};

/// Where servers listen.
const SERVER_PORT: u16 = 8080;
/// Where HAProxy does, on its own host.
const PORT: u16 = 8000;
/// Time between two requests.
const PACE: Duration = Duration::from_millis(250);
/// How long a request may take. HAProxy gives up sooner.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where HAProxy is, for hosts whose `PATH` lacks the programs of administrators.
const PROGRAMS: [&str; 2] = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"];

/// Starts a server in each of the two regions. They serve for as long as this process lives.
///
/// # Errors
/// Those of the lab and of the system.
pub(super) fn serve(lab: &Lab) -> Result<()> {
    for region in [SICK, OTHER] {
        let host = lab.host(region)?;
        let listener = host.run(|| TcpListener::bind((host.ipv4(), SERVER_PORT)))?;
        let listener = listener.with_context(|| format!("no server in {region}"))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One that waits for a request which got lost must not keep others waiting.
                thread::spawn(move || answer(stream, region));
            }
        });
    }
    Ok(())
}

/// Answers one request. A client that is gone is not our business.
fn answer(mut stream: std::net::TcpStream, region: &str) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // Those of HAProxy fit into one segment.
    (stream.read(&mut [0; 4_096]).ok()? > 0).then_some(())?;
    let page = page(region);
    let length = page.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + &page).as_bytes()).ok()
}

/// What the servers of a region serve: some segments.
fn page(region: &str) -> String {
    format!("{region}\n").repeat(1_000)
}

/// Starts HAProxy. Whoever is down for it is so because the agent says so: it makes no checks of its own.
///
/// # Errors
/// Where it is not installed, or the lab refuses.
pub(super) fn start(lab: &Lab) -> Result<Process> {
    let agent = lab.site(BALANCED)?.lan_gateway();
    let server = |region: &str, more: &str| -> Result<String> {
        Ok(format!(
            "  server {region} {}:{SERVER_PORT} agent-check agent-addr {agent} agent-port {AGENT_CHECK_PORT} agent-inter 1s \
             agent-send \"{region}\\n\" on-marked-down shutdown-sessions{more}\n",
            lab.host(region)?.ipv4(),
        ))
    };
    let config = format!(
        "defaults\n  mode http\n  retries 0\n  timeout connect 1s\n  timeout client 10s\n  timeout server 2s\n\
         frontend everybody\n  bind 127.0.0.1:{PORT}\n  default_backend regions\n\
         backend regions\n{}{}",
        server(SICK, "")?,
        server(OTHER, " backup")?,
    );
    let file = lab.directory().join("haproxy.cfg");
    fs::write(&file, config).with_context(|| file.display().to_string())?;
    let program = PROGRAMS.into_iter().find(|program| fs::exists(program).unwrap_or(false));
    let mut command = Command::new(program.unwrap_or("haproxy"));
    command.arg("-db").arg("-f").arg(&file);
    let process = lab.host(BALANCED)?.spawn(command);
    process.context("HAProxy does not start: `cargo xtask setup --for demo` installs it")
}

/// Fetches through HAProxy again and again, until nobody listens any more.
///
/// # Errors
/// Those of the lab.
pub(super) fn fetch(lab: &Lab, sightings: mpsc::Sender<Sighting>) -> Result<()> {
    let namespace = lab.host(BALANCED)?.namespace().clone();
    let pages = [SICK, OTHER].map(|region| (region, page(region)));
    let client = move || {
        let http: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build().into();
        let url = format!("http://127.0.0.1:{PORT}/");
        loop {
            let answer =
                http.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
            let body = answer.unwrap_or_default();
            // Less than the whole page is no answer.
            let region = pages.iter().find(|(_, page)| *page == body).map(|(region, _)| *region);
            let answer = Sighting::Answer { at: clock::unix(), region, octets: body.len() as u64 };
            if sightings.send(answer).is_err() {
                return;
            }
            thread::sleep(PACE);
        }
    };
    // It can fail only where the namespace is gone, and then nobody listens.
    thread::spawn(move || namespace.run(client).ok());
    Ok(())
}
