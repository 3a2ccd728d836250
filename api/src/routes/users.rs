//! `/users`: oneself, and what others see of people.

use crate::{
    app::Api,
    http::{ApiResult, Caller, Id},
    problem, render,
};
use axum::{Json, extract::State};
use rookery_shared::{
    ids::UserId,
    model::{OwnUser, PublicUser},
    protocol::Code,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(me)).routes(routes!(user))
}

/// Oneself, with e-mail address and role.
#[utoipa::path(
    get, path = "/users/me", tag = "users",
    responses((status = 200, body = OwnUser, description = "The caller"))
)]
async fn me(caller: Caller) -> Json<OwnUser> {
    Json(render::own_user(&caller.user.row))
}

/// Someone's public profile.
#[utoipa::path(
    get, path = "/users/{id}", tag = "users", params(("id" = UserId, Path, description = "The user")),
    responses((status = 200, body = PublicUser, description = "The user, as others see them"))
)]
async fn user(State(api): State<Api>, _caller: Caller, Id(id): Id<UserId>) -> ApiResult<Json<PublicUser>> {
    let user = api.reader.user(id).await.map_err(problem::store)?.ok_or(Code::NotFound)?;
    Ok(Json(render::public_user(&user.row)))
}
