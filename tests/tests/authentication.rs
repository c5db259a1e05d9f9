//! Agents that authenticate each other (RFC 8762, section 4.4): who counts, who does not, and keys that
//! change while they probe.

use std::{
    fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command, thread, time::Duration,
};

use anyhow::{Result, ensure};
use lab::{Agent, Lab, Mesh, Signal};
use probe_ebpf::maps::Counter;
use probe_user::{report::Path, verdict::State};
use tests::agents::{dropped, eventually, lost, path, since};

const OLD: &str = "old 00112233445566778899aabbccddeeff";
const NEW: &str = "new ffeeddccbbaa99887766554433221100f0";
/// A key with the id of another one.
const FALSE: &str = "old 00112233445566778899aabbccddeefe";

/// Long enough for verdicts, had any of the probes counted.
const LONG: Duration = Duration::from_secs(3);

/// Two sites with an agent each, "a" and "b", that have a key file each.
struct Pair {
    lab: Lab,
    mesh: Mesh,
    agents: Vec<Agent>,
}

impl Pair {
    /// Starts them with these keys; `more` is put into their configs, a line of `[node]` each.
    fn start(mesh: Mesh, keys: [&str; 2], more: [&str; 2]) -> Result<Self> {
        let lab = Lab::builder().sites(&["a", "b"]).build()?;
        let mut pair = Self { lab, mesh, agents: Vec::new() };
        for site in 0..2 {
            pair.write_keys(site, keys[site], 0o600)?;
            let config = pair.config(site, "", more[site])?;
            let place = &pair.lab.sites()[site];
            let agent = Agent::start(&pair.lab, place, &lab::agent::binary(None)?, &config)?;
            pair.agents.push(agent);
        }
        for agent in &pair.agents {
            agent.await_ready()?;
        }
        Ok(pair)
    }

    fn key_file(&self, site: usize) -> PathBuf {
        self.lab.directory().join(format!("keys{site}"))
    }

    fn write_keys(&self, site: usize, keys: &str, mode: u32) -> Result<()> {
        let file = self.key_file(site);
        fs::write(&file, "")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        Ok(fs::write(&file, keys)?)
    }

    /// A site's config, with more lines in `[auth]` and in `[node]`.
    fn config(&self, site: usize, auth: &str, node: &str) -> Result<String> {
        let config = self.mesh.config(&self.lab, &self.lab.sites()[site]);
        let keys = self.key_file(site);
        let config = config.replace("[node]\n", &format!("[node]\n{node}\n"));
        Ok(format!("{config}\n[auth]\nkeys = \"{}\"\n{auth}\n", keys.display()))
    }

    /// Gives an agent other keys, and waits until they are in force.
    fn rekey(&self, site: usize, keys: &str) -> Result<()> {
        self.write_keys(site, keys, 0o600)?;
        let (status, body) = self.agents[site].post("/-/reload")?;
        ensure!(status == 200, "the reload is refused: {body}");
        Ok(())
    }

    fn await_health(&self) -> Result<()> {
        for agent in &self.agents {
            eventually("both paths are healthy", || Ok(path(agent)?.state == State::Healthy))?;
        }
        // What was lost before is counted by then.
        thread::sleep(Duration::from_millis(1_200));
        Ok(())
    }

    fn rejected(&self) -> Result<u64> {
        let count = |agent: &Agent| dropped(agent, Counter::Hmac);
        Ok(count(&self.agents[0])? + count(&self.agents[1])?)
    }
}

#[test]
fn keys_change_without_a_lost_or_rejected_probe() -> Result<()> {
    let mesh = Mesh { interval: Duration::from_millis(10), ..Mesh::default() };
    for more in [["", ""], ["", "datapath = \"socket\""]] {
        let pair = Pair::start(mesh.clone(), [OLD, OLD], more)?;
        pair.await_health()?;
        let before = [path(&pair.agents[0])?, path(&pair.agents[1])?];
        let rejected = pair.rejected()?;
        // Known everywhere, then used everywhere, then the other one forgotten. The first one is used.
        let (both, turned) = (format!("{OLD}\n{NEW}\n"), format!("{NEW}\n{OLD}\n"));
        for keys in [&both, &turned, NEW] {
            for site in [0, 1] {
                pair.rekey(site, keys)?;
                // Twice changes nothing.
                pair.rekey(site, keys)?;
                thread::sleep(Duration::from_millis(300));
            }
        }
        for (before, agent) in before.iter().zip(&pair.agents) {
            let seen = since(&before.probes, agent)?;
            assert!(seen.sent > 500, "{seen:?}");
            assert_eq!(lost(&seen), 0, "{more:?}: {seen:?}");
            let now = path(agent)?;
            let ssids =
                |path: &Path| -> Vec<u16> { path.flows.iter().map(|flow| flow.ssid).collect() };
            assert_eq!(ssids(&now), ssids(before), "the same sessions");
            let changes = |path: &Path| path.forward.transitions.unhealthy;
            assert_eq!(changes(&now), changes(before), "{now:?}");
        }
        assert_eq!(pair.rejected()?, rejected, "{more:?}");
        // The old key is worth nothing any more.
        pair.rekey(1, OLD)?;
        eventually("it is rejected", || Ok(pair.rejected()? > rejected))?;
        eventually(
            "the path is given up",
            || Ok(path(&pair.agents[0])?.state == State::Unhealthy),
        )?;
        pair.rekey(1, NEW)?;
        pair.await_health()?;
    }
    Ok(())
}

#[test]
fn with_a_wrong_key_nothing_counts_until_it_is_put_right() -> Result<()> {
    for more in [["", ""], ["datapath = \"socket\"", ""]] {
        let pair = Pair::start(Mesh::default(), [OLD, FALSE], more)?;
        thread::sleep(LONG);
        for agent in &pair.agents {
            let path = path(agent)?;
            assert!(path.probes.sent > 50, "{path:?}");
            assert_eq!(path.probes.answered, 0, "{path:?}");
            assert_ne!(path.state, State::Healthy);
            assert!(dropped(agent, Counter::Hmac)? > 50, "{more:?}");
        }
        pair.rekey(1, OLD)?;
        pair.await_health()?;
    }
    Ok(())
}

#[test]
fn who_does_not_authenticate_is_not_believed_unless_the_config_says_so() -> Result<()> {
    let pair = Pair::start(Mesh::default(), [OLD, OLD], ["", ""])?;
    pair.await_health()?;
    let [a, b] = [&pair.agents[0], &pair.agents[1]];
    let plain = pair.mesh.config(&pair.lab, &pair.lab.sites()[0]);
    a.reconfigure(&plain)?;
    for agent in [a, b] {
        eventually("the path is given up", || {
            let path = path(agent)?;
            Ok(path.state != State::Healthy && path.problem.is_none())
        })?;
    }
    assert_eq!(path(a)?.probes.answered, 0, "b signs, and answers nobody who does not");
    // What b says of one peer holds against what it says of all.
    let text = pair.config(1, "require = false", "")?;
    let excepted = text.replace("[[peer]]\n", "[[peer]]\nauth = \"none\"\n");
    b.reconfigure(&excepted)?;
    pair.await_health()
}

#[test]
fn a_key_file_that_others_can_read_is_refused() -> Result<()> {
    let pair = Pair::start(Mesh::default(), [OLD, OLD], ["", ""])?;
    pair.await_health()?;
    pair.write_keys(0, OLD, 0o644)?;
    let (status, body) = pair.agents[0].post("/-/reload")?;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("chmod 600"), "{body}");
    assert_eq!(path(&pair.agents[0])?.state, State::Healthy, "the keys before stay in force");
    pair.agents[0].stop()?;
    let mut command = Command::new(lab::agent::binary(None)?);
    command.arg("run").arg("--config").arg(pair.agents[0].config_file());
    let output = pair.lab.sites()[0].output(command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("chmod 600"), "{said}");
    Ok(())
}

/// Neither the digits of a secret, nor what is computed from it, at the greatest verbosity there is.
#[test]
fn nothing_of_a_key_is_logged() -> Result<()> {
    let pair = Pair::start(Mesh::default(), [OLD, OLD], ["", ""])?;
    pair.agents[0].stop()?;
    let mut command = Command::new(lab::agent::binary(None)?);
    command.args(["run", "--log.level", "trace", "--config"]).arg(pair.agents[0].config_file());
    let process = pair.lab.sites()[0].spawn(command)?;
    eventually("it is ready", || Ok(process.logs()?.contains("ready")))?;
    pair.write_keys(0, &format!("{NEW}\n{OLD}\n"), 0o600)?;
    process.signal(Signal::Hangup);
    eventually("it has reloaded", || Ok(process.logs()?.contains("reloaded")))?;
    // A secret where an id is to be, as somebody may mistake it.
    pair.write_keys(0, &OLD.replace("old ", ""), 0o600)?;
    process.signal(Signal::Hangup);
    eventually("it refuses", || Ok(process.logs()?.contains("line 1")))?;
    process.stop()?;
    let logs = process.logs()?.to_lowercase();
    for line in [OLD, NEW] {
        let (_, secret) = line.split_once(' ').expect("an id and a secret");
        let octets: Vec<u8> = (0..secret.len() / 2)
            .map(|at| u8::from_str_radix(&secret[2 * at..2 * at + 2], 16))
            .collect::<Result<_, _>>()?;
        let key = probe_ebpf::hmac::Key::new(&octets);
        let words = key.inner.iter().chain(&key.outer);
        let mut traces: Vec<String> =
            words.flat_map(|word| [word.to_string(), format!("{word:x}")]).collect();
        traces.push(secret[..8].to_owned());
        traces.push(format!("{:?}", &octets[..4]).replace(']', ""));
        for trace in traces {
            assert!(!logs.contains(&trace), "{trace} is in the log");
        }
    }
    Ok(())
}
