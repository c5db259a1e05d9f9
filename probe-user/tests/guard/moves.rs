use super::{
    WORKER,
    fake::{Agent, Place},
};

const WELL: &str = "nyc=reachable fra=reachable";

/// How often agents are asked until it is believed that nothing will happen: ten times patience and dwelling time.
const OFTEN: u64 = 30;

#[test]
fn it_leaves_a_region_that_is_isolated_and_comes_back() {
    let agent = Agent::start("ams", WELL);
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    let guard = place.guard("--return at-once", WORKER);
    guard.said(&["nyc"]);
    agent.says("ams", "nyc=isolated fra=reachable");
    guard.said(&["nyc", "end-nyc", "fra"]);
    agent.says("ams", WELL);
    guard.said(&["nyc", "end-nyc", "fra", "end-fra", "nyc"]);
    guard.signal(libc::SIGTERM);
    let log = guard.ends_with(0);
    assert!(log.contains("moving from=\"nyc\" to=\"fra\" why=the old one is isolated"), "{log}");
    assert!(
        log.contains("moving from=\"fra\" to=\"nyc\" why=it is preferred, and good again"),
        "{log}"
    );
    assert_eq!(place.said().last().unwrap(), "end-nyc");
}

#[test]
fn it_stays_away_until_its_time_has_come() {
    let agent = Agent::start("ams", "nyc=isolated fra=reachable");
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    for back in ["5m", "never", "on-exit"] {
        let guard = place.guard(&format!("--return {back}"), WORKER);
        guard.said(&["fra"]);
        agent.says("ams", WELL);
        agent.is_asked(OFTEN);
        guard.signal(libc::SIGTERM);
        guard.ends_with(0);
        place.eventually_said(&["fra", "end-fra"]);
        place.forget();
        agent.says("ams", "nyc=isolated fra=reachable");
    }
    // It comes back with the second run only.
    let script = "echo {name} >>said; while ! [ -e go ]; do sleep 0.05; done; [ {name} = nyc ]";
    let guard = place.guard("--return on-exit", script);
    guard.said(&["fra"]);
    agent.says("ams", WELL);
    agent.is_asked(3);
    place.touch("go");
    guard.ends_with(0);
    assert_eq!(place.said(), ["fra", "nyc"]);
}

#[test]
fn it_moves_nothing_while_this_node_is_cut_off_or_nobody_tells() {
    let agent = Agent::start("ams", WELL);
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    let guard = place.guard("--return at-once", WORKER);
    guard.said(&["nyc"]);
    agent.says_isolated("ams", "nyc=isolated fra=reachable");
    agent.is_asked(OFTEN);
    guard.said(&["nyc"]);
    guard.signal(libc::SIGTERM);
    let log = guard.ends_with(0);
    assert!(log.contains("this node is cut off"), "{log}");
    assert!(!log.contains("moving"), "{log}");
    place.forget();

    agent.says("ams", WELL);
    // Longer than a test may be held up between two lines, and shorter than each of the silences.
    let guard = place.guard("--return at-once --patience 3s", WORKER);
    guard.said(&["nyc"]);
    // As it is for a moment before it is known that all the others fail too.
    agent.says("ams", "nyc=isolated fra=reachable");
    agent.is_asked(1);
    agent.closes();
    agent.is_asked(2 * OFTEN);
    agent.hangs();
    agent.is_asked(2);
    guard.said(&["nyc"]);
    guard.signal(libc::SIGTERM);
    let log = guard.ends_with(0);
    assert!(log.contains("from=reachable to=isolated"), "{log}");
    assert!(!log.contains("moving"), "{log}");
}

/// A move takes its time: what is seen meanwhile does not bring the command back to what it was to leave.
#[test]
fn a_move_ends_where_it_was_to_go() {
    let agent = Agent::start("ams", WELL);
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    let script =
        "trap 'echo told >>said' TERM; echo {name} >>said; while ! [ -e go ]; do sleep 0.05; done";
    let guard = place.guard("", script);
    guard.said(&["nyc"]);
    agent.says("ams", "nyc=isolated fra=reachable");
    guard.said(&["nyc", "told"]);
    agent.says("ams", WELL);
    agent.is_asked(3);
    place.touch("go");
    guard.ends_with(0);
    assert_eq!(place.said(), ["nyc", "told", "fra"]);
}

/// The other case of the incident: the worker does not last at a controller that is cut off.
#[test]
fn a_command_that_waits_for_its_next_start_is_moved_at_once() {
    let agent = Agent::start("ams", WELL);
    let there = Agent::start("nyc", "fra=reachable");
    let place = Place::new(&agent.url, &[&format!("nyc={}", there.url), "fra"]);
    let script = "echo {name} >>said; [ {name} = fra ] && exec sleep 1000; exit 1";
    let guard = place.guard("--back-off 1h --back-off-cap 1h", script);
    guard.said(&["nyc"]);
    agent.is_asked(3);
    there.says_isolated("nyc", "");
    guard.said(&["nyc", "fra"]);
    guard.signal(libc::SIGTERM);
    let log = guard.ends_with(143);
    assert!(log.contains("again_in=1h"), "{log}");
}

/// The case of the incident: from here all is well.
#[test]
fn it_leaves_a_controller_that_still_answers_but_is_cut_off_from_the_other_regions() {
    let agent = Agent::start("ams", "nyc=reachable fra=reachable sin=reachable");
    let there = Agent::start("nyc", "ams=reachable fra=reachable sin=reachable");
    // One that hangs holds up nobody.
    let other = Agent::start("fra", "");
    other.hangs();
    let targets = [format!("nyc={}", there.url), format!("fra={}", other.url)];
    let place = Place::new(&agent.url, &[&targets[0], &targets[1]]);
    let guard = place.guard("--return at-once", WORKER);
    guard.said(&["nyc"]);
    there.says("nyc", "ams=reachable fra=isolated sin=isolated");
    guard.said(&["nyc", "end-nyc", "fra"]);
    // It answers only now and then.
    there.closes();
    there.is_asked(OFTEN);
    guard.said(&["nyc", "end-nyc", "fra"]);
    there.says("nyc", "ams=reachable fra=reachable sin=reachable");
    guard.said(&["nyc", "end-nyc", "fra", "end-fra", "nyc"]);
    there.says_isolated("nyc", "ams=reachable");
    guard.said(&["nyc", "end-nyc", "fra", "end-fra", "nyc", "end-nyc", "fra"]);
    guard.signal(libc::SIGTERM);
    let log = guard.ends_with(0);
    assert!(log.contains("why=the old one is cut off"), "{log}");
}

#[test]
fn the_agent_of_a_target_that_cannot_be_asked_says_nothing() {
    let agent = Agent::start("ams", WELL);
    let there = Agent::start("nyc", "");
    // From the start, so that there is no word of it which would still hold.
    there.closes();
    let place = Place::new(&agent.url, &[&format!("nyc={}", there.url), "fra"]);
    let guard = place.guard("--return at-once", WORKER);
    guard.said(&["nyc"]);
    there.is_asked(OFTEN);
    there.hangs();
    agent.is_asked(OFTEN);
    // An agent of another region is one that somebody has mistaken for it.
    there.says_isolated("sin", "");
    there.is_asked(OFTEN);
    guard.said(&["nyc"]);
    guard.signal(libc::SIGTERM);
    let log = guard.ends_with(0);
    assert!(log.contains("its agent is one of sin, not of nyc"), "{log}");
}

#[test]
fn nothing_that_runs_is_stopped_for_what_is_no_better() {
    let agent = Agent::start("ams", WELL);
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    let guard = place.guard("--return at-once", WORKER);
    guard.said(&["nyc"]);
    agent.says("ams", "nyc=isolated fra=isolated");
    agent.is_asked(OFTEN);
    guard.said(&["nyc"]);
    // And what is bad is still left as soon as there is one.
    agent.says("ams", "nyc=isolated fra=unknown");
    guard.said(&["nyc", "end-nyc", "fra"]);
    guard.signal(libc::SIGTERM);
    guard.ends_with(0);
}

#[test]
fn without_an_agent_it_starts_with_the_first_target_and_says_so() {
    let place = Place::new("http://127.0.0.1:1", &["nyc", "fra"]);
    let guard = place.guard("", WORKER);
    guard.said(&["nyc"]);
    guard.signal(libc::SIGTERM);
    let log = guard.ends_with(0);
    assert!(log.contains("no agent answers at http://127.0.0.1:1"), "{log}");
    assert!(log.contains("the agent here does not answer: the last one, or the first"), "{log}");
}

#[test]
fn an_agent_that_hangs_at_the_start_is_given_up() {
    let agent = Agent::start("ams", WELL);
    agent.hangs();
    let place = Place::new(&agent.url, &["nyc", "fra"]);
    let guard = place.guard("", WORKER);
    guard.said(&["nyc"]);
    // What it says then counts.
    agent.says("ams", "nyc=isolated fra=reachable");
    guard.said(&["nyc", "end-nyc", "fra"]);
    guard.signal(libc::SIGTERM);
    guard.ends_with(0);
}
