//! A command that is told of a change: the document on its standard input, the gist in its environment.

use std::{
    io,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStderr, ChildStdin, Command},
    time::timeout,
};

use super::{Failure, change::Change};

/// So much of the end of standard error is kept, in bytes.
const KEPT: usize = 1_024;

/// How long standard error is read after the command has ended: what it has started may keep it open for ever.
const REST: Duration = Duration::from_millis(200);

/// Runs a command, and kills it with all of its process group if it takes longer than `limit`, or if nobody waits for this
/// any more.
///
/// # Errors
/// Where it cannot be started, fails, or takes too long.
pub(super) async fn run(
    command: &[String],
    change: &Change,
    document: String,
    limit: Duration,
) -> Result<(), Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut prepared = Command::new(program);
    prepared
        .args(arguments)
        .envs(change.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        // For one that is started when nobody waits for it any more.
        .kill_on_drop(true);
    // To start a program may take as long as the disk that it is on.
    let started = tokio::task::spawn_blocking(move || prepared.spawn()).await;
    let child = started.map_err(io::Error::from).and_then(|started| started);
    let mut child =
        child.map_err(|error| Failure::Failed(format!("{program} cannot be started: {error}")))?;
    let mut group = Group(child.id());
    let tail = Tail::default();
    let reader = child.stderr.take().map(|errors| tokio::spawn(tail.clone().read(errors)));
    if let Some(input) = child.stdin.take() {
        tokio::spawn(write(input, document));
    }
    let ended = timeout(limit, child.wait()).await;
    match ended {
        // The number of the group may be another's by now.
        Ok(_) => group.0 = None,
        Err(_) => {
            group.kill();
            timeout(REST, child.wait()).await.ok();
        }
    }
    if let Some(mut reader) = reader {
        timeout(REST, &mut reader).await.ok();
        reader.abort();
    }
    let said = tail.said();
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Failure::Failed(format!("{program}: {status}{said}"))),
        Ok(Err(error)) => Err(Failure::Failed(format!("{program} cannot be waited for: {error}"))),
        Err(_) => {
            let limit = humantime::format_duration(limit);
            Err(Failure::TimedOut(format!("{program} was killed after {limit}{said}")))
        }
    }
}

/// That a command does not read its input is its own affair.
async fn write(mut input: ChildStdin, document: String) {
    input.write_all(document.as_bytes()).await.ok();
}

/// A process group, by the number of its leader as long as that one has not been waited for: until then no other group can
/// have it.
struct Group(Option<u32>);

impl Group {
    fn kill(&mut self) {
        let Some(leader) = self.0.take().and_then(|leader| i32::try_from(leader).ok()) else {
            return;
        };
        // SAFETY: the call takes two numbers. The group is that of a command of ours, which is still there.
        unsafe { libc::kill(-leader, libc::SIGKILL) };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of what a command has written to standard error.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    async fn read(self, mut errors: ChildStderr) {
        let mut buffer = [0; KEPT];
        while let Ok(read @ 1..) = errors.read(&mut buffer).await {
            let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend_from_slice(&buffer[..read]);
            let too_much = tail.len().saturating_sub(KEPT);
            tail.drain(..too_much);
        }
    }

    /// `; it says: ...`, on one line, or nothing.
    fn said(&self) -> String {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&tail);
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() { String::new() } else { format!("; it says: {}", lines.join(" / ")) }
    }
}
