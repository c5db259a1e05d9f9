//! A running agent: the wiring of datapath, sender, accounts, verdicts and HTTP.
//!
//! Three threads of work share one [`state::State`]: the **judge** goes through all paths a hundred
//! times a second, the **resolver** turns names into addresses, and HTTP reads. None of them can hold up a
//! probe: the sender has a thread of its own and shares nothing with them but a channel.
//!
//! - [`state`]: what is shared, and what a tick does.
//! - [`report`]: what the outside is told of it.
//! - [`reflect`]: the agent without senders.

pub mod reflect;
pub mod report;
pub mod state;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use state::State;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::{
    config::{Config, Host},
    datapath::clock,
    metrics::Snapshot,
    resolve, web,
};

/// How often the paths are judged. It adds half of itself to the time to detection.
const TICK: Duration = Duration::from_millis(10);

/// How many ticks lie between two looks at the host: its clock, its addresses, its interfaces.
const TICKS_PER_CHECK: u64 = 100;

/// Runs an agent until it is told to stop by SIGTERM or SIGINT. SIGHUP reloads the config.
///
/// # Errors
/// Where it cannot start: privileges, interfaces, ports.
pub async fn run(file: PathBuf, config: Config) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let listen = config.web.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen} ([web] listen)"))?;
    let state = State::start(config).await?;
    let agent = Arc::new(Agent {
        file,
        state: Mutex::new(state),
        resolver: Mutex::new(JoinSet::new()),
        runtime: Handle::current(),
    });
    agent.resolve_names();
    let judge = Judge::start(Arc::clone(&agent))?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(web::serve(listener, Arc::new(Arc::clone(&agent)), async {
        stopped.await.ok();
    }));
    tracing::info!(%listen, "ready");

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                // The outcome is in the log and in the metrics.
                let agent = Arc::clone(&agent);
                tokio::task::spawn_blocking(move || web::Source::reload(&agent).ok());
            }
        }
    }
    tracing::info!("stopping");
    stop.send(()).ok();
    server.await.context("the web server has panicked")?.context("the web server has failed")?;
    agent.lock_resolver().abort_all();
    tokio::task::spawn_blocking(move || drop(judge)).await?;
    Ok(())
}

/// What the threads of an agent share.
struct Agent {
    file: PathBuf,
    state: Mutex<State>,
    resolver: Mutex<JoinSet<()>>,
    runtime: Handle,
}

impl Agent {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not stop the verdicts; each tick starts from the kernel's memory.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_resolver(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.resolver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up the names of all peers, now and again. Peers with an address are probed already.
    fn resolve_names(self: &Arc<Self>) {
        let mut tasks = JoinSet::new();
        for peer in self.lock().config().peers.clone() {
            if matches!(peer.address.host, Host::Ip(_)) {
                continue;
            }
            let agent = Arc::clone(self);
            let look_up = async move {
                loop {
                    let before = agent.lock().resolved(&peer.name);
                    let found = resolve::resolve(&peer.address, before).await;
                    agent.lock().set_address(&peer.name, found.map_err(|error| error.to_string()));
                    tokio::time::sleep(resolve::AGAIN).await;
                }
            };
            tasks.spawn_on(look_up, &self.runtime);
        }
        // The tasks of the set that was there before end as it is dropped.
        *self.lock_resolver() = tasks;
    }
}

impl web::Source for Arc<Agent> {
    fn snapshot(&self) -> Snapshot {
        self.lock().snapshot(clock::monotonic(), clock::realtime())
    }

    fn paths(&self) -> crate::report::Paths {
        self.lock().paths(clock::monotonic(), clock::realtime())
    }

    fn ready(&self) -> Result<(), String> {
        self.lock().ready()
    }

    fn reload(&self) -> Result<String, String> {
        let loaded = Config::load(&self.file).map_err(|error| error.to_string());
        let applied = self.lock().reload(loaded);
        match &applied {
            Ok(what) => {
                tracing::info!(file = %self.file.display(), "reloaded: {what}");
                self.resolve_names();
            }
            Err(why) => tracing::error!(file = %self.file.display(), "not reloaded: {why}"),
        }
        applied
    }
}

/// The judging thread; it ends when this is dropped.
struct Judge {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Judge {
    fn start(agent: Arc<Agent>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("judge".to_owned()).spawn(move || {
            let mut ticks: u64 = 0;
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                let mut state = agent.lock();
                state.tick(clock::monotonic());
                ticks += 1;
                if ticks.is_multiple_of(TICKS_PER_CHECK) {
                    agent.runtime.block_on(state.check_host());
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
