//! `/rooms/{id}/invites` and `/invites`: making ways into a room, and going them.

use super::location;
use crate::{
    app::Api,
    http::{Acting, ApiResult, Caller, Id, MaybeBody, Query},
    openapi::params::Paging,
    services::invites::CreateInvite,
};
use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use rookery_shared::{
    ids::RoomId,
    model::{Invite, InvitePreview, OpenedConversation, Page},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(revoke))
        .routes(routes!(preview))
        .routes(routes!(join))
}

/// Makes an invite: whoever has its token may come in.
#[utoipa::path(
    post, path = "/rooms/{id}/invites", tag = "invites", params(("id" = RoomId, Path, description = "The room")),
    request_body = Option<CreateInvite>,
    responses(
        (status = 201, body = Invite, description = "The invite"),
        (status = 403, description = "Neither a moderator nor an owner, or a conversation"),
    )
)]
async fn create(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id(id): Id<RoomId>,
    MaybeBody(body): MaybeBody<CreateInvite>,
) -> ApiResult<impl IntoResponse> {
    let invite = api.create_invite(actor, id, body).await?;
    Ok((StatusCode::CREATED, location(&format!("/invites/{}", invite.token)), Json(invite)))
}

/// The invites to a room that were not taken back, the newest first; to moderators and owners.
#[utoipa::path(
    get, path = "/rooms/{id}/invites", tag = "invites",
    params(("id" = RoomId, Path, description = "The room"), Paging),
    responses(
        (status = 200, body = Page<Invite>, description = "A page of invites"),
        (status = 403, description = "Neither a moderator nor an owner"),
    )
)]
async fn list(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id(id): Id<RoomId>,
    Query(query): Query,
) -> ApiResult<Json<Page<Invite>>> {
    Ok(Json(api.list_invites(actor, id, &query.page()?).await?))
}

/// Takes an invite back. Nothing happens if that was done before.
#[utoipa::path(
    delete, path = "/rooms/{id}/invites/{token}", tag = "invites",
    params(("id" = RoomId, Path, description = "The room"), ("token" = String, Path, description = "The invite's token")),
    responses(
        (status = 204, description = "It opens nothing any more"),
        (status = 403, description = "Neither a moderator nor an owner"),
    )
)]
async fn revoke(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id((id, token)): Id<(RoomId, String)>,
) -> ApiResult<StatusCode> {
    api.revoke_invite(actor, id, &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the room is that an invite opens.
#[utoipa::path(
    get, path = "/invites/{token}", tag = "invites",
    params(("token" = String, Path, description = "The invite's token")),
    responses(
        (status = 200, body = InvitePreview, description = "The room"),
        (status = 410, description = "Spent, expired or taken back, or the room is no more"),
    )
)]
async fn preview(State(api): State<Api>, caller: Caller, Id(token): Id<String>) -> ApiResult<Json<InvitePreview>> {
    Ok(Json(api.preview_invite(caller.id(), &token).await?))
}

/// Comes into a room by an invite. Who is in it already spends nothing.
#[utoipa::path(
    post, path = "/invites/{token}/join", tag = "invites",
    params(("token" = String, Path, description = "The invite's token")),
    responses(
        (status = 200, body = OpenedConversation, description = "The room; `isNew` says whether they came in now"),
        (status = 403, description = "Banned from it"),
        (status = 410, description = "Spent, expired or taken back, or the room is no more"),
    )
)]
async fn join(State(api): State<Api>, caller: Caller, Id(token): Id<String>) -> ApiResult<Json<OpenedConversation>> {
    Ok(Json(api.join_by_invite(caller.id(), &token).await?))
}
