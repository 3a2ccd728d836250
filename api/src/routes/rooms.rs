//! `/rooms`: making, finding, joining, leaving, members.

use super::location;
use crate::{
    app::Api,
    http::{ApiResult, Body, Caller, Id, Query},
    openapi::params::{Paging, Wanted},
    render,
    services::rooms::{CreateRoom, Listed},
};
use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use rookery_shared::{
    ids::RoomId,
    model::{Member, Page, Room},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(one))
        .routes(routes!(join))
        .routes(routes!(leave))
        .routes(routes!(members))
}

/// Makes a room; its maker is the first owner.
#[utoipa::path(
    post, path = "/rooms", tag = "rooms", request_body = CreateRoom,
    responses((status = 201, body = Room, description = "The room"))
)]
async fn create(State(api): State<Api>, caller: Caller, Body(body): Body<CreateRoom>) -> ApiResult<impl IntoResponse> {
    let room = api.create_room(caller.id(), body).await?;
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

/// One room: a public one, or one that the caller is in.
#[utoipa::path(
    get, path = "/rooms/{id}", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    responses((status = 200, body = Room, description = "The room"))
)]
async fn one(State(api): State<Api>, caller: Caller, Id(id): Id<RoomId>) -> ApiResult<Json<Room>> {
    let seen = api.seen_room(caller.id(), id).await?;
    Ok(Json(render::room(&seen.room, seen.member_count, seen.member.map(|member| member.role))))
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

/// Leaves a room. Nothing happens if one is not in it.
#[utoipa::path(
    post, path = "/rooms/{id}/leave", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    responses(
        (status = 204, description = "Left"),
        (status = 403, description = "A conversation of exact people is not left"),
        (status = 409, description = "The last owner cannot leave while others are in it"),
    )
)]
async fn leave(State(api): State<Api>, caller: Caller, Id(id): Id<RoomId>) -> ApiResult<StatusCode> {
    api.leave_room(caller.id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is in a room, by username; to members only.
#[utoipa::path(
    get, path = "/rooms/{id}/members", tag = "rooms",
    params(("id" = RoomId, Path, description = "The room"), Paging),
    responses(
        (status = 200, body = Page<Member>, description = "A page of members"),
        (status = 403, description = "Not a member"),
    )
)]
async fn members(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Member>>> {
    Ok(Json(api.list_members(caller.id(), id, &query.page()?).await?))
}
