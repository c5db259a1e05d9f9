//! HAProxy's agent checks, over real sockets.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
};

use super::*;
use crate::{
    report::example,
    verdict::Reach,
    web::agent_check::{self, Limits},
};

/// Of all but what hangs.
const LIMITS: Limits = Limits { question: LONG, answer: LONG, taking: LONG };

pub(super) struct Checks {
    _runtime: Runtime,
    address: SocketAddr,
}

impl Checks {
    /// With so much time for answers of the agent.
    pub(super) fn of_agent(source: Arc<dyn Source>, answer: Duration) -> Self {
        Self::start(source, Limits { answer, ..LIMITS })
    }

    fn start(source: Arc<dyn Source>, limits: Limits) -> Self {
        let (runtime, listener, address) = listen();
        runtime.spawn(agent_check::serve(listener, source, limits));
        Self { _runtime: runtime, address }
    }

    fn of(reach: Reach) -> Self {
        Self::with(reach, LIMITS)
    }

    fn with(reach: Reach, limits: Limits) -> Self {
        let regions = Mutex::new(vec![example("nyc", reach)]);
        Self::start(Arc::new(Fake { regions, ..Fake::default() }), limits)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    pub(super) fn ask(&self, question: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(question).unwrap();
        answer(&mut stream)
    }
}

/// All that comes until the other end closes.
fn answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn each_reach_has_its_line() {
    let why = "forward unhealthy (loss), reverse healthy (passing)";
    for (reach, expected) in [
        (Reach::Reachable, "up 100%\n".to_owned()),
        (
            Reach::Impaired,
            format!("up 50% # impaired: traffic goes there and back, but not as usual: {why}\n"),
        ),
        (
            Reach::Isolated,
            format!("down # isolated: no path carries traffic there and back: {why}\n"),
        ),
        (
            Reach::Unknown,
            "up 100% # unknown: nothing is known of it any more: the evidence is too old\n"
                .to_owned(),
        ),
        (
            Reach::SelfIsolated,
            "up 100% # self_isolated: no path carries traffic there and back, but most regions \
             failed at once, or none is reached: this node must be the one that is cut off\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(Checks::of(reach).ask(b"nyc\n"), expected);
    }
}

#[test]
fn a_question_is_taken_as_it_comes() {
    let checks = Checks::of(Reach::Reachable);
    for question in [&b"nyc\n"[..], b"nyc\r\n", b" nyc \nmore\n"] {
        assert_eq!(checks.ask(question), "up 100%\n", "{question:?}");
    }
    // The connection stays open, and no line feed comes.
    let forgetful = Limits { question: Duration::from_secs(2), ..LIMITS };
    assert_eq!(Checks::with(Reach::Reachable, forgetful).ask(b"nyc"), "up 100%\n");
    let mut in_pieces = checks.connect();
    in_pieces.write_all(b"n").unwrap();
    in_pieces.write_all(b"yc").unwrap();
    in_pieces.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(&mut in_pieces), "up 100%\n");
}

/// Such a line changes nothing in HAProxy: all of it is a comment.
#[test]
fn who_asks_nothing_is_told_nothing() {
    let checks = Checks::of(Reach::Isolated);
    let expected = "# nothing was asked: write agent-send \"REGION\\n\" in HAProxy's config\n";
    assert_eq!(checks.ask(b"\n"), expected);
    let silent = Limits { question: Duration::from_millis(100), ..LIMITS };
    let checks = Checks::with(Reach::Isolated, silent);
    assert_eq!(answer(&mut checks.connect()), expected);
}

/// Whatever it is: one line, fail-open, and nothing of it but the comment is from whoever has asked.
#[test]
fn an_unknown_region_is_up_and_injects_nothing() {
    let checks = Checks::of(Reach::Isolated);
    let expected = "up 100% # ams1 has no peer in region \"sin\"; its regions: nyc\n";
    assert_eq!(checks.ask(b"sin\n"), expected);
    let mut random = crate::random::Random::new(7);
    for _ in 0..50 {
        let question: Vec<u8> = (0..random.below(256)).map(|_| random.below(256) as u8).collect();
        let answer = checks.ask(&[b"x", &question[..], b"\n"].concat());
        assert!(answer.starts_with("up 100% # ams1 has no peer in region"), "{answer}");
        assert!(answer.is_ascii() && answer.len() < 1_000, "{answer}");
        assert_eq!(answer.find('\n'), Some(answer.len() - 1), "{answer}");
    }
}

#[test]
fn who_sends_without_end_is_answered_all_the_same() {
    let checks = Checks::of(Reach::Isolated);
    let mut stream = checks.connect();
    stream.write_all(&[b'a'; 256]).unwrap();
    assert!(answer(&mut stream).starts_with("up 100% # ams1 has no peer in region \"aaaa"));
}

/// More of them than can be served at once: each is let go after a while, and who asks gets an answer.
#[test]
fn clients_that_hang_disturb_nobody() {
    let patient = Limits { question: Duration::from_secs(1), ..LIMITS };
    let checks = Checks::with(Reach::Reachable, patient);
    let hanging: Vec<TcpStream> = (0..150).map(|_| checks.connect()).collect();
    assert_eq!(checks.ask(b"nyc\n"), "up 100%\n");
    for mut stream in hanging {
        assert!(answer(&mut stream).starts_with("# "));
    }
}
