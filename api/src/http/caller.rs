//! Who calls: a signed-in user, a server with an API key, or a visitor from an address.

use super::{ApiError, scopes::Scope};
use crate::{
    actor::{Actor, ActorKind},
    address,
    app::Api,
    problem,
    render::KnownUser,
    services::{
        accounts::Visitor,
        api_keys::{self, ApiKey},
    },
};
use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, header, request::Parts};
use rookery_shared::{
    ids::{SessionId, UserId},
    model::Role,
    protocol::{Code, Problem},
    token::{Claims, TokenError},
};
use std::{convert::Infallible, sync::Arc};

/// The user that a server acts as.
const ACT_AS: HeaderName = HeaderName::from_static("rookery-act-as");

/// What the request's bearer token came to, found out once per request and kept among its extensions.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// None was shown.
    Nothing,
    /// A good one. Whether its session goes on is not known yet.
    Token(Claims),
    /// An API key that works.
    Key(Arc<ApiKey>),
    /// One that is not accepted.
    Refused(Problem),
}

impl Shown {
    /// Looks at the `Authorization` header.
    pub(crate) async fn of(api: &Api, headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Self::Nothing };
        let bearer = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let Some(token) = bearer else { return Self::Refused(refusal(TokenError::Invalid)) };
        if api_keys::is_key(token) {
            return api.api_key(token).await.map_or_else(Self::Refused, Self::Key);
        }
        match api.claims_of(token).await {
            Ok(claims) => Self::Token(claims),
            Err(error) => Self::Refused(refusal(error)),
        }
    }

    /// The same, if nobody has looked yet.
    async fn once(parts: &Parts, api: &Api) -> Self {
        match parts.extensions.get::<Self>() {
            Some(shown) => shown.clone(),
            None => Self::of(api, &parts.headers).await,
        }
    }
}

fn refusal(error: TokenError) -> Problem {
    match error {
        TokenError::Expired => Problem::new(Code::Unauthorized, "This token has expired"),
        TokenError::Invalid => Problem::new(Code::Unauthorized, "This token is not valid"),
        TokenError::Unavailable => Problem::new(Code::Unavailable, "This token cannot be checked now"),
    }
}

/// A signed-in user, or one that a server acts as.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: Arc<KnownUser>,
    /// Their device; none when a server acts as them.
    pub(crate) session: Option<SessionId>,
    admin: bool,
}

impl Caller {
    pub(crate) fn id(&self) -> UserId {
        self.user.row.id
    }

    /// Whether they may do what admins may. A server that acts as an admin does so only if its key reaches that far.
    pub(crate) fn is_admin(&self) -> bool {
        self.admin
    }

    pub(crate) fn actor(&self) -> Actor {
        let kind = if self.is_admin() { ActorKind::Admin } else { ActorKind::User };
        Actor { id: self.id(), kind }
    }
}

/// Either of the two who may call.
enum Someone {
    Caller(Caller),
    Key(Arc<ApiKey>),
}

impl Someone {
    async fn of(parts: &Parts, api: &Api) -> Result<Self, Problem> {
        let act_as = parts.headers.get(ACT_AS);
        match Shown::once(parts, api).await {
            Shown::Nothing => Err(Code::Unauthorized.into()),
            Shown::Refused(problem) => Err(problem),
            Shown::Token(_) if act_as.is_some() => {
                Err(Problem::new(Code::Forbidden, "Only a server with an API key acts as somebody else"))
            }
            Shown::Token(claims) => {
                if !api.session_is_alive(claims.sub, claims.sid).await? {
                    return Err(Problem::new(Code::Unauthorized, "This session has ended"));
                }
                let user = api.reader.user(claims.sub).await.map_err(problem::store)?.ok_or(Code::Unauthorized)?;
                let admin = user.row.role == Role::Admin;
                Ok(Self::Caller(Caller { user, session: Some(claims.sid), admin }))
            }
            Shown::Key(key) => {
                let Some(value) = act_as else { return Ok(Self::Key(key)) };
                let nobody = || Problem::field("Rookery-Act-As", "is the id of a user");
                let id = value.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(nobody)?;
                let user = api.person(id).await.map_err(|problem| match problem.code {
                    Code::NotFound => nobody(),
                    _ => problem,
                })?;
                let admin = user.row.role == Role::Admin && key.scopes.contains(&Scope::Admin);
                Ok(Self::Caller(Caller { user, session: None, admin }))
            }
        }
    }

    fn actor(&self) -> Actor {
        match self {
            Self::Caller(caller) => caller.actor(),
            Self::Key(key) => Actor { id: key.author(), kind: ActorKind::Key },
        }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let someone = Someone::of(parts, api).await?;
        let actor = someone.actor();
        match someone {
            Someone::Caller(caller) => Ok(caller),
            Someone::Key(_) => Err(actor.user().err().unwrap_or_else(|| Code::Forbidden.into()).into()),
        }
    }
}

/// Whoever may do what is not for people alone: a user, or a server with an API key as itself.
pub(crate) struct Acting(pub(crate) Actor);

impl FromRequestParts<Api> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Ok(Self(Someone::of(parts, api).await?.actor()))
    }
}

/// An admin, or a server whose key has the scope, which was checked with the route.
pub(crate) struct Admin;

impl FromRequestParts<Api> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let actor = Someone::of(parts, api).await?.actor();
        if actor.is_admin() || actor.is_key() {
            return Ok(Self);
        }
        Err(Problem::new(Code::Forbidden, "Only admins may do this").into())
    }
}

/// Whoever acts, where a token is shown; one that is not accepted is refused all the same.
pub(crate) struct MaybeActing(pub(crate) Option<Actor>);

impl FromRequestParts<Api> for MaybeActing {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            Ok(Self(Some(Someone::of(parts, api).await?.actor())))
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
