//! The part of the REST interface that the scenario needs.

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use rookery_shared::{
    ids::{RoomId, UserId},
    model::{Room, Tokens},
    protocol::Problem,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::net::lookup_host;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster behind one address.
#[derive(Clone)]
pub(super) struct Rest {
    client: Client,
    base: String,
}

impl Rest {
    /// The cluster at this URL (`http://host:port`).
    pub(super) fn new(url: &str) -> Result<Self> {
        let client = Client::builder().timeout(PATIENCE).tcp_nodelay(true).no_proxy().build()?;
        Ok(Self { client, base: format!("{}/api/v1", url.trim_end_matches('/')) })
    }

    /// Makes an account.
    pub(super) async fn register(&self, username: &str, password: &str) -> Result<Tokens> {
        let body = json!({"username": username, "email": format!("{username}@example.com"), "password": password});
        self.call(self.post("/auth/register", &body)).await.context("signing up")
    }

    /// Signs in.
    pub(super) async fn login(&self, username: &str, password: &str) -> Result<Tokens> {
        let body = json!({"identifier": username, "password": password});
        self.call(self.post("/auth/login", &body)).await.context("signing in")
    }

    /// Rotates a refresh token; `None` if it holds no longer.
    pub(super) async fn refresh(&self, refresh_token: &str) -> Result<Option<Tokens>> {
        let response = self.post("/auth/refresh", &json!({"refreshToken": refresh_token})).send().await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        Ok(Some(read(response).await.context("refreshing a token")?))
    }

    /// Makes a private room of its maker and others.
    pub(super) async fn make_room(&self, token: &str, name: &str, others: &[UserId]) -> Result<RoomId> {
        let body = json!({"name": name, "visibility": "private", "memberIds": others});
        let room: Room = self.call(self.post("/rooms", &body).bearer_auth(token)).await.context("making a room")?;
        Ok(room.id)
    }

    /// Sends a message; gives the code of a refusal.
    pub(super) async fn send(&self, token: &str, room: RoomId, content: &str, client_id: &str) -> Result<(), String> {
        let body = json!({"content": content, "clientId": client_id});
        let request = self.post(&format!("/rooms/{room}/messages"), &body).bearer_auth(token);
        let response = request.send().await.map_err(|_| "no answer".to_owned())?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(problem(response).await.map_or_else(|| status.to_string(), |p| p.code.as_str().to_owned())),
        }
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base)).json(body)
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        read(request.send().await?).await
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T> {
    let status = response.status();
    if status.is_success() {
        return Ok(response.json().await?);
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        bail!(
            "the cluster's limits are in the way; `make cluster-for-loadtest` starts one with higher limits \
             (ROOKERY_LIMIT_SIGN_IN, ROOKERY_LIMIT_REQUESTS, ROOKERY_LIMIT_MESSAGES)"
        );
    }
    match problem(response).await {
        Some(problem) => bail!("{status}: {problem}"),
        None => bail!("{status}"),
    }
}

async fn problem(response: Response) -> Option<Problem> {
    let mut document: Value = response.json().await.ok()?;
    // A problem document says in `detail` what a problem on a socket says in `message`.
    let detail = document["detail"].take();
    document["message"] = if detail.is_string() { detail } else { "".into() };
    serde_json::from_value(document).ok()
}

/// The address that sockets connect to, from the cluster's URL.
pub(super) async fn address(url: &str) -> Result<SocketAddr> {
    let host = url.trim_end_matches('/').strip_prefix("http://").context("only http:// URLs are supported")?;
    ensure!(!host.contains('/'), "the URL has no path: http://host:port");
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let found = lookup_host(&host).await.with_context(|| format!("looking {host} up"))?.next();
    found.with_context(|| format!("{host} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_connect_to_the_url_s_host() {
        assert_eq!(address("http://127.0.0.1:8080/").await.ok(), Some(([127, 0, 0, 1], 8080).into()));
        assert!(address("https://127.0.0.1").await.is_err());
        assert!(address("http://127.0.0.1/api").await.is_err());
    }
}
