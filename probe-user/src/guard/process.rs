//! The command: a child in a process group of its own, which ends before or with us.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    time::Duration,
};

use tokio::process::{Child, Command};

use super::targets::Target;
use crate::{
    datapath::clock,
    verdict::{Nanos, SECOND},
};

/// How long a group that was killed may take to be gone: its processes may be in the midst of a system call.
const LAST_WAIT: Nanos = 2 * SECOND;

/// How often it is asked whether a group is empty whose first process has ended: nobody tells.
const GLANCE: Duration = Duration::from_millis(20);

/// A command that was started.
pub(super) struct Process {
    child: Child,
    group: libc::pid_t,
    started_at: Nanos,
    grace: Duration,
    /// What became of the first process of the group, once that has ended.
    status: Option<ExitStatus>,
    /// When the group is killed, once it has been told to end.
    kill_at: Option<Nanos>,
    /// When it was.
    killed_at: Option<Nanos>,
}

impl Process {
    /// Starts a command against a target. `grace` is how long its group may take to end.
    ///
    /// It must be called by the main thread: the kernel kills the command as soon as the thread has gone that started it.
    ///
    /// # Errors
    /// Where it is not found, or cannot be executed.
    pub(super) fn start(line: &[OsString], target: &Target, grace: Duration) -> io::Result<Self> {
        let line: Vec<OsString> = line.iter().map(|argument| filled(argument, target)).collect();
        let Some((program, arguments)) = line.split_first() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no command"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("LINKPROBE_TARGET", &target.address)
            .env("LINKPROBE_TARGET_NAME", &target.name)
            .env("LINKPROBE_TARGET_REGION", &target.region)
            .process_group(0);
        let parent = std::process::id().cast_signed();
        // SAFETY: what runs between fork and exec makes two system calls, and allocates nothing.
        unsafe { command.pre_exec(move || die_with(parent)) };
        let child = command.spawn()?;
        let group = child.id().map_or(0, u32::cast_signed);
        let started_at = clock::monotonic();
        Ok(Self { child, group, started_at, grace, status: None, kill_at: None, killed_at: None })
    }

    /// Since when it runs.
    pub(super) const fn started_at(&self) -> Nanos {
        self.started_at
    }

    /// Its process id.
    pub(super) const fn id(&self) -> libc::pid_t {
        self.group
    }

    /// Sends a signal to the group.
    pub(super) fn signal(&self, signal: i32) {
        let group = self.group;
        // 0 would be our own group.
        if group <= 0 {
            return;
        }
        // SAFETY: `kill` takes no pointers.
        let sent = unsafe { libc::kill(-group, signal) };
        let error = io::Error::last_os_error();
        // That nobody is left is what signals are for.
        if sent != 0 && error.raw_os_error() != Some(libc::ESRCH) {
            let hint = "does the command run as another user? then the guard must run as that one, or as root";
            tracing::error!(group, signal, "the command cannot be signalled: {error}; {hint}");
        }
    }

    /// Whether the first process of the group has ended. What that has left behind may still be there.
    pub(super) fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            // An error is told to whoever waits for the end.
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_some()
    }

    /// Tells the group to end. What is left of it when its grace is over is killed.
    pub(super) fn stop(&mut self, signal: i32) {
        self.signal(signal);
        let grace = self.grace.as_nanos() as u64;
        self.kill_at.get_or_insert_with(|| clock::monotonic().saturating_add(grace));
    }

    /// Waits until nothing of the group is left: what the command leaves behind when it ends is told to end too. Of what
    /// even SIGKILL has not ended two seconds later, nothing more is hoped. May be given up and called again at any time.
    ///
    /// # Errors
    /// Where the system does not tell what became of the command. The group is killed then.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            let now = clock::monotonic();
            if let Some(status) = self.status {
                let is_over = |killed_at| now.saturating_sub(killed_at) >= LAST_WAIT;
                if self.is_empty() || self.killed_at.is_some_and(is_over) {
                    return Ok(status);
                }
                if self.kill_at.is_none() {
                    self.stop(libc::SIGTERM);
                }
            }
            let kill_at = self.kill_at.filter(|_| self.killed_at.is_none());
            let kill_in = kill_at.map(|at| at.saturating_sub(now));
            tokio::select! {
                status = self.child.wait(), if self.status.is_none() => {
                    let status = status.inspect_err(|_| self.signal(libc::SIGKILL));
                    self.status = Some(status?);
                }
                () = sleep(kill_in), if kill_in.is_some() => {
                    self.signal(libc::SIGKILL);
                    self.killed_at = Some(clock::monotonic());
                }
                () = tokio::time::sleep(GLANCE), if self.status.is_some() => {}
            }
        }
    }

    /// Whether nobody is left in the group. The number of a group is not given to another as long as somebody is.
    fn is_empty(&self) -> bool {
        // SAFETY: `kill` takes no pointers, and signal 0 does nothing but ask.
        let asked = unsafe { libc::kill(-self.group, 0) };
        asked != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
    }
}

async fn sleep(nanos: Option<Nanos>) {
    tokio::time::sleep(Duration::from_nanos(nanos.unwrap_or_default())).await;
}

/// Has the kernel kill this process as soon as its parent is gone, however that ends.
fn die_with(parent: libc::pid_t) -> io::Result<()> {
    // SAFETY: neither call takes a pointer.
    let (set, parent_now) = unsafe {
        let set = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
        (set, libc::getppid())
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    // It may have gone before that was asked for.
    if parent_now == parent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}

/// The exit code of a command as a shell has it.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// An argument with what its placeholders stand for. What is put in is not looked at again.
fn filled(argument: &OsStr, target: &Target) -> OsString {
    let Some(mut rest) = argument.to_str() else { return argument.to_owned() };
    let values =
        [("{target}", &target.address), ("{name}", &target.name), ("{region}", &target.region)];
    let mut text = String::with_capacity(rest.len());
    while let Some(place) = rest.find('{') {
        text += &rest[..place];
        rest = &rest[place..];
        let found = values.iter().find(|(placeholder, _)| rest.starts_with(placeholder));
        let (length, value) = found.map_or((1, "{"), |(name, value)| (name.len(), value.as_str()));
        text += value;
        rest = &rest[length..];
    }
    (text + rest).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let target = Target {
            name: "n".to_owned(),
            address: "{name}:1".to_owned(),
            region: "r".to_owned(),
            agent: None,
        };
        for (argument, expected) in [
            ("{target}", "{name}:1"),
            ("--at={target},{target}/{region}", "--at={name}:1,{name}:1/r"),
            ("{{name}}", "{n}"),
            ("{", "{"),
            ("{nam", "{nam"),
            ("{other} é{name}", "{other} én"),
            ("", ""),
        ] {
            assert_eq!(filled(OsStr::new(argument), &target), expected);
        }
        let no_text = OsString::from_vec(b"\xff{name}".to_vec());
        assert_eq!(filled(&no_text, &target), no_text);
    }

    #[test]
    fn codes_are_those_of_a_shell() {
        for (raw, expected) in [(0, 0), (3 << 8, 3), (libc::SIGTERM, 143), (libc::SIGKILL, 137)] {
            assert_eq!(code(ExitStatus::from_raw(raw)), expected);
        }
    }
}
