//! From an HTTP request to a bare socket on a core.
//!
//! axum answers the upgrade; then the socket is taken back from hyper, loses its runtime, and goes to a core, which
//! registers it on its own. Nothing of the request stays behind.

mod socketio;

use crate::{
    config::GatewayConfig,
    hub::inbox::{Credentials, Mail, NewSocket},
    node::Node,
    transport::Transport,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rookery_shared::{
    protocol::{Code, Problem},
    telemetry::Metrics,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The node that answers an upgrade.
const NODE_HEADER: HeaderName = HeaderName::from_static("rookery-node");

/// How long a probe may take to come back.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// What the sockets' routes share.
#[derive(Clone)]
struct Sockets {
    node: Arc<Node>,
    next_core: Arc<AtomicUsize>,
}

impl Sockets {
    /// The core that gets the next connection.
    fn next_core(&self) -> usize {
        self.next_core.fetch_add(1, Ordering::Relaxed) % self.node.interest.inboxes().len()
    }
}

/// `/ws` and `/socket.io/`.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/ws", get(websocket))
        .route("/socket.io/", any(socketio::request))
        .route("/socket.io", any(socketio::request))
        .with_state(Sockets { node, next_core: Arc::default() })
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn operations(node: Arc<Node>, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || async move { metrics.render() }))
        .with_state(node)
}

/// Ready means: not draining, and an event that goes out over the bus comes back.
async fn ready(State(node): State<Arc<Node>>) -> Response {
    if node.draining.load(Ordering::SeqCst) {
        return problem(&Problem::new(Code::Unavailable, "this node stops"));
    }
    if node.interest.probe(&*node.bus, PROBE_PATIENCE).await {
        "ready\n".into_response()
    } else {
        problem(&Problem::new(Code::Unavailable, "an event that this node publishes does not come back"))
    }
}

async fn websocket(State(sockets): State<Sockets>, request: Request) -> Response {
    let credentials = credentials(&sockets.node, request.headers(), request.uri()).await;
    accept_upgrade(&sockets, request, sockets.next_core(), move |stream, early| {
        Mail::Socket(NewSocket { stream, transport: Transport::WebSocket, early, credentials })
    })
}

/// What a request says about who connects.
async fn credentials(node: &Node, headers: &HeaderMap, uri: &Uri) -> Credentials {
    let token = match bearer(headers, uri) {
        Some(token) => Some(node.claims_of(token).await),
        None => None,
    };
    Credentials { token, resumes: in_query(uri, &["resume"]).is_some_and(|value| value == "1") }
}

/// Answers an upgrade, and has the socket, with what came behind the handshake, mailed to a core.
fn accept_upgrade(
    sockets: &Sockets,
    mut request: Request,
    core: usize,
    mail: impl FnOnce(std::net::TcpStream, Vec<u8>) -> Mail + Send + 'static,
) -> Response {
    let node = sockets.node.clone();
    let accept = match check(&node.config, request.headers(), node.draining.load(Ordering::SeqCst)) {
        Ok(accept) => accept,
        Err(refusal) => return problem(&refusal),
    };
    let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return problem(&Problem::new(Code::BadRequest, "this connection cannot be upgraded"));
    };
    let node_name = node.config.node_name.clone();
    tokio::spawn(async move {
        match on_upgrade.await {
            Ok(upgraded) => hand_over(&node, core, upgraded, mail),
            Err(error) => tracing::debug!(%error, "an upgrade came to nothing"),
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header(NODE_HEADER, node_name)
        .body(Body::empty());
    response.unwrap_or_else(|_| problem(&Code::Internal.into()))
}

/// Gives the socket to a core.
fn hand_over(node: &Node, core: usize, upgraded: Upgraded, mail: impl FnOnce(std::net::TcpStream, Vec<u8>) -> Mail) {
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection was not a bare socket");
        return;
    };
    match parts.io.into_inner().into_std() {
        Ok(stream) => node.interest.inboxes()[core].mail(mail(stream, parts.read_buf.to_vec())),
        Err(error) => tracing::warn!(%error, "a socket could not be taken over"),
    }
}

/// Whether this request may become a WebSocket; gives the key that says so (RFC 6455 section 4.2).
fn check(config: &GatewayConfig, headers: &HeaderMap, draining: bool) -> Result<HeaderValue, Problem> {
    let has = |name: HeaderName, word: &str| {
        let values = headers.get_all(name);
        let words = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        words.into_iter().any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(Problem::new(Code::BadRequest, "this address speaks WebSocket"));
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(Problem::new(Code::BadRequest, "only version 13 of WebSocket is understood"));
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return Err(Problem::new(Code::BadRequest, "Sec-WebSocket-Key is missing"));
    };
    if !origin_is_allowed(config, headers) {
        return Err(Problem::new(Code::Forbidden, "pages of this origin may not connect"));
    }
    if draining {
        return Err(Problem::new(Code::Unavailable, "this node stops; connect again"));
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| Code::BadRequest.into())
}

/// Programs send no origin. Pages may connect from the gateway's own origin, and from those that are configured.
fn origin_is_allowed(config: &GatewayConfig, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, host)| host);
    (own.is_some() && own == host) || config.allowed_origins.iter().any(|allowed| allowed == origin || allowed == "*")
}

/// The token in the header or, as browsers cannot set one, in the URL.
fn bearer(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((scheme, token)) = header.and_then(|value| value.split_once(' '))
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return Some(token.trim().to_owned());
    }
    in_query(uri, &["token", "jwt"]).map(str::to_owned)
}

/// The first parameter of the URL with one of these names. Values are taken as they stand: tokens consist of
/// characters that URLs leave alone.
fn in_query<'a>(uri: &'a Uri, names: &[&str]) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, value)| names.contains(name) && !value.is_empty()).map(|(_, value)| value)
}

/// A problem document (RFC 9457).
fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let document = serde_json::json!({
        "type": "about:blank",
        "title": problem.code.title(),
        "status": status.as_u16(),
        "code": problem.code,
        "detail": problem.message,
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, headers, Bytes::from(document.to_string())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_the_header_before_the_url() {
        let uri: Uri = "/ws?x=1&jwt=b".parse().expect("a URI");
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers, &uri).as_deref(), Some("b"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer a"));
        assert_eq!(bearer(&headers, &uri).as_deref(), Some("a"));
        assert_eq!(bearer(&HeaderMap::new(), &"/ws?token=".parse().expect("a URI")), None);
    }
}
