//! Messages: sending, history, sync, one by one.

use super::location;
use crate::{
    app::Api,
    http::{ApiResult, Body, Caller, Id, Query},
    services::{
        messages::ReadMessage,
        send::{Outgoing, trace_of},
    },
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use rookery_shared::{
    backend::Target,
    ids::{MessageId, RoomId},
    model::{Message, Page, SyncPage},
    protocol::{Code, command::Draft},
};

pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/rooms/{id}/messages", post(send).get(history))
        .route("/rooms/{id}/sync", get(sync))
        .route("/messages/{id}", get(one))
}

async fn send(
    State(api): State<Api>,
    caller: Caller,
    Id(room): Id<RoomId>,
    headers: HeaderMap,
    Body(draft): Body<Draft>,
) -> ApiResult<Response> {
    let trace = trace_of(headers.get("traceparent").and_then(|value| value.to_str().ok()));
    let outgoing = Outgoing { sender: caller.id(), target: Target::Room(room), draft, trace };
    let sent = api.send_messages(vec![outgoing]).await.pop();
    let stored = sent.unwrap_or_else(|| Err(Code::Internal.into()))?;
    let [(name, path)]: [(HeaderName, String); 1] = location(&format!("/messages/{}", stored.row.id));
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // The bytes that went to everyone else.
    Ok((StatusCode::CREATED, [(name, path)], [json], stored.data.clone()).into_response())
}

async fn history(
    State(api): State<Api>,
    caller: Caller,
    Id(room): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Message>>> {
    Ok(Json(api.history(caller.id(), room, &query).await?))
}

async fn sync(
    State(api): State<Api>,
    caller: Caller,
    Id(room): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<SyncPage>> {
    Ok(Json(api.sync(caller.id(), room, &query).await?))
}

async fn one(State(api): State<Api>, caller: Caller, Id(id): Id<MessageId>) -> ApiResult<Json<ReadMessage>> {
    Ok(Json(api.message(caller.id(), id).await?))
}
