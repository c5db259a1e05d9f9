//! A standard error that nobody reads any more changes nothing: neither exit codes nor verdicts.

use std::{
    fs,
    io::{self, Write as _},
    net::{TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use probe_user::{client::fetch_paths, datapath::clock, report::Paths};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn linkprobe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linkprobe"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn errors_keep_their_exit_codes() {
    for (arguments, code) in [
        (&["explain", "--config", "/nonexistent"][..], 1),
        (&["run", "--config", "/nonexistent"], 1),
        (&["ping", "127.0.0.1", "--datapath", "socket", "--auth", "/nonexistent#key"], 2),
        (&["check", "--url", "http://127.0.0.1:1"], 3),
        // Of wrong command lines, whatever stands before the command.
        (&["check", "--region"], 3),
        (&["--log.level", "warn", "check", "--region"], 3),
        (&["--log.format=json", "guard", "--nothing"], 125),
        (&["guard", "--nothing", "--", "check"], 125),
        (&["config", "check"], 2),
    ] {
        let mut child = linkprobe(arguments).spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}");
    }
}

/// An agent on the loopback interface, without privileges.
struct Agent {
    child: Child,
    url: String,
    _directory: TempDir,
}

impl Agent {
    /// One that probes itself, and an address at which nobody answers.
    fn start(stderr: impl Into<Stdio>) -> Self {
        let web = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("linkprobe.toml");
        let config = format!(
            r#"
            [node]
            name = "a"
            region = "a"
            datapath = "socket"
            interfaces = ["lo"]
            [probe]
            port = {port}
            interval = "20ms"
            [web]
            listen = "{web}"
            [[peer]]
            name = "self"
            region = "b"
            address = "127.0.0.1:{port}"
            [[peer]]
            name = "dead"
            region = "c"
            address = "127.0.0.1:1"
            "#
        );
        fs::write(&file, config).unwrap();
        let arguments = ["run", "--config", file.to_str().unwrap()];
        let child = linkprobe(&arguments).stderr(stderr).spawn().unwrap();
        Self { child, url: format!("http://{web}"), _directory: directory }
    }

    /// What it says, once that is as wanted.
    fn eventually(&self, what: &str, is_so: impl Fn(&Paths) -> bool) -> Paths {
        let deadline = clock::monotonic() + PATIENCE.as_nanos() as u64;
        while clock::monotonic() < deadline {
            match fetch_paths(&self.url) {
                Ok(paths) if is_so(&paths) => return paths,
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
        panic!("not within {PATIENCE:?}: {what}; {:?}", fetch_paths(&self.url));
    }

    /// Waits for its first verdicts, and then for what is only said by a judge that goes on.
    fn goes_on_judging(&self) {
        let first = self.eventually("there are verdicts", |paths| paths.revision.sequence >= 2);
        let sent = first.paths[0].probes.sent;
        self.eventually("verdicts are made", |paths| {
            let [own, _] = &paths.paths[..] else { return false };
            let age = own.forward.age_seconds.unwrap_or(f64::MAX);
            own.probes.sent > sent + 100 && age < 1.0
        });
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_agent_goes_on_judging_without_its_log() {
    let (reader, log) = io::pipe().unwrap();
    let agent = Agent::start(log);
    drop(reader);
    agent.goes_on_judging();
}

/// As behind a log shipper that hangs: the pipe is full, and nobody has closed it.
#[test]
fn the_agent_goes_on_judging_while_its_log_is_stuck() {
    let (reader, log) = io::pipe().unwrap();
    let mut filler = log.try_clone().unwrap();
    // It ends with the reader.
    let full = thread::spawn(move || while filler.write_all(&[b'.'; 4096]).is_ok() {});
    thread::sleep(Duration::from_millis(200));
    let agent = Agent::start(log);
    agent.goes_on_judging();
    drop((agent, reader));
    full.join().unwrap();
}
