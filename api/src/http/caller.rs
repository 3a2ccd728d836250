//! Who calls: a signed-in user, or a visitor from an address.

use super::ApiError;
use crate::{
    actor::{Actor, ActorKind},
    address,
    app::Api,
    problem,
    render::KnownUser,
    services::accounts::Visitor,
};
use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};
use rookery_shared::{
    ids::{SessionId, UserId},
    model::Role,
    protocol::{Code, Problem},
    token::{Claims, TokenError},
};
use std::{convert::Infallible, sync::Arc};

/// What the request's bearer token came to, found out once per request and kept among its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    /// None was shown.
    Nothing,
    /// A good one. Whether its session goes on is not known yet.
    Token(Claims),
    /// One that is not accepted.
    Refused(TokenError),
}

impl Shown {
    /// Looks at the `Authorization` header.
    pub(crate) fn of(api: &Api, headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Self::Nothing };
        let bearer = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match bearer.map(|token| api.verifier.verify(token)) {
            Some(Ok(claims)) => Self::Token(claims),
            Some(Err(error)) => Self::Refused(error),
            None => Self::Refused(TokenError::Invalid),
        }
    }
}

/// A signed-in user.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: Arc<KnownUser>,
    pub(crate) session: SessionId,
}

impl Caller {
    pub(crate) fn id(&self) -> UserId {
        self.user.row.id
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.user.row.role == Role::Admin
    }

    pub(crate) fn actor(&self) -> Actor {
        let kind = if self.is_admin() { ActorKind::Admin } else { ActorKind::User };
        Actor { id: self.id(), kind }
    }
}

/// Whoever may do what is not for people alone: a user, or a server with an API key as itself.
pub(crate) struct Acting(pub(crate) Actor);

impl FromRequestParts<Api> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Ok(Self(Caller::from_request_parts(parts, api).await?.actor()))
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let shown = parts.extensions.get().copied().unwrap_or_else(|| Shown::of(api, &parts.headers));
        let claims = match shown {
            Shown::Token(claims) => claims,
            Shown::Nothing => return Err(Code::Unauthorized.into()),
            Shown::Refused(error @ (TokenError::Expired | TokenError::Invalid)) => {
                return Err(Problem::new(Code::Unauthorized, sentence(error)).into());
            }
        };
        if !api.session_is_alive(claims.sub, claims.sid).await? {
            return Err(Problem::new(Code::Unauthorized, "This session has ended").into());
        }
        let user = api.reader.user(claims.sub).await.map_err(problem::store)?;
        Ok(Self { user: user.ok_or(Code::Unauthorized)?, session: claims.sid })
    }
}

fn sentence(error: TokenError) -> &'static str {
    match error {
        TokenError::Expired => "This token has expired",
        TokenError::Invalid => "This token is not valid",
    }
}

/// A signed-in user, where a token is shown; one that is not accepted is refused all the same.
pub(crate) struct MaybeCaller(pub(crate) Option<Caller>);

impl FromRequestParts<Api> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            Ok(Self(Some(Caller::from_request_parts(parts, api).await?)))
        } else {
            Ok(Self(None))
        }
    }
}

/// Where a request comes from, and with which device.
pub(crate) struct Visit(pub(crate) Visitor);

impl FromRequestParts<Api> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let address = address::client(&parts.extensions, &parts.headers, &api.config.http.trusted_proxies);
        let device = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self(Visitor { address, device: device.map(str::to_owned) }))
    }
}
