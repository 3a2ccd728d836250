//! `/admin`: what admins do to accounts, and the API keys of servers.

use super::location;
use crate::{
    app::Api,
    http::{Admin, ApiResult, Body, Id, MaybeBody, Query},
    openapi::params::Paging,
    services::{
        api_keys::{CreateKey, IssuedKey, RotateKey, ShownKey},
        credentials::{ChangeRole, ResetPassword},
    },
};
use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use rookery_shared::{
    ids::{ApiKeyId, UserId},
    model::{OwnUser, Page},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(password))
        .routes(routes!(role))
        .routes(routes!(create_key, keys))
        .routes(routes!(key, delete_key))
        .routes(routes!(rotate_key))
}

/// Gives someone a new password, which ends all of their sessions.
#[utoipa::path(
    put, path = "/admin/users/{id}/password", tag = "admin", params(("id" = UserId, Path, description = "Whose")),
    request_body = ResetPassword,
    responses(
        (status = 204, description = "It is their password"),
        (status = 403, description = "Only admins may do this"),
    )
)]
async fn password(
    State(api): State<Api>,
    _admin: Admin,
    Id(id): Id<UserId>,
    Body(body): Body<ResetPassword>,
) -> ApiResult<StatusCode> {
    api.reset_password(id, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes someone an admin, or an admin a user again.
#[utoipa::path(
    put, path = "/admin/users/{id}/role", tag = "admin", params(("id" = UserId, Path, description = "Whose")),
    request_body = ChangeRole,
    responses(
        (status = 200, body = OwnUser, description = "The user with their role"),
        (status = 403, description = "Only admins may do this"),
        (status = 409, description = "The last admin stays one"),
    )
)]
async fn role(
    State(api): State<Api>,
    _admin: Admin,
    Id(id): Id<UserId>,
    Body(body): Body<ChangeRole>,
) -> ApiResult<Json<OwnUser>> {
    Ok(Json(api.change_role(id, &body).await?))
}

/// Makes an API key. Its text is shown this once.
#[utoipa::path(
    post, path = "/admin/api-keys", tag = "admin", request_body = CreateKey,
    responses(
        (status = 201, body = IssuedKey, description = "The key with its text"),
        (status = 403, description = "Only admins may do this"),
    )
)]
async fn create_key(
    State(api): State<Api>,
    _admin: Admin,
    Body(body): Body<CreateKey>,
) -> ApiResult<impl IntoResponse> {
    let made = api.create_key(body).await?;
    Ok((StatusCode::CREATED, location(&format!("/admin/api-keys/{}", made.id())), Json(made)))
}

/// API keys, the newest first.
#[utoipa::path(
    get, path = "/admin/api-keys", tag = "admin", params(Paging),
    responses(
        (status = 200, body = Page<ShownKey>, description = "Keys without their texts"),
        (status = 403, description = "Only admins may do this"),
    )
)]
async fn keys(State(api): State<Api>, _admin: Admin, Query(query): Query) -> ApiResult<Json<Page<ShownKey>>> {
    Ok(Json(api.list_keys(&query.page()?).await?))
}

/// One API key.
#[utoipa::path(
    get, path = "/admin/api-keys/{id}", tag = "admin", params(("id" = ApiKeyId, Path, description = "The key")),
    responses(
        (status = 200, body = ShownKey, description = "The key without its text"),
        (status = 403, description = "Only admins may do this"),
    )
)]
async fn key(State(api): State<Api>, _admin: Admin, Id(id): Id<ApiKeyId>) -> ApiResult<Json<ShownKey>> {
    Ok(Json(api.shown_key(id).await?))
}

/// Ends an API key.
#[utoipa::path(
    delete, path = "/admin/api-keys/{id}", tag = "admin", params(("id" = ApiKeyId, Path, description = "The key")),
    responses(
        (status = 204, description = "It works no longer"),
        (status = 403, description = "Only admins may do this"),
    )
)]
async fn delete_key(State(api): State<Api>, _admin: Admin, Id(id): Id<ApiKeyId>) -> ApiResult<StatusCode> {
    api.delete_key(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an API key a new text; the old one works for a grace.
#[utoipa::path(
    post, path = "/admin/api-keys/{id}/rotate", tag = "admin",
    params(("id" = ApiKeyId, Path, description = "The key")), request_body = Option<RotateKey>,
    responses(
        (status = 200, body = IssuedKey, description = "The key with its new text"),
        (status = 403, description = "Only admins may do this"),
    )
)]
async fn rotate_key(
    State(api): State<Api>,
    _admin: Admin,
    Id(id): Id<ApiKeyId>,
    MaybeBody(body): MaybeBody<RotateKey>,
) -> ApiResult<Json<IssuedKey>> {
    Ok(Json(api.rotate_key(id, &body).await?))
}
