//! The web page, compiled in: a file less to lose.

use crate::app::Api;
use axum::{
    Router,
    response::IntoResponse,
    routing::{MethodRouter, get},
};
use http::{HeaderName, HeaderValue, header};

/// Nothing from elsewhere, nothing inline, and nobody may frame it. Sockets go to where the page came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/", page("text/html; charset=utf-8", include_str!("../../../web/index.html")))
        .route("/app.js", page("text/javascript; charset=utf-8", include_str!("../../../web/app.js")))
        .route("/style.css", page("text/css; charset=utf-8", include_str!("../../../web/style.css")))
}

fn page(content_type: &'static str, text: &'static str) -> MethodRouter<Api> {
    get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            // A new version of the server brings a new page.
            (header::CACHE_CONTROL, "no-cache"),
        ];
        let headers = headers.map(|(name, value): (HeaderName, _)| (name, HeaderValue::from_static(value)));
        (headers, text).into_response()
    })
}
