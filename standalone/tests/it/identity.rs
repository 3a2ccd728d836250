//! What accounts, sessions and keys mean for live sockets, on one node and on several.

use crate::harness::{Closed, Installation, Person, Socket, cluster, standalone};
use reqwest::{Method, StatusCode};
use rookery_shared::testing::{IdentityProvider, ProviderKey, poll, sign};
use serde_json::{Value, json};
use std::time::Duration;

const SESSION_ENDED: u16 = 4003;
const UNAUTHORIZED: u16 = 4001;
const TOKEN_EXPIRED: u16 = 4002;

/// Sockets close this long after the answer that ended their session, at most. The contract says a second; a busy
/// machine gets more.
const SOON: Duration = Duration::from_secs(10);

async fn closes(mut socket: Socket, code: u16) {
    let closed = tokio::time::timeout(SOON, socket.closed()).await.expect("closes soon");
    assert_eq!(closed.code, code, "{closed:?}");
}

/// One more device of somebody's.
async fn another_device(person: &Person, api: &str) -> Value {
    let body = json!({ "identifier": person.username, "password": "correct horse battery" });
    let (status, tokens) = person.request_at(api, Method::POST, "/auth/login", Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    tokens
}

fn token(tokens: &Value) -> &str {
    tokens["accessToken"].as_str().expect("a token")
}

/// Everything that ends sessions, tried on every node.
async fn sessions_end_on_every_node(at: &Installation) {
    // Another device, by its id.
    let ada = at.person("ada").await;
    let laptop = another_device(&ada, &at.api(1)).await;
    let (mine, other) = (ada.socket(&at.gateway(0)).await, Socket::signed_in(&at.gateway(1), token(&laptop)).await);
    let list = ada.get("/auth/sessions").await;
    let id = list["items"].as_array().expect("a page").iter().find(|item| item["current"] == false).expect("the other");
    let path = format!("/auth/sessions/{}", id["id"].as_str().expect("an id"));
    assert_eq!(ada.request_at(&at.api(1), Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    closes(other, SESSION_ENDED).await;
    let mut mine = mine;
    assert_eq!(mine.event("session_ended").await["data"]["sessionId"], id["id"], "told to the device that goes on");

    // All devices but this one, by a new password.
    let laptop = another_device(&ada, &at.api(0)).await;
    let others = [
        Socket::signed_in(&at.gateway(0), token(&laptop)).await,
        Socket::signed_in(&at.gateway(1), token(&laptop)).await,
    ];
    let change = json!({ "currentPassword": "correct horse battery", "newPassword": "new horse battery" });
    assert_eq!(ada.request(Method::PUT, "/auth/change-password", Some(change)).await.0, StatusCode::NO_CONTENT);
    for other in others {
        closes(other, SESSION_ENDED).await;
    }
    mine.command("get_room_users", json!({ "roomId": "nowhere" })).await;

    // All devices.
    let second = ada.socket(&at.gateway(1)).await;
    assert_eq!(ada.request(Method::POST, "/auth/logout-all", None).await.0, StatusCode::NO_CONTENT);
    closes(mine, SESSION_ENDED).await;
    closes(second, SESSION_ENDED).await;

    // An account that is deleted.
    let ben = at.person("ben").await;
    let sockets = [ben.socket(&at.gateway(0)).await, ben.socket(&at.gateway(1)).await];
    let eve = at.person("eve").await;
    let room = eve.make_room("private", &[&ben]).await;
    let mut eves = eve.socket(&at.gateway(1)).await;
    assert_eq!(ben.request(Method::DELETE, "/users/me", None).await.0, StatusCode::NO_CONTENT);
    for socket in sockets {
        closes(socket, SESSION_ENDED).await;
    }
    let left = eves.event("user_left").await;
    assert_eq!((&left["roomId"], &left["data"]["userId"]), (&json!(room), &json!(ben.id)));
    let again = Socket::open(&format!("{}?token={}", at.gateway(0), ben.token), None).await;
    closes(again, SESSION_ENDED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_close_their_sockets_on_every_node_of_a_cluster() {
    sessions_end_on_every_node(&cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_close_their_sockets_in_one_process() {
    sessions_end_on_every_node(&standalone(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_was_copied_closes_the_sockets_of_its_session() {
    let at = cluster(2, 2, &[]).await;
    let ada = at.person("ada").await;
    let socket = ada.socket(&at.gateway(1)).await;
    let refresh = async |api: usize, token: &str| {
        ada.request_at(&at.api(api), Method::POST, "/auth/refresh", Some(json!({ "refreshToken": token }))).await
    };
    // At two apis at once: of many, the two that are allowed pass, and the next one is a copy.
    let shown: Vec<_> = (0..6).map(|index| refresh(index, &ada.refresh_token)).collect();
    let answers = futures_util::future::join_all(shown).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == StatusCode::OK).count(), 2, "{answers:?}");
    closes(socket, SESSION_ENDED).await;
    for (_, tokens) in answers.iter().filter(|(status, _)| *status == StatusCode::OK) {
        let refused = refresh(1, tokens["refreshToken"].as_str().expect("a token")).await;
        assert_eq!(refused.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_keys_do_not_sign_in_on_sockets() {
    let at = standalone(&[]).await;
    let key = "rk_0190000000007000800000000000000a_secret";
    for url in [format!("{}?token={key}", at.gateway(0)), at.gateway(0)] {
        let bearer = (!url.contains("token")).then_some(key);
        closes(Socket::open(&url, bearer).await, UNAUTHORIZED).await;
    }
    let mut socket = Socket::open(&at.gateway(0), None).await;
    let refused = socket.command("authenticate", json!({ "token": key })).await;
    assert_eq!(refused["data"]["code"], "unauthorized");
    closes(socket, UNAUTHORIZED).await;
}

/// Settings as a harness takes them.
fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// A foreign token on every way to sign in, good ones and bad ones.
async fn foreign_tokens_sign_in(at: &Installation, provider: &IdentityProvider) {
    let ada = provider.token("ada", &json!({ "preferred_username": "ada", "name": "Ada" }));
    // First seen on a socket; nobody has been at an api before.
    let mut first = Socket::open(&format!("{}?jwt={ada}", at.gateway(0)), None).await;
    let authenticated = first.event("authenticated").await["data"].clone();
    assert_eq!(
        (&authenticated["user"]["username"], &authenticated["user"]["displayName"]),
        (&json!("ada"), &json!("Ada"))
    );
    let mut second = Socket::open(&at.gateway(1), Some(&ada)).await;
    assert_eq!(second.event("authenticated").await["data"]["user"]["id"], authenticated["user"]["id"]);
    let mut third = Socket::open(&at.gateway(1), None).await;
    let reply = third.command("authenticate", json!({ "token": ada })).await;
    assert_eq!((&reply["type"], &reply["data"]["sessionId"]), (&json!("authenticated"), &authenticated["sessionId"]));
    // The same person over REST, at the other api.
    let http = reqwest::Client::new();
    let me = http.get(format!("{}/api/v1/users/me", at.api(1))).bearer_auth(&ada).send().await.expect("an answer");
    assert_eq!(me.json::<Value>().await.expect("JSON")["id"], authenticated["user"]["id"]);
    // They talk with somebody who signed up.
    let ben = at.person("ben").await;
    let mut bens = ben.socket(&at.gateway(0)).await;
    let sent = third.command("send_message", json!({ "to": ben.id, "content": "hello" })).await;
    assert_eq!(sent["type"], "message_sent", "{sent}");
    assert_eq!(bens.event("new_message").await["data"]["author"]["username"], "ada");
    // A fresh token on a live connection.
    let fresh = provider.token("ada", &json!({ "jti": "fresh" }));
    let reply = third.command("authenticate", json!({ "token": fresh })).await;
    assert_eq!(reply["data"]["user"]["id"], authenticated["user"]["id"]);
    assert_ne!(reply["data"]["sessionId"], authenticated["sessionId"]);

    let mut expired = provider.claims("ada");
    expired["exp"] = json!(rookery_shared::clock::now().seconds() - 1);
    let mut elsewhere = provider.claims("ada");
    elsewhere["aud"] = json!("mail");
    let mut stranger = provider.claims("ada");
    stranger["iss"] = json!("https://evil.example.org/");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", ada.split('.').nth(1).expect("claims"));
    for (bad, code) in [
        (sign(ProviderKey::Ed, "ed", &expired), TOKEN_EXPIRED),
        (sign(ProviderKey::Ed, "ed", &elsewhere), UNAUTHORIZED),
        (sign(ProviderKey::Ed, "ed", &stranger), UNAUTHORIZED),
        (sign(ProviderKey::Rsa, "rsa", &provider.claims("ada")), UNAUTHORIZED),
        (sign(ProviderKey::Rsa, "ed", &provider.claims("ada")), UNAUTHORIZED),
        (unsigned, UNAUTHORIZED),
    ] {
        closes(Socket::open(&at.gateway(0), Some(&bad)).await, code).await;
        let mut socket = Socket::open(&at.gateway(1), None).await;
        let refused = socket.command("authenticate", json!({ "token": bad })).await;
        assert_eq!(refused["data"]["code"], "unauthorized");
        closes(socket, code).await;
        // A live connection goes on with the token that it has.
        let refused = third.command("authenticate", json!({ "token": bad })).await;
        assert_eq!(refused["data"]["code"], "unauthorized");
    }
    // Signing out ends the token's session and its sockets; the fresh one goes on.
    let out = http.post(format!("{}/api/v1/auth/logout", at.api(0))).bearer_auth(&ada).send().await.expect("an answer");
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    closes(first, SESSION_ENDED).await;
    closes(second, SESSION_ENDED).await;
    assert_eq!(third.event("session_ended").await["data"]["sessionId"], authenticated["sessionId"]);
    closes(Socket::open(&at.gateway(1), Some(&ada)).await, SESSION_ENDED).await;
    // Nobody can tell while the provider is away and the key is not known: come again.
    provider.away(true);
    let unknown = sign(ProviderKey::Ec, "new", &provider.claims("ada"));
    poll("nobody can tell", async || {
        let mut socket = Socket::open(&at.gateway(0), Some(&unknown)).await;
        (socket.closed().await == Closed { code: 4007, reason: "unavailable".into() }).then_some(())
    })
    .await;
    let reply = third.command("authenticate", json!({ "token": unknown })).await;
    assert_eq!(reply["data"]["code"], "unavailable", "and a live connection goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_an_identity_provider_sign_in_at_a_cluster() {
    let provider = IdentityProvider::start(&[ProviderKey::Ed]).await;
    let at = cluster(2, 2, &borrowed(&provider.settings())).await;
    foreign_tokens_sign_in(&at, &provider).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_an_identity_provider_sign_in_in_one_process() {
    let provider = IdentityProvider::start(&[ProviderKey::Ed]).await;
    let at = standalone(&borrowed(&provider.settings())).await;
    foreign_tokens_sign_in(&at, &provider).await;
}
