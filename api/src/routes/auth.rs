//! `/auth`: registering, signing in, refreshing, signing out, and the devices that are signed in.

use super::location;
use crate::{
    actor::Actor,
    app::Api,
    http::{ApiResult, Body, Caller, Id, MaybeActing, Query, Visit, extract::Refresh},
    openapi::params::Paging,
    services::{
        accounts::{Login, Register},
        credentials::ChangePassword,
        devices::Device,
    },
};
use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use rookery_shared::{
    ids::SessionId,
    model::{Page, Tokens},
    protocol::Problem,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(logout_all))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .routes(routes!(change_password))
}

/// Makes an account and signs it in.
#[utoipa::path(
    post, path = "/auth/register", tag = "auth", security((), ("bearer" = [])), request_body = Register,
    responses(
        (status = 201, body = Tokens, description = "The account, signed in"),
        (status = 403, description = "Only an admin or an API key chooses a type"),
        (status = 409, description = "The username or the address is taken: `errors` says which"),
    )
)]
async fn register(
    State(api): State<Api>,
    Visit(visitor): Visit,
    MaybeActing(actor): MaybeActing,
    Body(body): Body<Register>,
) -> ApiResult<impl IntoResponse> {
    // A server signs all of its people up from one address.
    if !actor.is_some_and(Actor::is_key) {
        api.count_sign_in(visitor.address).await?;
    }
    let chooses_type = actor.is_some_and(|actor| actor.is_key() || actor.is_admin());
    let tokens = api.register(body, chooses_type, &visitor).await?;
    Ok((StatusCode::CREATED, location(&format!("/users/{}", tokens.user.public.id)), Json(tokens)))
}

/// Signs in with a username or an e-mail address.
#[utoipa::path(
    post, path = "/auth/login", tag = "auth", security(()), request_body = Login,
    responses(
        (status = 200, body = Tokens, description = "A new session"),
        (status = 401, description = "Name and password do not go together"),
    )
)]
async fn login(State(api): State<Api>, Visit(visitor): Visit, Body(body): Body<Login>) -> ApiResult<Json<Tokens>> {
    api.count_sign_in(visitor.address).await?;
    Ok(Json(api.login(body, &visitor).await?))
}

/// Takes a refresh token for the next pair of tokens.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "auth", security(()), request_body = Refresh,
    responses(
        (status = 200, body = Tokens, description = "The next tokens; the one shown is spent"),
        (status = 401, description = "Not a token that works; the session of an old one has ended"),
    )
)]
async fn refresh(State(api): State<Api>, Body(body): Body<Refresh>) -> ApiResult<Json<Tokens>> {
    let token = body.refresh_token.ok_or_else(|| Problem::field("refreshToken", "is required"))?;
    Ok(Json(api.refresh(token).await?))
}

/// Ends this session; its live sockets close within a second.
#[utoipa::path(
    post, path = "/auth/logout", tag = "auth",
    responses((status = 204, description = "The session has ended"))
)]
async fn logout(State(api): State<Api>, caller: Caller) -> ApiResult<StatusCode> {
    if let Some(session) = caller.session {
        api.end_session(caller.id(), session).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends every session of the caller; their live sockets close within a second.
#[utoipa::path(
    post, path = "/auth/logout-all", tag = "auth",
    responses((status = 204, description = "All sessions have ended"))
)]
async fn logout_all(State(api): State<Api>, caller: Caller) -> ApiResult<StatusCode> {
    api.end_all_sessions(caller.id()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The devices that the caller is signed in with, the newest first.
#[utoipa::path(
    get, path = "/auth/sessions", tag = "auth", params(Paging),
    responses((status = 200, body = Page<Device>, description = "Sessions that go on"))
)]
async fn sessions(State(api): State<Api>, caller: Caller, Query(query): Query) -> ApiResult<Json<Page<Device>>> {
    Ok(Json(api.list_devices(caller.id(), caller.session, &query.page()?).await?))
}

/// Signs one device of the caller out; its live sockets close within a second.
#[utoipa::path(
    delete, path = "/auth/sessions/{id}", tag = "auth", params(("id" = SessionId, Path, description = "The session")),
    responses((status = 204, description = "The session has ended"))
)]
async fn end_session(State(api): State<Api>, caller: Caller, Id(id): Id<SessionId>) -> ApiResult<StatusCode> {
    api.end_device(caller.id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the caller's password. The other sessions end, this one goes on.
#[utoipa::path(
    put, path = "/auth/change-password", tag = "auth", request_body = ChangePassword,
    responses(
        (status = 204, description = "The new password holds"),
        (status = 403, description = "This is not the current password"),
        (status = 409, description = "Somebody else changed it at the same time"),
    )
)]
async fn change_password(
    State(api): State<Api>,
    caller: Caller,
    Visit(visitor): Visit,
    Body(body): Body<ChangePassword>,
) -> ApiResult<StatusCode> {
    api.change_password(caller.id(), caller.session, body, &visitor).await?;
    Ok(StatusCode::NO_CONTENT)
}
