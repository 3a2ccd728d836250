//! `/admin`: gateways and the installation as a whole.

use crate::{
    app::Api,
    http::{Acting, ApiResult, Id},
    services::operators::Stats,
};
use axum::{Json, extract::State};
use http::StatusCode;
use rookery_shared::{
    ids::{Incarnation, UserId},
    model::{NodeReport, Page},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(nodes))
        .routes(routes!(drain))
        .routes(routes!(stats))
        .routes(routes!(disconnect))
}

/// The gateways that are alive, as they described themselves with their last heartbeat.
#[utoipa::path(
    get, path = "/admin/nodes", tag = "admin",
    responses(
        (status = 200, body = Page<NodeReport>, description = "All of them, by name"),
        (status = 403, description = "Not an admin")
    )
)]
async fn nodes(State(api): State<Api>, Acting(actor): Acting) -> ApiResult<Json<Page<NodeReport>>> {
    actor.operator()?;
    Ok(Json(api.nodes().await?))
}

/// How large the installation is, about.
#[utoipa::path(
    get, path = "/admin/stats", tag = "admin",
    responses((status = 200, body = Stats, description = "Numbers"), (status = 403, description = "Not an admin"))
)]
async fn stats(State(api): State<Api>, Acting(actor): Acting) -> ApiResult<Json<Stats>> {
    actor.operator()?;
    Ok(Json(api.stats().await?))
}

/// Has a gateway send its clients elsewhere and take no new ones, until it is restarted.
#[utoipa::path(
    post, path = "/admin/nodes/{id}/drain", tag = "admin", params(("id" = Incarnation, Path, description = "The gateway")),
    responses((status = 204, description = "It was told to"), (status = 403, description = "Not an admin"))
)]
async fn drain(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<Incarnation>) -> ApiResult<StatusCode> {
    actor.operator()?;
    api.drain_node(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Closes every connection of a user, who may come again: their sessions go on.
#[utoipa::path(
    post, path = "/admin/users/{id}/disconnect", tag = "admin", params(("id" = UserId, Path, description = "The user")),
    responses((status = 204, description = "The gateways were told to"), (status = 403, description = "Not an admin"))
)]
async fn disconnect(State(api): State<Api>, Acting(actor): Acting, Id(id): Id<UserId>) -> ApiResult<StatusCode> {
    actor.operator()?;
    api.disconnect(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
