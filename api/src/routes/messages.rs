//! Messages: sending, history, sync, one by one.

use super::location;
use crate::{
    app::Api,
    http::{ApiResult, Body, Caller, Id, Query},
    openapi::params::{SeqPaging, Since},
    services::{
        messages::ReadMessage,
        send::{Outgoing, trace_of},
    },
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use rookery_shared::{
    backend::Target,
    ids::{MessageId, RoomId},
    model::{Message, Page, SyncPage},
    protocol::{Code, command::Draft},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(send, history)).routes(routes!(sync)).routes(routes!(one))
}

/// Sends a message into a room. Repeatable with the same `clientId`.
#[utoipa::path(
    post, path = "/rooms/{id}/messages", tag = "messages", params(("id" = RoomId, Path, description = "The room")), request_body = Draft,
    responses(
        (status = 201, body = Message, description = "The message is stored; for a repeat, the first one"),
        (status = 403, description = "Not a member, blocked, or of a type that only the product sends"),
        (status = 409, description = "The clientId was used for another message"),
    )
)]
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

/// Messages in ascending seq; the newest page without `before` and `after`.
#[utoipa::path(
    get, path = "/rooms/{id}/messages", tag = "messages",
    params(("id" = RoomId, Path, description = "The room"), SeqPaging),
    responses(
        (status = 200, body = Page<Message>, description = "A page of messages"),
        (status = 403, description = "Not a member"),
    )
)]
async fn history(
    State(api): State<Api>,
    caller: Caller,
    Id(room): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Message>>> {
    Ok(Json(api.history(caller.id(), room, &query).await?))
}

/// Every durable change of a room after a place, in order and without gaps.
#[utoipa::path(
    get, path = "/rooms/{id}/sync", tag = "messages",
    params(("id" = RoomId, Path, description = "The room"), Since, SeqPaging),
    responses(
        (status = 200, body = SyncPage, description = "A page of entries"),
        (status = 403, description = "Not a member"),
        (status = 409, description = "The place is past the head of the log"),
    )
)]
async fn sync(
    State(api): State<Api>,
    caller: Caller,
    Id(room): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<SyncPage>> {
    Ok(Json(api.sync(caller.id(), room, &query).await?))
}

/// One message, with who read it when.
#[utoipa::path(
    get, path = "/messages/{id}", tag = "messages", params(("id" = MessageId, Path, description = "The message")),
    responses(
        (status = 200, body = ReadMessage, description = "The message"),
        (status = 403, description = "Not a member of its room"),
    )
)]
async fn one(State(api): State<Api>, caller: Caller, Id(id): Id<MessageId>) -> ApiResult<Json<ReadMessage>> {
    Ok(Json(api.message(caller.id(), id).await?))
}
