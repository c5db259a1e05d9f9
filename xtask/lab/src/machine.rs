//! A machine: a namespace with a name, and processes in it.

use std::{
    fs::File,
    ops::Deref,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result};

use crate::{
    namespace::Namespace,
    process::Process,
    registry::{self, Entry},
};

/// A machine of the lab. It is its [`Namespace`], and more.
#[derive(Debug)]
pub struct Machine {
    name: String,
    namespace: Namespace,
    entry: Arc<Entry>,
    started: AtomicU32,
}

impl Deref for Machine {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Machine {
    /// Makes its namespace, with its loopback up and nothing else.
    pub(crate) fn create(entry: &Arc<Entry>, name: &str) -> Result<Self> {
        let namespace = entry.namespace(name)?;
        namespace.sysctl(&SETTINGS)?;
        namespace.ip("link set lo up\n")?;
        let (name, entry) = (name.to_owned(), Arc::clone(entry));
        Ok(Self { name, namespace, entry, started: AtomicU32::new(0) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Starts a process on it. Its output goes to a file in the lab's directory.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(&self, mut command: Command) -> Result<Process> {
        let program = command.get_program().to_string_lossy().into_owned();
        let base = program.rsplit('/').next().unwrap_or_default();
        let serial = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}-{base}-{serial}", self.name);
        let path = self.entry.directory().join(format!("{name}.log"));
        let log = File::create(&path).with_context(|| path.display().to_string())?;
        let copy = log.try_clone().context("cannot share the log")?;
        command.stdout(log).stderr(copy);
        self.namespace.confine(&mut command);
        let child = self.entry.spawn(command)?;
        Ok(Process::new(name, child, path))
    }

    /// Runs a command on it to its end, and returns what it has written.
    ///
    /// # Errors
    /// Where it cannot be started; that it fails is not an error.
    pub fn output(&self, mut command: Command) -> Result<Output> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.namespace.confine(&mut command);
        registry::spawn(command)?.wait_with_output().context("the process got lost")
    }
}

/// What every namespace of the lab wants of its kernel, whatever the host's defaults are.
pub(crate) const SETTINGS: [(&str, &str); 7] = [
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
];

/// What a namespace that routes wants besides.
pub(crate) const FORWARDING: [(&str, &str); 2] =
    [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")];
