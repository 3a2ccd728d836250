//! `/internal/v1`: what gateways ask, over HTTP. The same code answers the gateway in the same process.

use crate::{app::Api, http::guard::observe};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode, header};
use rookery_shared::{
    backend::{Backend, EntriesAfter, RoomAccess, Send, SignIn},
    envelope,
    ids::{StreamId, UserId},
    protocol::{Code, Problem},
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

pub(super) fn router(api: &Api) -> Router<Api> {
    Router::new()
        .route("/sign-in", post(async |State(api): State<Api>, body| answer(body, |it: SignIn| api.sign_in(it)).await))
        .route("/send", post(async |State(api): State<Api>, body| answer(body, |it: Vec<Send>| api.send(it)).await))
        .route(
            "/heads",
            post(async |State(api): State<Api>, body| answer(body, |it: Vec<StreamId>| api.heads(it)).await),
        )
        .route("/entries", post(entries))
        .route(
            "/room-access",
            post(async |State(api): State<Api>, body| answer(body, |it: RoomAccess| api.room_access(it)).await),
        )
        .route(
            "/room-users",
            post(async |State(api): State<Api>, body| answer(body, |it: RoomAccess| api.room_users(it)).await),
        )
        .route(
            "/conversation-of",
            post(async |State(api): State<Api>, body| {
                answer(body, |(one, other): (UserId, UserId)| api.conversation_of(one, other)).await
            }),
        )
        .route(
            "/presence-rooms",
            post(async |State(api): State<Api>, body| answer(body, |it: Vec<UserId>| api.presence_rooms(it)).await),
        )
        .layer(middleware::from_fn_with_state(api.clone(), secret))
        .layer(middleware::from_fn(observe))
}

/// Lets through who shows the secret. Hashes are compared, so that the time it takes tells nothing about the secret.
async fn secret(State(api): State<Api>, request: Request, next: Next) -> Response {
    let shown = bearer(request.headers()).map(Sha256::digest);
    let expected = api.internal_secret.as_deref().map(Sha256::digest);
    match (shown, expected) {
        (Some(shown), Some(expected)) if shown == expected => next.run(request).await,
        _ => refusal(Code::Unauthorized.into()),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// A refusal as gateways read it: the problem itself, under its status.
fn refusal(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(problem)).into_response()
}

async fn answer<T: DeserializeOwned, A: Serialize>(
    body: Bytes,
    ask: impl AsyncFnOnce(T) -> Result<A, Problem>,
) -> Response {
    let Ok(request) = serde_json::from_slice(&body) else {
        return refusal(Code::BadRequest.into());
    };
    match ask(request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => refusal(problem),
    }
}

/// Entries travel as they do on the bus, one behind the other.
async fn entries(State(api): State<Api>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<EntriesAfter>(&body) else {
        return refusal(Code::BadRequest.into());
    };
    match api.entries(request).await {
        Ok(events) => {
            let binary = [(header::CONTENT_TYPE, "application/octet-stream")];
            (binary, envelope::encode_list(&events)).into_response()
        }
        Err(problem) => refusal(problem),
    }
}
