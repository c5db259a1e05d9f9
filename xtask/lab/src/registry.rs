//! What this process has made and must take away: on drop, on SIGINT, SIGTERM and SIGHUP, and, where
//! nobody could any more (SIGKILL), before the next lab.
//!
//! Everything is noted here before it is made. The lock is held while a namespace is made or a process
//! started; the thread that handles signals takes it and never gives it back, so nothing new can come
//! into being behind its back, and no other thread can leave `main` through a lab before all is gone.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{self, Child, Command},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    clock,
    namespace::{self, Namespace},
};

/// How long processes may take to end after SIGTERM before they are killed.
const GRACE: Duration = Duration::from_secs(2);

/// A child that several may wait for.
pub(crate) type Shared = Arc<Mutex<Child>>;

/// All labs of this process.
#[derive(Default)]
struct Registry {
    prepared: bool,
    last: u32,
    labs: BTreeMap<u32, Resources>,
}

/// What one lab has.
#[derive(Clone)]
struct Resources {
    namespaces: Vec<String>,
    children: Vec<Shared>,
    directory: PathBuf,
    /// Directories that its processes have made elsewhere.
    litter: Vec<PathBuf>,
    keep: bool,
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

/// A lab's entry. Its drop takes everything away.
#[derive(Debug)]
pub(crate) struct Entry {
    number: u32,
    directory: PathBuf,
}

impl Entry {
    /// Opens an entry, with a directory for the lab's files that is kept on request.
    pub(crate) fn open(keep: bool) -> Result<Arc<Self>> {
        // SAFETY: the call has no arguments and no preconditions.
        if unsafe { libc::geteuid() } != 0 {
            bail!("the lab makes network namespaces and needs root: run it with `sudo -E`");
        }
        with(|registry| {
            if !registry.prepared {
                // Names with our own number are those of a dead process that had it before us.
                sweep(true);
                watch_signals()?;
                registry.prepared = true;
            }
            sweep(false);
            registry.last += 1;
            let number = registry.last;
            let directory = env::temp_dir().join(prefix(number));
            let resources = Resources {
                namespaces: Vec::new(),
                children: Vec::new(),
                directory: directory.clone(),
                litter: Vec::new(),
                keep,
            };
            registry.labs.insert(number, resources);
            fs::create_dir(&directory)
                .with_context(|| format!("cannot make the directory {}", directory.display()))?;
            if keep {
                fs::write(directory.join(KEEP), "").context("cannot mark the directory")?;
            }
            Ok(Arc::new(Self { number, directory }))
        })
    }

    /// The directory of the lab's files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes a namespace.
    pub(crate) fn namespace(&self, suffix: &str) -> Result<Namespace> {
        let name = format!("{}-{suffix}", prefix(self.number));
        with(|registry| {
            self.resources(registry)?.namespaces.push(name.clone());
            Namespace::create(&name)
        })
    }

    /// Starts a process.
    pub(crate) fn spawn(&self, command: Command) -> Result<Shared> {
        with(|registry| {
            let resources = self.resources(registry)?;
            let child = Arc::new(Mutex::new(spawn(command)?));
            resources.children.push(Arc::clone(&child));
            Ok(child)
        })
    }

    /// Notes a directory that a process makes elsewhere.
    pub(crate) fn litter(&self, directory: PathBuf) -> Result<()> {
        with(|registry| {
            self.resources(registry)?.litter.push(directory);
            Ok(())
        })
    }

    fn resources<'a>(&self, registry: &'a mut Registry) -> Result<&'a mut Resources> {
        registry.labs.get_mut(&self.number).context("the lab is gone")
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Other labs go on meanwhile. A signal that comes now finds the entry still there.
        let resources = with(|registry| registry.labs.get(&self.number).cloned());
        release(resources.as_slice());
        with(|registry| registry.labs.remove(&self.number));
    }
}

/// Starts a process from a thread that lives as long as this one: the kernel kills the children of a
/// thread that ends (PR_SET_PDEATHSIG), and the caller's may end sooner.
pub(crate) fn spawn(mut command: Command) -> Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in orders {
                reply.send(command.spawn()).ok();
            }
        });
        sender
    });
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(process::Stdio::null());
    let (reply, answer) = mpsc::channel();
    spawner.send((command, reply)).ok().context("the thread that starts processes is gone")?;
    let started = answer.recv().context("the thread that starts processes is gone")?;
    started.with_context(|| format!("cannot start {program}"))
}

/// Locks, whatever happened to those who held the lock before.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<T>(work: impl FnOnce(&mut Registry) -> T) -> T {
    work(lock(&REGISTRY).get_or_insert_default())
}

/// What all names of a lab of this process begin with.
fn prefix(number: u32) -> String {
    format!("lp-{}-{number}", process::id())
}

/// The process in a name of a lab.
fn owner(name: &str) -> Option<u32> {
    let (pid, rest) = name.strip_prefix("lp-")?.split_once('-')?;
    rest.starts_with(|first: char| first.is_ascii_digit()).then_some(())?;
    pid.parse().ok()
}

/// Ends the processes, then takes namespaces and files away. May run twice for the same lab.
fn release(labs: &[Resources]) {
    let children: Vec<&Shared> = labs.iter().flat_map(|lab| &lab.children).collect();
    let running = |child: &Shared| matches!(lock(child).try_wait(), Ok(None));
    for child in &children {
        signal(child, SIGTERM);
        // One that is stopped would not see it.
        signal(child, libc::SIGCONT);
    }
    let deadline = clock::now() + GRACE;
    while clock::now() < deadline && children.iter().any(|child| running(child)) {
        thread::sleep(Duration::from_millis(5));
    }
    for child in &children {
        let mut child = lock(child);
        // Both are errors only where it has ended already.
        child.kill().ok();
        child.wait().ok();
    }
    for lab in labs {
        namespace::remove(&lab.namespaces);
        if !lab.keep {
            fs::remove_dir_all(&lab.directory).ok();
        }
        for directory in &lab.litter {
            fs::remove_dir_all(directory).ok();
            // This takes nothing away that is not empty.
            directory.parent().map(fs::remove_dir);
        }
    }
}

/// Sends a signal to a child that has not been waited for: its number is still its own.
pub(crate) fn signal(child: &Shared, signal: i32) {
    let mut child = lock(child);
    if matches!(child.try_wait(), Ok(None)) {
        // SAFETY: the call takes two numbers; the lock keeps the child from being waited for.
        unsafe { libc::kill(child.id().cast_signed(), signal) };
    }
}

/// Takes away what dead processes have left behind; or, `own`, what had our own number.
fn sweep(own: bool) {
    let stale = |directory: &Path| -> Vec<String> {
        fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| {
                owner(name).is_some_and(|pid| {
                    if pid == process::id() { own } else { !own && !is_alive(pid) }
                })
            })
            .collect()
    };
    namespace::remove(&stale(Path::new(namespace::DIRECTORY)));
    let directory = env::temp_dir();
    for name in stale(&directory) {
        // A directory that was to be kept says so.
        if !directory.join(&name).join(KEEP).exists() {
            fs::remove_dir_all(directory.join(name)).ok();
        }
    }
}

/// Name of the file that saves a directory from the sweep.
const KEEP: &str = "keep";

/// Whether a process runs: it is there, and not merely waiting to be reaped.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name, in parentheses, may contain anything.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('Z' | 'X'))
}

/// From now on, a signal that asks this process to end takes all labs with it.
fn watch_signals() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch for signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let Some(signal) = signals.forever().next() else { return };
            let registry = lock(&REGISTRY);
            if let Some(registry) = registry.as_ref() {
                release(&registry.labs.values().cloned().collect::<Vec<_>>());
            }
            process::exit(128 + signal);
        })
        .context("cannot start the thread that watches for signals")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_names_of_labs_only() {
        assert_eq!(owner("lp-4711-1-fra"), Some(4711));
        assert_eq!(owner("lp-4711-12"), Some(4711));
        for other in ["lp-4711", "lp-x-1-fra", "lp-4711-fra", "xlp-1-1-a", "vpn", ""] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = Command::new("true").spawn().expect("`true` is everywhere");
        let pid = child.id();
        let gone = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            !is_alive(pid)
        });
        child.wait().expect("it has not been waited for");
        assert!(gone);
        assert!(is_alive(process::id()));
    }
}
