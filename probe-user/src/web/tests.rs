mod agent_check;
mod hanging;
mod regions;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use super::{GRACE, Limits, Source, serve};
use crate::metrics::Snapshot;
use crate::report::{Event, Evidence, Paths, Region, Regions, Revision};
use crate::verdict::{Cause, Direction, State};

/// An agent that has one answer to everything.
#[derive(Default)]
struct Fake {
    unready: Option<&'static str>,
    refused: Option<&'static str>,
    reloads: AtomicU32,
    events: Events,
    regions: Mutex<Vec<Region>>,
}

struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(4).0)
    }
}

impl Source for Fake {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            paths: self.paths(),
            counters: Vec::new(),
            interfaces: Vec::new(),
            overlay: None,
            last_reload_successful: true,
            rtt: Vec::new(),
            regions: Vec::new(),
            hooks: Vec::new(),
            lateness: crate::account::rtt::Histogram::default(),
        }
    }

    fn paths(&self) -> Paths {
        Paths {
            node: "ams1".to_owned(),
            region: "ams".to_owned(),
            at: 1.5,
            revision: Revision::default(),
            isolated_since: None,
            paths: Vec::new(),
        }
    }

    fn regions(&self) -> Regions {
        let (node, region) = ("ams1".to_owned(), "ams".to_owned());
        let regions = self.regions.lock().unwrap().clone();
        Regions { node, region, at: 1.5, isolated_since: None, regions }
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.0.subscribe()
    }

    fn judges(&self) -> bool {
        true
    }

    fn ready(&self) -> Result<(), String> {
        self.unready.map_or(Ok(()), |why| Err(why.to_owned()))
    }

    fn reload(&self) -> Result<String, String> {
        assert_ne!(self.refused, Some("panic"), "as the test wants it");
        self.reloads.fetch_add(1, Ordering::Relaxed);
        self.refused.map_or(Ok("2 peers changed".to_owned()), |why| Err(why.to_owned()))
    }
}

/// A server on the loopback interface.
struct Server {
    runtime: Runtime,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Nothing here takes so long, on the busiest host.
const LONG: Duration = Duration::from_secs(20);

/// A runtime, and a listener on it with its address.
fn listen() -> (Runtime, TcpListener, SocketAddr) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    (runtime, listener, address)
}

/// Status, content type, body.
type Answer = (u16, String, String);

impl Server {
    fn start(source: Arc<impl Source>) -> Self {
        Self::with(source, Limits { connections: 256, head: LONG, answer: LONG })
    }

    fn with(source: Arc<impl Source>, limits: Limits) -> Self {
        let (runtime, listener, address) = listen();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = runtime.spawn(serve(listener, source, limits, async {
            stopped.await.ok();
        }));
        Self { runtime, address, stop: Some(stop), task }
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let url = format!("http://{}{path}", self.address);
        let request = match method {
            "POST" => agent.post(&url).send_empty(),
            "HEAD" => agent.head(&url).call(),
            _ => agent.get(&url).call(),
        };
        let mut response = request.unwrap();
        let kind = response.headers().get("content-type");
        let kind = kind.map_or(String::new(), |kind| kind.to_str().unwrap().to_owned());
        let body = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), kind, body)
    }

    /// Stops the server; panics where it takes longer.
    fn stop_within(mut self, limit: Duration) {
        drop(self.stop.take());
        self.runtime
            .block_on(async { tokio::time::timeout(limit, &mut self.task).await })
            .expect("it has not stopped in time")
            .unwrap();
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn text(status: u16, body: &str) -> Answer {
    (status, TEXT.to_owned(), body.to_owned())
}

#[test]
fn each_route_answers() {
    let source = Arc::new(Fake::default());
    let server = Server::start(Arc::clone(&source));
    assert_eq!(server.ask("GET", "/-/healthy"), text(200, "ok\n"));
    assert_eq!(server.ask("GET", "/-/ready"), text(200, "ready\n"));
    assert_eq!(server.ask("POST", "/-/reload"), text(200, "2 peers changed\n"));
    assert_eq!(source.reloads.load(Ordering::Relaxed), 1);

    let (status, kind, body) = server.ask("GET", "/metrics");
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4"));
    assert!(body.contains("\nlinkprobe_config_last_reload_successful 1\n"), "{body}");

    let (status, kind, body) = server.ask("GET", "/api/v1/paths");
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    assert_eq!(serde_json::from_str::<Paths>(&body).unwrap(), source.paths());

    let (status, kind, body) = server.ask("GET", "/api/v1/regions");
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    assert_eq!(serde_json::from_str::<Regions>(&body).unwrap(), source.regions());

    let (status, kind, body) = server.ask("GET", "/");
    assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
    for link in ["/metrics", "/api/v1/paths", "/api/v1/regions", "/-/healthy", "/-/ready"] {
        assert!(body.contains(&format!("href=\"{link}\"")), "{link}");
        assert_eq!(server.ask("GET", link).0, 200, "{link}");
        assert_eq!(server.ask("HEAD", link).0, 200, "{link}");
    }
    server.stop_within(GRACE * 5);
}

#[test]
fn what_is_not_there_is_404_and_the_wrong_method_405() {
    let source = Arc::new(Fake::default());
    let server = Server::start(Arc::clone(&source));
    for path in ["/nothing", "/api/v1", "/metrics/", "/-/"] {
        assert_eq!(server.ask("GET", path).0, 404, "{path}");
    }
    assert_eq!(server.ask("GET", "/-/reload").0, 405);
    assert_eq!(server.ask("POST", "/metrics").0, 405);
    assert_eq!(source.reloads.load(Ordering::Relaxed), 0);
}

#[test]
fn reasons_are_passed_on() {
    let why = "f.toml:6:12: probe.interval: 100 has no unit";
    let unready = Some("eth0 is down");
    let server = Server::start(Arc::new(Fake { unready, refused: Some(why), ..Fake::default() }));
    assert_eq!(server.ask("GET", "/-/ready"), text(503, "not ready: eth0 is down\n"));
    assert_eq!(server.ask("GET", "/-/healthy").0, 200);
    assert_eq!(server.ask("POST", "/-/reload"), text(400, &format!("{why}\n")));
}

#[test]
fn a_panic_behind_one_request_spoils_no_other() {
    let server = Server::start(Arc::new(Fake { refused: Some("panic"), ..Fake::default() }));
    let failed = text(500, "the agent has failed to answer; see its log\n");
    assert_eq!(server.ask("POST", "/-/reload"), failed);
    assert_eq!(server.ask("GET", "/metrics").0, 200);
}

#[test]
fn connections_that_stay_open_do_not_hold_up_the_end() {
    let server = Server::start(Arc::new(Fake::default()));
    let silent = TcpStream::connect(server.address).unwrap();
    let mut half_a_request = TcpStream::connect(server.address).unwrap();
    half_a_request.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n").unwrap();
    // Connections are accepted in their order, so both are open once this one is served.
    assert_eq!(server.ask("GET", "/-/healthy").0, 200);
    server.stop_within(GRACE * 5);
    drop((silent, half_a_request));
}

/// The `sequence`th event of an agent.
fn event(sequence: u64) -> Event {
    Event {
        revision: Revision { epoch: 7, sequence },
        at: 1.5,
        peer: "fra1".to_owned(),
        region: "fra".to_owned(),
        direction: Direction::Forward,
        from: State::Healthy,
        to: State::Unhealthy,
        cause: Cause::Loss,
        since: 1.25,
        age_seconds: Some(0.25),
        expires_in_seconds: Some(2.75),
        evidence: Evidence::default(),
        rtt_us: None,
        flows: 4,
        sick_flows: vec![2],
        needs: None,
    }
}

/// The lines of an event stream that say something.
struct Listener(BufReader<TcpStream>);

impl Listener {
    /// Listens; from now on no event is missed.
    fn start(server: &Server, source: &Fake) -> Self {
        let before = source.events.0.receiver_count();
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut listener = Self(BufReader::new(stream));
        assert_eq!(listener.line(), "HTTP/1.1 200 OK");
        assert_eq!(source.events.0.receiver_count(), before + 1);
        while listener.line() != "transfer-encoding: chunked" {}
        listener
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// The name, the id and the data of the next event.
    fn event(&mut self) -> (String, String, String) {
        let (mut name, mut id, mut data) = Default::default();
        loop {
            let line = self.line();
            match line.split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("id", value)) => id = value.to_owned(),
                Some(("data", value)) => data = value.to_owned(),
                _ if line.is_empty() && !name.is_empty() => return (name, id, data),
                // Chunks, and comments that keep the connection alive.
                _ => {}
            }
        }
    }
}

#[test]
fn every_listener_gets_every_event() {
    let source = Arc::new(Fake::default());
    let server = Server::start(Arc::clone(&source));
    let mut listeners = [0, 1].map(|_| Listener::start(&server, &source));
    for sequence in [1, 2] {
        source.events.0.send(event(sequence)).unwrap();
        for listener in &mut listeners {
            let (name, id, data) = listener.event();
            assert_eq!((name, id), ("verdict".to_owned(), format!("7-{sequence}")));
            assert_eq!(serde_json::from_str::<Event>(&data).unwrap(), event(sequence));
        }
    }
    // Those that listen do not hold up the end either.
    server.stop_within(GRACE * 5);
}

#[test]
fn a_listener_that_is_too_slow_is_told_how_many_it_has_missed() {
    let source = Arc::new(Fake::default());
    let server = Server::start(Arc::clone(&source));
    let mut listener = Listener::start(&server, &source);
    // The only thread that could pass events on is busy meanwhile.
    let ((busy, is_busy), (done, is_done)) = (mpsc::channel(), mpsc::channel::<()>());
    server.runtime.spawn(async move {
        busy.send(()).unwrap();
        is_done.recv().unwrap();
    });
    is_busy.recv().unwrap();
    for sequence in 1..=6 {
        source.events.0.send(event(sequence)).unwrap();
    }
    done.send(()).unwrap();
    assert_eq!(listener.event(), ("missed".to_owned(), String::new(), "2".to_owned()));
    assert_eq!(listener.event().1, "7-3");
}

#[test]
fn who_stops_listening_is_forgotten() {
    let source = Arc::new(Fake::default());
    let server = Server::start(Arc::clone(&source));
    drop(Listener::start(&server, &source));
    for sequence in 0_u64.. {
        // Fails once nobody listens.
        if source.events.0.send(event(sequence)).is_err() {
            break;
        }
        assert!(sequence < 2_000, "it is still thought to listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}
