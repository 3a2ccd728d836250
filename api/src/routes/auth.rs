//! `/auth`: registering, signing in, refreshing, signing out.

use super::location;
use crate::{
    app::Api,
    http::{ApiResult, Body, Caller, MaybeCaller, Visit, extract::Refresh},
    services::accounts::{Login, Register},
};
use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use rookery_shared::{model::Tokens, protocol::Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
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
    MaybeCaller(caller): MaybeCaller,
    Body(body): Body<Register>,
) -> ApiResult<impl IntoResponse> {
    api.count_sign_in(visitor.address).await?;
    let by_admin = caller.is_some_and(|caller| caller.is_admin());
    let tokens = api.register(body, by_admin, &visitor).await?;
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
    api.end_session(caller.id(), caller.session).await?;
    Ok(StatusCode::NO_CONTENT)
}
