//! Searching messages.

use crate::{
    app::Api,
    http::{Acting, ApiResult, Query},
    openapi::params::{MessageSearch, Paging},
    services::search::FoundMessage,
};
use axum::{Json, extract::State};
use rookery_shared::model::Page;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(search))
}

/// Messages that have all the words, in rooms that the caller is in.
#[utoipa::path(
    get, path = "/messages/search", tag = "messages", params(MessageSearch, Paging),
    responses(
        (status = 200, body = Page<FoundMessage>, description = "A page of messages, each with what of it was found"),
        (status = 403, description = "Not a member of that room"),
        (status = 404, description = "That room is not there, or not for the caller to see"),
    )
)]
async fn search(
    State(api): State<Api>,
    Acting(reader): Acting,
    Query(query): Query,
) -> ApiResult<Json<Page<FoundMessage>>> {
    Ok(Json(api.search_messages(reader, &query).await?))
}
