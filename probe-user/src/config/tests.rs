mod accepted;
mod addresses;
mod auth;
mod errors;
mod files;
mod hooks;
mod overlay;

use super::Config;

/// The least that every config needs.
const NODE: &str = "[node]\nname = \"ams1\"\nregion = \"ams\"\ninterfaces = [\"eth0\"]\n";

/// What is wrong with a text, one line for each problem.
fn errors(text: &str) -> Vec<String> {
    match Config::parse(text, "f.toml") {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// What is wrong with a text that follows [`NODE`], whose first line is thus line 5.
fn errors_below_node(text: &str) -> Vec<String> {
    errors(&format!("{NODE}{text}"))
}

/// A config that follows [`NODE`].
fn accepted(text: &str) -> Config {
    match Config::parse(&format!("{NODE}{text}"), "f.toml") {
        Ok(config) => config,
        Err(error) => panic!("refused: {error}"),
    }
}
