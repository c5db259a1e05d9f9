use std::{
    fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, thread, time::Duration,
};

use super::header;
use crate::{
    account::Outcome,
    health::observation::{MOMENT, Observation},
    record::{
        codec,
        directory::{self, Directory},
        header::Header,
        recorder::Recorder,
    },
    verdict::{MILLISECOND, Nanos, SECOND},
};

const LIMIT: u64 = 1 << 20;

fn size(directory: &Path) -> u64 {
    directory::segments(directory).unwrap().iter().map(|segment| segment.size).sum()
}

/// Headers and numbers of ticks of all segments.
fn read(directory: &Path) -> Vec<(Header, usize)> {
    let read = |segment: directory::Segment| {
        let bytes = fs::read(directory::file(directory, segment.number)).unwrap();
        let (header, mut ticks) = codec::open(&bytes).unwrap();
        let (mut seen, mut count) = (Vec::new(), 0);
        while ticks.next(&mut seen).unwrap().is_some() {
            count += 1;
        }
        (header, count)
    };
    directory::segments(directory).unwrap().into_iter().map(read).collect()
}

struct Judge {
    recorder: Recorder,
    now: Nanos,
}

impl Judge {
    fn start(directory: &Path) -> Self {
        let mut recorder = Recorder::start(directory, LIMIT).unwrap();
        recorder.set_header(header(3));
        Self { recorder, now: 1_000 * SECOND }
    }

    fn tick(&mut self, probes: usize) {
        self.now += 10 * MILLISECOND;
        self.recorder.prepare(self.now);
        for probe in 0..probes {
            let outcome = Outcome::Answered { round_trip: 31_000_000 };
            let seen = Observation::new(probe % 4, self.now, outcome, self.now);
            self.recorder.note(probe % 3, &seen, self.now);
        }
        self.recorder.tick(self.now);
    }

    /// Lives on until it records, or does not; returns for how many seconds. What the disk says is heard at one of the
    /// next ticks.
    fn tick_until(&mut self, is_recording: bool) -> Nanos {
        let begin = self.now;
        while self.recorder.is_recording() != is_recording {
            (0..100).for_each(|_| self.tick(1));
            thread::sleep(Duration::from_millis(1));
        }
        (self.now - begin) / SECOND
    }
}

fn wait_for(path: &Path) {
    while !path.exists() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn all_ticks_are_on_disk_when_it_ends() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    let mut judge = Judge::start(&directory);
    for tick in 0..250 {
        judge.tick(tick % 3);
    }
    let mut renamed = header(2);
    renamed.node = "ams2".to_owned();
    judge.recorder.set_header(renamed);
    judge.tick(1);
    drop(judge);
    let segments = read(&directory);
    let [(first, 250), (second, 1)] = &segments[..] else { panic!("{segments:?}") };
    assert_eq!(
        (first.sequence, first.gap, first.monotonic * MOMENT),
        (0, false, 1_000_010_000_000)
    );
    assert_eq!((second.sequence, second.gap, second.node.as_str()), (1, false, "ams2"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let newest = directory::segments(&directory).unwrap().pop().unwrap();
    assert_eq!(mode(&directory::file(&directory, newest.number)), 0o600);
}

#[test]
fn the_oldest_segments_make_room_and_nothing_else_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    for other in ["notes.txt", "linkprobe-1.rec.gz", "linkprobe-07.rec", "linkprobe-.rec"] {
        fs::write(directory.path().join(other), [0; 100]).unwrap();
    }
    fs::write(directory::file(directory.path(), 5), [0; 700_000]).unwrap();
    let mut judge = Judge::start(directory.path());
    for tick in 0..6_000 {
        judge.tick(200);
        if tick % 20 == 0 {
            // A disk takes a gigabyte a second, not more.
            thread::sleep(Duration::from_millis(1));
            assert!(size(directory.path()) <= LIMIT);
        }
    }
    drop(judge);
    let total = size(directory.path());
    assert!((LIMIT * 3 / 4..=LIMIT).contains(&total), "{total}");
    let segments = read(directory.path());
    assert!(segments.len() >= 7, "{segments:?}");
    for pair in segments.windows(2) {
        assert_eq!(pair[0].0.sequence + 1, pair[1].0.sequence);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), segments.len() + 5);
}

#[test]
fn later_segments_have_higher_numbers_though_the_clock_was_set_back() {
    let parent = tempfile::tempdir().unwrap();
    for unix in [500, 500, 400] {
        let mut directory = Directory::open(parent.path(), LIMIT).unwrap();
        directory.begin(unix).unwrap();
        directory.append(&[0; 9]).unwrap();
    }
    let numbers = directory::segments(parent.path()).unwrap();
    assert_eq!(numbers.iter().map(|segment| segment.number).collect::<Vec<_>>(), [500, 501, 502]);
}

/// Without a recording there are verdicts nevertheless.
#[test]
fn a_directory_that_cannot_be_is_tried_again_after_a_minute() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("record");
    fs::write(&directory, "a file").unwrap();
    let mut judge = Judge::start(&directory);
    judge.tick(1);
    judge.tick_until(false);
    // What was handed over before is refused by now.
    thread::sleep(Duration::from_millis(100));
    fs::remove_file(&directory).unwrap();
    let paused = judge.tick_until(true);
    assert!((50..70).contains(&paused), "{paused} s");
    let left_out = judge.recorder.left_out();
    assert!((5_000..7_000).contains(&left_out), "{left_out}");
    drop(judge);
    let segments = read(&directory);
    let [(header, _)] = &segments[..] else { panic!("{segments:?}") };
    assert!(header.gap, "{header:?}");
}

#[test]
fn a_directory_that_was_removed_is_noticed_and_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("record");
    let mut judge = Judge::start(&directory);
    (0..200).for_each(|_| judge.tick(1));
    while !directory::segments(&directory).is_ok_and(|segments| !segments.is_empty()) {
        thread::sleep(Duration::from_millis(1));
    }
    fs::remove_dir_all(&directory).unwrap();
    judge.tick_until(false);
    let paused = judge.tick_until(true);
    assert!((50..70).contains(&paused), "{paused} s");
    drop(judge);
    let segments = read(&directory);
    let [(header, _)] = &segments[..] else { panic!("{segments:?}") };
    assert!(header.gap && header.sequence > 0, "{header:?}");
}

/// A disk that hangs, as one behind a network does: whoever opens this file waits for a reader.
#[test]
fn a_disk_that_hangs_holds_up_neither_the_judge_nor_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let trial = directory.path().join("linkprobe-trial");
    assert!(Command::new("mkfifo").arg(&trial).status().unwrap().success());
    let mut judge = Judge::start(directory.path());
    wait_for(&directory.path().join("linkprobe-lock"));
    (0..3_000).for_each(|_| judge.tick(1));
    assert!(judge.recorder.left_out() > 0);
    let (ended, end) = std::sync::mpsc::channel();
    thread::spawn(move || {
        drop(judge);
        ended.send(()).ok();
    });
    end.recv_timeout(Duration::from_secs(20)).unwrap();
    // Lets the thread go.
    fs::read(&trial).ok();
}

/// As when the names of many peers resolve after a start.
#[test]
fn many_changes_in_a_second_make_one_segment() {
    let directory = tempfile::tempdir().unwrap();
    let mut judge = Judge::start(directory.path());
    for tick in 0..250 {
        judge.recorder.set_header(header(3 + tick / 10));
        judge.tick(1);
    }
    (0..10).for_each(|_| judge.tick(1));
    drop(judge);
    let segments = read(directory.path());
    let seen: Vec<_> =
        segments.iter().map(|(header, ticks)| (header.paths.len(), header.gap, *ticks)).collect();
    assert_eq!(seen, [(3, false, 1), (13, true, 1), (23, true, 1)]);
}

#[test]
fn a_limit_that_is_too_small_for_the_peers_is_one_until_there_are_fewer() {
    let directory = tempfile::tempdir().unwrap();
    let mut judge = Judge::start(directory.path());
    judge.recorder.set_header(header(4_000));
    (0..150).for_each(|_| judge.tick(1));
    assert!(!judge.recorder.is_recording());
    assert_eq!(judge.recorder.left_out(), 150);
    judge.recorder.set_header(header(4));
    judge.tick(1);
    drop(judge);
    let segments = read(directory.path());
    let [(header, 1)] = &segments[..] else { panic!("{segments:?}") };
    assert_eq!((header.paths.len(), header.gap), (4, true));
}

#[test]
fn a_change_after_a_while_makes_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let mut judge = Judge::start(directory.path());
    (0..150).for_each(|_| judge.tick(1));
    judge.recorder.set_header(header(4));
    (0..150).for_each(|_| judge.tick(1));
    assert_eq!(judge.recorder.left_out(), 0);
    drop(judge);
    let segments = read(directory.path());
    let seen: Vec<_> = segments.iter().map(|(header, ticks)| (header.gap, *ticks)).collect();
    assert_eq!(seen, [(false, 150), (false, 150)]);
}
