//! HTTP: metrics, verdicts, and the switches of the agent.
//!
//! | route             | answer                                                          |
//! |-------------------|-----------------------------------------------------------------|
//! | `/`               | a page with links to the others                                 |
//! | `/metrics`        | the Prometheus text format                                      |
//! | `/-/healthy`      | 200 as long as the agent runs                                   |
//! | `/-/ready`        | 200, or 503 and why not: an interface is gone, the judge is held up |
//! | `/-/reload`       | POST: 200 and what changed, or 400 and why the config was refused |
//! | `/api/v1/paths`   | [`report::Paths`] as JSON                                       |
//! | `/api/v1/regions` | [`report::Regions`] as JSON                                     |
//! | `/api/v1/regions/NAME/health` | [`report::RegionHealth`] as JSON: 200 if traffic may be sent there, 503 if not, 404 if no peer is there |
//! | `/api/v1/overlay` | [`report::overlay::Overlay`] as JSON, or 404 where the config has no `[overlay]` |
//! | `/api/v1/events`  | every [`report::Event`] from now on, as server-sent events      |
//!
//! Whether traffic may be sent to a region is fail-open: not to one that is isolated, but to one of which nothing is known,
//! and to all while this node is cut off itself. `?require=usable` wants it reachable or impaired, `?require=reachable`
//! reachable. Where the agent is too busy to say, nothing is known either: the answer is a line of text with that status.
//!
//! - [`agent_check`]: the same for HAProxy, in its own protocol.
//! - `connections`: how many of them there are, and for how long.

pub mod agent_check;
mod connections;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::timeout;

use crate::metrics::{self, Snapshot};
use crate::report;
use crate::verdict::Reach;

/// How long open connections may hold up the end.
const GRACE: Duration = Duration::from_secs(1);

/// So many questions are put to the agent at once; more wait. A judge that hangs, hangs with the lock, and each of these with
/// it, on a thread that nobody else gets.
const QUESTIONS: usize = 64;

/// What clients may take of the server, and the agent of its time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many connections are open at once; more wait for their turn.
    pub connections: usize,
    /// So long one may be without the head of a request.
    pub head: Duration,
    /// How long the agent may take to say whether traffic may be sent to a region.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 256, head: Duration::from_secs(10), answer: Duration::from_millis(500) }
    }
}

/// What the server asks the agent. All functions but `judges` may block; the server calls them where that
/// does no harm.
pub trait Source: Send + Sync + 'static {
    /// What one scrape needs.
    fn snapshot(&self) -> Snapshot;

    /// The verdicts.
    fn paths(&self) -> report::Paths;

    /// The links to regions.
    fn regions(&self) -> report::Regions;

    /// The routes, if the agent routes anything.
    fn overlay(&self) -> Option<report::overlay::Overlay> {
        None
    }

    /// The changes of verdicts from now on.
    fn events(&self) -> broadcast::Receiver<report::Event>;

    /// Whether verdicts are made. Does not block.
    fn judges(&self) -> bool;

    /// Whether the agent does its work.
    ///
    /// # Errors
    /// Why it does not, for people.
    fn ready(&self) -> Result<(), String>;

    /// Reads the config again, and returns what has changed.
    ///
    /// # Errors
    /// Why it was refused, for people. The old config stays.
    fn reload(&self) -> Result<String, String>;
}

/// Whom the server asks, and how long it waits.
#[derive(Clone)]
struct Asked {
    source: Arc<dyn Source>,
    places: Arc<Semaphore>,
    answer: Duration,
}

type Agent = State<Asked>;

/// The routes.
fn router(source: Arc<dyn Source>, limits: Limits) -> Router {
    let places = Arc::new(Semaphore::new(QUESTIONS));
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(scrape))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload))
        .route("/api/v1/paths", get(paths))
        .route("/api/v1/regions", get(regions))
        .route("/api/v1/regions/{name}/health", get(region_health))
        .route("/api/v1/overlay", get(overlay))
        .route("/api/v1/events", get(events))
        .with_state(Asked { source, places, answer: limits.answer })
}

/// Serves until `shutdown` ends. Requests under way may finish then, but connections that stay open
/// hold up the end for a second at most.
pub async fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    connections::serve(listener, router(source, limits), limits, shutdown).await;
}

async fn index() -> Html<&'static str> {
    Html(include_str!("web/index.html"))
}

async fn scrape(agent: Agent) -> Response {
    let encoded = ask(agent, |source| metrics::encode(&source.snapshot())).await;
    match encoded {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(error)) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(failed) => failed,
    }
}

async fn healthy() -> Response {
    plain(StatusCode::OK, "ok")
}

/// Waits for no other question: this is how those are seen that take for ever.
async fn ready(State(Asked { source, .. }): Agent) -> Response {
    match answered(move || source.ready()).await {
        Ok(Ok(())) => plain(StatusCode::OK, "ready"),
        Ok(Err(why)) => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {why}")),
        Err(failed) => failed,
    }
}

async fn reload(agent: Agent) -> Response {
    match ask(agent, Source::reload).await {
        Ok(Ok(what)) => plain(StatusCode::OK, &what),
        Ok(Err(why)) => plain(StatusCode::BAD_REQUEST, &why),
        Err(failed) => failed,
    }
}

async fn paths(agent: Agent) -> Response {
    match ask(agent, Source::paths).await {
        Ok(paths) => ([NO_STORE], Json(paths)).into_response(),
        Err(failed) => failed,
    }
}

async fn regions(agent: Agent) -> Response {
    match ask(agent, Source::regions).await {
        Ok(regions) => ([NO_STORE], Json(regions)).into_response(),
        Err(failed) => failed,
    }
}

async fn region_health(
    agent: Agent,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let require = match require(query.as_deref().unwrap_or_default()) {
        Ok(require) => require,
        Err(why) => return plain(StatusCode::BAD_REQUEST, &why),
    };
    let limit = agent.answer;
    let asked = ask(agent, move |source| source.regions().health(&name, require));
    let Ok(answer) = timeout(limit, asked).await else { return nobody_knows(require) };
    match answer {
        Ok(Ok(health)) => {
            let status = if health.send { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, [NO_STORE], Json(health)).into_response()
        }
        Ok(Err(why)) => plain(StatusCode::NOT_FOUND, &why),
        Err(failed) => failed,
    }
}

/// What is said of a region where the agent does not.
fn nobody_knows(require: report::Require) -> Response {
    let line = "the agent is held up, so nothing is known";
    match require.allows(Reach::Unknown) {
        true => plain(StatusCode::OK, line),
        false => plain(StatusCode::SERVICE_UNAVAILABLE, line),
    }
}

async fn overlay(agent: Agent) -> Response {
    match ask(agent, Source::overlay).await {
        Ok(Some(overlay)) => ([NO_STORE], Json(overlay)).into_response(),
        Ok(None) => {
            plain(StatusCode::NOT_FOUND, "this agent routes nothing: its config has no [overlay]")
        }
        Err(failed) => failed,
    }
}

/// What a query requires of a region. What it does not know would be ignored at the wrong moment, so it is refused at once.
fn require(query: &str) -> Result<report::Require, String> {
    let words = report::Require::WORDS;
    let word = |word: &str| words.into_iter().find(|(known, _)| *known == word);
    if query.is_empty() {
        return Ok(report::Require::default());
    }
    let known = query.strip_prefix("require=").and_then(word);
    known.map(|(_, require)| require).ok_or_else(|| {
        let known = words.map(|(word, _)| format!("?require={word}")).join(" or ");
        format!("?{query} is not known here; write {known}, or nothing")
    })
}

/// The name of an event is `verdict`, its id `EPOCH-SEQUENCE`, its data a [`report::Event`]. A listener that is too slow
/// gets an event `missed` with how many it has missed, and had better ask for all paths.
async fn events(agent: Agent) -> Response {
    let receiver = match ask(agent, Source::events).await {
        Ok(receiver) => receiver,
        Err(failed) => return failed,
    };
    let next = |mut receiver: broadcast::Receiver<report::Event>| async {
        let event = match receiver.recv().await {
            Ok(event) => {
                let report::Revision { epoch, sequence } = event.revision;
                Event::default()
                    .event("verdict")
                    .id(format!("{epoch}-{sequence}"))
                    .json_data(&event)
            }
            Err(RecvError::Lagged(missed)) => {
                Ok(Event::default().event("missed").data(missed.to_string()))
            }
            Err(RecvError::Closed) => return None,
        };
        Some((event, receiver))
    };
    let stream = futures_util::stream::unfold(receiver, next);
    ([NO_STORE], Sse::new(stream).keep_alive(KeepAlive::default())).into_response()
}

/// All answers are about now.
const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// Puts a question to the agent on a thread that may block, so that a long answer to one client, or a
/// wait for a lock, holds up no other. Fails with a response where the agent panics.
async fn ask<T: Send + 'static>(
    State(Asked { source, places, .. }): Agent,
    question: impl FnOnce(&dyn Source) -> T + Send + 'static,
) -> Result<T, Response> {
    // The semaphore is never closed. The place goes along: who asks may be gone long before there is an answer.
    let place = places.acquire_owned().await;
    answered(move || {
        let _place = place;
        question(source.as_ref())
    })
    .await
}

async fn answered<T: Send + 'static>(
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    tokio::task::spawn_blocking(question).await.map_err(|error| {
        tracing::error!("a request was not answered: {error}");
        plain(StatusCode::INTERNAL_SERVER_ERROR, "the agent has failed to answer; see its log")
    })
}

fn plain(status: StatusCode, line: &str) -> Response {
    (status, [NO_STORE], format!("{line}\n")).into_response()
}
