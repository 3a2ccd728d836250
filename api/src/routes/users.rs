//! `/users`: oneself, what others see of people, and whom one blocks.

use crate::{
    app::Api,
    http::{Acting, ApiResult, Body, Caller, Id, Query},
    openapi::params::{Paging, Prefix},
    services::{
        blocks::Blocked,
        users::{ChangeUser, Profile},
    },
};
use axum::{Json, extract::State};
use http::StatusCode;
use rookery_shared::{
    ids::UserId,
    model::{OwnUser, Page},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(search))
        .routes(routes!(me, change_me, delete_me))
        .routes(routes!(blocks))
        .routes(routes!(user, change, delete))
        .routes(routes!(block, unblock))
}

/// Everyone, by username.
#[utoipa::path(
    get, path = "/users", tag = "users", params(Paging),
    responses((status = 200, body = Page<Profile>, description = "People; to admins with address and role"))
)]
async fn list(State(api): State<Api>, Acting(actor): Acting, Query(query): Query) -> ApiResult<Json<Page<Profile>>> {
    Ok(Json(api.list_users(actor, "", &query.page()?).await?))
}

/// People whose username or display name begins with a text.
#[utoipa::path(
    get, path = "/users/search", tag = "users", params(Prefix, Paging),
    responses((status = 200, body = Page<Profile>, description = "Whoever fits, by username"))
)]
async fn search(State(api): State<Api>, Acting(actor): Acting, Query(query): Query) -> ApiResult<Json<Page<Profile>>> {
    Ok(Json(api.search_users(actor, query.text("q"), &query.page()?).await?))
}

/// Oneself, with e-mail address and role.
#[utoipa::path(
    get, path = "/users/me", tag = "users",
    responses((status = 200, body = OwnUser, description = "The caller"))
)]
async fn me(State(api): State<Api>, caller: Caller) -> ApiResult<Json<Profile>> {
    Ok(Json(api.profile(caller.actor(), caller.id()).await?))
}

/// Changes one's own profile: absent fields stay, null takes away.
#[utoipa::path(
    patch, path = "/users/me", tag = "users", request_body = ChangeUser,
    responses(
        (status = 200, body = OwnUser, description = "The caller, changed"),
        (status = 403, description = "Only an admin or an API key chooses a type"),
        (status = 409, description = "The address is taken"),
    )
)]
async fn change_me(State(api): State<Api>, caller: Caller, Body(body): Body<ChangeUser>) -> ApiResult<Json<Profile>> {
    Ok(Json(api.change_user(caller.actor(), caller.id(), body).await?))
}

/// Deletes one's account: signed out everywhere, out of every room, and nameless where something was written.
#[utoipa::path(
    delete, path = "/users/me", tag = "users",
    responses(
        (status = 204, description = "The account is deleted"),
        (status = 409, description = "The last admin stays"),
    )
)]
async fn delete_me(State(api): State<Api>, caller: Caller) -> ApiResult<StatusCode> {
    api.delete_user(caller.actor(), caller.id()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Someone's profile: the public one, or all of it for oneself and for admins.
#[utoipa::path(
    get, path = "/users/{id}", tag = "users", params(("id" = UserId, Path, description = "The user")),
    responses((status = 200, body = Profile, description = "The user, as far as the caller may see them"))
)]
async fn user(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<UserId>) -> ApiResult<Json<Profile>> {
    Ok(Json(api.profile(actor, id).await?))
}

/// Changes a profile: one's own, or anyone's as an admin, who may set the type as well.
#[utoipa::path(
    patch, path = "/users/{id}", tag = "users", params(("id" = UserId, Path, description = "The user")),
    request_body = ChangeUser,
    responses(
        (status = 200, body = Profile, description = "The user, changed"),
        (status = 403, description = "Only the user and admins may do this"),
        (status = 409, description = "The address is taken"),
    )
)]
async fn change(
    State(api): State<Api>,
    Acting(actor): Acting,
    Id(id): Id<UserId>,
    Body(body): Body<ChangeUser>,
) -> ApiResult<Json<Profile>> {
    Ok(Json(api.change_user(actor, id, body).await?))
}

/// Deletes an account: one's own, or anyone's as an admin.
#[utoipa::path(
    delete, path = "/users/{id}", tag = "users", params(("id" = UserId, Path, description = "The user")),
    responses(
        (status = 204, description = "The account is deleted"),
        (status = 403, description = "Only the user and admins may do this"),
        (status = 409, description = "The last admin stays"),
    )
)]
async fn delete(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<UserId>) -> ApiResult<StatusCode> {
    api.delete_user(actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whom one blocks, the newest first.
#[utoipa::path(
    get, path = "/users/me/blocks", tag = "users", params(Paging),
    responses((status = 200, body = Page<Blocked>, description = "Blocked people"))
)]
async fn blocks(State(api): State<Api>, caller: Caller, Query(query): Query) -> ApiResult<Json<Page<Blocked>>> {
    Ok(Json(api.list_blocks(caller.id(), &query.page()?).await?))
}

/// Blocks someone: no conversation and no message between the two, in either direction.
#[utoipa::path(
    put, path = "/users/{id}/block", tag = "users", params(("id" = UserId, Path, description = "Whom")),
    responses(
        (status = 204, description = "They are blocked"),
        (status = 422, description = "Nobody blocks themselves"),
    )
)]
async fn block(State(api): State<Api>, caller: Caller, Id(id): Id<UserId>) -> ApiResult<StatusCode> {
    api.block(caller.id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a block back.
#[utoipa::path(
    delete, path = "/users/{id}/block", tag = "users", params(("id" = UserId, Path, description = "Whom")),
    responses((status = 204, description = "They are not blocked by the caller"))
)]
async fn unblock(State(api): State<Api>, caller: Caller, Id(id): Id<UserId>) -> ApiResult<StatusCode> {
    api.unblock(caller.id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
