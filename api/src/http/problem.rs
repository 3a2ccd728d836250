//! Errors as RFC 9457 problem documents.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use rookery_shared::protocol::{Code, FieldError, Problem};
use serde::Serialize;
use utoipa::ToSchema;

/// A problem as an HTTP answer.
#[derive(Debug)]
pub(crate) struct ApiError(pub(crate) Problem);

/// What a route gives.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl<P: Into<Problem>> From<P> for ApiError {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

/// The document (RFC 9457, section 3): its type says nothing more than the status, hence none.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, description = "A refusal (RFC 9457).")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document<'a> {
    /// A few words about the code.
    title: &'a str,
    /// The status of the answer.
    status: u16,
    /// What went wrong here, for people.
    detail: &'a str,
    code: Code,
    /// When it is worth trying again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
    /// Which fields are wrong, and what is expected of them.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Problem { code, message, retry_after_ms, errors, .. } = &self.0;
        let document = Document {
            title: code.title(),
            status: self.0.status(),
            detail: message,
            code: *code,
            retry_after_ms: *retry_after_ms,
            errors,
        };
        let status = StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(retry) = retry_after_ms {
            // Whole seconds, rounded up: who comes at that time is not refused again.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry.div_ceil(1_000).max(1)));
        }
        if *code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
