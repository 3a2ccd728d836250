//! `/rooms`: making, finding, changing, joining, leaving, deleting.

use super::location;
use crate::{
    app::Api,
    http::{Acting, ApiResult, Body, Caller, Id, MaybeBody, Query},
    openapi::params::{Paging, Wanted},
    render,
    services::{
        members::MuteRoom,
        room_changes::ChangeRoom,
        rooms::{CreateRoom, Listed},
    },
};
use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use rookery_shared::{
    ids::{RoomId, UserId},
    model::{Page, Room, RoomSummary},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(one, change, delete))
        .routes(routes!(join))
        .routes(routes!(leave))
        .routes(routes!(mute, unmute))
        .routes(routes!(of_user))
}

/// Makes a room; its maker is the first owner. A room that an API key makes as itself has none.
#[utoipa::path(
    post, path = "/rooms", tag = "rooms", request_body = CreateRoom,
    responses((status = 201, body = Room, description = "The room"))
)]
async fn create(
    State(api): State<Api>,
    Acting(actor): Acting,
    Body(body): Body<CreateRoom>,
) -> ApiResult<impl IntoResponse> {
    let room = api.create_room(actor, body).await?;
    Ok((StatusCode::CREATED, location(&format!("/rooms/{}", room.id)), Json(room)))
}

/// Public rooms and one's own, newest first.
#[utoipa::path(
    get, path = "/rooms", tag = "rooms", params(Wanted, Paging),
    responses((status = 200, body = Page<Listed>, description = "A page of rooms"))
)]
async fn list(State(api): State<Api>, caller: Caller, Query(query): Query) -> ApiResult<Json<Page<Listed>>> {
    Ok(Json(api.list_rooms(caller.id(), query.text("q"), &query.page()?).await?))
}

/// One room: a public one, or one that the caller is in. Admins see all.
#[utoipa::path(
    get, path = "/rooms/{id}", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    responses((status = 200, body = Room, description = "The room"))
)]
async fn one(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<RoomId>) -> ApiResult<Json<Room>> {
    let seen = api.acted_room(actor, id).await?;
    Ok(Json(render::room(&seen.room, seen.member_count, seen.role())))
}

/// Changes what is given of a room. A null description is none.
#[utoipa::path(
    patch, path = "/rooms/{id}", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    request_body = ChangeRoom,
    responses(
        (status = 200, body = Room, description = "The room as it is now"),
        (status = 403, description = "Not an owner, or a conversation"),
    )
)]
async fn change(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id(id): Id<RoomId>,
    Body(body): Body<ChangeRoom>,
) -> ApiResult<Json<Room>> {
    Ok(Json(api.change_room(actor, id, body).await?))
}

/// Deletes a room with everything in it. Who made it, and admins, may say so again.
#[utoipa::path(
    delete, path = "/rooms/{id}", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 403, description = "Neither an owner nor an admin; of a conversation: not who began it"),
    )
)]
async fn delete(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<RoomId>) -> ApiResult<StatusCode> {
    api.delete_room(actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Joins a public room. Nothing happens if one is in it.
#[utoipa::path(
    post, path = "/rooms/{id}/join", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    responses(
        (status = 200, body = Room, description = "The room, joined"),
        (status = 403, description = "Banned from it"),
    )
)]
async fn join(State(api): State<Api>, caller: Caller, Id(id): Id<RoomId>) -> ApiResult<Json<Room>> {
    Ok(Json(api.join_room(caller.id(), id).await?))
}

/// Leaves a room; one that nobody is left in is deleted. A conversation is hidden until something is said in it.
#[utoipa::path(
    post, path = "/rooms/{id}/leave", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    responses(
        (status = 204, description = "Left"),
        (status = 409, description = "The last owner cannot leave while others are in it"),
    )
)]
async fn leave(State(api): State<Api>, caller: Caller, Id(id): Id<RoomId>) -> ApiResult<StatusCode> {
    api.leave_room(caller.id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mutes a room for the caller, until a time or for good.
#[utoipa::path(
    put, path = "/rooms/{id}/mute", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    request_body = Option<MuteRoom>,
    responses((status = 204, description = "Muted"), (status = 403, description = "Not a member"))
)]
async fn mute(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<RoomId>,
    MaybeBody(body): MaybeBody<MuteRoom>,
) -> ApiResult<StatusCode> {
    api.mute_room(caller.id(), id, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes muting back.
#[utoipa::path(
    delete, path = "/rooms/{id}/mute", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    responses((status = 204, description = "Not muted"), (status = 403, description = "Not a member"))
)]
async fn unmute(State(api): State<Api>, caller: Caller, Id(id): Id<RoomId>) -> ApiResult<StatusCode> {
    api.unmute_room(caller.id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rooms and conversations that someone is in, newest activity first.
#[utoipa::path(
    get, path = "/users/{id}/rooms", tag = "rooms",
    params(("id" = UserId, Path, description = "Oneself; admins ask about anyone"), Paging),
    responses(
        (status = 200, body = Page<RoomSummary>, description = "A page of rooms"),
        (status = 403, description = "Someone else"),
    )
)]
async fn of_user(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id(user): Id<UserId>,
    Query(query): Query,
) -> ApiResult<Json<Page<RoomSummary>>> {
    Ok(Json(api.rooms_of_user(actor, user, &query.page()?).await?))
}
