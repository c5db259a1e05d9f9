//! `docs/STAMP-COMPLIANCE.md`: each requirement that is met names tests that exist, all others a reason.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, ensure};

/// Fewer rows than this, and the table has lost some.
const LEAST: usize = 80;

/// Fewer letters than this are no reason.
const SHORTEST_REASON: usize = 15;

/// Checks that a file has a test, named as `file::test`.
fn check_test(root: &Path, named: &str) -> Result<()> {
    let (file, name) = named.split_once("::").context("write `file::test`")?;
    let text = fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let function = format!("fn {name}(");
    let at = lines.iter().position(|line| line.starts_with(&function)).context("no function")?;
    let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    ensure!(attributes.into_iter().any(|line| *line == "#[test]"), "that is no test");
    Ok(())
}

/// Checks the last two cells of a row.
fn check(root: &Path, status: &str, evidence: &str) -> Result<()> {
    match status {
        "met" => {
            let tests: Vec<&str> = evidence.split('`').filter(|it| it.contains("::")).collect();
            ensure!(!tests.is_empty(), "it is met, and no test shows it");
            tests.iter().try_for_each(|test| check_test(root, test).context((*test).to_owned()))
        }
        "not met" | "not applicable" => {
            ensure!(evidence.len() >= SHORTEST_REASON, "there is no reason: {evidence}");
            Ok(())
        }
        _ => anyhow::bail!("there is no status `{status}`"),
    }
}

#[test]
fn every_row_names_tests_that_exist_or_a_reason() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let table = fs::read_to_string(root.join("docs/STAMP-COMPLIANCE.md"))?;
    let mut ids = BTreeSet::new();
    for line in table.lines().filter(|line| line.starts_with("| 8") || line.starts_with("| 9")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, requirement, status, evidence] = cells[..] else {
            anyhow::bail!("a row has five cells: {line}");
        };
        ensure!(ids.insert(id), "there are two rows {id}");
        ensure!(!requirement.is_empty(), "{id} requires nothing");
        check(root, status, evidence).with_context(|| id.to_owned())?;
    }
    ensure!(ids.len() >= LEAST, "only {} rows", ids.len());
    Ok(())
}

#[test]
fn what_does_not_hold_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let this = |name: &str| format!("`tests/tests/compliance.rs::{name}`");
    assert!(check(root, "met", &this("what_does_not_hold_is_found")).is_ok());
    for (status, evidence) in [
        ("met", "by nothing".to_owned()),
        ("met", this("no_such_function")),
        ("met", this("check_test")),
        ("met", "`tests/tests/no_such_file.rs::a`".to_owned()),
        ("not met", "no".to_owned()),
        ("perhaps", "there are reasons for and against".to_owned()),
    ] {
        assert!(check(root, status, &evidence).is_err(), "{status}: {evidence}");
    }
}
