//! The description of the API: as a document for programs, and as a page for people.

use super::{document, page};
use crate::{app::Api, asyncapi};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header;
use std::sync::LazyLock;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Made once: it is the same for everyone, for as long as the process lives.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());

/// The same of the sockets.
static SOCKETS: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&asyncapi::document()).unwrap_or_default().into());

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(openapi)).routes(routes!(sockets)).routes(routes!(docs))
}

/// This description, as OpenAPI 3.1.
#[utoipa::path(
    get, path = "/openapi.json", tag = "ops", security(()),
    responses((status = 200, body = Object, description = "The document"))
)]
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// The description of the sockets, as `AsyncAPI` 3.0.
#[utoipa::path(
    get, path = "/asyncapi.json", tag = "ops", security(()),
    responses((status = 200, body = Object, description = "The document"))
)]
async fn sockets() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], SOCKETS.clone()).into_response()
}

/// This description, as a page that loads nothing from elsewhere.
#[utoipa::path(
    get, path = "/docs", tag = "ops", security(()),
    responses((status = 200, body = String, content_type = "text/html", description = "The page"))
)]
async fn docs() -> Response {
    page::answer(page::HTML, include_str!("../../../web/docs.html"))
}
