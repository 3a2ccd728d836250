//! Messages: sending, history, sync, one by one; editing and deleting.

use super::location;
use crate::{
    actor::Actor,
    app::Api,
    http::{Acting, ApiResult, Body, Id, Query},
    openapi::{
        params::{SeqPaging, Since},
        words,
    },
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
    ids::{MessageId, RoomId, UserId},
    model::{Attachment, Message, MessageType, Page, SyncPage},
    protocol::{Code, command::Draft},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// A message to a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DirectMessage {
    /// Whom it goes to.
    to: UserId,
    #[schema(value_type = words::Content)]
    content: String,
    /// The sort; text if absent.
    #[serde(rename = "type", default)]
    message_type: MessageType,
    #[schema(value_type = Option<words::ClientId>)]
    client_id: Option<String>,
    /// The message that it answers.
    reply_to: Option<MessageId>,
    /// A file that goes with it.
    attachment: Option<Attachment>,
}

/// Other words of a message.
#[derive(Debug, Deserialize, ToSchema)]
struct EditMessage {
    #[schema(value_type = words::Content)]
    content: String,
}

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(send, history))
        .routes(routes!(sync))
        .routes(routes!(send_to))
        .routes(routes!(one, edit, delete))
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
    Acting(sender): Acting,
    Id(room): Id<RoomId>,
    headers: HeaderMap,
    Body(draft): Body<Draft>,
) -> ApiResult<Response> {
    store(&api, sender, Target::Room(room), draft, &headers).await
}

/// Sends a message to a user, into the conversation of the two, which is opened if needed.
#[utoipa::path(
    post, path = "/messages", tag = "messages", request_body = DirectMessage,
    responses(
        (status = 201, body = Message, description = "The message is stored; for a repeat, the first one"),
        (status = 403, description = "Blocked, or of a type that only the product sends"),
        (status = 409, description = "The clientId was used for another message, or the message that it answers was deleted"),
    )
)]
async fn send_to(
    State(api): State<Api>,
    Acting(sender): Acting,
    headers: HeaderMap,
    Body(body): Body<DirectMessage>,
) -> ApiResult<Response> {
    let DirectMessage { to, content, message_type, client_id, reply_to, attachment } = body;
    let draft = Draft { content, message_type, client_id, reply_to, attachment };
    store(&api, sender, Target::User(to), draft, &headers).await
}

async fn store(api: &Api, sender: Actor, target: Target, draft: Draft, headers: &HeaderMap) -> ApiResult<Response> {
    let trace = trace_of(headers.get("traceparent").and_then(|value| value.to_str().ok()));
    let outgoing = Outgoing { sender, target, draft, trace };
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
    Acting(reader): Acting,
    Id(room): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Message>>> {
    Ok(Json(api.history(reader, room, &query).await?))
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
    Acting(reader): Acting,
    Id(room): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<SyncPage>> {
    Ok(Json(api.sync(reader, room, &query).await?))
}

/// One message, with who read it when.
#[utoipa::path(
    get, path = "/messages/{id}", tag = "messages", params(("id" = MessageId, Path, description = "The message")),
    responses(
        (status = 200, body = ReadMessage, description = "The message"),
        (status = 403, description = "Not a member of its room"),
    )
)]
async fn one(State(api): State<Api>, Acting(reader): Acting, Id(id): Id<MessageId>) -> ApiResult<Json<ReadMessage>> {
    Ok(Json(api.message(reader, id).await?))
}

/// Gives one's own message other words.
#[utoipa::path(
    patch, path = "/messages/{id}", tag = "messages", params(("id" = MessageId, Path, description = "The message")),
    request_body = EditMessage,
    responses(
        (status = 200, body = Message, description = "The message as it is now"),
        (status = 403, description = "Somebody else wrote it, not a member of its room, or a block stands between the two"),
        (status = 409, description = "The message was deleted"),
    )
)]
async fn edit(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id(id): Id<MessageId>,
    Body(EditMessage { content }): Body<EditMessage>,
) -> ApiResult<Json<Message>> {
    let changed = api.edit(actor, id, content).await?;
    Ok(Json(api.shown(changed.message).await?))
}

/// Makes a message a tombstone: one's own, or as a moderator of the room anyone's. Nothing happens if it is one.
#[utoipa::path(
    delete, path = "/messages/{id}", tag = "messages", params(("id" = MessageId, Path, description = "The message")),
    responses(
        (status = 204, description = "It is a tombstone"),
        (status = 403, description = "Somebody else wrote it, and one is no moderator of the room"),
    )
)]
async fn delete(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<MessageId>) -> ApiResult<StatusCode> {
    api.delete(actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
