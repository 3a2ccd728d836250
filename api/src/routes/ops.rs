//! Whether the process lives, whether it can serve, and what it measured.

use crate::{app::Api, store::SharedStore};
use axum::extract::State;
use http::{HeaderName, StatusCode, header};
use std::time::Duration;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long the store may take to say that it can be written to.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// How long an outcome is believed.
const BELIEVED_FOR: Duration = Duration::from_millis(500);

/// Whether the store could be written to when it was last tried. Everyone may ask, and each try is a write that waits
/// for a majority: so there is one at a time, and whoever asks meanwhile gets its outcome.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    async fn of(&self, store: &SharedStore) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, ready)) = *last
            && at.elapsed() < BELIEVED_FOR
        {
            return ready;
        }
        let ready = matches!(timeout(READY_WITHIN, store.ready()).await, Ok(Ok(())));
        *last = Some((Instant::now(), ready));
        ready
    }
}

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready)).routes(routes!(metrics))
}

/// Whether the process lives.
#[utoipa::path(
    get, path = "/healthz", tag = "ops", security(()),
    responses((status = 200, body = String, description = "It does"))
)]
async fn alive() -> &'static str {
    "ok"
}

/// Whether it can do its work now.
#[utoipa::path(
    get, path = "/readyz", tag = "ops", security(()),
    responses(
        (status = 200, body = String, description = "It can"),
        (status = 503, body = String, description = "It cannot; the text says why"),
    )
)]
async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    if api.readiness.of(api.reader.store()).await {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the store is not available")
    }
}

/// What it measured, in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "ops", security(()),
    responses((status = 200, body = String, description = "One line for each value"))
)]
async fn metrics(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render())
}
