//! The task that makes the kernel route as it was chosen, and looks whether it does.
//!
//! A choice is put in at once, each route in one step from one neighbour to the other. Every few seconds, and whenever the
//! kernel tells of a change that may concern us, all is read again: what is missing is put back, what is too much is taken
//! out, and the kernel is asked where packets would go. Who ends this leaves everything as it is: routes outlive the agent.

mod check;

use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::error::Elapsed,
};

use super::{
    kernel::{self, Error, Kernel, Links},
    lock::Lock,
    plan::{Change, Plan, Route, route_changes, rule_changes},
};

/// How often everything is looked at, whether or not anything was told.
const CHECK: Duration = Duration::from_secs(5);

/// How soon it is looked at again where something is wrong.
const SOON: Duration = Duration::from_secs(1);

/// Changes of others come in groups; so long is waited for the rest of one.
const GROUP: Duration = Duration::from_millis(20);

/// What a look at everything may take.
const LONGEST: Duration = Duration::from_secs(10);

/// What is known of the kernel's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// For each gateway, whether its tunnel is there, and up.
    pub up: Vec<bool>,
    /// For each destination, whether its routes are in, and as far as the kernel could be asked, traffic follows them.
    pub installed: Vec<bool>,
    /// What is not as it must be, in words.
    pub problems: Vec<String>,
    /// How many routes and rules were put back, or taken out, because somebody else had changed them.
    pub repairs: u64,
}

/// The task; it ends when this is dropped.
#[derive(Debug)]
pub struct Actuator {
    chosen: watch::Sender<Vec<usize>>,
    status: watch::Receiver<Status>,
    task: AbortHandle,
    _lock: Lock,
}

impl Drop for Actuator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Actuator {
    /// Takes over the routes that the kernel has, puts in what is missing, and begins to look. Returns for each destination
    /// the gateway that its traffic went through before, if the routes were ours. To be called on a tokio runtime.
    ///
    /// # Errors
    /// Where another agent routes here, or the kernel does not tell of its routes.
    pub async fn start(plan: Arc<Plan>) -> Result<(Self, Vec<Option<usize>>), Error> {
        let lock = lock()?;
        let kernel = Kernel::open()?;
        let links = kernel.links().await?;
        let found = kernel.routes(&links).await?;
        let destinations = 0..plan.gateways.len();
        let adopted: Vec<_> =
            destinations.clone().map(|number| plan.adopted(number, &found)).collect();
        let via: Vec<usize> =
            destinations.map(|number| adopted[number].unwrap_or(number)).collect();
        let (chosen, receiver) = watch::channel(via.clone());
        let (sender, status) = watch::channel(Status::default());
        let mut worker =
            Worker { plan, kernel, links, have: found, via, status: Status::default(), sender };
        worker.check().await;
        // Whatever is repaired from now on, somebody else has changed.
        worker.status.repairs = 0;
        worker.sender.send_replace(worker.status.clone());
        let task = tokio::spawn(worker.run(receiver)).abort_handle();
        Ok((Self { chosen, status, task, _lock: lock }, adopted))
    }

    /// Has each destination reached through the gateway at its place. Does not wait.
    pub fn choose(&self, via: Vec<usize>) {
        self.chosen.send_if_modified(|chosen| {
            let differs = *chosen != via;
            *chosen = via;
            differs
        });
    }

    /// What is known of the kernel's routes.
    #[must_use]
    pub fn status(&self) -> watch::Ref<'_, Status> {
        self.status.borrow()
    }
}

/// The lock of this network namespace.
fn lock() -> Result<Lock, Error> {
    Lock::take().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Error::Busy,
        _ => Error::Socket(error),
    })
}

/// How many of our routes and rules the kernel has.
///
/// # Errors
/// Where it does not tell.
pub async fn left() -> Result<(usize, usize), Error> {
    let kernel = Kernel::open()?;
    let links = kernel.links().await?;
    Ok((kernel.routes(&links).await?.len(), kernel.rules().await?.len()))
}

/// Takes out all of our routes and rules, and returns how many of each there were.
///
/// # Errors
/// Where an agent routes here, which would put them in again; then nothing is done. Where the kernel refuses.
pub async fn flush() -> anyhow::Result<(usize, usize)> {
    let lock =
        lock().context("nothing was taken out, since it would be put in again: stop it first")?;
    let kernel = Kernel::open()?;
    let links = kernel.links().await?;
    let (rules, routes) = (kernel.rules().await?, kernel.routes(&links).await?);
    for change in rule_changes(&BTreeSet::new(), &rules) {
        kernel.change_rule(&change).await?;
    }
    for change in route_changes(&BTreeSet::new(), &routes) {
        kernel.change_route(&change, &links).await?;
    }
    drop(lock);
    Ok((routes.len(), rules.len()))
}

struct Worker {
    plan: Arc<Plan>,
    kernel: Kernel,
    links: Links,
    /// The routes of ours that the kernel has, as far as we know.
    have: BTreeSet<Route>,
    /// For each destination the gateway that was chosen.
    via: Vec<usize>,
    status: Status,
    sender: watch::Sender<Status>,
}

impl Worker {
    async fn run(mut self, mut chosen: watch::Receiver<Vec<usize>>) {
        let mut events = self.watch();
        loop {
            let wait = if self.status.problems.is_empty() { CHECK } else { SOON };
            tokio::select! {
                // A choice comes first.
                biased;
                changed = chosen.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.via.clone_from(&chosen.borrow_and_update());
                    // What is known to be there may be wrong where something was told meanwhile.
                    let is_told = events.as_mut().is_some_and(|events| events.try_recv().is_ok());
                    if !is_told && self.in_time(Self::route).await == Ok(Ok(())) {
                        continue;
                    }
                }
                told = next(&mut events) => {
                    if told.is_none() {
                        events = None;
                    }
                    // A choice that comes meanwhile is put in with what is mended.
                    tokio::time::timeout(GROUP, chosen.changed()).await.ok();
                }
                () = tokio::time::sleep(wait) => {}
            }
            if events.is_none() {
                events = self.watch();
            }
            self.via.clone_from(&chosen.borrow_and_update());
            if self.in_time(Self::check).await.is_err() {
                self.status.problems = vec![Error::Silent.to_string()];
                self.publish();
                // The socket may be the reason.
                self.kernel = Kernel::open().unwrap_or(self.kernel);
            }
        }
    }

    /// Does something, unless it takes too long.
    async fn in_time<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> T) -> Result<T, Elapsed> {
        tokio::time::timeout(LONGEST, work(self)).await
    }

    /// Listens to changes. Where that is not to be had, looking now and again must do.
    fn watch(&self) -> Option<mpsc::Receiver<()>> {
        let gateways = || self.plan.gateways.iter();
        let prefixes = gateways().flat_map(|gateway| gateway.prefixes.clone()).collect();
        let interfaces = gateways().map(|gateway| gateway.interface.clone()).collect();
        let events = kernel::watch(prefixes, interfaces);
        events.inspect_err(|error| tracing::warn!(%error, "changes of routes are seen late")).ok()
    }

    /// Puts in what was chosen, from what is known to be there. What cannot be put in holds up nothing else.
    ///
    /// # Errors
    /// That there was such.
    async fn route(&mut self) -> Result<(), ()> {
        let mut done = Ok(());
        for change in route_changes(&self.plan.routes(&self.via), &self.have) {
            if self.change(&change).await.is_err() {
                done = Err(());
            }
        }
        done
    }

    async fn change(&mut self, change: &Change<Route>) -> Result<(), Error> {
        self.kernel.change_route(change, &self.links).await?;
        let (Change::Add(route) | Change::Replace(route) | Change::Remove(route)) = change;
        self.have.retain(|known| known.key != route.key);
        if !matches!(change, Change::Remove(_)) {
            self.have.insert(route.clone());
        }
        Ok(())
    }

    fn publish(&self) {
        self.sender.send_if_modified(|status| {
            let differs = *status != self.status;
            status.clone_from(&self.status);
            differs
        });
    }
}

/// The next message; never where nobody listens.
async fn next(events: &mut Option<mpsc::Receiver<()>>) -> Option<()> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
