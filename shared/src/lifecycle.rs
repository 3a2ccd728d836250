//! Serving and stopping: the accept loop, and the signals that end it.

use axum::{Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{future::Future, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// How long a client may take for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many header lines a request may have.
const MAX_HEADERS: usize = 64;

/// How many bytes a request's head may have. Tokens in headers and URLs need some room.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// How many HTTP connections one process serves at once; upgraded sockets do not count. Accepting waits beyond it.
const MAX_HTTP_CONNECTIONS: usize = 8_192;

/// Serves `app` on a bound listener until `shutdown` completes, then answers what is under way, `deadline` at most.
///
/// A handler finds the peer in [`ConnectInfo`]. A handler that upgrades gets the bare [`TcpStream`] back through
/// [`hyper::upgrade::Upgraded::downcast`] with [`TokioIo`] around it.
pub async fn serve(listener: TcpListener, app: Router, shutdown: impl Future<Output = ()>, deadline: Duration) {
    let stopping = CancellationToken::new();
    let connections = TaskTracker::new();
    let slots = std::sync::Arc::new(Semaphore::new(MAX_HTTP_CONNECTIONS));
    tokio::pin!(shutdown);
    loop {
        let slot = tokio::select! {
            () = &mut shutdown => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve_connection(stream, peer, app.clone(), stopping.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, or the peer is gone already: neither ends the loop. The pause keeps a
                // shortage from becoming a busy loop.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    if tokio::time::timeout(deadline, connections.wait()).await.is_err() {
        tracing::warn!("requests were still under way at the deadline");
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, app: Router, stopping: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let app = app.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(axum::body::Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
}

/// Completes at the first SIGTERM or SIGINT. A second one ends the process at once, with status 130.
pub async fn stop_signal() {
    wait_for_signal().await;
    tracing::info!("stopping; a second signal stops at once");
    tokio::spawn(async {
        wait_for_signal().await;
        tracing::warn!("stopping at once");
        std::process::exit(130);
    });
}

async fn wait_for_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be listened to; stop this process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
