//! `/users`: oneself, and what others see of people.

use crate::{
    app::Api,
    http::{ApiResult, Caller, Id},
    problem, render,
};
use axum::{Json, Router, extract::State, routing::get};
use rookery_shared::{
    ids::UserId,
    model::{OwnUser, PublicUser},
    protocol::Code,
};

pub(super) fn router() -> Router<Api> {
    Router::new().route("/users/me", get(me)).route("/users/{id}", get(user))
}

async fn me(caller: Caller) -> Json<OwnUser> {
    Json(render::own_user(&caller.user.row))
}

async fn user(State(api): State<Api>, _caller: Caller, Id(id): Id<UserId>) -> ApiResult<Json<PublicUser>> {
    let user = api.reader.user(id).await.map_err(problem::store)?.ok_or(Code::NotFound)?;
    Ok(Json(render::public_user(&user.row)))
}
