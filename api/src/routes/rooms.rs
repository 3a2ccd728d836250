//! `/rooms`: making, finding, joining, leaving, members.

use super::location;
use crate::{
    app::Api,
    http::{ApiResult, Body, Caller, Id, Query},
    render,
    services::rooms::{CreateRoom, Listed},
};
use axum::{
    Json, Router,
    extract::State,
    response::IntoResponse,
    routing::{get, post},
};
use http::StatusCode;
use rookery_shared::{
    ids::RoomId,
    model::{Member, Page, Room},
};

pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/rooms", post(create).get(list))
        .route("/rooms/{id}", get(one))
        .route("/rooms/{id}/join", post(join))
        .route("/rooms/{id}/leave", post(leave))
        .route("/rooms/{id}/members", get(members))
}

async fn create(State(api): State<Api>, caller: Caller, Body(body): Body<CreateRoom>) -> ApiResult<impl IntoResponse> {
    let room = api.create_room(caller.id(), body).await?;
    Ok((StatusCode::CREATED, location(&format!("/rooms/{}", room.id)), Json(room)))
}

async fn list(State(api): State<Api>, caller: Caller, Query(query): Query) -> ApiResult<Json<Page<Listed>>> {
    Ok(Json(api.list_rooms(caller.id(), query.text("q"), &query.page()?).await?))
}

async fn one(State(api): State<Api>, caller: Caller, Id(id): Id<RoomId>) -> ApiResult<Json<Room>> {
    let seen = api.seen_room(caller.id(), id).await?;
    Ok(Json(render::room(&seen.room, seen.member_count, seen.member.map(|member| member.role))))
}

async fn join(State(api): State<Api>, caller: Caller, Id(id): Id<RoomId>) -> ApiResult<Json<Room>> {
    Ok(Json(api.join_room(caller.id(), id).await?))
}

async fn leave(State(api): State<Api>, caller: Caller, Id(id): Id<RoomId>) -> ApiResult<StatusCode> {
    api.leave_room(caller.id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn members(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Member>>> {
    Ok(Json(api.list_members(caller.id(), id, &query.page()?).await?))
}
