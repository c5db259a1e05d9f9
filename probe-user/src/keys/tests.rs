use std::os::unix::fs::PermissionsExt as _;

use super::*;

const A: &str = "000102030405060708090a0b0c0d0e0f";
const B: &str = "101112131415161718191A1B1C1D1E1F20";

fn fault(text: &str) -> String {
    KeyRing::parse(text).unwrap_err().to_string()
}

fn ring(ids: &[(&str, &str)]) -> KeyRing {
    let lines: Vec<String> = ids.iter().map(|(id, secret)| format!("{id} {secret}")).collect();
    KeyRing::parse(&lines.join("\n")).unwrap()
}

fn places(ring: &KeyRing) -> Vec<(&str, u8)> {
    ring.ids().iter().map(|id| (id.as_str(), ring.place(id).unwrap())).collect()
}

#[test]
fn keys_are_read() {
    let ring = KeyRing::parse(&format!("# all\n\n  a {A} # the first\r\nb\t{B}\n")).unwrap();
    assert_eq!(ring.ids(), ["a", "b"]);
    let secret: Vec<u8> = (0..16).collect();
    assert_eq!(ring.get("a"), Some(&Key::new(&secret)));
    let secret: Vec<u8> = (0x10..=0x20).collect();
    assert_eq!(ring.get("b"), Some(&Key::new(&secret)));
    assert_eq!(ring.get("c"), None);
    assert_eq!(places(&ring), [("a", 1), ("b", 2)]);
}

#[test]
fn faults_have_a_line_and_no_secret() {
    let id = "the id is not 1 to 32 letters, digits, \"-\", \"_\" and \".\"; write ID SECRET";
    let cases = [
        (String::new(), "line 1: there is no key; `linkprobe key generate` makes a line".to_owned()),
        ("# a\n#\n".to_owned(), "line 2: there is no key; `linkprobe key generate` makes a line".to_owned()),
        (format!("\n{A}{A}"), format!("line 2: {id}")),
        (format!("a/b {A}"), format!("line 1: {id}")),
        (format!("none {A}"), "line 1: `none` cannot be the id of a key: it stands for no key".to_owned()),
        (format!("{}\n", "0123456789abcdef".repeat(2)), format!("line 1: {id}")),
        ("a".to_owned(), "line 1: there is no secret behind the id; write ID SECRET, the secret in hexadecimal".to_owned()),
        (format!("a {A} {B}"), "line 1: there is more behind the secret of `a`; write one key a line".to_owned()),
        (format!("a {A}\na {B}"), "line 2: there is a key `a` further up; ids must differ".to_owned()),
        (format!("a {A}z"), "line 1: the secret of `a` has a character that is no hexadecimal digit".to_owned()),
        (format!("a {A}0"), "line 1: the secret of `a` has 33 hexadecimal digits; write an even number from 32 to 128".to_owned()),
        (format!("a {}", &A[2..]), "line 1: the secret of `a` has 30 hexadecimal digits; write an even number from 32 to 128".to_owned()),
        (format!("a {}ab", A.repeat(4)), "line 1: the secret of `a` has 130 hexadecimal digits; write an even number from 32 to 128".to_owned()),
        (
            (0..5).map(|n| format!("k{n} {A}\n")).collect(),
            "line 5: there are more than 4 keys; take out those out of use".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        let found = fault(&text);
        assert_eq!(found, expected, "{text}");
        assert!(!found.contains(&A[2..10]), "{found}");
    }
}

#[test]
fn nothing_of_a_key_is_printed() {
    assert_eq!(format!("{:?}", ring(&[("a", A)])), "KeyRing[\"a\"]");
}

#[test]
fn keys_that_stay_keep_their_places() {
    let before = ring(&[("a", A), ("b", B)]);
    let mut after = ring(&[("c", A), ("b", B)]);
    after.keep_places(&before);
    assert_eq!(places(&after), [("c", 3), ("b", 2)]);
    assert_eq!(places(&after.joined(&before)), [("c", 3), ("b", 2), ("a", 1)]);

    // The same id with another secret is another key.
    let mut changed = ring(&[("a", B)]);
    changed.keep_places(&before);
    assert_eq!(places(&changed), [("a", 3)]);

    // With no place left, new keys take those of keys that are gone.
    let full = ring(&[("a", A), ("b", A), ("c", A), ("d", A)]);
    let mut next = ring(&[("e", A), ("d", A), ("b", A), ("f", B)]);
    next.keep_places(&full);
    assert_eq!(places(&next), [("e", 1), ("d", 4), ("b", 2), ("f", 3)]);
    assert_eq!(next.joined(&full), next);
}

#[test]
fn generated_lines_are_keys_and_differ() {
    let (a, b) = (generate("2026-11").unwrap(), generate("2026-11").unwrap());
    assert_ne!(*a, *b);
    assert_eq!(a.len(), "2026-11 ".len() + 64);
    assert!(KeyRing::parse(&a).is_ok());
    assert!(generate("a b").is_err());
}

#[test]
fn only_private_files_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, format!("a {A}\n")).unwrap();
    let name = path.display();
    for (mode, is_private) in
        [(0o600, true), (0o400, true), (0o644, false), (0o620, false), (0o601, false)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        match KeyRing::load(&path) {
            Ok(ring) => assert!(is_private && ring.ids() == ["a"], "{mode:o}"),
            Err(error) => {
                assert!(!is_private, "{mode:o}: {error}");
                let expected = format!(
                    "the key file {name} is open to others (mode {mode:04o}): `chmod 600 {name}`"
                );
                assert_eq!(error.to_string(), expected);
            }
        }
    }
}

#[test]
fn what_is_no_key_file_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let load = |path: &Path| {
        let error = KeyRing::load(path).unwrap_err().to_string();
        error.replace(&directory.path().display().to_string(), "D")
    };
    assert_eq!(load(directory.path()), "the key file D is not a regular file");
    let missing = directory.path().join("missing");
    assert_eq!(
        load(&missing),
        "cannot read the key file D/missing: No such file or directory (os error 2)"
    );
    let write = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let binary = write("binary", b"# a\n\xff");
    assert_eq!(load(&binary), "the key file D/binary, line 2: this is not text");
    let long = write("long", &vec![b'#'; MAX_FILE]);
    assert_eq!(load(&long), "cannot read the key file D/long: it has 65536 octets or more");
    let wrong = write("wrong", b"a 00");
    assert!(load(&wrong).starts_with("the key file D/wrong, line 1: the secret of `a` has 2 "));
}
