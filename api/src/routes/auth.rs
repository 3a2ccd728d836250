//! `/auth`: registering, signing in, refreshing, signing out.

use super::location;
use crate::{
    app::Api,
    http::{ApiResult, Body, Caller, MaybeCaller, Visit, extract::Refresh},
    services::accounts::{Login, Register},
};
use axum::{Json, Router, extract::State, response::IntoResponse, routing::post};
use http::StatusCode;
use rookery_shared::{model::Tokens, protocol::Problem};

pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/auth/register", post(register))
        .route("/auth/login", post(login))
        .route("/auth/refresh", post(refresh))
        .route("/auth/logout", post(logout))
}

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

async fn login(State(api): State<Api>, Visit(visitor): Visit, Body(body): Body<Login>) -> ApiResult<Json<Tokens>> {
    api.count_sign_in(visitor.address).await?;
    Ok(Json(api.login(body, &visitor).await?))
}

async fn refresh(State(api): State<Api>, Body(body): Body<Refresh>) -> ApiResult<Json<Tokens>> {
    let token = body.refresh_token.ok_or_else(|| Problem::field("refreshToken", "is required"))?;
    Ok(Json(api.refresh(token).await?))
}

async fn logout(State(api): State<Api>, caller: Caller) -> ApiResult<StatusCode> {
    api.end_session(caller.id(), caller.session).await?;
    Ok(StatusCode::NO_CONTENT)
}
