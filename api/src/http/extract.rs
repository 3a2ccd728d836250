//! Bodies, path ids and parameters, refused in the words of the contract.

use super::ApiError;
use crate::paging::Params;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
};
use http::{HeaderMap, header, request::Parts};
use rookery_shared::protocol::{Code, Problem};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use std::{collections::HashMap, time::Duration};
use tokio::time::timeout;
use utoipa::ToSchema;

/// How long a body may take. It is small, and a client that sends it byte by byte holds a connection meanwhile.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A JSON object as body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(Code::UnsupportedMediaType.into());
        }
        Ok(Self(parse(&read(request, state, BODY_WITHIN).await?)?))
    }
}

/// A JSON object as body, or nothing at all, which stands for an object without fields.
pub(crate) struct MaybeBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for MaybeBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let json = is_json(request.headers());
        let bytes = read(request, state, BODY_WITHIN).await?;
        if bytes.is_empty() {
            return Ok(Self(parse(b"{}")?));
        }
        if !json {
            return Err(Code::UnsupportedMediaType.into());
        }
        Ok(Self(parse(&bytes)?))
    }
}

/// Reads a body, if it comes in time.
async fn read<S: Send + Sync>(request: Request, state: &S, within: Duration) -> Result<Bytes, Problem> {
    let body = timeout(within, Bytes::from_request(request, state)).await;
    body.map_err(|_| Problem::from(Code::RequestTimeout))?.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(failed) if failed.status() == http::StatusCode::PAYLOAD_TOO_LARGE => {
            Code::TooLarge.into()
        }
        _ => Code::BadRequest.into(),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Reads a JSON object: what is none is a bad request, and a field of the wrong sort is named.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let not_an_object = || Problem::from(Code::BadRequest);
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Err(not_an_object());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => value,
        Err(error) => {
            // The first wrong field may stand before the place where the JSON breaks. Where nothing breaks, it is a field
            // that is wrong, though serde calls a number in the place of a word a mistake of syntax.
            let whole = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
            return Err(if whole { wrong_field(&error) } else { not_an_object() });
        }
    };
    deserializer.end().map_err(|_| not_an_object())?;
    Ok(value)
}

/// Names the field. Serde's words describe types, which is what the caller got wrong; the position in the text that
/// it appends is left out.
fn wrong_field(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let text = error.inner().to_string();
    let text = text.split(" at line ").next().unwrap_or_default().to_owned();
    let mut field = match error.path().to_string() {
        path if path == "." => String::new(),
        path => path,
    };
    // A missing or doubled field is named in the text alone.
    if let Some(named) = text.strip_prefix("missing field `").or(text.strip_prefix("duplicate field `")) {
        let named = named.split('`').next().unwrap_or_default();
        field = if field.is_empty() { named.to_owned() } else { format!("{field}.{named}") };
        let message = if text.starts_with("missing") { "is required" } else { "is given twice" };
        return Problem::field(field, message);
    }
    Problem::field(field, text)
}

/// Ids in the path; what is no id leads nowhere.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Code::NotFound.into()),
        }
    }
}

/// The parameters of the URL.
pub(crate) struct Query(pub(crate) Params);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        type Pairs = axum::extract::Query<Vec<(String, String)>>;
        let pairs = Pairs::from_request_parts(parts, state).await;
        let pairs = pairs.map_err(|_| Problem::new(Code::BadRequest, "The query string cannot be read"))?;
        Ok(Self(Params(pairs.0.into_iter().collect::<HashMap<_, _>>())))
    }
}

/// The body of `POST /auth/refresh`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Refresh {
    /// The refresh token.
    #[serde(rename = "refreshToken")]
    #[schema(value_type = String)]
    pub(crate) refresh_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only what is refused is looked at")]
    struct Sample {
        user_name: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only what is refused is looked at")]
    struct Inner {
        size: u64,
        word: Option<rookery_shared::model::ChosenStatus>,
    }

    fn refused(json: &str) -> (Code, String) {
        let problem = parse::<Sample>(json.as_bytes()).expect_err("refused");
        let field = problem.errors.first().map(|error| error.field.to_string()).unwrap_or_default();
        (problem.code, field)
    }

    #[test]
    fn what_is_no_json_object_is_a_bad_request() {
        for json in ["", "nonsense", "[]", "\"text\"", "null", "{", "{} {}", "{\"userName\": 1,", "{\"userName\": 1} x"]
        {
            assert_eq!(refused(json).0, Code::BadRequest, "{json}");
        }
    }

    #[test]
    fn a_field_of_the_wrong_sort_is_named() {
        let cases = [
            ("{}", "userName"),
            (r#"{"userName": 1}"#, "userName"),
            (r#"{"userName": "a", "inner": {"size": "big"}}"#, "inner.size"),
            (r#"{"userName": "a", "inner": {}}"#, "inner.size"),
            (r#"{"userName": "a", "inner": {"size": 1, "word": 7}}"#, "inner.word"),
            (r#"{"userName": "a", "inner": {"size": 1, "word": "nonsense"}}"#, "inner.word"),
            (r#"{"userName": "a", "userName": "b"}"#, "userName"),
        ];
        for (json, field) in cases {
            assert_eq!(refused(json), (Code::Invalid, field.to_owned()), "{json}");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = futures_util::stream::pending::<Result<Bytes, std::convert::Infallible>>();
        let request = Request::new(axum::body::Body::from_stream(never));
        let refused = read(request, &(), Duration::from_millis(10)).await.expect_err("is refused");
        assert_eq!((refused.code, refused.code.status()), (Code::RequestTimeout, 408));
        let request = Request::new(axum::body::Body::from("{}"));
        assert_eq!(read(request, &(), Duration::from_mins(1)).await.as_deref(), Ok(&b"{}"[..]));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(parse::<Sample>(br#"{"userName": "a", "later": [{}]}"#).is_ok());
    }
}
