//! What is said of mistakes in `[[hook]]`.

use super::errors_below_node;

/// Each text follows a header and a name, so that its first line is line 7, and has this one problem.
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let errors = errors_below_node(&format!("[[hook]]\nname = 'h'\n{text}\n"));
        assert_eq!(errors, [format!("f.toml:{expected}")], "{text}");
    }
}

const COMMAND: &str = "[\"/usr/local/bin/drain\", \"--now\"]";

#[test]
fn what_is_done_is_a_command_or_a_webhook() {
    check(&[
        (
            "",
            "5:1: hook: says neither command nor webhook; write command = \
             [\"/usr/local/bin/drain\", \"--now\"] or webhook = \"http://192.0.2.1:8080/hook\"",
        ),
        (
            "command = ['/h']\nwebhook = 'http://h/'",
            "8:11: hook.webhook: stands beside command; take one of them out, or write two hooks",
        ),
        (
            "command = ['/h']\nretries = 1",
            "8:11: hook.retries: is for webhooks only: a command that fails is tried again once \
             a minute; take it out",
        ),
    ]);
}

#[test]
fn commands() {
    let right = format!("write the program and its arguments as a list such as {COMMAND}");
    check(&[
        ("command = '/h'", &format!("7:11: hook.command: the string \"/h\" does not do; {right}")),
        ("command = []", &format!("7:11: hook.command: is empty; {right}")),
        (
            "command = ['h']",
            "7:11: hook.command: \"h\" is not the whole path of a program; \
             write one such as \"/usr/local/bin/drain\"",
        ),
        (
            "command = ['/h', 1]",
            "7:11: hook.command: the number 1 is not a string; write one such as \"--now\"",
        ),
        (
            "command = [\"/h\", \"a\\u0000b\"]",
            &format!(
                "7:11: hook.command: has a zero byte in it, which no program can be given; {right}"
            ),
        ),
    ]);
}

#[test]
fn webhooks() {
    let right = "write one such as \"http://192.0.2.1:8080/hook\"";
    check(&[
        (
            "webhook = 'https://h/x'",
            "7:11: hook.webhook: \"https://h/x\" is HTTPS, which linkprobe does not speak; write an \
             http:// URL, such as that of a proxy on this host, or let a command do it: \
             command = [\"/usr/bin/curl\", \"--data\", \"@-\", \"https://h/x\"]",
        ),
        (
            "webhook = 'h:80'",
            &format!("7:11: hook.webhook: \"h:80\" is not the URL of a server; {right}"),
        ),
        (
            "webhook = 'http://'",
            &format!("7:11: hook.webhook: \"http://\" is not the URL of a server; {right}"),
        ),
        (
            "webhook = 'http://h/a b'",
            &format!("7:11: hook.webhook: \"http://h/a b\" is not the URL of a server; {right}"),
        ),
        (
            "webhook = 'http://h'\nretries = 11",
            "8:11: hook.retries: 11 is out of range; write a whole number from 0 to 10",
        ),
    ]);
}

#[test]
fn kinds_and_times() {
    let right = "write a list of \"region\", \"path\", \"isolated\" and \"route\", or some of them";
    check(&[
        (
            "command = ['/h']\non = []",
            &format!("8:6: hook.on: is empty, so the hook would never be run; {right}"),
        ),
        (
            "command = ['/h']\non = 'path'",
            &format!("8:6: hook.on: the string \"path\" is not a list; {right}"),
        ),
        (
            "command = ['/h']\non = ['paths']",
            "8:6: hook.on: the string \"paths\" does not do; \
             write \"region\" or \"path\" or \"isolated\" or \"route\"",
        ),
        (
            "command = ['/h']\ntimeout = '99ms'",
            "8:11: hook.timeout: 99ms is out of range; write a duration from 100ms to 5m",
        ),
        (
            "command = ['/h']\nmin_interval = '2h'",
            "8:16: hook.min_interval: 2h is out of range; write a duration from 0s to 1h",
        ),
    ]);
}

#[test]
fn each_hook_has_a_name_of_its_own() {
    check(&[(
        "command = ['/h']\n[[hook]]\nname = 'h'\ncommand = ['/i']",
        "9:8: hook.name: \"h\" is another hook's too; names must differ",
    )]);
    assert_eq!(
        errors_below_node("[hook]\nname = 'h'"),
        [
            "f.toml:5:1: hook: is not a list of tables; write [[hook]], with double brackets, above each"
        ]
    );
    assert_eq!(
        errors_below_node("[[hook]]\ncommand = ['/h']"),
        ["f.toml:5:1: hook.name: is missing; write name = \"drain\""]
    );
}
