//! stamp-suite, a Session-Sender and Session-Reflector that others wrote, in a site of the lab.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Process, Site};
use serde_json::Value;

use crate::{agents::eventually, tools::tool};

/// Writes a key for stamp-suite: a file that only we can read.
///
/// # Errors
/// Where it cannot be written.
pub fn key_file(lab: &Lab, name: &str, secret: &[u8]) -> Result<PathBuf> {
    let hex: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    private_file(lab, name, &hex)
}

/// Writes a file that only we can read into the lab's directory.
///
/// # Errors
/// Where it cannot be written.
pub fn private_file(lab: &Lab, name: &str, content: &str) -> Result<PathBuf> {
    let path = lab.directory().join(name);
    fs::write(&path, content).with_context(|| path.display().to_string())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

/// A command of stamp-suite that writes JSON, without colours.
fn command(local: IpAddr, key: Option<&Path>, more: &str) -> Command {
    let mut command = Command::new(tool("bin/stamp-suite"));
    command
        .args(["--output-format", "json", "--log-format", "json"])
        .args(["--local-addr", &local.to_string()])
        .args(more.split_whitespace())
        .env("RUST_LOG", "warn")
        .env_remove("STAMP_HMAC_KEY");
    if let Some(key) = key {
        command.args(["--auth-mode", "A", "--hmac-key-file"]).arg(key);
    }
    command
}

/// The JSON object of a process's output that has this key.
fn summary(process: &Process, key: &str) -> Result<Value> {
    let logs = process.logs()?;
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.into_iter().find(|line| line.get(key).is_some()).with_context(|| logs.clone())
}

/// A number in a JSON object; panics where it has none, as a test does.
#[must_use]
#[track_caller]
pub fn number(summary: &Value, pointer: &str) -> u64 {
    let value = summary.pointer(pointer).and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("no {pointer} in {summary:#}"))
}

/// stamp-suite as a Session-Sender.
pub struct Sender(Process);

impl Sender {
    /// Starts it in a site. `more` are arguments, separated by spaces.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(site: &Site, target: IpAddr, key: Option<&Path>, more: &str) -> Result<Self> {
        let local =
            if target.is_ipv4() { IpAddr::from(site.ipv4()) } else { IpAddr::from(site.ipv6()) };
        let mut command = command(local, key, more);
        command.args(["--remote-addr", &target.to_string()]);
        site.spawn(command).context("`cargo xtask setup` installs stamp-suite").map(Self)
    }

    /// Waits until it has ended, and returns its summary.
    ///
    /// # Errors
    /// Where it takes longer, or fails.
    pub fn summary(&self, at_most: Duration) -> Result<Value> {
        let status = self.0.wait(at_most)?;
        ensure!(status.success(), "stamp-suite: {status}\n{}", self.0.logs()?);
        summary(&self.0, "packets_sent")
    }
}

/// stamp-suite as a stateful Session-Reflector at port 862.
pub struct Reflector(Process);

impl Reflector {
    /// Starts it in a site, at one of its addresses, and waits until it listens.
    ///
    /// # Errors
    /// Where it does not come so far.
    pub fn start(site: &Site, local: IpAddr, key: Option<&Path>) -> Result<Self> {
        let options = "--is-reflector --local-port 862 --stateful-reflector --verify-tlv-hmac";
        let without_key = "--is-reflector --local-port 862 --stateful-reflector";
        let mut command = command(local, key, if key.is_some() { options } else { without_key });
        command.env("RUST_LOG", "info");
        let process = site.spawn(command).context("`cargo xtask setup` installs stamp-suite")?;
        eventually("stamp-suite listens", || {
            let logs = process.logs()?;
            ensure!(process.status()?.is_none(), "stamp-suite has ended:\n{logs}");
            Ok(logs.contains("listening on"))
        })?;
        Ok(Self(process))
    }

    /// Ends it, and returns its summary.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&self) -> Result<Value> {
        self.0.stop()?;
        summary(&self.0, "total_packets_received")
    }
}
