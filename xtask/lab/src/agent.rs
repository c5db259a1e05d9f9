//! Agents in a lab: their configs, their processes, their HTTP API.

use std::{
    env,
    fmt::Write as _,
    fs,
    net::IpAddr,
    panic,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use probe_user::report::Paths;

use crate::{
    clock,
    lab::Lab,
    namespace::Namespace,
    process::{Process, Signal},
    site::{INTERFACE, Site},
};

/// Where every agent listens, in its own namespace.
pub const WEB: &str = "127.0.0.1:9862";
/// The port of it, by which an agent that is open can be asked from elsewhere.
pub const WEB_PORT: u16 = 9862;
/// The port at which an agent that is open answers HAProxy's agent checks.
pub const AGENT_CHECK_PORT: u16 = 9863;
/// How long an agent may take to become ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an answer of its API may take.
const ANSWER: Duration = Duration::from_secs(5);

/// How agents probe one another.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Time between the probes of one flow.
    pub interval: Duration,
    /// After which a probe is lost in any case.
    pub timeout: Duration,
    /// Flows of each path.
    pub flows: u16,
    /// Probe the IPv6 addresses instead of the IPv4 ones.
    pub ipv6: bool,
    /// Probe through the tunnels of the lab's overlay instead, and route the LANs behind them.
    pub overlay: bool,
    /// Listen on all addresses instead, and answer HAProxy's agent checks too.
    pub open: bool,
    /// More TOML for each config, after everything else: whole tables.
    pub more: String,
    /// Environment variables of each agent, besides those that we have.
    pub environment: Vec<(String, String)>,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(1),
            flows: 4,
            ipv6: false,
            overlay: false,
            open: false,
            more: String::new(),
            environment: Vec::new(),
        }
    }
}

impl Mesh {
    /// The config of the agent of a site, with all other sites as peers.
    #[must_use]
    pub fn config(&self, lab: &Lab, site: &Site) -> String {
        let Self { interval, timeout, flows, ipv6, overlay, open, more, environment: _ } = self;
        let (node, region) = (node(site), site.name());
        let mut text = format!(
            "[node]\nname = \"{node}\"\nregion = \"{region}\"\ninterfaces = [\"{INTERFACE}\"]\n\n\
             [probe]\ninterval = \"{}ms\"\ntimeout = \"{}ms\"\nflows = {flows}\n\n\
             [web]\n",
            interval.as_millis(),
            timeout.as_millis(),
        );
        text += &if *open {
            format!(
                "listen = \"0.0.0.0:{WEB_PORT}\"\nagent_check = \"0.0.0.0:{AGENT_CHECK_PORT}\"\n"
            )
        } else {
            format!("listen = \"{WEB}\"\n")
        };
        for peer in lab.sites().iter().filter(|peer| peer.number() != site.number()) {
            let address: IpAddr = match (*overlay, *ipv6) {
                (false, false) => peer.ipv4().into(),
                (false, true) => peer.ipv6().into(),
                (true, false) => peer.tunnel_ipv4().into(),
                (true, true) => peer.tunnel_ipv6().into(),
            };
            let (name, region) = (self::node(peer), peer.name());
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n[[peer]]\nname = \"{name}\"\nregion = \"{region}\"\naddress = \"{address}\"\n"
            );
        }
        if *overlay {
            text += "\n[overlay]\n";
            for peer in lab.sites().iter().filter(|peer| peer.number() != site.number()) {
                let (name, tunnel) = (self::node(peer), peer.tunnel());
                let lan = if *ipv6 { peer.lan_ipv6() } else { peer.lan_ipv4() };
                let _ = write!(
                    text,
                    "[[overlay.destinations]]\npeer = \"{name}\"\ninterface = \"{tunnel}\"\n\
                     prefixes = [\"{lan}\"]\n"
                );
            }
        }
        if !more.is_empty() {
            let _ = write!(text, "\n{more}\n");
        }
        text
    }

    /// Starts an agent in every site, and waits until all are ready.
    ///
    /// # Errors
    /// Those of the first agent that does not start.
    pub fn start(&self, lab: &Lab, binary: &Path) -> Result<Vec<Agent>> {
        let agents = lab
            .sites()
            .iter()
            .map(|site| {
                let mut command = Command::new(binary);
                command.envs(self.environment.iter().map(|(name, value)| (name, value)));
                Agent::start_by(command, lab, site, &self.config(lab, site))
            })
            .collect::<Result<Vec<_>>>()?;
        for agent in &agents {
            agent.await_ready()?;
        }
        Ok(agents)
    }
}

/// The name of the node in a site.
#[must_use]
pub fn node(site: &Site) -> String {
    format!("{}1", site.name())
}

/// The agent's binary: the argument, else `LINKPROBE_BIN`.
///
/// # Errors
/// Where there is neither, or no file of that name.
pub fn binary(argument: Option<PathBuf>) -> Result<PathBuf> {
    let path = argument
        .or_else(|| env::var_os("LINKPROBE_BIN").map(PathBuf::from))
        .context("which agent? Set LINKPROBE_BIN to the path of the binary `linkprobe`")?;
    fs::canonicalize(&path).with_context(|| format!("there is no agent at {}", path.display()))
}

/// A `linkprobe run` in a site.
#[derive(Clone, Debug)]
pub struct Agent {
    node: String,
    process: Process,
    config: PathBuf,
    client: Client,
}

impl Agent {
    /// Starts it. It may not be ready yet.
    ///
    /// # Errors
    /// Where config or process cannot be made.
    pub fn start(lab: &Lab, site: &Site, binary: &Path, config: &str) -> Result<Self> {
        Self::start_by(Command::new(binary), lab, site, config)
    }

    /// The same by a command that the arguments are added to.
    fn start_by(mut command: Command, lab: &Lab, site: &Site, config: &str) -> Result<Self> {
        let node = node(site);
        let path = lab.directory().join(format!("{node}.toml"));
        fs::write(&path, config).with_context(|| path.display().to_string())?;
        command.arg("run").arg("--config").arg(&path);
        let process = site.spawn(command)?;
        let client = Client::new(site.namespace())?;
        Ok(Self { node, process, config: path, client })
    }

    /// Name of its node.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Its config file.
    #[must_use]
    pub fn config_file(&self) -> &Path {
        &self.config
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// Where it has ended, or takes too long; with its logs.
    pub fn await_ready(&self) -> Result<()> {
        let deadline = clock::now() + PATIENCE;
        loop {
            if matches!(self.get("/-/ready"), Ok((200, _))) {
                return Ok(());
            }
            let ended = self.process.status()?;
            if ended.is_some() || clock::now() >= deadline {
                let how = ended.map_or("not ready in time".to_owned(), |status| status.to_string());
                bail!("the agent {}: {how}\n{}", self.node, self.process.logs()?);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The paths that it reports.
    ///
    /// # Errors
    /// Where it does not answer, or not with that document.
    pub fn paths(&self) -> Result<Paths> {
        let (status, body) = self.get("/api/v1/paths")?;
        if status != 200 {
            bail!("{} answers {status}: {body}", self.node);
        }
        serde_json::from_str(&body).with_context(|| format!("the paths of {}", self.node))
    }

    /// Asks its HTTP server: status and body.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("http://{WEB}{path}");
        self.client
            .call(move |http| {
                let mut answer = http.get(&url).call()?;
                let body = answer.body_mut().read_to_string()?;
                Ok((answer.status().as_u16(), body))
            })
            .with_context(|| format!("no answer from {} to GET {path}", self.node))
    }

    /// Asks its HTTP server with an empty POST: status and body.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn post(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("http://{WEB}{path}");
        self.client
            .call(move |http| {
                let mut answer = http.post(&url).send_empty()?;
                let body = answer.body_mut().read_to_string()?;
                Ok((answer.status().as_u16(), body))
            })
            .with_context(|| format!("no answer from {} to POST {path}", self.node))
    }

    /// Writes a new config, and sends SIGHUP.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn reconfigure(&self, config: &str) -> Result<()> {
        fs::write(&self.config, config).with_context(|| self.config.display().to_string())?;
        self.process.signal(Signal::Hangup);
        Ok(())
    }

    /// Asks it to end, and waits for it.
    ///
    /// # Errors
    /// Where it does not end in time, or says that something went wrong.
    pub fn stop(&self) -> Result<()> {
        let status = self.process.stop()?;
        if !status.success() {
            bail!("the agent {} ended with {status}\n{}", self.node, self.process.logs()?);
        }
        Ok(())
    }
}

/// A thread in a namespace that makes HTTP requests, with one connection for all of them.
#[derive(Clone, Debug)]
struct Client(mpsc::Sender<Request>);

type Request = Box<dyn FnOnce(&ureq::Agent) + Send>;

impl Client {
    fn new(namespace: &Namespace) -> Result<Self> {
        let (sender, requests) = mpsc::channel::<Request>();
        namespace.thread("http", move || {
            let http: ureq::Agent = ureq::Agent::config_builder()
                .timeout_global(Some(ANSWER))
                .http_status_as_error(false)
                .proxy(None)
                .build()
                .into();
            for request in requests {
                // Who asked sees that no answer comes; the next request is none the worse for it.
                panic::catch_unwind(AssertUnwindSafe(|| request(&http))).ok();
            }
        })?;
        Ok(Self(sender))
    }

    fn call<T: Send + 'static>(
        &self,
        request: impl FnOnce(&ureq::Agent) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = mpsc::channel();
        let boxed: Request = Box::new(move |http| {
            reply.send(request(http)).ok();
        });
        self.0.send(boxed).map_err(|_| anyhow!("the thread of the HTTP client is gone"))?;
        answer.recv().context("the thread of the HTTP client is gone")?
    }
}
