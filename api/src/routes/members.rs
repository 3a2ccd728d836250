//! `/rooms/{id}/members` and `/rooms/{id}/bans`: who is in a room, and who may not be.

use super::location;
use crate::{
    app::Api,
    http::{Acting, ApiResult, Body, Id, MaybeBody, Query},
    openapi::params::Paging,
    services::{
        bans::BanUser,
        members::{AddMember, ChangeMember},
    },
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use rookery_shared::{
    ids::{RoomId, UserId},
    model::{Ban, Member, Page},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(members, add_member))
        .routes(routes!(member, change_member, remove_member))
        .routes(routes!(bans))
        .routes(routes!(ban, unban))
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
    Acting(actor): Acting,
    Id(id): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Member>>> {
    Ok(Json(api.list_members(actor, id, &query.page()?).await?))
}

/// Brings someone into a room. Nothing happens if they are in it.
#[utoipa::path(
    post, path = "/rooms/{id}/members", tag = "rooms", params(("id" = RoomId, Path, description = "The room")),
    request_body = AddMember,
    responses(
        (status = 200, body = Member, description = "They were in it, as this"),
        (status = 201, body = Member, description = "They came in now"),
        (status = 403, description = "Neither a moderator nor an owner, or a role above one's own"),
        (status = 409, description = "They are banned from it"),
    )
)]
async fn add_member(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id(id): Id<RoomId>,
    Body(body): Body<AddMember>,
) -> ApiResult<Response> {
    let (member, is_new) = api.add_member(actor, id, body).await?;
    if !is_new {
        return Ok(Json(member).into_response());
    }
    let location = location(&format!("/rooms/{id}/members/{}", member.user_id));
    Ok((StatusCode::CREATED, location, Json(member)).into_response())
}

/// One member of a room; to members only.
#[utoipa::path(
    get, path = "/rooms/{id}/members/{userId}", tag = "rooms",
    params(("id" = RoomId, Path, description = "The room"), ("userId" = UserId, Path, description = "The member")),
    responses((status = 200, body = Member, description = "The member"), (status = 403, description = "Not a member"))
)]
async fn member(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id((id, user)): Id<(RoomId, UserId)>,
) -> ApiResult<Json<Member>> {
    Ok(Json(api.room_member(actor, id, user).await?))
}

/// Changes what a member may do.
#[utoipa::path(
    patch, path = "/rooms/{id}/members/{userId}", tag = "rooms",
    params(("id" = RoomId, Path, description = "The room"), ("userId" = UserId, Path, description = "The member")),
    request_body = ChangeMember,
    responses(
        (status = 200, body = Member, description = "The member as they are now"),
        (status = 403, description = "Not an owner, or a conversation"),
        (status = 409, description = "The last owner stays one"),
    )
)]
async fn change_member(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id((id, user)): Id<(RoomId, UserId)>,
    Body(body): Body<ChangeMember>,
) -> ApiResult<Json<Member>> {
    Ok(Json(api.change_member(actor, id, user, body).await?))
}

/// Takes someone out of a room; oneself: that is leaving. Nothing happens if they are not in it.
#[utoipa::path(
    delete, path = "/rooms/{id}/members/{userId}", tag = "rooms",
    params(("id" = RoomId, Path, description = "The room"), ("userId" = UserId, Path, description = "The member")),
    responses(
        (status = 204, description = "They are not in it"),
        (status = 403, description = "Not above them, or a conversation"),
        (status = 409, description = "The last owner cannot go while others are in it"),
    )
)]
async fn remove_member(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id((id, user)): Id<(RoomId, UserId)>,
) -> ApiResult<StatusCode> {
    api.remove_member(actor, id, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is banned from a room, the newest first; to moderators and owners.
#[utoipa::path(
    get, path = "/rooms/{id}/bans", tag = "rooms",
    params(("id" = RoomId, Path, description = "The room"), Paging),
    responses(
        (status = 200, body = Page<Ban>, description = "A page of bans"),
        (status = 403, description = "Neither a moderator nor an owner"),
    )
)]
async fn bans(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id(id): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Ban>>> {
    Ok(Json(api.list_bans(actor, id, &query.page()?).await?))
}

/// Bans someone from a room, whether they are in it or not; it ends a membership, and outlives every invite.
#[utoipa::path(
    put, path = "/rooms/{id}/bans/{userId}", tag = "rooms",
    params(("id" = RoomId, Path, description = "The room"), ("userId" = UserId, Path, description = "Who")),
    request_body = Option<BanUser>,
    responses(
        (status = 204, description = "They are banned"),
        (status = 403, description = "Neither a moderator nor an owner, or not above them"),
        (status = 409, description = "The last owner cannot go while others are in it"),
    )
)]
async fn ban(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id((id, user)): Id<(RoomId, UserId)>,
    MaybeBody(body): MaybeBody<BanUser>,
) -> ApiResult<StatusCode> {
    api.ban_user(actor, id, user, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a ban back. Nothing happens if there is none.
#[utoipa::path(
    delete, path = "/rooms/{id}/bans/{userId}", tag = "rooms",
    params(("id" = RoomId, Path, description = "The room"), ("userId" = UserId, Path, description = "Who")),
    responses(
        (status = 204, description = "They are not banned"),
        (status = 403, description = "Neither a moderator nor an owner"),
    )
)]
async fn unban(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id((id, user)): Id<(RoomId, UserId)>,
) -> ApiResult<StatusCode> {
    api.unban_user(actor, id, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
