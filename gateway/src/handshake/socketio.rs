//! The HTTP side of `/socket.io/`: sessions of clients that poll, and the way from a request to a WebSocket.
//!
//! Requests are answered here, on the node's I/O side; what they are answered with comes from the core that has the
//! session, which the session's id names.

use super::{Sockets, accept_upgrade, credentials, in_query, origin_is_allowed, problem};
use crate::{
    hub::{
        inbox::{Credentials, Mail, NewSocket},
        polling::{Answer, Request as Poll},
    },
    transport::{
        Transport,
        engineio::{Refusal, Sid},
    },
};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rookery_shared::protocol::{Code, Problem};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// Answers a request to `/socket.io/`.
pub(super) async fn request(State(sockets): State<Sockets>, request: Request) -> Response {
    let headers = request.headers();
    if !origin_is_allowed(&sockets.node.config, headers) {
        return refuse(Refusal::Forbidden);
    }
    let origin = headers.get(header::ORIGIN).cloned();
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let preflight = *request.method() == Method::OPTIONS;
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { answer(&sockets, request).await };
    if let Some(origin) = origin {
        let any = sockets.node.config.allowed_origins.iter().any(|allowed| allowed == "*");
        allow(response.headers_mut(), origin, any);
        if preflight {
            let methods = HeaderValue::from_static("GET, POST");
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            if let Some(wanted) = wanted {
                response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
            }
        }
    }
    response
}

/// Lets a page of this origin read the answer. Cookies, which keep a client that polls on one node, only where the
/// origins are named.
fn allow(headers: &mut HeaderMap, origin: HeaderValue, any: bool) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if !any {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

async fn answer(sockets: &Sockets, request: Request) -> Response {
    let uri = request.uri().clone();
    let upgrades = request.headers().contains_key(header::UPGRADE);
    let polls = match in_query(&uri, &["transport"]) {
        Some("polling") => true,
        Some("websocket") => false,
        _ => return refuse(Refusal::UnknownTransport),
    };
    let version = in_query(&uri, &["EIO"]) == Some("4");
    let Some(sid) = in_query(&uri, &["sid"]) else {
        return match (polls, version) {
            _ if *request.method() != Method::GET => refuse(Refusal::BadHandshakeMethod),
            (false, _) if !upgrades => refuse(Refusal::BadRequest),
            (_, false) => refuse(Refusal::UnsupportedVersion),
            (true, true) => open(sockets, credentials(&sockets.node, request.headers(), &uri).await).await,
            (false, true) => websocket(sockets, request).await,
        };
    };
    let sid = Sid::parse(sid).filter(|sid| sid.core() < sockets.node.interest.inboxes().len());
    let Some(sid) = sid else { return refuse(Refusal::UnknownSid) };
    match *request.method() {
        Method::GET if !polls && upgrades => upgrade(sockets, sid, version, request).await,
        _ if !polls || !version => match ask(sockets, sid, Poll::MayUpgrade).await {
            Answer::Unknown => refuse(Refusal::UnknownSid),
            _ => refuse(Refusal::BadRequest),
        },
        Method::GET => respond(ask(sockets, sid, Poll::Get).await),
        Method::POST => post(sockets, sid, request).await,
        _ => refuse(Refusal::BadRequest),
    }
}

/// A session of a client that polls begins.
async fn open(sockets: &Sockets, credentials: Credentials) -> Response {
    if sockets.node.draining.load(Ordering::SeqCst) {
        return problem(&Problem::new(Code::Unavailable, "this node stops; connect again"));
    }
    let sid = Sid::new(sockets.next_core());
    respond(ask(sockets, sid, |reply| Poll::Open(credentials, reply)).await)
}

async fn post(sockets: &Sockets, sid: Sid, request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    if content_type.is_some_and(|sort| sort.as_bytes().starts_with(b"application/octet-stream")) {
        // Binary data comes as base64 here.
        return refuse(Refusal::BadRequest);
    }
    let limit = sockets.node.config.max_frame_bytes;
    match timeout(BODY_PATIENCE, to_bytes(request.into_body(), limit)).await {
        Ok(Ok(body)) => respond(ask(sockets, sid, |reply| Poll::Post(body, reply)).await),
        Ok(Err(_)) => problem(&Problem::new(Code::TooLarge, format!("at most {limit} bytes"))),
        Err(_) => problem(&Code::RequestTimeout.into()),
    }
}

/// A session begins on a WebSocket.
async fn websocket(sockets: &Sockets, request: Request) -> Response {
    let credentials = credentials(&sockets.node, request.headers(), request.uri()).await;
    accept_upgrade(sockets, request, sockets.next_core(), move |stream, early| {
        Mail::Socket(NewSocket { stream, transport: Transport::SocketIo, early, credentials })
    })
}

/// A session of a client that polls goes on over a WebSocket.
async fn upgrade(sockets: &Sockets, sid: Sid, version: bool, request: Request) -> Response {
    match ask(sockets, sid, Poll::MayUpgrade).await {
        Answer::Taken if version => {}
        Answer::Unknown => return refuse(Refusal::UnknownSid),
        _ => return refuse(Refusal::BadRequest),
    }
    accept_upgrade(sockets, request, sid.core(), move |stream, early| Mail::Upgrade(sid, stream, early))
}

/// Asks the core that has, or gets, a session.
async fn ask(sockets: &Sockets, sid: Sid, request: impl FnOnce(oneshot::Sender<Answer>) -> Poll) -> Answer {
    let (reply, answer) = oneshot::channel();
    sockets.node.interest.inboxes()[sid.core()].mail(Mail::Poll(sid, request(reply)));
    answer.await.unwrap_or(Answer::Unknown)
}

fn respond(answer: Answer) -> Response {
    let whole = |sort: &'static str, body: Body| {
        let headers = [(header::CONTENT_TYPE, sort), (header::CACHE_CONTROL, "no-store")];
        (headers, body).into_response()
    };
    match answer {
        Answer::Body(body) => whole("text/plain; charset=UTF-8", body.into()),
        // As `text/html`, which old browsers do not offer to save.
        Answer::Taken => whole("text/html", "ok".into()),
        Answer::Unknown => refuse(Refusal::UnknownSid),
        Answer::Bad => refuse(Refusal::BadRequest),
        Answer::Full => problem(&Problem::new(Code::Unavailable, "too many clients poll; connect again")),
    }
}

fn refuse(refusal: Refusal) -> Response {
    let (status, body) = refusal.response();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
