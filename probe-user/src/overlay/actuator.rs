//! The task that makes the kernel route as it was chosen, and looks whether it does.
//!
//! A choice is put in at once, each route in one step from one neighbour to the other. Every few seconds, and whenever the
//! kernel tells of a change that may concern us, all is read again: what is missing is put back, what is too much is taken
//! out, and the kernel is asked where packets would go. Who ends this leaves everything as it is: routes outlive the agent.

mod check;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{
    kernel::{self, Error, Kernel, Links},
    plan::{Change, Plan, Route, route_changes, rule_changes},
};

/// How often everything is looked at, whether or not anything was told.
const CHECK: Duration = Duration::from_secs(5);

/// How soon it is looked at again where something is wrong.
const SOON: Duration = Duration::from_secs(1);

/// Changes of others come in groups; so long is waited for the rest of one.
const GROUP: Duration = Duration::from_millis(20);

/// What is known of the kernel's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// For each gateway, whether its tunnel is there, and up.
    pub up: Vec<bool>,
    /// For each destination, whether the kernel sends its traffic as it was chosen.
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
    /// Where the kernel does not tell of its routes.
    pub async fn start(plan: Arc<Plan>) -> Result<(Self, Vec<Option<usize>>), Error> {
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
        Ok((Self { chosen, status, task }, adopted))
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

/// Takes out all of our routes and rules, and returns how many of each there were.
///
/// # Errors
/// Where the kernel refuses.
pub async fn flush() -> Result<(usize, usize), Error> {
    let kernel = Kernel::open()?;
    let links = kernel.links().await?;
    let (rules, routes) = (kernel.rules().await?, kernel.routes(&links).await?);
    for change in rule_changes(&BTreeSet::new(), &rules) {
        kernel.change_rule(&change).await?;
    }
    for change in route_changes(&BTreeSet::new(), &routes) {
        kernel.change_route(&change, &links).await?;
    }
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
                    if self.route().await.is_ok() {
                        self.verify().await;
                        self.publish();
                        continue;
                    }
                }
                told = next(&mut events) => {
                    if told.is_none() {
                        events = None;
                    }
                    tokio::time::sleep(GROUP).await;
                    // What has come meanwhile is looked at with it.
                    if let Some(events) = &mut events {
                        while events.try_recv().is_ok() {}
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
            if events.is_none() {
                events = self.watch();
            }
            self.check().await;
        }
    }

    /// Listens to changes. Where that is not to be had, looking now and again must do.
    fn watch(&self) -> Option<mpsc::Receiver<()>> {
        let prefixes: BTreeSet<_> =
            self.plan.gateways.iter().flat_map(|gateway| gateway.prefixes.clone()).collect();
        let events = kernel::watch(move |prefix| prefixes.contains(prefix));
        events.inspect_err(|error| tracing::warn!(%error, "changes of routes are seen late")).ok()
    }

    /// Puts in what was chosen, from what is known to be there.
    async fn route(&mut self) -> Result<(), Error> {
        for change in route_changes(&self.plan.routes(&self.via), &self.have) {
            self.change(&change).await?;
        }
        Ok(())
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
