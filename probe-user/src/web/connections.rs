//! Connections: so many at once, and none that asks nothing for long.

use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{GRACE, Limits};

/// How long is waited after an error that the next connection would meet too, such as having no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// The next connection, with its place. As long as there is none for it, it waits with the kernel.
pub(super) async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    loop {
        // The semaphore is never closed.
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, from)) => return Some((stream, from, place)),
            Err(error) => {
                tracing::debug!("no connection is accepted: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Serves until `shutdown` ends, and what is under way then for [`GRACE`] at most.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            next = next(&listener, &places) => match next {
                Some((stream, _, place)) => (stream, place),
                None => break,
            },
        };
        while connections.try_join_next().is_some() {}
        let (router, stopped) = (router.clone(), stopped.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, router, limits.head, stopped).await {
                tracing::debug!("a connection has ended: {error}");
            }
            drop(place);
        });
    }
    drop((listener, stop));
    let end = async { while connections.join_next().await.is_some() {} };
    // What is left ends with the set.
    timeout(GRACE, end).await.ok();
}

/// Answers what is asked on a connection, until it is closed, nothing more is asked for as long as `head`, or `stopped`.
async fn connection(
    stream: TcpStream,
    router: Router,
    head: Duration,
    mut stopped: watch::Receiver<()>,
) -> hyper::Result<()> {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        // Fails, which is how it is told.
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
