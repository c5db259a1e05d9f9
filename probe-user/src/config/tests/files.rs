//! Files that cannot be read, or are not text.

use std::fs;
use std::path::Path;

use super::super::{Config, ConfigError, Problem};
use super::NODE;

/// What `load` says of a path, with the directory taken out.
fn refused(directory: &Path, name: &str) -> String {
    let error = Config::load(&directory.join(name)).unwrap_err().to_string();
    error.replace(&format!("{}/", directory.display()), "")
}

#[test]
fn a_file_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.toml");
    fs::write(&file, NODE).unwrap();
    assert_eq!(Config::load(&file).unwrap().node.name, "ams1");
}

#[test]
fn what_cannot_be_read_says_why() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("d")).unwrap();
    let refused = |name: &str| refused(directory.path(), name);
    assert_eq!(
        refused("missing.toml"),
        "missing.toml: there is no such file; name the config with --config FILE"
    );
    assert_eq!(refused("d"), "d: this is a directory; name a file in it");
}

#[test]
fn an_empty_file_says_what_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("empty", ""), ("blank", "\n\n"), ("comment", "# nothing yet\n")] {
        fs::write(directory.path().join(name), text).unwrap();
        assert_eq!(
            refused(directory.path(), name),
            format!(
                "{name}:1:1: node: the section is missing; write [node] with name, region and \
                 interfaces"
            )
        );
    }
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = b"# M\xc3\xbcnchen\n# M".to_vec();
    bytes.extend(b"\xfcnchen\n");
    fs::write(directory.path().join("latin1.toml"), bytes).unwrap();
    assert_eq!(
        refused(directory.path(), "latin1.toml"),
        "latin1.toml:2:4: byte 0xfc is not UTF-8, which TOML is written in; save the file as UTF-8"
    );
}

#[test]
fn a_caller_can_tell_the_errors_apart() {
    let error = Config::load(Path::new("/nonexistent/f.toml")).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error:?}");
    let error = Config::parse("x = 1", "f.toml").unwrap_err();
    let ConfigError::Invalid { file, problems } = error else { panic!("{error:?}") };
    assert_eq!(file, "f.toml");
    let place = |problem: &Problem| (problem.line, problem.column, problem.field.clone());
    let places: Vec<_> = problems.iter().map(place).collect();
    assert_eq!(places, [(1, 1, "x".to_owned()), (1, 1, "node".to_owned())]);
}
