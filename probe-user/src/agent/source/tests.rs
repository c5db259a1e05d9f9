use std::{
    collections::{BTreeSet, HashMap},
    net::UdpSocket,
    path::PathBuf,
    sync::{Mutex, atomic::AtomicBool},
};

use tokio::{runtime::Runtime, sync::Semaphore};

use super::*;
use crate::agent::state::State;

/// More than are read at once, several times.
const PEERS: usize = 5 * PATHS_AT_ONCE / 2;

/// A config with so many peers that do not resolve, from one of these numbers on.
fn config(port: u16, first: usize) -> Config {
    let mut text = format!(
        "[node]\nname = \"a\"\nregion = \"a\"\ninterfaces = [\"lo\"]\ndatapath = \"socket\"\n\
         [probe]\nport = {port}\nflows = 1\n"
    );
    for number in first..first + PEERS {
        text += &format!(
            "[[peer]]\nname = \"p{number}\"\nregion = \"r{}\"\naddress = \"p{number}.invalid\"\n",
            number % 7
        );
    }
    Config::parse(&text, "f.toml").unwrap()
}

#[test]
fn paths_that_are_read_in_parts_are_those_of_one_config() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let configs = [config(port, 0), config(port, PEERS / 2)];
    let settings = configs[0].health.settings(&configs[0].probe);
    let state = State::start(configs[0].clone(), None).unwrap();
    let runtime = Runtime::new().unwrap();
    let agent = Agent {
        file: PathBuf::new(),
        heartbeat: state.heartbeat.clone(),
        state: Mutex::new(state),
        judge_waits: AtomicBool::new(false),
        resolver: Mutex::new(HashMap::new()),
        look_ups: Semaphore::new(1),
        runtime: runtime.handle().clone(),
    };
    let expected = [0, PEERS / 2].map(|first| {
        (first..first + PEERS).map(|number| format!("p{number}")).collect::<BTreeSet<_>>()
    });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..200 {
                let config = configs[round % 2].clone();
                agent.lock().reload(Ok((config, settings))).unwrap();
                thread::sleep(COURTESY);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            let report = agent.read_paths();
            assert_eq!(report.paths.len(), PEERS);
            let names: BTreeSet<String> = report.paths.into_iter().map(|path| path.peer).collect();
            assert!(expected.contains(&names), "of two configs at once: {names:?}");
        }
    });
    let whole = agent.lock().paths(clock::monotonic(), clock::realtime());
    let parts = agent.read_paths();
    let names = |report: &report::Paths| {
        report.paths.iter().map(|path| path.peer.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&parts), names(&whole));
}
