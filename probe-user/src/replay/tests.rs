use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Arguments, run};
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

/// Loss that fast and balanced thresholds take for one, and calm ones do not: six probes of eight after five seconds.
fn recording() -> Vec<u8> {
    let path =
        |peer: &str| Path { peer: peer.to_owned(), region: peer.to_owned(), opened: 999_000 };
    let header = Header {
        node: "ams1".to_owned(),
        run: 7,
        sequence: 0,
        gap: false,
        // 2026-11-19, a Thursday.
        unix: 1_795_082_400_000,
        monotonic: 1_000_000,
        probe: Probe { interval: SECOND / 10, timeout: SECOND, flows: 4 },
        health: Profile::Balanced.health().goals(),
        paths: vec![path("fra1"), path("nyc1")],
    };
    let (mut bytes, mut encoder) = (header.encode(), Encoder::new(&header));
    for tick in 0..1_500_u64 {
        let now = header.monotonic * MOMENT + tick * 10 * MILLISECOND;
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
        encoder.tick(now, &mut bytes);
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
    fs::write(&file, "something else\n").unwrap();
    let message = "linkprobe-1795082400000.rec is no recording, or was damaged since: octet 0: it \
                   does not begin as a recording does";
    assert!(desk.error().ends_with(message), "{}", desk.error());
    fs::remove_file(&file).unwrap();
    assert!(desk.error().contains("holds no recording: is it what [record] directory says?"));
}

#[test]
fn a_segment_that_was_cut_off_is_replayed_as_far_as_it_goes() {
    let desk = Desk::new();
    let whole = desk.replay(None, None, false);
    let file = directory::file(desk.directory.path(), 1_795_082_400_000);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    assert_eq!(desk.replay(None, None, false), whole);
}
