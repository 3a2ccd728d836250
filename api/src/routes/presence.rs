//! Who is there, and what one wants to be seen as.

use crate::{
    app::Api,
    http::{Acting, ApiResult, Body, Caller, Id, Query},
    openapi::params::Paging,
    services::presence::ChooseStatus,
};
use axum::{Json, extract::State};
use rookery_shared::{
    ids::UserId,
    model::{Chosen, OnlineUser, Page, UserPresence},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(choose)).routes(routes!(online)).routes(routes!(status))
}

/// Chooses how one is seen while a device is connected.
#[utoipa::path(
    put, path = "/users/me/status", tag = "users", request_body = ChooseStatus,
    responses((status = 200, body = Chosen, description = "What was chosen"))
)]
async fn choose(State(api): State<Api>, caller: Caller, Body(body): Body<ChooseStatus>) -> ApiResult<Json<Chosen>> {
    Ok(Json(api.choose_status(caller.id(), body).await?))
}

/// Who is there of the people whom the caller shares a room with; for admins of everybody. A page may be short.
#[utoipa::path(
    get, path = "/users/online", tag = "users", params(Paging),
    responses((status = 200, body = Page<OnlineUser>, description = "A page of people, by username"))
)]
async fn online(
    State(api): State<Api>,
    Acting(actor): Acting,
    Query(query): Query,
) -> ApiResult<Json<Page<OnlineUser>>> {
    Ok(Json(api.online_users(actor, &query.page()?).await?))
}

/// Whether and how someone is there. Who shares no room with them, in which presence is told, sees them offline.
#[utoipa::path(
    get, path = "/users/{id}/status", tag = "users", params(("id" = UserId, Path, description = "The user")),
    responses((status = 200, body = UserPresence, description = "How they are there"))
)]
async fn status(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<UserId>) -> ApiResult<Json<UserPresence>> {
    Ok(Json(api.status_of(actor, id).await?))
}
