//! Whether the process lives, whether it can serve, and what it measured.

use crate::app::Api;
use axum::{Router, extract::State, routing::get};
use http::{HeaderName, StatusCode, header};
use std::time::Duration;

/// How long the store may take to say that it can be written to.
const READY_WITHIN: Duration = Duration::from_secs(3);

pub(super) fn router() -> Router<Api> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn alive() -> &'static str {
    "ok"
}

async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(READY_WITHIN, api.reader.store().ready()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store is not available"),
    }
}

async fn metrics(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render())
}
