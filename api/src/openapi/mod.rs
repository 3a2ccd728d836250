//! The description of the REST API as an OpenAPI 3.1 document, made of what stands at the handlers and types.
//!
//! A handler says what is its own: its parameters, its body, its answer, and the refusals that need a word. What is
//! the same everywhere is filled in here: the refusals that the guards, the extractors and the store may give, the
//! headers of every answer, and what a refusal looks like.

pub(crate) mod params;
pub(crate) mod words;

use crate::http::problem::Document;
use rookery_shared::protocol::Code;
use utoipa::{
    PartialSchema as _, ToSchema,
    openapi::{
        AllOfBuilder, ComponentsBuilder, Content, ContentBuilder, Header, HttpMethod, InfoBuilder, LicenseBuilder,
        ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder, Schema, Server, Type,
        path::{Operation, ParameterIn},
        schema::AnyOfBuilder,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

/// The areas of the API, in the order in which they are shown. A handler names one of them.
const TAGS: &[(&str, &str)] = &[
    ("auth", "Accounts, signing in and out, sessions"),
    ("users", "People: oneself, others, who is there"),
    ("rooms", "Rooms, who is in them, and what they may do"),
    ("invites", "Ways into private rooms"),
    ("conversations", "The one room of exact people"),
    ("messages", "Sending, reading, changing, searching"),
    ("admin", "What admins do"),
    ("ops", "For whoever runs it"),
];

const PROBLEM_JSON: &str = "application/problem+json";

const ABOUT: &str = "Chat for one's own product. Bearer tokens come from `POST /api/v1/auth/login`. Refusals are problem \
                     documents (RFC 9457): decide by `code` and status, never by the text. Lists page by `after` and \
                     `before`, which take `next` and `prev` of the page before. Unknown fields are ignored on both \
                     sides. What happens live comes over sockets: `docs/protocol.md` and `docs/asyncapi.json`.";

/// A document without operations: routers bring theirs.
pub(crate) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Rookery")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let tags = TAGS.iter().map(|(name, about)| TagBuilder::new().name(*name).description(Some(*about)).build());
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(tags))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>("bearer", [])]))
        .build()
}

/// Fills in what every operation has.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete_operation(path, &method, operation);
        }
    }
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("JWT".to_owned());
    bearer.description = Some(
        "An access token, or an API key (`rk_…`), which acts as a user with the header `Rookery-Act-As: <id>`"
            .to_owned(),
    );
    let mut components = ComponentsBuilder::from(document.components.take().unwrap_or_default())
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .schema(Document::name(), Document::schema())
        .schema("FieldError", rookery_shared::protocol::FieldError::schema())
        .schema("Code", Code::schema());
    for status in statuses() {
        components = components.response(name_of(status), refusal(status, title_of(status)));
    }
    document.components = Some(components.build());
    document
}

/// One shape or another, where the first is the second with more to it: both descriptions fit then, and `oneOf`, which a
/// derive would write, would be wrong.
pub(crate) fn any_of<A: ToSchema, B: ToSchema>(about: &str) -> RefOr<Schema> {
    let either =
        [A::name(), B::name()].map(Ref::from_schema_name).into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item);
    either.description(Some(about)).into()
}

/// The schemas that [`any_of`] refers to, and those inside of them.
pub(crate) fn schemas_of<A: ToSchema, B: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.extend([(A::name().into_owned(), A::schema()), (B::name().into_owned(), B::schema())]);
    A::schemas(schemas);
    B::schemas(schemas);
}

/// Every status that a refusal may have.
fn statuses() -> Vec<u16> {
    let mut statuses: Vec<u16> = Code::ALL.iter().map(|code| code.status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [
        (HttpMethod::Get, get),
        (HttpMethod::Put, put),
        (HttpMethod::Post, post),
        (HttpMethod::Delete, delete),
        (HttpMethod::Patch, patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The name of the component that describes refusals of a status.
fn name_of(status: u16) -> String {
    format!("Problem{status}")
}

/// What refusals of a status are, in a few words.
fn title_of(status: u16) -> String {
    let titles: Vec<&str> = Code::ALL.iter().filter(|code| code.status() == status).map(|code| code.title()).collect();
    titles.join(" · ")
}

/// A refusal of a status: the problem document with the codes that go with it.
fn refusal(status: u16, description: impl Into<String>) -> Response {
    let codes = Code::ALL.iter().filter(|code| code.comes_with(status)).map(|code| code.as_str());
    let narrowed = ObjectBuilder::new()
        .property("status", ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status])))
        .property("code", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)));
    let document = AllOfBuilder::new().item(Ref::from_schema_name(Document::name())).item(narrowed);
    let content = ContentBuilder::new().schema(Some(RefOr::T(Schema::AllOf(document.build())))).build();
    let mut response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, content);
    response = match status {
        401 => response.header("WWW-Authenticate", text_header("`Bearer`, where a token is what is missing")),
        429 => response.header("Retry-After", number_header("Seconds until it is worth trying again")),
        _ => response,
    };
    with_allowance(response.build())
}

fn number_header(about: &str) -> Header {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
    described(Header::new(RefOr::<Schema>::from(number)), about)
}

fn text_header(about: &str) -> Header {
    described(Header::new(RefOr::<Schema>::from(ObjectBuilder::new().schema_type(Type::String).build())), about)
}

fn described(mut header: Header, about: &str) -> Header {
    header.description = Some(about.to_owned());
    header
}

/// Every answer of the REST API says what the caller has left.
fn with_allowance(mut response: Response) -> Response {
    let headers = [
        ("RateLimit-Limit", "Requests that may come at once after a quiet minute"),
        ("RateLimit-Remaining", "Of these, how many more would pass now"),
        ("RateLimit-Reset", "Seconds until all of them would pass again"),
    ];
    for (name, about) in headers {
        response.headers.entry(name.to_owned()).or_insert_with(|| number_header(about).into());
    }
    response
}

fn complete_operation(path: &str, method: &HttpMethod, operation: &mut Operation) {
    // Names of functions repeat from area to area; with the area they are one of a kind.
    let tag = operation.tags.as_ref().and_then(|tags| tags.first()).cloned().unwrap_or_default();
    if let Some(name) = &operation.operation_id {
        operation.operation_id = Some(format!("{tag}_{name}"));
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            absent_and_not_null(content);
        }
    }
    let limited = path.starts_with("/api/");
    for status in common(path, method, operation) {
        let refused = Ref::from_response_name(name_of(status));
        operation.responses.responses.entry(status.to_string()).or_insert_with(|| refused.into());
    }
    for (status, response) in &mut operation.responses.responses {
        let (Ok(status), RefOr::T(response)) = (status.parse::<u16>(), response) else { continue };
        if status >= 400 && response.content.is_empty() {
            *response = refusal(status, &response.description);
        } else if limited {
            *response = with_allowance(response.clone());
            if status == 201 {
                response.headers.insert("Location".to_owned(), text_header("Where it is found").into());
            }
        }
    }
}

/// `Option<Body>` means that the body may be absent. The derive takes it for one that may be null, which is no object.
fn absent_and_not_null(content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content
        && let Some(RefOr::T(Schema::OneOf(either))) = &content.schema
        && let Some(reference) = either.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
    {
        content.schema = Some(reference.clone());
    }
}

/// The refusals that an operation shares with all of its kind.
fn common(path: &str, method: &HttpMethod, operation: &Operation) -> Vec<u16> {
    if !path.starts_with("/api/") {
        return Vec::new();
    }
    let parameters = || operation.parameters.iter().flatten();
    let has = |place| parameters().any(|it| matches!(it, RefOr::T(it) if it.parameter_in == place));
    let with_body = operation.request_body.is_some();
    let (in_path, in_query) = (has(ParameterIn::Path), has(ParameterIn::Query));
    // Who names no scheme of their own is behind the document's; `()` lets everyone in, and a token is looked at where
    // one is named beside it.
    let everyone = SecurityRequirement::default();
    let asks = operation.security.as_ref().is_none_or(|schemes| schemes.iter().any(|scheme| *scheme != everyone));
    let mut statuses = vec![429, 500];
    statuses.extend(asks.then_some(401));
    statuses.extend(in_path.then_some(404));
    if asks || in_path || with_body {
        statuses.push(503);
    }
    if with_body {
        statuses.extend([400, 408, 413, 415, 422]);
    }
    if in_query && *method == HttpMethod::Get {
        statuses.extend([400, 422]);
    }
    statuses
}

#[cfg(test)]
mod tests;
