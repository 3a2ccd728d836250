//! `/conversations`: opening them, and the caller's recent ones.

use super::location;
use crate::{
    app::Api,
    http::{ApiResult, Body, Caller, Query},
    services::conversations::OpenConversation,
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use http::StatusCode;
use rookery_shared::model::{Page, RoomSummary};

pub(super) fn router() -> Router<Api> {
    Router::new().route("/conversations", post(open).get(list))
}

async fn open(State(api): State<Api>, caller: Caller, Body(body): Body<OpenConversation>) -> ApiResult<Response> {
    let opened = api.open_conversation(caller.id(), body).await?;
    if !opened.is_new {
        return Ok(Json(opened).into_response());
    }
    let location = location(&format!("/rooms/{}", opened.summary.room.id));
    Ok((StatusCode::CREATED, location, Json(opened)).into_response())
}

async fn list(State(api): State<Api>, caller: Caller, Query(query): Query) -> ApiResult<Json<Page<RoomSummary>>> {
    Ok(Json(api.list_conversations(caller.id(), &query.page()?).await?))
}
