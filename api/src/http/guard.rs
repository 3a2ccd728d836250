//! What every request of the REST API passes: its token is looked at, it is counted, and it is measured.

use super::{ApiError, caller::Shown, scopes};
use crate::{
    address,
    app::Api,
    requests::{Allowance, Caller},
};
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode};
use metrics::{counter, histogram};
use rookery_shared::protocol::Problem;
use tokio::time::Instant;
use tracing::Instrument as _;

/// Counts requests per user or API key, and per address without a good token. A token of an ended session is still its user's.
pub(crate) async fn count(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let shown = Shown::of(&api, request.headers()).await;
    let caller = match &shown {
        Shown::Token(claims) => Caller::User(claims.sub),
        Shown::Key(key) => Caller::User(key.author()),
        Shown::Nothing | Shown::Refused(_) => {
            let proxies = &api.config.http.trusted_proxies;
            let client = address::client(request.extensions(), request.headers(), proxies);
            Caller::Address(address::limited(client))
        }
    };
    let out_of_scope = out_of_scope(&shown, &request);
    request.extensions_mut().insert(shown);
    let Allowance { limit, remaining, reset, retry_after } = api.requests.check(caller);
    let mut response = match retry_after {
        Some(wait) => {
            counter!("rookery_api_limited_requests_total").increment(1);
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            ApiError(Problem::rate_limited(wait.max(1))).into_response()
        }
        None => match out_of_scope {
            Some(problem) => ApiError(problem).into_response(),
            None => next.run(request).await,
        },
    };
    // Whole seconds, rounded up: who waits so long has all of it.
    let reset = u64::try_from(reset.as_millis()).unwrap_or(u64::MAX).div_ceil(1_000);
    for (name, value) in [
        ("ratelimit-limit", HeaderValue::from(limit)),
        ("ratelimit-remaining", HeaderValue::from(remaining)),
        ("ratelimit-reset", HeaderValue::from(reset)),
    ] {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Why a request is not for the API key that it shows. What leads nowhere is answered as for everyone.
fn out_of_scope(shown: &Shown, request: &Request) -> Option<Problem> {
    let Shown::Key(key) = shown else { return None };
    let route = request.extensions().get::<MatchedPath>()?;
    scopes::check(&key.scopes, request.method(), route.as_str()).err()
}

/// Puts a span around a request and measures it. The path is the route's pattern: nobody's ids, and no query, as
/// tokens travel there.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let started = Instant::now();
    let span = tracing::info_span!("request", otel.name = %format!("{method} {route}"), %method, %route, status = tracing::field::Empty);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("status", status.as_u16());
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        // What went wrong was logged where it went wrong; this says which request it was.
        span.in_scope(|| tracing::error!("a request failed"));
    }
    let labels = [("method", method), ("route", route), ("status", status.as_u16().to_string())];
    histogram!("rookery_api_request_seconds", &labels).record(started.elapsed());
    response
}
