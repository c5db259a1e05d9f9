use super::*;
use crate::{
    account::{Lost, Outcome},
    config::Profile,
    random::Random,
    record::{Observation, PathName, writer::Writer},
    verdict::SECOND,
};

fn header() -> Header {
    let name = |peer: &str| PathName { peer: peer.to_owned(), region: peer.to_owned() };
    Header {
        node: "a".to_owned(),
        monotonic: 1_000 * SECOND,
        unix: 1_800_000_000 * SECOND,
        continues: false,
        interval: SECOND / 10,
        timeout: SECOND,
        flows: 4,
        paths: ["b", "c", "d"].map(name).to_vec(),
    }
}

/// An agent's judge, as `agent::state` has it, and a recorder beside it. Returns what it has said.
fn live(directory: &Path, seconds: u64) -> Vec<Change> {
    let header = header();
    let mut engine = Engine::new(header.clone(), &HealthConfig::default());
    let mut writer = Writer::start(directory, 1 << 20, header).unwrap();
    let (mut random, mut changes) = (Random::new(5), Vec::new());
    let mut now = 1_000 * SECOND;
    for tick in 0..seconds * 100 {
        now += TICK;
        let mut frame = Frame { now, observations: Vec::new() };
        for path in 0..3 {
            // One of them loses a fifth for a while, and for ten seconds nothing at all is known.
            let loss = if path == 1 && (3_000..6_000).contains(&tick) { 0.2 } else { 0.0 };
            if (7_000..8_000).contains(&tick) || !random.chance(0.4) {
                continue;
            }
            let outcome = if random.chance(loss) {
                Outcome::Lost(Lost::Forward)
            } else {
                Outcome::Answered { round_trip: 10_000_000 + random.below(1_000_000) as u32 }
            };
            let flow = random.below(4) as usize;
            let observation =
                Observation { path, flow, sent_at: now - 50_000_000, outcome }.rounded(now);
            writer.add(&observation, now);
            frame.observations.push(observation);
        }
        writer.tick(now);
        if tick % 100 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        engine.take(&frame, &mut changes);
    }
    changes
}

#[test]
fn a_replay_says_what_the_agent_said() {
    let directory = tempfile::tempdir().unwrap();
    let said = live(directory.path(), 120);
    assert!(said.len() > 10, "{said:?}");
    let segments = read(directory.path()).unwrap();
    let again = replay(&segments, &HealthConfig::default()).unwrap();
    let what = |changes: &[Change]| -> Vec<String> { changes.iter().map(line).collect() };
    assert_eq!(what(&again), what(&said));
    assert!(
        what(&said).iter().any(|line| line.contains("b forward")
            || line.contains("c forward: healthy -> unhealthy (loss, ")),
        "{said:?}"
    );

    // Nothing differs from itself; another profile says other things.
    let same = compare(&said, &again);
    assert!(!same.contains(" forward: "), "{same}");
    let calm = replay(&segments, &Profile::Calm.health()).unwrap();
    let differs = compare(&said, &calm);
    assert!(differs.contains("- 20") && differs.contains("+ 20"), "{differs}");
}

#[test]
fn what_a_crash_leaves_is_read_as_far_as_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    live(directory.path(), 30);
    let (file, length) = segments(directory.path()).unwrap().pop().unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(length - 3).unwrap();
    let segments = read(&file).unwrap();
    assert!(!replay(&segments, &HealthConfig::default()).unwrap().is_empty());
}

#[test]
fn what_is_no_recording_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("linkprobe-1.rec");
    fs::write(&file, "something else\n").unwrap();
    let error = format!("{:#}", read(directory.path()).unwrap_err());
    assert!(error.contains("linkprobe-1.rec is no recording"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = format!("{:#}", read(empty.path()).unwrap_err());
    assert!(error.contains("has no recording"), "{error}");
}
