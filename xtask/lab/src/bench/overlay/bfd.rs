//! BFD, by FRR's bfdd, on the direct tunnels, and static routes: direct while the session is up, through a
//! relay while it is down.
//!
//! FRR's own static routes can follow a session only from version 8.5 on. So that any version will do, the
//! bench does that: it asks bfdd again 10 ms after each answer, and tells the kernel by netlink what has changed.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::{Lab, Site, Switch, clock};
use serde_json::Value;

/// Where Debian's package has the daemons.
pub(super) const DAEMONS: &str = "/usr/lib/frr";
/// The user that they become, and cannot do without.
const USER: &str = "frr:frr";
/// Where each makes a directory for crashes, which outlives it.
const LITTER: &str = "/var/tmp/frr";
/// Time from an answer about the sessions to the next question.
const PERIOD: Duration = Duration::from_millis(10);
/// How long a daemon may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// Metrics of the static routes: the one by a relay always stands behind the direct one.
const DIRECT: u32 = 100;
const RELAYED: u32 = 200;

/// The threads that let the routes follow the sessions.
pub(super) struct Followers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Followers {
    /// Ends them.
    ///
    /// # Errors
    /// Those of a thread that has ended before.
    pub(super) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a follower of bfdd panicked"))??;
        }
        Ok(())
    }
}

/// Starts zebra and bfdd in every site, and installs the routes. Each site's relay is the one that `relay`
/// names.
pub(super) fn start(lab: &Lab, relay: impl Fn(&Site, &Site) -> String) -> Result<Followers> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for site in lab.sites() {
        for to in others(lab, site) {
            lab.install_route(site.name(), to.name(), &relay(site, to), RELAYED)?;
        }
        let terminal = daemons(lab, site)?;
        let routes = others(lab, site).map(|to| Route::new(lab, site, to));
        let routes = routes.collect::<Result<_>>()?;
        let stop = Arc::clone(&stop);
        threads.push(thread::spawn(move || follow(&terminal, routes, &stop)));
    }
    Ok(Followers { stop, threads })
}

fn others<'a>(lab: &'a Lab, site: &'a Site) -> impl Iterator<Item = &'a Site> {
    lab.sites().iter().filter(|other| other.number() != site.number())
}

/// Starts the daemons of a site, and returns bfdd's terminal.
fn daemons(lab: &Lab, site: &Site) -> Result<PathBuf> {
    let directory = lab.directory().join(format!("{}-frr", site.name()));
    fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
    fs::write(directory.join("zebra.conf"), "")?;
    fs::write(directory.join("bfdd.conf"), config(lab, site))?;
    let owned = Command::new("chown").args(["-R", USER]).arg(&directory).status();
    ensure!(
        owned.context("cannot start `chown`")?.success(),
        "there is no user {USER}: install FRR, Debian's package frr"
    );
    let daemon = |name: &str, more: &[&Path]| {
        let mut command = Command::new(Path::new(DAEMONS).join(name));
        command
            .args(["--log", "stdout", "-P", "0", "-f"])
            .arg(directory.join(format!("{name}.conf")))
            .arg("-i")
            .arg(directory.join(format!("{name}.pid")))
            .arg("-z")
            .arg(directory.join("zserv.api"))
            .arg("--vty_socket")
            .arg(&directory)
            .args(more);
        let process = site.spawn(command).context("FRR, Debian's package frr")?;
        lab.remove_too(Path::new(LITTER).join(format!("{name}.{}", process.pid())))
    };
    daemon("zebra", &[])?;
    await_file(&directory.join("zserv.api"))?;
    daemon("bfdd", &[Path::new("--bfdctl"), &directory.join("bfdd.sock")])?;
    let terminal = directory.join("bfdd.vty");
    await_file(&terminal)?;
    Ok(terminal)
}

fn await_file(path: &Path) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    while !path.exists() {
        ensure!(clock::now() < deadline, "FRR does not make {}: see its logs", path.display());
        thread::sleep(PERIOD);
    }
    Ok(())
}

/// Sessions with all other gateways.
fn config(lab: &Lab, site: &Site) -> String {
    let mut text = "bfd\n profile fast\n  receive-interval 100\n  transmit-interval 100\n  \
                    detect-multiplier 3\n !\n"
        .to_owned();
    for peer in others(lab, site) {
        let (address, interface) = (peer.tunnel_ipv4(), peer.tunnel());
        // Writing to a String cannot fail.
        let _ = write!(text, " peer {address} interface {interface}\n  profile fast\n !\n");
    }
    text
}

/// A direct route, and whether it is there.
struct Route {
    peer: String,
    switch: Switch,
    is_up: bool,
}

impl Route {
    fn new(lab: &Lab, from: &Site, to: &Site) -> Result<Self> {
        let switch = lab.switch(from.name(), to.name(), DIRECT)?;
        Ok(Self { peer: to.tunnel_ipv4().to_string(), switch, is_up: false })
    }
}

/// The thread.
fn follow(terminal: &Path, mut routes: Vec<Route>, stop: &AtomicBool) -> Result<()> {
    let mut terminal = UnixStream::connect(terminal).context("bfdd does not listen")?;
    terminal.set_read_timeout(Some(PATIENCE))?;
    ask(&mut terminal, "enable")?;
    while !stop.load(Ordering::Relaxed) {
        let sessions: Vec<Value> =
            serde_json::from_str(&ask(&mut terminal, "show bfd peers json")?)
                .context("bfdd's sessions")?;
        for route in &mut routes {
            let session = sessions.iter().find(|session| session["peer"] == route.peer.as_str());
            let is_up = session.is_some_and(|session| session["status"] == "up");
            if is_up != route.is_up {
                route.switch.set(is_up)?;
                route.is_up = is_up;
            }
        }
        thread::sleep(PERIOD);
    }
    Ok(())
}

/// Gives a command to a daemon's terminal, and returns what it says: the text ends with three zeros and a
/// code.
fn ask(terminal: &mut UnixStream, command: &str) -> Result<String> {
    terminal.write_all(format!("{command}\0").as_bytes()).context("cannot ask bfdd")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let [text @ .., 0, 0, 0, code] = &answer[..] {
            ensure!(*code == 0, "bfdd refuses `{command}` with code {code}");
            return Ok(String::from_utf8_lossy(text).into_owned());
        }
        let length = terminal.read(&mut buffer).context("no answer from bfdd")?;
        ensure!(length > 0, "bfdd has ended: see its log");
        answer.extend_from_slice(&buffer[..length]);
    }
}
