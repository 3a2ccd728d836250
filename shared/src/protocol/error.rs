//! Errors that clients see: one table of codes for REST and sockets.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// A stable error code. Clients decide by it, never by the message.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl Code {
            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A few words for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    /// Not JSON, or not an object.
    BadRequest = "bad_request", 400, "Not a JSON object";
    /// No token, or one that is wrong, expired or revoked.
    Unauthorized = "unauthorized", 401, "A valid token is needed";
    /// Name and password do not go together.
    InvalidCredentials = "invalid_credentials", 401, "Wrong name or password";
    /// Visible, but not allowed.
    Forbidden = "forbidden", 403, "Not allowed";
    /// Not a member of the room.
    NotAMember = "not_a_member", 403, "Not a member of this room";
    /// A block stands between the two.
    Blocked = "blocked", 403, "A block stands between the two";
    /// Banned from the room.
    Banned = "banned", 403, "Banned from this room";
    /// Does not exist, or is not visible to the caller.
    NotFound = "not_found", 404, "Not found";
    /// This method is not for this path.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed";
    /// The request's body did not come in time.
    RequestTimeout = "request_timeout", 408, "The request took too long";
    /// Something else is there already.
    Conflict = "conflict", 409, "Conflict";
    /// The clientId was used for other content.
    ClientIdReused = "client_id_reused", 409, "This clientId was used for another message";
    /// The last owner of a room cannot leave it while others are in it.
    LastOwner = "last_owner", 409, "The last owner cannot leave";
    /// The connection is live already.
    AlreadyLive = "already_live", 409, "This connection is live already";
    /// A position past the head.
    PastHead = "past_head", 409, "This position is past the head of the log";
    /// Was there, and is there no longer.
    Gone = "gone", 410, "No longer there";
    /// Larger than allowed.
    TooLarge = "too_large", 413, "Too large";
    /// Not application/json.
    UnsupportedMediaType = "unsupported_media_type", 415, "Only application/json is understood";
    /// A field is wrong; `errors` says which.
    Invalid = "invalid", 422, "A field is not valid";
    /// No such command.
    UnknownCommand = "unknown_command", 422, "Unknown command";
    /// Too much, too fast.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// A defect of ours.
    Internal = "internal", 500, "Something went wrong";
    /// Cannot be served now; for a send: the outcome is unknown, ask again with the same clientId.
    Unavailable = "unavailable", 503, "Not available now";
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let codes = Self::ALL.iter().map(|code| code.as_str());
        let described = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
        described.description(Some("A stable error code. Clients decide by it, never by the message.")).into()
    }
}

impl ToSchema for Code {}

impl Code {
    /// Whether problems with this code come with this HTTP status: with the code's own, and a ban with a conflict too.
    pub fn comes_with(self, status: u16) -> bool {
        status == self.status() || self == Self::Banned && status == Self::Conflict.status()
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The field, in the caller's own words (camelCase, dots for depth).
    #[schema(value_type = String)]
    pub field: Cow<'static, str>,
    /// What is expected of it.
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
}

/// An error as a client sees it: the `data` of an `error` frame, and the gist of a problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, ToSchema)]
#[error("{}: {message}", code.as_str())]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// For people.
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
    /// When it is worth trying again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Which fields are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// An HTTP status other than the code's own; sockets have none.
    #[serde(skip)]
    pub other_status: Option<u16>,
}

impl Problem {
    /// A problem with a message of its own.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, errors: Vec::new(), other_status: None }
    }

    /// The HTTP status that goes with it.
    pub fn status(&self) -> u16 {
        self.other_status.unwrap_or(self.code.status())
    }

    /// The same, told to somebody whom it does not forbid anything: what they want is in conflict with what is there.
    /// A banned user may not come in (403), and may not be brought in by others (409).
    #[must_use]
    pub fn as_conflict(self) -> Self {
        Self { other_status: Some(Code::Conflict.status()), ..self }
    }

    /// A field that is not valid.
    pub fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::fields(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// Several fields that are not valid.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let named: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        Self { errors, ..Self::new(Code::Invalid, named.join("; ")) }
    }

    /// Too much, too fast; `retry_after_ms` until the next try can pass.
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Code::RateLimited.into() }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code, code.title())
    }
}
