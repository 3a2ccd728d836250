//! The routes: one file per area, each with its `router()`.

mod admin;
mod auth;
mod conversations;
mod description;
mod internal;
mod invites;
mod marks;
mod members;
mod messages;
mod nodes;
mod ops;
mod page;
mod presence;
mod rooms;
mod search;
mod users;

pub(crate) use ops::Readiness;

use crate::{
    app::Api,
    http::{
        ApiError,
        guard::{count, observe},
    },
    openapi,
};
use axum::{Router, extract::DefaultBodyLimit, middleware, response::IntoResponse as _};
use http::{HeaderName, HeaderValue, Method, header};
use rookery_shared::protocol::Code;
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;

/// Most bytes of an internal body: a gateway's batch.
const MAX_INTERNAL_BODY: usize = 32 * 1024 * 1024;

/// How long browsers remember what cross-origin requests may do.
const CORS_MAX_AGE: Duration = Duration::from_mins(10);

/// Everything under `/api/v1`: one line for each area.
fn rest() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(auth::router())
        .merge(users::router())
        .merge(admin::router())
        .merge(presence::router())
        .merge(nodes::router())
        .merge(rooms::router())
        .merge(members::router())
        .merge(invites::router())
        .merge(conversations::router())
        .merge(messages::router())
        .merge(marks::router())
        .merge(search::router())
        .merge(description::router())
}

/// The description of everything for clients.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let described = OpenApiRouter::with_openapi(openapi::base()).nest("/api/v1", rest()).merge(ops::router());
    openapi::complete(described.into_openapi())
}

impl Api {
    /// Everything for clients: REST under `/api/v1`, the page at `/`, and `/healthz`, `/readyz`, `/metrics`.
    pub fn router(&self) -> Router {
        let rest = Router::from(rest())
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(DefaultBodyLimit::max(self.config.http.max_body_bytes))
            .layer(middleware::from_fn_with_state(self.clone(), count))
            .layer(middleware::from_fn(observe))
            .layer(self.cors());
        Router::new()
            .nest("/api/v1", rest)
            .merge(page::router())
            .merge(Router::from(ops::router()))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(self.clone())
    }

    /// What gateways ask, under `/internal/v1`; to whoever shows the internal secret.
    pub fn internal_router(&self) -> Router {
        Router::new()
            .nest("/internal/v1", internal::router(self))
            .layer(DefaultBodyLimit::max(MAX_INTERNAL_BODY))
            .with_state(self.clone())
    }

    /// Answers browsers of the configured origins, and of no others.
    fn cors(&self) -> CorsLayer {
        let origins = self.config.http.allowed_origins.iter().filter_map(|origin| origin.parse::<HeaderValue>().ok());
        let ratelimit = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(HeaderName::from_static);
        let exposed: Vec<_> = [header::RETRY_AFTER, header::LOCATION].into_iter().chain(ratelimit).collect();
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
            .expose_headers(exposed)
            .max_age(CORS_MAX_AGE)
    }
}

async fn not_found() -> axum::response::Response {
    ApiError(Code::NotFound.into()).into_response()
}

async fn method_not_allowed() -> axum::response::Response {
    ApiError(Code::MethodNotAllowed.into()).into_response()
}

/// Where something new is found.
fn location(path: &str) -> [(HeaderName, String); 1] {
    [(header::LOCATION, format!("/api/v1{path}"))]
}
