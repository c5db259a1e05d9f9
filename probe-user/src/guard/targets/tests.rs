use super::*;

/// What is wrong with a text, one line for each problem.
fn errors(text: &str) -> Vec<String> {
    match Targets::parse(text, "t.toml") {
        Ok(targets) => panic!("accepted: {targets:?}"),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

const GOOD: &str = "[[target]]\nname = \"a\"\naddress = \"a:1\"\nregion = \"ra\"\n";

#[test]
fn the_example_is_valid() {
    let text = include_str!("../../../../deploy/targets.toml");
    let targets = Targets::parse(text, "deploy/targets.toml").unwrap();
    assert_eq!(targets.agent.as_deref(), Some(client::DEFAULT_URL));
    assert_eq!(targets.list.len(), 2);
    assert_eq!(targets.list[0].agent.as_deref(), Some("http://10.79.2.1:9862"));
    assert_eq!(targets.list[1].agent, None);
}

#[test]
fn targets_are_read_in_order() {
    let second =
        "[[target]]\nname = \"b\"\naddress = \"{\"\nregion = \"rb\"\nagent = \"b:9862/\"\n";
    let targets = Targets::parse(&format!("{GOOD}{second}"), "t.toml").unwrap();
    let target = |name: &str, address: &str, agent: Option<&str>| Target {
        name: name.to_owned(),
        address: address.to_owned(),
        region: format!("r{name}"),
        agent: agent.map(str::to_owned),
    };
    let list = vec![target("a", "a:1", None), target("b", "{", Some("http://b:9862"))];
    assert_eq!(targets, Targets { agent: None, list });
}

#[test]
fn errors_name_line_and_field() {
    let lacks = |line, key: &str, example: &str| {
        format!("t.toml:{line}:1: target.{key}: is missing; write {key} = {example}")
    };
    let none = "t.toml:1:1: target: there is none; write [[target]] with name, address and region below it";
    assert_eq!(errors(""), [none]);
    assert_eq!(
        errors("[[target]]\n"),
        [
            lacks(1, "name", "\"nyc\""),
            lacks(1, "address", "\"controller.nyc:7000\""),
            lacks(1, "region", "\"nyc\""),
        ]
    );
    assert_eq!(
        errors(&format!("{GOOD}{GOOD}")),
        ["t.toml:6:8: target.name: \"a\" is taken by line 2; names must differ"]
    );
    assert_eq!(
        errors(&format!("{GOOD}regoin = \"x\"\n")),
        ["t.toml:5:1: target.regoin: is not a field of this section; did you mean region? \
          it has name, address, region, agent"]
    );
    assert_eq!(
        errors(&format!("agnet = \"x\"\n{GOOD}")),
        ["t.toml:1:1: agnet: is not known here; did you mean agent? \
          a file of targets has agent = \"http://127.0.0.1:9862\" and [[target]]"]
    );
}

#[test]
fn values_say_what_would_be_right() {
    let right = "write one such as http://127.0.0.1:9862";
    for (text, expected) in [
        (
            "agent = 1\n",
            "1:9: agent: the number 1 is not a string; write one such as \"http://127.0.0.1:9862\"",
        ),
        (
            "agent = \"https://a\"\n",
            &format!(
                "1:9: agent: https://a is not the URL of an agent, which speaks plain HTTP; {right}"
            ),
        ),
        ("agent = \"\"\n", &format!("1:9: agent: \"\" is not a URL; {right}")),
        ("agent = \"a b\"\n", &format!("1:9: agent: \"a b\" is not a URL; {right}")),
        (
            "agent = \n",
            "1:9: agent: this is not TOML: string values must be quoted, expected literal string",
        ),
    ] {
        assert_eq!(errors(&format!("{text}{GOOD}"))[0], format!("t.toml:{expected}"));
    }
    for (text, expected) in [
        (
            "target = []",
            "1:10: target: there is none; write [[target]] with name, address and region below it",
        ),
        (
            "[target]\nname = \"a\"",
            "1:1: target: is not a list of tables; write [[target]], with double brackets, above each",
        ),
        (
            &GOOD.replace("a:1", ""),
            "3:11: target.address: is empty; write what the command is to be given, \"controller.nyc:7000\"",
        ),
        (
            &GOOD.replace("a:1", "\\u0000"),
            "3:11: target.address: has a NUL character, which no argument can have; take it out",
        ),
        (
            &GOOD.replace("\"ra\"", "7"),
            "4:10: target.region: the number 7 is not a string; write one such as \"ams1\"",
        ),
    ] {
        assert_eq!(errors(text), [format!("t.toml:{expected}")]);
    }
}

#[test]
fn a_file_that_is_not_there_says_how_to_name_it() {
    let error = Targets::load(Path::new("/nonexistent/t.toml")).unwrap_err().to_string();
    let expected =
        "/nonexistent/t.toml: there is no such file; name the targets with --targets FILE";
    assert_eq!(error, expected);
}
