//! What an API key may do: the one table of routes and the scopes that they need.

use http::Method;
use rookery_shared::protocol::{Code, Problem};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// Something that an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum Scope {
    /// Make, change and delete users, and what belongs to them.
    #[serde(rename = "users:write")]
    Users,
    /// Make, change and delete rooms and conversations.
    #[serde(rename = "rooms:write")]
    Rooms,
    /// Who is in a room, may come in, or is banned.
    #[serde(rename = "members:write")]
    Members,
    /// Send, edit and delete messages, and what belongs to them.
    #[serde(rename = "messages:write")]
    Messages,
    /// Read what there is.
    #[serde(rename = "read")]
    Read,
    /// What admins do.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    const ALL: [Self; 6] = [Self::Users, Self::Rooms, Self::Members, Self::Messages, Self::Read, Self::Admin];

    /// The scope as it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users:write",
            Self::Rooms => "rooms:write",
            Self::Members => "members:write",
            Self::Messages => "messages:write",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// Reads a list of scopes; each counts once.
    pub(crate) fn read_all(names: &[String]) -> Result<Vec<Self>, Cow<'static, str>> {
        let mut scopes = Vec::new();
        for name in names {
            let Some(scope) = Self::ALL.into_iter().find(|scope| scope.as_str() == name) else {
                let known = Self::ALL.map(Self::as_str).join(", ");
                return Err(format!("consists of {known}").into());
            };
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        if scopes.is_empty() { Err("names at least one scope".into()) } else { Ok(scopes) }
    }
}

/// The scope that a route needs, by the pattern of its path below `/api/v1`; none for what no API key does, and for
/// what nobody has written down here.
fn needed(method: &Method, path: &str) -> Option<Scope> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Some(match (parts.as_slice(), method) {
        (["auth", "register"], _) => Scope::Users,
        (["auth", ..], _) => return None,
        (["admin", ..], _) => Scope::Admin,
        (_, &Method::GET) => Scope::Read,
        (["users", ..], _) => Scope::Users,
        (["rooms"] | ["rooms", _] | ["rooms", _, "mute"] | ["conversations", ..], _) => Scope::Rooms,
        (["rooms", _, "members" | "bans" | "invites" | "join" | "leave", ..] | ["invites", ..], _) => Scope::Members,
        (["rooms", _, "messages" | "read", ..] | ["messages", ..], _) => Scope::Messages,
        _ => return None,
    })
}

/// Refuses a route that a key's scopes do not reach.
pub(crate) fn check(scopes: &[Scope], method: &Method, route: &str) -> Result<(), Problem> {
    let path = route.strip_prefix("/api/v1").unwrap_or(route);
    match needed(method, path) {
        Some(scope) if scopes.contains(&scope) => Ok(()),
        Some(scope) => {
            Err(Problem::new(Code::Forbidden, format!("This API key does not have the scope {}", scope.as_str())))
        }
        None => Err(Problem::new(Code::Forbidden, "This is not for API keys: people sign in and out themselves")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_needs_a_scope_or_is_for_people_alone() {
        let cases = [
            (Method::POST, "/auth/register", Some(Scope::Users)),
            (Method::POST, "/auth/login", None),
            (Method::GET, "/auth/sessions", None),
            (Method::GET, "/users", Some(Scope::Read)),
            (Method::PATCH, "/users/{id}", Some(Scope::Users)),
            (Method::PUT, "/users/{id}/block", Some(Scope::Users)),
            (Method::POST, "/rooms", Some(Scope::Rooms)),
            (Method::GET, "/rooms/{id}/messages", Some(Scope::Read)),
            (Method::DELETE, "/rooms/{id}", Some(Scope::Rooms)),
            (Method::POST, "/conversations", Some(Scope::Rooms)),
            (Method::POST, "/rooms/{id}/members", Some(Scope::Members)),
            (Method::PUT, "/rooms/{id}/bans/{userId}", Some(Scope::Members)),
            (Method::POST, "/rooms/{id}/messages", Some(Scope::Messages)),
            (Method::PUT, "/messages/{id}/reactions/{emoji}", Some(Scope::Messages)),
            (Method::GET, "/admin/api-keys", Some(Scope::Admin)),
            (Method::POST, "/something/new", None),
        ];
        for (method, path, scope) in cases {
            assert_eq!(needed(&method, path), scope, "{method} {path}");
        }
    }

    #[test]
    fn no_route_is_forgotten() {
        let document = serde_json::to_value(crate::routes::document()).expect("is JSON");
        for (path, item) in document["paths"].as_object().expect("paths") {
            let Some(path) = path.strip_prefix("/api/v1") else { continue };
            for method in item.as_object().expect("methods").keys() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
                let for_people = path.starts_with("/auth/") && path != "/auth/register";
                assert_eq!(needed(&method, path).is_none(), for_people, "{method} {path}");
            }
        }
    }

    #[test]
    fn scopes_are_written_as_they_are_read() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).expect("writes"), scope.as_str());
        }
        let read = |names: &[&str]| Scope::read_all(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["read", "admin", "read"]), Ok(vec![Scope::Read, Scope::Admin]));
        assert!(read(&[]).is_err() && read(&["everything"]).is_err());
    }
}
