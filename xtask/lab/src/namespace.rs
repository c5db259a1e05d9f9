//! One network namespace: made by `ip netns`, entered by threads and by processes that start.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _, process::CommandExt as _},
    },
    panic,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result, bail};

/// Where `ip netns` keeps its names.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A network namespace with a name.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// Makes it. Who calls has noted the name for removal before.
    pub(crate) fn create(name: &str) -> Result<Self> {
        // A process group of its own: a Ctrl-C at the terminal must not stop it half-way.
        let output = Command::new("ip")
            .args(["netns", "add", name])
            .process_group(0)
            .output()
            .context("cannot start `ip`: install the package iproute2")?;
        if !output.status.success() {
            bail!("`ip netns add {name}`: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let path = path(name);
        let file = File::open(&path).with_context(|| path.display().to_string())?;
        Ok(Self { name: name.to_owned(), file: Arc::new(file) })
    }

    /// Its name, as `ip netns list` shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a closure on a thread inside, and returns its value. A panic in it goes on here.
    ///
    /// # Errors
    /// Where the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let joined = thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter()?;
                    Ok(work())
                })
                .join()
        });
        match joined {
            Ok(entered) => entered.map_err(|error: io::Error| {
                anyhow::Error::new(error).context(format!("cannot enter {}", self.name))
            }),
            Err(payload) => panic::resume_unwind(payload),
        }
    }

    /// Starts a thread that lives inside until its closure returns.
    pub(crate) fn thread(
        &self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<()>>> {
        let inside = self.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                inside.enter().with_context(|| format!("cannot enter {}", inside.name))?;
                work();
                Ok(())
            })
            .context("cannot start a thread")
    }

    /// Runs commands of `ip` inside, one a line, without the word `ip`.
    ///
    /// # Errors
    /// What `ip` says of the first one that it cannot do.
    pub fn ip(&self, commands: &str) -> Result<()> {
        self.batch(&[], commands)
    }

    /// The same with `ip -6`, for commands that cannot tell the version from their arguments.
    ///
    /// # Errors
    /// As those of [`Namespace::ip`].
    pub fn ip6(&self, commands: &str) -> Result<()> {
        self.batch(&["-6"], commands)
    }

    fn batch(&self, options: &[&str], commands: &str) -> Result<()> {
        let mut child = Command::new("ip")
            .args(options)
            .args(["-n", &self.name, "-batch", "-"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start `ip`: install the package iproute2")?;
        let written =
            child.stdin.take().context("no standard input")?.write_all(commands.as_bytes());
        let output = child.wait_with_output().context("`ip` got lost")?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            bail!("`ip -n {} -batch -`: {}\n{commands}", self.name, reason.trim());
        }
        written.context("`ip` did not read its commands")
    }

    /// Sets kernel parameters inside: paths below `/proc/sys/net` and values.
    ///
    /// # Errors
    /// Where there is no such parameter, or the kernel refuses the value.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            for (name, value) in settings {
                let path = Path::new("/proc/sys/net").join(name);
                fs::write(&path, value)
                    .with_context(|| format!("cannot set {} to {value}", path.display()))?;
            }
            Ok(())
        })?
    }

    /// Makes a command start inside, and die with the thread that starts it. Of a process that changes its user, as FRR's
    /// daemons do, the kernel forgets the latter: where this process is killed, it runs until the next lab is built.
    pub(crate) fn confine(&self, command: &mut Command) {
        let inside = self.clone();
        let parent = std::process::id();
        let confine = move || {
            inside.enter()?;
            // SAFETY: the call takes two numbers, and changes only the calling process.
            if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before the line above.
            if std::os::unix::process::parent_id() != parent {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
        unsafe { command.pre_exec(confine) };
        command.process_group(0);
    }

    /// Moves the calling thread, and what it starts, inside.
    fn enter(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open as long as `self`; the call changes only this thread.
        if unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// The file that stands for a name.
fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Ends every process in the namespaces but this one, then takes the names away. What is gone
/// already is no error.
pub(crate) fn remove(names: &[String]) {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let inside: Vec<_> = names.iter().filter_map(|name| identity(&path(name))).collect();
    for pid in processes().filter(|pid| *pid != std::process::id().cast_signed()) {
        let its = identity(Path::new(&format!("/proc/{pid}/ns/net")));
        if its.is_some_and(|its| inside.contains(&its)) {
            // SAFETY: the call takes two numbers. The process lives in a namespace of a lab, so a lab
            // has started it.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    for name in names {
        let path = path(name);
        let Ok(c_path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { continue };
        // SAFETY: the string ends with a zero and lives through the call.
        unsafe { libc::umount2(c_path.as_ptr(), libc::MNT_DETACH) };
        fs::remove_file(&path).ok();
    }
}

/// The numbers of all processes.
fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
