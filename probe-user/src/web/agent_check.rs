//! HAProxy's agent checks: one connection, one question, one line.
//!
//! HAProxy connects, sends what `agent-send` says, here the name of a region and a line feed, and reads a line:
//!
//! | reach                                | line                                     | HAProxy                       |
//! |--------------------------------------|------------------------------------------|-------------------------------|
//! | reachable                            | `up 100%`                                | sends traffic                 |
//! | impaired                             | `up 50% # impaired: ...`                 | sends half of the usual share |
//! | isolated                             | `down # isolated: ...`                   | sends none                    |
//! | unknown, self-isolated, no such region | `up 100% # ...`                        | sends traffic: fail-open      |
//! | nothing was asked                    | `# ...`                                  | leaves everything as it is    |
//! | the agent is too busy to answer soon | `# ...`                                  | leaves everything as it is    |
//! | no verdicts are made any more        | `up 100% # ...`                          | sends traffic: fail-open      |
//!
//! A region that is not known says *up*, so that one that leaves the config while it is isolated does not stay down for ever.
//! `ready` is never said: it would take a server out of the maintenance or the drain that people have put it into.
//!
//! HAProxy waits no longer than `agent-inter`, or `timeout check` where that is set, and keeps its last answer then. So there is
//! one before that, whether or not the agent has come to say what it knows.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};

use super::{Source, connections};
use crate::{report::Regions, verdict::Reach};

/// So many connections are served at once; more wait for their turn.
const CONNECTIONS: usize = 64;

/// The longest question that is read, in bytes. No name of a region is longer than 63.
const LONGEST: usize = 256;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the question. HAProxy sends it as soon as it is connected.
    pub question: Duration,
    /// For the agent to say what it knows; less than any sensible `agent-inter`.
    pub answer: Duration,
    /// For HAProxy to take the line.
    pub taking: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            question: Duration::from_millis(500),
            answer: Duration::from_millis(150),
            taking: Duration::from_secs(1),
        }
    }
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, source: Arc<dyn Source>, limits: Limits) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // With the set, all connections end.
    let mut all = JoinSet::new();
    while let Some((stream, from, place)) = connections::next(&listener, &places).await {
        while all.try_join_next().is_some() {}
        let source = Arc::clone(&source);
        all.spawn(async move {
            match answer(stream, source, place, limits).await {
                Ok(line) => tracing::debug!(%from, "agent check: {}", line.trim_end()),
                Err(error) => tracing::debug!(%from, "agent check: {error}"),
            }
        });
    }
}

/// Reads the question, and answers it.
async fn answer(
    mut stream: TcpStream,
    source: Arc<dyn Source>,
    place: OwnedSemaphorePermit,
    limits: Limits,
) -> io::Result<String> {
    let mut asked = Vec::with_capacity(LONGEST);
    let read = async {
        while asked.len() < LONGEST && !asked.contains(&b'\n') {
            let room = (LONGEST - asked.len()) as u64;
            if (&mut stream).take(room).read_buf(&mut asked).await? == 0 {
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    // What has come by then is the question, also where the line feed was forgotten.
    if let Ok(Err(error)) = timeout(limits.question, read).await {
        return Err(error);
    }
    let asked = String::from_utf8_lossy(&asked);
    let line = match asked.lines().next().map_or("", str::trim) {
        "" => {
            "# nothing was asked: write agent-send \"REGION\\n\" in HAProxy's config\n".to_owned()
        }
        name => line_in_time(name, source, place, limits.answer).await,
    };
    timeout(limits.taking, stream.write_all(line.as_bytes())).await??;
    stream.shutdown().await?;
    Ok(line)
}

/// The answer to the name of a region, if the agent gives it in time, or else what that says of the agent.
async fn line_in_time(
    name: &str,
    source: Arc<dyn Source>,
    place: OwnedSemaphorePermit,
    limit: Duration,
) -> String {
    let asked = Arc::clone(&source);
    // A judge that hangs, hangs with the lock, and this with it. The place goes along, so that few do.
    let regions = tokio::task::spawn_blocking(move || (asked.regions(), place));
    match timeout(limit, regions).await {
        Ok(Ok((regions, _place))) => line(name, &regions),
        _ if source.judges() => "# the agent is too busy to answer\n".to_owned(),
        _ => "up 100% # the agent is held up, so nothing is known\n".to_owned(),
    }
}

/// The answer to the name of a region.
fn line(name: &str, regions: &Regions) -> String {
    let Some(region) = regions.regions.iter().find(|region| region.name == name) else {
        // It may be anything: nothing of it may become a word for HAProxy, or a second line.
        let name: String = name.chars().take(63).flat_map(char::escape_default).collect();
        return format!("up 100% # {}\n", regions.no_such_region(&name));
    };
    let (reach, why) = (region.reach, region.why());
    match reach {
        Reach::Reachable => "up 100%\n".to_owned(),
        Reach::Impaired => format!("up 50% # {reach}: {why}\n"),
        Reach::Isolated => format!("down # {reach}: {why}\n"),
        Reach::Unknown | Reach::SelfIsolated => format!("up 100% # {reach}: {why}\n"),
    }
}
