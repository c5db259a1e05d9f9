//! A running agent: the wiring of datapath, sender, accounts, verdicts and HTTP.
//!
//! Three threads of work share one [`state::State`]: the **judge** goes through all paths a hundred
//! times a second, the **resolver** turns names into addresses, and HTTP reads. None of them can hold up a
//! probe: the sender has a thread of its own and shares nothing with them but a channel.
//!
//! - [`state`]: what is shared, and what a tick does.
//! - `judge`: the judging thread, and whether it lives.
//! - `peers`: the peers of the config.
//! - `paths`: the paths to them, and their sessions.
//! - `overlay`: what is routed over which of them.
//! - `reload`: another config while probes go on.
//! - `capacity`: how much room the kernel's maps have.
//! - `host`: what it has to keep up with.
//! - `regions`: what is known of the links to regions.
//! - `record`: what is recorded, and how it is probed.
//! - `events`: changes of verdicts, for all who listen.
//! - [`report`]: what the outside is told of it.
//! - [`reflect`]: the agent without senders.
//! - `datapath`: which one it gets.
//! - `source`: how HTTP reads it.
//! - `defects`: those of a test-only build.

mod capacity;
mod datapath;
mod defects;
mod events;
mod host;
mod judge;
mod overlay;
mod paths;
mod peers;
mod record;
pub mod reflect;
mod regions;
mod reload;
pub mod report;
mod source;
pub mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use judge::{Heartbeat, Judge};
use overlay::Overlay;
use state::State;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
};

use crate::{
    config::{Config, Host, PeerConfig},
    datapath::{Datapath, clock},
    hooks::Hooks,
    resolve,
    verdict::Nanos,
    web,
};

/// How many names are looked up at once. A look-up holds a thread until the name server answers and the state is free.
const LOOK_UPS: usize = 8;

/// How many ticks lie between two looks at the host: its clock, its addresses, its interfaces.
const TICKS_PER_CHECK: u64 = 100;

/// What the end may take at most: a disk that hangs is waited for for three seconds.
const LONGEST_END: Duration = Duration::from_secs(10);

/// Runs an agent until it is told to stop by SIGTERM or SIGINT. SIGHUP reloads the config.
///
/// # Errors
/// Where it cannot start: privileges, interfaces, ports. Where it can make no verdicts any more.
pub async fn run(file: PathBuf, config: Config) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let listen = config.web.listen;
    let listener = bind(listen, "[web] listen").await?;
    let agent_check = match config.web.agent_check {
        Some(address) => Some(bind(address, "[web] agent_check").await?),
        None => None,
    };
    let hooks = Hooks::start(&config.hooks);
    let overlay = Overlay::start(&config).await?;
    let mut state = State::start(config, overlay)?;
    state.events.hooks = hooks.listeners();
    let agent = Arc::new(Agent {
        file,
        heartbeat: state.heartbeat.clone(),
        state: Mutex::new(state),
        judge_waits: AtomicBool::new(false),
        resolver: Mutex::new(HashMap::new()),
        look_ups: Semaphore::new(LOOK_UPS),
        runtime: Handle::current(),
    });
    agent.resolve_names();
    let mut judge = Judge::start(rounds(Arc::clone(&agent)))?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let source = Arc::new(Arc::clone(&agent));
    let server = tokio::spawn(web::serve(listener, source, web::Limits::default(), async {
        stopped.await.ok();
    }));
    // Ends with this function, and so do the hooks.
    let mut tasks = JoinSet::new();
    if let Some(listener) = agent_check {
        let (source, limits) = (Arc::new(Arc::clone(&agent)), web::agent_check::Limits::default());
        tasks.spawn(web::agent_check::serve(listener, source, limits));
    }
    tracing::info!(%listen, "ready");

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Nobody would be there to take a verdict back. Whoever started this starts it again.
            () = judge.ended() => break,
            _ = hangup.recv() => {
                // The outcome is in the log and in the metrics.
                let agent = Arc::clone(&agent);
                tokio::task::spawn_blocking(move || web::Source::reload(&agent).ok());
            }
        }
    }
    tracing::info!("stopping");
    stop.send(()).ok();
    server.await.context("the web server has panicked")?;
    let end = move || {
        // Waits for the disk to take the last tick.
        let recorder = agent.lock().recorder.take();
        drop(recorder);
    };
    judge.end_within(LONGEST_END, end).await
}

async fn bind(address: SocketAddr, field: &str) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address} ({field})"))
}

/// What the judge does, again and again.
fn rounds(agent: Arc<Agent>) -> impl FnMut(Nanos) + Send {
    let mut ticks: u64 = 0;
    move |due| {
        agent.judge_waits.store(true, Ordering::Relaxed);
        let mut state = agent.lock();
        agent.judge_waits.store(false, Ordering::Relaxed);
        let now = clock::monotonic();
        state.lateness.add(u32::try_from(now.saturating_sub(due)).unwrap_or(u32::MAX));
        state.tick(now);
        ticks += 1;
        if ticks.is_multiple_of(TICKS_PER_CHECK) {
            state.check_host(clock::monotonic());
        }
    }
}

/// Lets the userspace reflector answer what the kernel's cannot. Where that is not to be had, the kernel
/// answers all, and says of the TLVs that it does not know them.
fn start_responder(datapath: &mut Datapath) {
    if let Err(error) = datapath.start_responder() {
        tracing::warn!(%error, "some TLVs will be answered as unrecognised");
    }
}

/// What the threads of an agent share.
struct Agent {
    file: PathBuf,
    /// That of the state.
    heartbeat: Heartbeat,
    state: Mutex<State>,
    /// Whether the judge waits for the state, so that those who read it in parts let it pass.
    judge_waits: AtomicBool,
    /// The task that looks up the name of each peer that has one.
    resolver: Mutex<HashMap<PeerConfig, AbortHandle>>,
    look_ups: Semaphore,
    runtime: Handle,
}

impl Agent {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not stop the verdicts; each tick starts from the kernel's memory.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_resolver(&self) -> MutexGuard<'_, HashMap<PeerConfig, AbortHandle>> {
        self.resolver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up the names of all peers, now and again. Peers with an address are probed already, and
    /// peers that were there before go on as they are.
    fn resolve_names(self: &Arc<Self>) {
        let peers = self.lock().config().peers.clone();
        let mut tasks = self.lock_resolver();
        tasks.retain(|peer, task| {
            let stays = peers.contains(peer);
            if !stays {
                task.abort();
            }
            stays
        });
        for peer in peers {
            if matches!(peer.address.host, Host::Name(_)) && !tasks.contains_key(&peer) {
                let task = Arc::clone(self).resolve_name(peer.clone());
                tasks.insert(peer, self.runtime.spawn(task).abort_handle());
            }
        }
    }

    async fn resolve_name(self: Arc<Self>, peer: PeerConfig) {
        let name = peer.name;
        loop {
            // The semaphore is never closed.
            let permit = self.look_ups.acquire().await;
            let of = name.clone();
            let Ok(before) = self.with_state(move |state| state.resolved(&of)).await else {
                return;
            };
            let found = resolve::resolve(&peer.address, before).await;
            let (of, found) = (name.clone(), found.map_err(|error| error.to_string()));
            let set = self.with_state(move |state| state.set_address(&of, found)).await;
            drop(permit);
            if set.is_err() {
                return;
            }
            tokio::time::sleep(resolve::AGAIN).await;
        }
    }

    /// Does something with the state from a task. A judge that hangs holds the lock, and must not hold a thread that
    /// others' timers and signals need.
    ///
    /// # Errors
    /// Where it panics, or the agent ends.
    async fn with_state<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let agent = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&mut agent.lock())).await
    }
}
