//! Someone with an account: REST with their token, sockets on any gateway.

use super::{poll, socket::Socket};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A user and what they hold.
pub(crate) struct Person {
    http: reqwest::Client,
    /// The api they talk to.
    pub(crate) api: String,
    /// Their name.
    pub(crate) username: String,
    /// Their id.
    pub(crate) id: String,
    /// Their access token.
    pub(crate) token: String,
    /// Their refresh token.
    pub(crate) refresh_token: String,
}

impl Person {
    /// Signs up. The name gets something random behind it.
    pub(crate) async fn register(api: &str, name: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let username = format!("{name}-{:08x}", rand_u32());
        let body = json!({
            "username": username,
            "email": format!("{username}@example.org"),
            "password": "correct horse battery",
        });
        let answer = http.post(format!("{api}/api/v1/auth/register")).json(&body).send().await.expect("an answer");
        let status = answer.status();
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Self {
            http,
            api: api.to_owned(),
            username,
            id: text(&answer["user"]["id"]),
            token: text(&answer["accessToken"]),
            refresh_token: text(&answer["refreshToken"]),
        }
    }

    /// A request with their token; gives status and body (null where there is none).
    pub(crate) async fn request(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.request_at(&self.api, method, path, body).await
    }

    /// A request to another api.
    pub(crate) async fn request_at(
        &self,
        api: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{api}/api/v1{path}")).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") })
    }

    /// GET that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.request(Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body
    }

    /// POST that must succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.request(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "POST {path}: {status} {answer}");
        answer
    }

    /// Makes a room; gives its id.
    pub(crate) async fn make_room(&self, visibility: &str, members: &[&Person]) -> String {
        let members: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
        let body = json!({ "name": "a room", "visibility": visibility, "memberIds": members });
        self.post("/rooms", body).await["id"].as_str().expect("an id").to_owned()
    }

    /// Drains the gateway with this name, as an admin.
    pub(crate) async fn drain(&self, node: &str) {
        let id = poll("the node is listed", async || {
            let nodes = self.get("/admin/nodes").await;
            let named = nodes["items"].as_array().into_iter().flatten().find(|listed| listed["name"] == node)?;
            named["id"].as_str().map(str::to_owned)
        })
        .await;
        let (status, answer) = self.request(Method::POST, &format!("/admin/nodes/{id}/drain"), None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    }

    /// A socket that is signed in.
    pub(crate) async fn socket(&self, gateway: &str) -> Socket {
        Socket::signed_in(gateway, &self.token).await
    }
}

/// Something random without a crate for it: the hasher of the standard library is seeded anew for each map.
fn rand_u32() -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    u32::try_from(RandomState::new().hash_one(0) >> 32).expect("32 bits")
}
