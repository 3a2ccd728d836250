//! What people put beside messages: reactions, pins, read marks.

use crate::{
    app::Api,
    http::{Acting, ApiResult, Caller, Id, MaybeBody},
};
use axum::{Json, extract::State};
use http::StatusCode;
use rookery_shared::{
    backend::Mark,
    ids::{MessageId, RoomId},
    model::Message,
    protocol::command::ReadUpTo,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Up to where somebody has read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReadMark {
    /// Everything up to this message; the newest one if absent.
    message_id: Option<MessageId>,
}

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(react, take_back)).routes(routes!(pin, unpin)).routes(routes!(read))
}

/// Reacts to a message with an emoji. Nothing happens if one has.
#[utoipa::path(
    put, path = "/messages/{id}/reactions/{emoji}", tag = "messages",
    params(
        ("id" = MessageId, Path, description = "The message"),
        ("emoji" = String, Path, description = "Exactly one emoji", example = "👍", min_length = 1, max_length = 64),
    ),
    responses(
        (status = 200, body = Message, description = "The message as it is now"),
        (status = 403, description = "Not a member of its room"),
        (status = 409, description = "The message was deleted, or has 50 different emojis"),
        (status = 422, description = "Not exactly one emoji"),
    )
)]
async fn react(
    State(api): State<Api>,
    caller: Caller,
    Id((id, emoji)): Id<(MessageId, String)>,
) -> ApiResult<Json<Message>> {
    let changed = api.react(caller.id(), id, &emoji, true).await?;
    Ok(Json(api.shown(changed.message).await?))
}

/// Takes one's reaction back. Nothing happens if there is none.
#[utoipa::path(
    delete, path = "/messages/{id}/reactions/{emoji}", tag = "messages",
    params(
        ("id" = MessageId, Path, description = "The message"),
        ("emoji" = String, Path, description = "Exactly one emoji", example = "👍", min_length = 1, max_length = 64),
    ),
    responses(
        (status = 204, description = "It is not there"),
        (status = 403, description = "Not a member of its room"),
        (status = 409, description = "The message was deleted"),
        (status = 422, description = "Not exactly one emoji"),
    )
)]
async fn take_back(
    State(api): State<Api>,
    caller: Caller,
    Id((id, emoji)): Id<(MessageId, String)>,
) -> ApiResult<StatusCode> {
    api.react(caller.id(), id, &emoji, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pins a message. Nothing happens if it is pinned.
#[utoipa::path(
    put, path = "/messages/{id}/pin", tag = "messages", params(("id" = MessageId, Path, description = "The message")),
    responses(
        (status = 200, body = Message, description = "The message as it is now"),
        (status = 403, description = "Not a moderator of its room"),
        (status = 409, description = "The message was deleted"),
    )
)]
async fn pin(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<MessageId>) -> ApiResult<Json<Message>> {
    let changed = api.pin(actor, id, true).await?;
    Ok(Json(api.shown(changed.message).await?))
}

/// Takes the pin off a message. Nothing happens if there is none.
#[utoipa::path(
    delete, path = "/messages/{id}/pin", tag = "messages", params(("id" = MessageId, Path, description = "The message")),
    responses(
        (status = 204, description = "It is not pinned"),
        (status = 403, description = "Not a moderator of its room"),
        (status = 409, description = "The message was deleted"),
    )
)]
async fn unpin(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<MessageId>) -> ApiResult<StatusCode> {
    api.pin(actor, id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Marks everything up to a message as read. The cursor never moves back.
#[utoipa::path(
    post, path = "/rooms/{id}/read", tag = "messages", params(("id" = RoomId, Path, description = "The room")),
    request_body = Option<ReadMark>,
    responses(
        (status = 200, body = ReadUpTo, description = "The cursor that stands"),
        (status = 403, description = "Not a member"),
    )
)]
async fn read(
    State(api): State<Api>,
    caller: Caller,
    Id(room_id): Id<RoomId>,
    MaybeBody(ReadMark { message_id }): MaybeBody<ReadMark>,
) -> ApiResult<Json<ReadUpTo>> {
    let mark = Mark { user_id: caller.id(), room_id, message_id, connection: None };
    Ok(Json(api.read_up_to(mark).await?))
}
