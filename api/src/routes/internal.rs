//! `/internal/v1`: what gateways ask, over HTTP. The same code answers the gateway in the same process.

use crate::{app::Api, http::guard::observe};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, post},
};
use http::{HeaderMap, StatusCode, header};
use rookery_shared::{
    backend::{Backend, CursorsOf, Deletion, Edit, EntriesAfter, Mark, RoomAccess, Send, SignIn, UpdateStatus},
    envelope,
    ids::{StreamId, UserId},
    protocol::{Code, Problem},
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use std::marker;

pub(super) fn router(api: &Api) -> Router<Api> {
    Router::new()
        .route("/exchange", ask(|api: Api, it: String| async move { api.exchange(it).await }))
        .route("/sign-in", ask(|api: Api, it: SignIn| async move { api.sign_in(it).await }))
        .route("/send", ask(|api: Api, it: Vec<Send>| async move { api.send(it).await }))
        .route("/edit-message", ask(|api: Api, it: Edit| async move { api.edit_message(it).await }))
        .route("/delete-message", ask(|api: Api, it: Deletion| async move { api.delete_message(it).await }))
        .route("/mark-read", ask(|api: Api, it: Mark| async move { api.mark_read(it).await }))
        .route("/read-cursors", ask(|api: Api, it: CursorsOf| async move { api.read_cursors(it).await }))
        .route("/heads", ask(|api: Api, it: Vec<StreamId>| async move { api.heads(it).await }))
        .route("/entries", post(entries))
        .route("/room-access", ask(|api: Api, it: RoomAccess| async move { api.room_access(it).await }))
        .route("/room-users", ask(|api: Api, it: RoomAccess| async move { api.room_users(it).await }))
        .route(
            "/conversation-of",
            ask(|api: Api, (one, other): (UserId, UserId)| async move { api.conversation_of(one, other).await }),
        )
        .route("/update-status", ask(|api: Api, it: UpdateStatus| async move { api.update_status(it).await }))
        .route("/presence-rooms", ask(|api: Api, it: Vec<UserId>| async move { api.presence_rooms(it).await }))
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
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(problem)).into_response()
}

/// A route that reads a request, asks, and writes the answer.
fn ask<T, A, F, W>(ask: F) -> MethodRouter<Api>
where
    T: DeserializeOwned + marker::Send + 'static,
    A: Serialize,
    F: FnOnce(Api, T) -> W + Clone + marker::Send + Sync + 'static,
    W: Future<Output = Result<A, Problem>> + marker::Send + 'static,
{
    post(move |State(api): State<Api>, body: Bytes| async move {
        let Ok(request) = serde_json::from_slice(&body) else {
            return refusal(Code::BadRequest.into());
        };
        match ask(api, request).await {
            Ok(answer) => Json(answer).into_response(),
            Err(problem) => refusal(problem),
        }
    })
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
