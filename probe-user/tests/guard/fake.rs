//! Agents that say what a test wants, and a guard among them.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use probe_user::datapath::clock;
use serde_json::json;
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until it is so.
pub(crate) fn eventually<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let deadline = clock::monotonic() + PATIENCE.as_nanos() as u64;
    loop {
        match is_so() {
            Some(found) => return found,
            None if clock::monotonic() < deadline => thread::sleep(Duration::from_millis(20)),
            None => panic!("not within {PATIENCE:?}: {what}"),
        }
    }
}

/// What an agent does with a request.
#[derive(Clone)]
enum Does {
    Answer(String),
    Close,
    Hang,
}

/// An agent.
pub(crate) struct Agent {
    pub(crate) url: String,
    does: Arc<Mutex<Does>>,
    asked: Arc<AtomicU64>,
}

impl Agent {
    /// One in a region, which says something of others: `nyc=reachable fra=isolated`.
    pub(crate) fn start(region: &str, regions: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let does = Arc::new(Mutex::new(Does::Answer(document(region, false, regions))));
        let asked = Arc::new(AtomicU64::new(0));
        let (serve_does, serve_asked) = (Arc::clone(&does), Arc::clone(&asked));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (does, asked) = (Arc::clone(&serve_does), Arc::clone(&serve_asked));
                thread::spawn(move || serve(stream.unwrap(), &does, &asked));
            }
        });
        Self { url, does, asked }
    }

    pub(crate) fn says(&self, region: &str, regions: &str) {
        *self.does.lock().unwrap() = Does::Answer(document(region, false, regions));
    }

    pub(crate) fn says_isolated(&self, region: &str, regions: &str) {
        *self.does.lock().unwrap() = Does::Answer(document(region, true, regions));
    }

    pub(crate) fn closes(&self) {
        *self.does.lock().unwrap() = Does::Close;
    }

    pub(crate) fn hangs(&self) {
        *self.does.lock().unwrap() = Does::Hang;
    }

    /// Waits until it has been asked so many times more.
    pub(crate) fn is_asked(&self, times: u64) {
        let before = self.asked.load(Ordering::SeqCst);
        eventually("the agent is asked", || {
            (self.asked.load(Ordering::SeqCst) >= before + times).then_some(())
        });
    }
}

fn document(region: &str, isolated: bool, regions: &str) -> String {
    let regions: Vec<_> = regions
        .split_whitespace()
        .map(|text| text.split_once('=').unwrap())
        .map(|(name, reach)| json!({"name": name, "reach": reach, "paths": 1}))
        .collect();
    let isolated_since = isolated.then_some(1.8e9);
    let node = format!("{region}1");
    json!({"node": node, "region": region, "at": 1.8e9, "isolated_since": isolated_since, "regions": regions})
        .to_string()
}

fn serve(mut stream: TcpStream, does: &Mutex<Does>, asked: &AtomicU64) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    assert!(request.starts_with(b"GET /api/v1/regions HTTP/1.1\r\n"));
    let does = does.lock().unwrap().clone();
    match does {
        Does::Answer(body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close");
            // A guard that was ended does not wait for the answer.
            write!(stream, "{head}\r\n\r\n{body}").ok();
        }
        Does::Close => {}
        // Until the other end gives up.
        Does::Hang => drop(stream.read(&mut buffer)),
    }
    asked.fetch_add(1, Ordering::SeqCst);
}

/// A directory with a file of targets and a file that commands write to.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    /// With one target in each region, named as it is: `nyc`, or `nyc=http://127.0.0.1:1` where it has an agent.
    pub(crate) fn new(agent: &str, targets: &[&str]) -> Self {
        let place = Self { directory: TempDir::new().unwrap() };
        place.write_targets(agent, targets);
        place
    }

    pub(crate) fn write_targets(&self, agent: &str, targets: &[&str]) {
        let target = |text: &&str| {
            let (name, agent) = text.split_once('=').unwrap_or((text, ""));
            let agent =
                if agent.is_empty() { String::new() } else { format!("agent = {agent:?}\n") };
            format!(
                "[[target]]\nname = {name:?}\naddress = \"{name}:7\"\nregion = {name:?}\n{agent}"
            )
        };
        let list: String = targets.iter().map(target).collect();
        fs::write(self.targets(), format!("agent = {agent:?}\n{list}")).unwrap();
    }

    pub(crate) fn targets(&self) -> PathBuf {
        self.directory.path().join("targets.toml")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn linkprobe(&self, options: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linkprobe"));
        let options: Vec<&str> = options.split_whitespace().collect();
        let unless_given = [
            ["--interval", "100ms"],
            ["--min-dwell", "300ms"],
            ["--patience", "300ms"],
            ["--back-off", "20ms"],
        ];
        command
            .args(["guard", "--targets"])
            .arg(self.targets())
            .args(unless_given.iter().filter(|pair| !options.contains(&pair[0])).flatten())
            .args(&options)
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the guard to its end, without a command of its own.
    pub(crate) fn output(&self, options: &str) -> Output {
        self.linkprobe(options).output().unwrap()
    }

    /// Starts a guard of a shell script, which writes what it has to say to the file `said`.
    pub(crate) fn guard(&self, options: &str, script: &str) -> Guard<'_> {
        self.start(self.linkprobe(options), script)
    }

    /// The same by somebody who does not want to know what becomes of children, as those that are started inherit.
    pub(crate) fn guard_without_sigchld(&self, options: &str, script: &str) -> Guard<'_> {
        let mut command = self.linkprobe(options);
        let ignore = || {
            // SAFETY: nothing but a system call, and no handler is set.
            let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
        };
        // SAFETY: what runs between fork and exec makes a system call, and allocates nothing.
        unsafe { command.pre_exec(ignore) };
        self.start(command, script)
    }

    fn start(&self, mut command: Command, script: &str) -> Guard<'_> {
        // Not a pipe: that would be open as long as anything lives that was left behind.
        let log = fs::File::create(self.log()).unwrap();
        let child = command
            .args(["--", "sh", "-c", script])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Guard { place: self, child: Some(child) }
    }

    /// The words that commands have written so far.
    pub(crate) fn said(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.path().join("said")).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Forgets what commands have written.
    pub(crate) fn forget(&self) {
        fs::remove_file(self.directory.path().join("said")).ok();
    }

    /// Makes a file that commands look for.
    pub(crate) fn touch(&self, name: &str) {
        fs::write(self.directory.path().join(name), "").unwrap();
    }

    pub(crate) fn eventually_said(&self, expected: &[&str]) {
        eventually(&format!("{expected:?}, but {:?}", self.said()), || {
            (self.said() == expected).then_some(())
        });
    }
}

/// A guard at work. It is killed if the test forgets it.
pub(crate) struct Guard<'a> {
    place: &'a Place,
    child: Option<Child>,
}

impl Guard<'_> {
    pub(crate) fn said(&self, expected: &[&str]) {
        self.place.eventually_said(expected);
    }

    pub(crate) fn signal(&self, signal: i32) {
        let pid = self.child.as_ref().unwrap().id().cast_signed();
        // SAFETY: `kill` takes no pointers.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits for its end: how it ended, and what it logged.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        // Until it has ended, it is there to be killed.
        let child = self.child.as_mut().unwrap();
        let status = eventually("the guard ends", || child.try_wait().unwrap());
        (status, fs::read_to_string(self.place.log()).unwrap())
    }

    /// Waits for its end, which must have this code.
    pub(crate) fn ends_with(self, code: i32) -> String {
        let (status, log) = self.ends();
        assert_eq!(status.code(), Some(code), "{log}");
        log
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
