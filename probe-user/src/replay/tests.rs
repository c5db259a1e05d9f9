use std::{
    fs,
    io::{self, Write},
    ops::Range,
    path::PathBuf,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Arguments, replay, run};
use crate::{
    account::{Lost, Outcome},
    config::Profile,
    health::observation::{MOMENT, Observation},
    record::{
        codec::Encoder,
        directory,
        header::{Header, Path, Probe},
    },
    verdict::{MILLISECOND, SECOND},
};

/// When the recording begins, in milliseconds since the Unix epoch: 2026-11-19, a Thursday.
const BEGIN: u64 = 1_795_082_400_000;

fn header() -> Header {
    let path =
        |peer: &str| Path { peer: peer.to_owned(), region: peer.to_owned(), opened: 999_000 };
    Header {
        node: "ams1".to_owned(),
        run: 7,
        sequence: 0,
        gap: false,
        unix: BEGIN,
        monotonic: 1_000_000,
        probe: Probe { interval: SECOND / 10, timeout: SECOND, flows: 4 },
        health: Profile::Balanced.health().goals(),
        paths: vec![path("fra1"), path("nyc1")],
    }
}

/// Loss that fast and balanced thresholds take for one, and calm ones do not: six probes of eight after five seconds.
fn recording() -> Vec<u8> {
    segment(&header(), 0..1_500)
}

/// Some of its ticks.
fn segment(header: &Header, ticks: Range<u64>) -> Vec<u8> {
    let mut header = header.clone();
    header.unix += ticks.start * 10;
    header.monotonic += ticks.start * 10;
    let (mut bytes, mut encoder) = (header.encode(), Encoder::new(&header));
    for tick in ticks {
        let now = 1_000_000 * MOMENT + tick * 10 * MILLISECOND;
        // Forty probes a second to each: two ticks of five.
        for path in 0..2 {
            if matches!(tick % 5, 1 | 3) {
                let flow = (tick / 5 * 2 + tick % 5 / 3) % 4;
                let lost = path == 1 && (500..520).contains(&tick) && tick % 10 != 3;
                let outcome = match lost {
                    true => Outcome::Lost(Lost::Forward),
                    false => Outcome::Answered { round_trip: 80_000_000 },
                };
                let sent_at = now - 150 * MILLISECOND;
                encoder.note(path, &Observation::new(flow as usize, sent_at, outcome, now), now);
            }
        }
        encoder.tick(now);
        if tick % 100 == 99 {
            encoder.write(&mut bytes);
        }
    }
    bytes
}

struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory::file(directory.path(), 1_795_082_400_000), recording()).unwrap();
        Self { directory }
    }

    fn config(&self, profile: &str) -> PathBuf {
        let file = self.directory.path().join(format!("{profile}.toml"));
        let node = "[node]\nname = \"n\"\nregion = \"r\"\ninterfaces = [\"eth0\"]\n";
        fs::write(&file, format!("{node}[health]\nprofile = \"{profile}\"\n")).unwrap();
        file
    }

    fn replay(&self, config: Option<&str>, compare: Option<&str>, json: bool) -> String {
        let arguments = Arguments {
            files: vec![self.directory.path().to_owned()],
            config: config.map(|profile| self.config(profile)),
            compare: compare.map(|profile| self.config(profile)),
            json,
        };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        let here = format!("{}/", self.directory.path().display());
        String::from_utf8(out).unwrap().replace(&here, "")
    }

    /// In place of the recording: segments, in this order.
    fn with(segments: &[Vec<u8>]) -> Self {
        let desk = Self { directory: tempfile::tempdir().unwrap() };
        for (number, bytes) in (BEGIN..).zip(segments) {
            fs::write(directory::file(desk.directory.path(), number), bytes).unwrap();
        }
        desk
    }

    /// What is printed, and what is said of it.
    fn told(&self, config: Option<PathBuf>) -> (String, Vec<String>) {
        let files = vec![self.directory.path().to_owned()];
        let arguments = Arguments { files, config, compare: None, json: false };
        let (mut out, mut told) = (Vec::new(), Vec::new());
        let here = format!("{}/", self.directory.path().display());
        let mut tell = |text: String| told.push(text.replace(&here, ""));
        replay(&arguments, &mut out, &mut tell).unwrap();
        (String::from_utf8(out).unwrap(), told)
    }

    fn error(&self) -> String {
        let files = vec![self.directory.path().to_owned()];
        let arguments = Arguments { files, config: None, compare: None, json: false };
        format!("{:#}", run(&arguments, &mut Vec::new()).unwrap_err())
    }
}

#[test]
fn without_a_config_it_prints_what_the_agent_said() {
    let desk = Desk::new();
    let text = desk.replay(None, None, false);
    assert_eq!(text, desk.replay(Some("balanced"), None, false));
    assert_eq!(
        text,
        "\
2026-11-19T10:00:01.480Z  fra1  forward    unknown -> healthy    passing
2026-11-19T10:00:01.480Z  fra1  reverse    unknown -> healthy    passing
2026-11-19T10:00:01.480Z  nyc1  forward    unknown -> healthy    passing
2026-11-19T10:00:01.480Z  nyc1  reverse    unknown -> healthy    passing
2026-11-19T10:00:05.180Z  nyc1  forward    healthy -> unhealthy  loss, 6 of 8 lost (75 %)
2026-11-19T10:00:06.680Z  nyc1  forward  unhealthy -> healthy    passing
"
    );
}

#[test]
fn two_configs_are_compared_line_by_line_and_in_sum() {
    let text = Desk::new().replay(Some("fast"), Some("calm"), false);
    // The columns are as wide as the names of the files.
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = text.lines().map(squeeze).collect();
    assert_eq!(
        lines,
        [
            "- 2026-11-19T10:00:01.480Z fra1 forward unknown -> healthy passing",
            "- 2026-11-19T10:00:01.480Z fra1 reverse unknown -> healthy passing",
            "- 2026-11-19T10:00:01.480Z nyc1 forward unknown -> healthy passing",
            "- 2026-11-19T10:00:01.480Z nyc1 reverse unknown -> healthy passing",
            "+ 2026-11-19T10:00:04.980Z fra1 forward unknown -> healthy passing",
            "+ 2026-11-19T10:00:04.980Z fra1 reverse unknown -> healthy passing",
            "+ 2026-11-19T10:00:04.980Z nyc1 forward unknown -> healthy passing",
            "+ 2026-11-19T10:00:04.980Z nyc1 reverse unknown -> healthy passing",
            "- 2026-11-19T10:00:05.160Z nyc1 forward healthy -> unhealthy loss, 5 of 7 lost (71 %)",
            "- 2026-11-19T10:00:06.680Z nyc1 forward unhealthy -> healthy passing",
            "- fast.toml + calm.toml",
            "changes 6 4",
            "nyc1 forward unhealthy 1.5 s 0.0 s",
        ]
    );
}

#[test]
fn machines_get_one_object_on_each_line() {
    let text = Desk::new().replay(Some("fast"), Some("calm"), true);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 11);
    let loss = json!({
        "at": "2026-11-19T10:00:05.160Z", "peer": "nyc1", "region": "nyc1", "direction": "forward",
        "from": "healthy", "to": "unhealthy", "cause": "loss", "only_in": "first",
        "evidence": {
            "probes": 7, "lost": 5, "loss_ratio": 5.0 / 7.0,
            "loss_interval": lines[8]["evidence"]["loss_interval"],
        },
    });
    assert_eq!(lines[8], loss);
    let sums = json!({
        "first": {
            "config": "fast.toml", "changes": 6,
            "unhealthy_seconds": { "nyc1": { "forward": 1.52, "reverse": 0.0 } },
        },
        "second": { "config": "calm.toml", "changes": 4, "unhealthy_seconds": {} },
    });
    assert_eq!(lines[10], sums);
}

#[test]
fn what_cannot_be_replayed_is_named() {
    let desk = Desk::new();
    let file = directory::file(desk.directory.path(), 1_795_082_400_000);
    let truncated = recording()[..200].to_vec();
    let mut before = recording();
    before[7] = 1;
    for (bytes, why) in [
        (&b"something else\n"[..], "octet 0: it does not begin as a recording does"),
        (b"hi", "octet 0: it does not begin as a recording does"),
        (b"", "it ends in the middle of what begins at octet 0"),
        (b"lpr", "it ends in the middle of what begins at octet 0"),
        (&truncated, "it ends in the middle of what begins at octet 8"),
        (
            &[0; 4_096],
            "what begins at octet 0 ends in zeros that were never written, as after a loss of power",
        ),
        (
            &before,
            "octet 7: it has the format 1, and this linkprobe reads 2; replay it with the version that recorded it",
        ),
    ] {
        fs::write(&file, bytes).unwrap();
        let message = format!("linkprobe-{BEGIN}.rec is no recording, or was damaged since: {why}");
        assert!(desk.error().ends_with(&message), "{}", desk.error());
    }
    fs::remove_file(&file).unwrap();
    assert!(desk.error().contains("holds no recording: is it what [record] directory says?"));
}

#[test]
fn a_segment_that_was_cut_off_is_replayed_as_far_as_it_goes() {
    let whole = Desk::new().replay(None, None, false);
    let mut bytes = recording();
    bytes.truncate(bytes.len() - 3);
    let (printed, told) = Desk::with(&[bytes]).told(None);
    assert_eq!(printed, whole);
    let [what] = &told[..] else { panic!("{told:?}") };
    assert!(what.contains(".rec: it ends in the middle of what begins at octet "), "{what}");
}

/// Four segments of one run.
fn segments() -> Vec<Vec<u8>> {
    let of = |sequence| Header { sequence, ..header() };
    (0..4).map(|sequence| segment(&of(sequence), sequence * 400..sequence * 400 + 400)).collect()
}

#[test]
fn the_order_of_files_does_not_matter_and_one_that_is_there_twice_counts_once() {
    let (printed, told) = Desk::with(&segments()).told(None);
    assert!(printed.starts_with(&Desk::new().replay(None, None, false)));
    assert_eq!(told, [""; 0]);
    let mut mixed = segments();
    mixed.reverse();
    mixed.insert(2, segments()[0].clone());
    let (again, told) = Desk::with(&mixed).told(None);
    assert_eq!(again, printed);
    let both = format!(
        "linkprobe-{}.rec has the same part of a recording as linkprobe-{}.rec",
        BEGIN + 4,
        BEGIN + 2
    );
    assert_eq!(told, [format!("left out: {both}")]);
}

#[test]
fn what_two_agents_recorded_at_once_is_replayed_one_after_the_other() {
    let (alone, _) = Desk::with(&segments()).told(None);
    let of = |sequence| Header { run: 8, sequence, ..header() };
    let other = (0..4).map(|sequence| segment(&of(sequence), sequence * 400..sequence * 400 + 400));
    let mixed = segments().into_iter().zip(other).flat_map(|(one, other)| [one, other]);
    let (printed, told) = Desk::with(&mixed.collect::<Vec<_>>()).told(None);
    assert_eq!(printed, format!("{alone}{alone}"));
    let [what] = &told[..] else { panic!("{told:?}") };
    assert!(what.starts_with("two agents have recorded at once, as linkprobe-"), "{what}");
}

/// Whatever is wrong with one segment, the others are replayed; over what is missing, verdicts expire.
#[test]
fn one_that_is_damaged_does_not_keep_the_others_from_being_replayed() {
    let whole = Desk::with(&segments()).told(None).0;
    let header = Header { sequence: 2, ..header() }.encode().len();
    let no_match = "the checksum of what begins here does not match";
    for (place, what) in [
        (40, format!("is no recording, or was damaged since: octet 8: {no_match}")),
        (header + 40, format!("octet {header}: {no_match}; replayed up to there")),
    ] {
        let mut damaged = segments();
        damaged[2][place] ^= 4;
        let desk = Desk::with(&damaged);
        let (printed, told) = desk.told(None);
        let missing = printed.strip_prefix(&whole).unwrap();
        assert_eq!(missing.matches("healthy -> unknown").count(), 4, "{printed}");
        assert_eq!(missing.matches("unknown -> healthy").count(), 4, "{printed}");
        assert!(told[0].contains(&format!("{}.rec", BEGIN + 2)), "{told:?}");
        assert!(told[0].ends_with(&what), "{told:?}");
        let sums = desk.replay(Some("fast"), Some("calm"), false);
        assert!(sums.contains("changes"), "{sums}");
    }
}

#[test]
fn concatenated_segments_are_told_what_they_are() {
    let (printed, told) = Desk::with(&[segments()[..2].concat()]).told(None);
    assert!(printed.contains("unknown -> healthy"), "{printed}");
    let end = segments()[0].len();
    let what = "another segment begins here; replay segments as the files that they were";
    assert_eq!(told, [format!("linkprobe-{BEGIN}.rec: octet {end}: {what}; replayed up to there")]);
}

#[test]
fn goals_that_do_not_fit_the_recorded_probing_are_warned_of_once() {
    let desk = Desk::with(&segments());
    assert_eq!(desk.told(Some(desk.config("fast"))).1, [""; 0]);
    let file = desk.config("balanced");
    let text = fs::read_to_string(&file).unwrap();
    let probe = "expiry = '1050ms'\n[probe]\ninterval = '40ms'\n[auth]\nkeys = '/none'\n";
    fs::write(&file, format!("{text}{probe}")).unwrap();
    let probing = "with interval = \"100ms\", timeout = \"1s\", flows = 4";
    assert_eq!(
        desk.told(Some(file)).1,
        [
            format!(
                "balanced.toml: only [health] counts; paths were probed as recorded, {probing}"
            ),
            format!(
                "balanced.toml: health.expiry, 1s50ms, is less than interval plus timeout of the recording, \
                 {probing}: verdicts expire between two probes"
            ),
        ]
    );
}

/// `linkprobe replay ... | head -1`.
#[test]
fn it_ends_as_soon_as_nobody_reads_what_it_prints() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut damaged = segments();
    damaged[3].truncate(1_000);
    let desk = Desk::with(&damaged);
    let files = vec![desk.directory.path().to_owned()];
    let arguments = Arguments { files, config: None, compare: None, json: false };
    let mut told = Vec::new();
    let error = replay(&arguments, &mut Closed, &mut |text| told.push(text)).unwrap_err();
    assert_eq!(error.downcast::<io::Error>().unwrap().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(told, [""; 0], "the last segment was played, though nobody reads it");
}
