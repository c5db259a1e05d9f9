//! Agents that hang, and clients that do.

use std::{io::Read as _, sync::atomic::AtomicBool};

use super::{agent_check::Checks, *};

/// The limit of what hangs.
const SHORT: Duration = Duration::from_millis(100);

/// An agent whose state is locked until the test ends.
struct Hangs {
    judges: AtomicBool,
    held: Mutex<mpsc::Receiver<()>>,
}

impl Hangs {
    /// Such an agent, and what holds it.
    fn start(judges: bool) -> (Arc<Self>, mpsc::Sender<()>) {
        let (release, held) = mpsc::channel();
        (Arc::new(Self { judges: AtomicBool::new(judges), held: Mutex::new(held) }), release)
    }

    fn wait(&self) {
        self.held.lock().unwrap().recv().ok();
    }
}

impl Source for Hangs {
    fn snapshot(&self) -> Snapshot {
        self.wait();
        Fake::default().snapshot()
    }

    fn paths(&self) -> Paths {
        self.wait();
        Fake::default().paths()
    }

    fn regions(&self) -> Regions {
        self.wait();
        Fake::default().regions()
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        Fake::default().events()
    }

    fn judges(&self) -> bool {
        self.judges.load(Ordering::Relaxed)
    }

    fn ready(&self) -> Result<(), String> {
        Err("the thread that judges is held up".to_owned())
    }

    fn reload(&self) -> Result<String, String> {
        Ok(String::new())
    }
}

/// A verdict must not outlive who made it, here neither; but that nobody makes any is not said before it is certain.
#[test]
fn an_agent_that_hangs_withdraws_nothing() {
    let (agent, release) = Hangs::start(true);
    let checks = Checks::of_agent(Arc::<Hangs>::clone(&agent), SHORT);
    // Goes before the runtime, which waits for all threads.
    let _release = release;
    assert_eq!(checks.ask(b"nyc\n"), "# the agent is too busy to answer\n");
    agent.judges.store(false, Ordering::Relaxed);
    assert_eq!(checks.ask(b"nyc\n"), "up 100% # the agent is held up, so nothing is known\n");
}

/// More requests than may ask at once, more clients than are patient, and none takes away what others need.
#[test]
fn an_agent_that_hangs_is_a_region_of_which_nothing_is_known() {
    let (agent, release) = Hangs::start(false);
    let server = Server::with(agent, Limits { connections: 256, head: LONG, answer: SHORT });
    // Goes before the runtime, which waits for all threads.
    let _release = release;
    let _waiting: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(b"GET /api/v1/paths HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let held_up = "the agent is held up, so nothing is known\n";
    for (query, status) in [("", 200), ("?require=usable", 503), ("?require=reachable", 503)] {
        let answer = server.ask("GET", &format!("/api/v1/regions/nyc/health{query}"));
        assert_eq!(answer, text(status, held_up), "{query}");
    }
    let why = "not ready: the thread that judges is held up\n";
    assert_eq!(server.ask("GET", "/-/ready"), text(503, why));
}

/// Whether the other end closes the connection before it has sent anything.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.read(&mut [0; 100]).unwrap() == 0
}

#[test]
fn who_asks_nothing_is_let_go_and_others_wait_until_then() {
    let limits = Limits { connections: 4, head: Duration::from_secs(1), answer: LONG };
    let server = Server::with(Arc::new(Fake::default()), limits);
    let idle: Vec<TcpStream> =
        (0..10).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let mut half = TcpStream::connect(server.address).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n").unwrap();
    // Connections are accepted in their order.
    assert_eq!(server.ask("GET", "/-/healthy").0, 200);
    assert!(idle.iter().all(is_closed));
    assert!(is_closed(&half));
}

/// Who listens to events asks nothing either, for hours.
#[test]
fn who_listens_is_not_let_go() {
    let source = Arc::new(Fake::default());
    let limits = Limits { connections: 4, head: SHORT, answer: LONG };
    let server = Server::with(Arc::clone(&source), limits);
    let mut listener = Listener::start(&server, &source);
    std::thread::sleep(10 * SHORT);
    source.events.0.send(event(1)).unwrap();
    assert_eq!(listener.event().1, "7-1");
}
