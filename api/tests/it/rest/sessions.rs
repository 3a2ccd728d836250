//! Refreshing and ending sessions.

use crate::harness::{Cluster, Person, the_clock_moves, unlimited};
use crate::store::fixture;
use futures_util::future::join_all;
use reqwest::Method;
use rookery_shared::{
    envelope::Kind,
    ids::{SessionId, StreamId},
    testing::poll,
    token::{Claims, TokenKeys},
};
use serde_json::json;
use std::time::Duration;

async fn refresh(person: &Person, token: &str) -> crate::harness::Answer {
    person.post("/auth/refresh", json!({ "refreshToken": token })).await
}

#[tokio::test]
async fn a_refresh_token_rotates_and_works_once_more_within_the_grace() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let first = ada.refresh_token();
    let second = refresh(&ada, &first).await.ok();
    assert_ne!(second["refreshToken"], json!(first));
    let again = ada.signed_in(refresh(&ada, &first).await.ok());
    again.get("/users/me").await.ok();
    refresh(&ada, &first).await.problem(401, "unauthorized");
    // The third use ended the session: nothing of it works any more.
    refresh(&ada, &again.refresh_token()).await.problem(401, "unauthorized");
    again.get("/users/me").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_refresh_token_does_not_work_again_after_the_grace() {
    let mut config = unlimited();
    config.sessions.refresh_grace = Duration::ZERO;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let second = ada.signed_in(refresh(&ada, &ada.refresh_token()).await.ok());
    the_clock_moves(Duration::ZERO).await;
    refresh(&ada, &ada.refresh_token()).await.problem(401, "unauthorized");
    second.get("/users/me").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn an_older_refresh_token_ends_the_session_and_its_connections() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    cluster.bus.subscribe(&[StreamId::User(ada.id)]).await.expect("subscribes");
    let second = ada.signed_in(refresh(&ada, &ada.refresh_token()).await.ok());
    let third = second.signed_in(refresh(&second, &second.refresh_token()).await.ok());
    refresh(&ada, &ada.refresh_token()).await.problem(401, "unauthorized");
    third.get("/users/me").await.problem(401, "unauthorized");
    let events = cluster.heard.wait(Kind::SessionEnded, 1).await;
    assert_eq!(events[0].header.kind, Kind::SessionEnded);
}

#[tokio::test]
async fn of_many_refreshes_at_once_the_two_that_are_allowed_pass() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let ada = cluster.person("ada").await;
    let token = ada.refresh_token();
    let people: Vec<Person> = (0..6).map(|index| ada.at(cluster.url(index % 2))).collect();
    let passed = join_all(people.iter().map(|person| refresh(person, &token))).await;
    let passed = passed.into_iter().filter(|answer| answer.status == 200).count();
    assert_eq!(passed, 2);
}

#[tokio::test]
async fn signing_out_ends_this_session_alone_and_tells_its_connections() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let phone = cluster.person("ada").await;
    let login = json!({ "identifier": "ada", "password": crate::harness::PASSWORD });
    let laptop = phone.signed_in(phone.post("/auth/login", login).await.ok());
    cluster.bus.subscribe(&[StreamId::User(phone.id)]).await.expect("subscribes");
    // The other api has seen the session alive, and may believe it for a second.
    let elsewhere = phone.at(cluster.url(1));
    elsewhere.get("/users/me").await.ok();
    phone.request(Method::POST, "/auth/logout", None).await.expect(204);
    phone.get("/users/me").await.problem(401, "unauthorized");
    refresh(&phone, &phone.refresh_token()).await.problem(401, "unauthorized");
    laptop.get("/users/me").await.ok();
    poll("the other api sees that the session ended", async || {
        (elsewhere.get("/users/me").await.status == 401).then_some(())
    })
    .await;
    let events = cluster.heard.wait(Kind::SessionEnded, 1).await;
    let data: serde_json::Value = serde_json::from_slice(&events[0].data).expect("JSON");
    assert_eq!((events.len(), events[0].header.kind, events[0].header.seq), (1, Kind::SessionEnded, 1));
    assert_eq!(data["sessionId"].as_str(), Some(SessionId(events[0].header.subject).to_string().as_str()));
}

#[tokio::test]
async fn wrong_expired_and_foreign_tokens_are_refused() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let claims = cluster.keys.verifier().verify(ada.token.as_deref().expect("a token")).expect("is good");
    let issuer = cluster.keys.issuer().expect("signs");
    let expired = issuer.issue(&Claims { exp: claims.iat - 1, ..claims }).expect("signs");
    let unknown = issuer.issue(&Claims { sid: SessionId::new(), ..claims }).expect("signs");
    let foreign = TokenKeys::shared_secret(b"foreign").issuer().expect("signs").issue(&claims).expect("signs");
    for token in [expired, unknown, foreign, "nonsense".to_owned(), String::new()] {
        let person = Person { token: Some(token.clone()), ..ada.clone() };
        let answer = person.get("/users/me").await;
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        answer.problem(401, "unauthorized");
    }
    cluster.visitor(0).get("/users/me").await.problem(401, "unauthorized");
    for token in ["", "nonsense", "0.1", &format!("{}.x", SessionId::new())] {
        refresh(&ada, token).await.problem(401, "unauthorized");
    }
    assert_eq!(ada.post("/auth/refresh", json!({})).await.problem(422, "invalid"), ["refreshToken"]);
}
