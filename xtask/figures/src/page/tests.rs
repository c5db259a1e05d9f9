use super::*;
use crate::{Axis, Plot, Samples, Unit};

fn part(name: &str, met: Option<bool>) -> Part {
    let axis = Axis { label: "x".to_owned(), unit: Unit::Number, logarithmic: false };
    let plot = |title: &str| Plot {
        title: title.to_owned(),
        x: axis.clone(),
        y: axis.clone(),
        series: vec![],
    };
    Part {
        name: name.to_owned(),
        title: "Senders".to_owned(),
        method: vec!["One after the other.".to_owned()],
        tables: vec![Table {
            title: "per probe".to_owned(),
            columns: vec!["who | how".to_owned(), "CPU".to_owned()],
            rows: vec![
                vec!["a|b".into(), Samples::new(Unit::Seconds, vec![1e-4, 2e-4, 3e-4]).into()],
                vec!["fping".into(), "cannot".into()],
            ],
        }],
        plots: vec![plot("CPU"), plot("time")],
        targets: vec![Target {
            what: "at most a tenth".to_owned(),
            measured: "0.5 x".to_owned(),
            met,
        }],
        notes: vec!["fping is ahead of us".to_owned()],
        versions: vec!["fping 5.1".to_owned()],
    }
}

fn report(parts: Vec<Part>) -> Report {
    let machine = Machine::new("processor: 0\nmodel name: Z80 | A\n", "", "6.1.0", "");
    let (date, commit) = ("2026-01-31T12:00:00Z".to_owned(), "abc".to_owned());
    Report { date, commit, machine, parts, ..Report::default() }
}

#[track_caller]
fn assert_has(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|found| found == *line), "no line is {line}\n{page}");
    }
}

#[test]
fn a_missed_target_is_said_in_the_summary() {
    let page =
        report(vec![part("send", Some(false)), part("path", Some(true)), part("agent", None)])
            .markdown();
    let expected = [
        "1 met, 1 MISSED, 1 not judged.",
        "| [send](#send) | at most a tenth | 0.5 x | **MISSED** |",
        "| [path](#path) | at most a tenth | 0.5 x | met |",
        "| [agent](#agent) | at most a tenth | 0.5 x | not judged |",
        "- **MISSED**: at most a tenth: 0.5 x",
    ];
    assert_has(&page, &expected);
}

#[test]
fn a_part_is_told_from_its_title_to_its_notes() {
    let page = report(vec![part("send", Some(true))]).markdown();
    let expected = [
        "<a id=\"send\"></a>",
        "## Senders",
        "One after the other.",
        "### per probe",
        r"| who \| how | CPU |",
        r"| a\|b | 200 µs (100 µs to 300 µs) |",
        "| fping | cannot |",
        "![CPU](benchmarks/send-1.svg)",
        "![time](benchmarks/send-2.svg)",
        "- fping is ahead of us",
    ];
    assert_has(&page, &expected);
    let at = expected.map(|line| page.find(line).unwrap());
    assert!(at.is_sorted(), "{page}");
}

#[test]
fn the_page_says_what_was_measured_on() {
    let page = report(vec![part("send", Some(true)), part("path", Some(true))]).markdown();
    let expected = [
        r"| processor | Z80 \| A |",
        "| cores | 1 |",
        "| kernel | Linux 6.1.0 |",
        "| date | 2026-01-31T12:00:00Z |",
        "| commit | abc |",
        "| measured beside | fping 5.1 |",
    ];
    assert_has(&page, &expected);
    assert!(!page.contains("quick run"), "{page}");
}

#[test]
fn what_is_missing_is_said_and_why() {
    let mut report = report(vec![part("send", Some(true))]);
    report.failures = vec![
        ("truth".to_owned(), "failed with exit code 1".to_owned()),
        ("send".to_owned(), "was ended by signal 9".to_owned()),
    ];
    report.is_quick = true;
    let expected = [
        "**`truth` has failed, and it is missing here:** failed with exit code 1",
        "**`send` has failed, and what it had found by then is below:** was ended by signal 9",
        "**A quick run: good for a look, not for a figure.**",
    ];
    assert_has(&report.markdown(), &expected);
    assert_has(&self::report(vec![]).markdown(), &["None was looked at."]);
}
