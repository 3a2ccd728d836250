//! `/conversations`: opening them, the caller's recent ones, and what two people have said.

use super::location;
use crate::{
    app::Api,
    http::{ApiResult, Body, Caller, Id, Query},
    openapi::params::{Paging, SeqPaging},
    services::conversations::OpenConversation,
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use rookery_shared::{
    ids::UserId,
    model::{Message, OpenedConversation, Page, RoomSummary},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(open, list)).routes(routes!(history))
}

/// Opens the one room of exactly these people and this type: the one that is there, or a new one.
#[utoipa::path(
    post, path = "/conversations", tag = "conversations", request_body = OpenConversation,
    responses(
        (status = 200, body = OpenedConversation, description = "It was there"),
        (status = 201, body = OpenedConversation, description = "It was made now"),
        (status = 403, description = "A block stands between two of them"),
    )
)]
async fn open(State(api): State<Api>, caller: Caller, Body(body): Body<OpenConversation>) -> ApiResult<Response> {
    let opened = api.open_conversation(caller.id(), body).await?;
    if !opened.is_new {
        return Ok(Json(opened).into_response());
    }
    let location = location(&format!("/rooms/{}", opened.summary.room.id));
    Ok((StatusCode::CREATED, location, Json(opened)).into_response())
}

/// The caller's conversations, newest activity first.
#[utoipa::path(
    get, path = "/conversations", tag = "conversations", params(Paging),
    responses((status = 200, body = Page<RoomSummary>, description = "A page of conversations"))
)]
async fn list(State(api): State<Api>, caller: Caller, Query(query): Query) -> ApiResult<Json<Page<RoomSummary>>> {
    Ok(Json(api.list_conversations(caller.id(), &query.page()?).await?))
}

/// What the caller and someone else have said to one another: empty, if they never talked.
#[utoipa::path(
    get, path = "/conversations/with/{userId}/messages", tag = "conversations",
    params(("userId" = UserId, Path, description = "The other"), SeqPaging),
    responses((status = 200, body = Page<Message>, description = "A page of messages, in ascending seq"))
)]
async fn history(
    State(api): State<Api>,
    caller: Caller,
    Id(other): Id<UserId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Message>>> {
    Ok(Json(api.history_with(caller.id(), other, &query).await?))
}
