//! Workers that register with a controller: controllers in two regions, and in three regions a worker that `linkprobe guard`
//! keeps where it can reach one.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{Lab, Process, agent::WEB_PORT, clock};

use super::{
    burst::{OTHER, SICK},
    observe::Sighting,
};

/// Where there are workers.
pub(super) const PLACES: [&str; 3] = ["fra", "sin", "lon"];

/// Where controllers listen.
const PORT: u16 = 7000;
/// Time between two heartbeats of a worker.
const PACE: Duration = Duration::from_millis(200);
/// How long a worker tries to connect, before it tries again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the preferred controller must have been good until workers go back to it. Five minutes are usual; a demo is not
/// to take so long.
const RETURN: &str = "5s";
/// The least time between two moves; ten seconds are usual. The first is that to the preferred controller, at the start.
const DWELL: &str = "5s";

/// Starts a controller in each of the two regions. They live as long as this process does.
///
/// # Errors
/// Those of the lab and of the system.
pub(super) fn control(lab: &Lab, sightings: &mpsc::Sender<Sighting>) -> Result<()> {
    for region in [SICK, OTHER] {
        let host = lab.host(region)?;
        let listener = host.run(|| TcpListener::bind((host.ipv4(), PORT)))?;
        let listener = listener.with_context(|| format!("no controller in {region}"))?;
        let sightings = sightings.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sightings = sightings.clone();
                thread::spawn(move || register(stream, region, &sightings));
            }
        });
    }
    Ok(())
}

/// Takes the heartbeats of a worker, until it is gone.
fn register(stream: TcpStream, region: &'static str, sightings: &mpsc::Sender<Sighting>) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let Some((worker, run)) = line.split_once(' ') else { return };
        let (worker, run) = (worker.to_owned(), run.parse().unwrap_or(0));
        let heartbeat = Sighting::Heartbeat { at: clock::unix(), worker, run, region };
        if sightings.send(heartbeat).is_err() {
            return;
        }
    }
}

/// Starts a guard with a worker in each of the places.
///
/// # Errors
/// Those of the lab and of the system.
pub(super) fn start(lab: &Lab, linkprobe: &Path) -> Result<Vec<Process>> {
    let worker = env::current_exe().context("where is this program?")?;
    let start = |place: &&str| {
        let file = lab.directory().join(format!("targets-{place}.toml"));
        fs::write(&file, targets(lab, place)?).with_context(|| file.display().to_string())?;
        let mut command = Command::new(linkprobe);
        command
            .args(["guard", "--return", RETURN, "--min-dwell", DWELL, "--targets"])
            .arg(&file)
            .arg("--");
        command.arg(&worker).args(["worker", "--name", place, "{target}"]);
        lab.host(place)?.spawn(command)
    };
    PLACES.iter().map(start).collect()
}

/// The file of targets for a place: the sick region's controller is preferred.
fn targets(lab: &Lab, place: &str) -> Result<String> {
    let url = |region: &str| -> Result<String> {
        Ok(format!("http://{}:{WEB_PORT}", lab.site(region)?.lan_gateway()))
    };
    let mut text = format!("agent = \"{}\"\n", url(place)?);
    for region in [SICK, OTHER] {
        text += &format!(
            "\n[[target]]\nname = \"{region}\"\nregion = \"{region}\"\naddress = \"{}:{PORT}\"\nagent = \"{}\"\n",
            lab.host(region)?.ipv4(),
            url(region)?,
        );
    }
    Ok(text)
}

/// A worker, as `lab worker` runs it.
#[derive(clap::Args)]
pub(crate) struct Worker {
    /// Its name, a word
    #[arg(long)]
    name: String,
    /// The controller
    controller: SocketAddr,
}

impl Worker {
    /// Stays registered with its controller, whatever happens to that, until it is killed: that of the incident did not know
    /// any better either.
    pub(crate) fn run(&self) -> ! {
        // What an earlier run has sent may arrive later than what this one sends elsewhere.
        let run = (clock::unix() * 1e3) as u64;
        loop {
            if let Ok(mut stream) = TcpStream::connect_timeout(&self.controller, PATIENCE) {
                while writeln!(stream, "{} {run}", self.name).is_ok() {
                    thread::sleep(PACE);
                }
            }
            thread::sleep(PACE);
        }
    }
}
