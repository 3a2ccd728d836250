//! The devices that someone is signed in with, and changing the password.

use crate::{
    harness::{Cluster, PASSWORD, Person, each, unlimited},
    store::fixture,
};
use reqwest::Method;
use rookery_shared::{
    envelope::Kind,
    ids::{SessionId, StreamId},
    testing::poll,
};
use serde_json::{Value, json};

/// The id of the session behind a person's token.
async fn session(person: &Person) -> String {
    let list = person.get("/auth/sessions").await.ok();
    let items = list["items"].as_array().expect("a page");
    let current = items.iter().find(|item| item["current"] == true).expect("one is the current one");
    current["id"].as_str().expect("an id").to_owned()
}

/// Waits until a token is refused at its api.
async fn is_out(person: &Person) {
    poll("the session is over", async || (person.get("/users/me").await.status == 401).then_some(())).await;
}

#[tokio::test]
async fn devices_are_listed_and_signed_out_one_by_one() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let phone = cluster.person("ada").await;
    let laptop = phone.another_device("ada").await;
    let list = phone.get("/auth/sessions").await.ok();
    assert_eq!(each(&list, "current"), [false, true], "the newest first");
    let item = &list["items"][0];
    assert!(item["createdAt"].is_string() && item["lastUsedAt"].is_string() && item["expiresAt"].is_string());
    assert!(item.as_object().is_some_and(|item| item.contains_key("device")), "{item}");
    let page = phone.get("/auth/sessions?limit=1").await.ok();
    let rest = phone.get(&format!("/auth/sessions?after={}", page["next"].as_str().expect("more"))).await.ok();
    assert_eq!(each(&rest, "current"), [true]);
    let path = format!("/auth/sessions/{}", session(&laptop).await);
    for _ in 0..2 {
        phone.delete(&path).await.expect(204);
    }
    laptop.get("/users/me").await.problem(401, "unauthorized");
    assert_eq!(each(&phone.get("/auth/sessions").await.ok(), "current"), [true]);
    // Somebody else's is not there, as one that never was.
    let ben = cluster.person("ben").await;
    ben.delete(&format!("/auth/sessions/{}", session(&phone).await)).await.problem(404, "not_found");
    ben.delete(&format!("/auth/sessions/{}", SessionId::new())).await.problem(404, "not_found");
    phone.get("/users/me").await.ok();
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_with_one_entry() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let phone = cluster.person("ada").await;
        let laptop = phone.another_device("ada").await;
        let elsewhere = laptop.at(cluster.url(1));
        elsewhere.get("/users/me").await.ok();
        cluster.bus.subscribe(&[StreamId::User(phone.id)]).await.expect("subscribes");
        phone.request(Method::POST, "/auth/logout-all", None).await.expect(204);
        for device in [&phone, &laptop] {
            device.get("/users/me").await.problem(401, "unauthorized");
            let refresh = json!({ "refreshToken": device.refresh_token() });
            device.post("/auth/refresh", refresh).await.problem(401, "unauthorized");
        }
        is_out(&elsewhere).await;
        let events = cluster.heard.wait(Kind::SessionEnded, 1).await;
        let data: Value = serde_json::from_slice(&events[0].data).expect("JSON");
        assert_eq!((events.len(), events[0].header.subject.is_nil(), &data["sessionId"]), (1, true, &Value::Null));
        phone.another_device("ada").await.get("/users/me").await.ok();
    }
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_this_one_goes_on() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let phone = cluster.person("ada").await;
        let others = [phone.another_device("ada").await, phone.another_device("ada").await.at(cluster.url(1))];
        cluster.bus.subscribe(&[StreamId::User(phone.id)]).await.expect("subscribes");
        let change = json!({ "currentPassword": PASSWORD, "newPassword": "new horse battery", "confirmPassword": "new horse battery" });
        phone.put("/auth/change-password", change).await.expect(204);
        phone.get("/users/me").await.ok();
        phone.post("/auth/refresh", json!({ "refreshToken": phone.refresh_token() })).await.ok();
        for other in &others {
            is_out(other).await;
            let refresh = json!({ "refreshToken": other.refresh_token() });
            other.post("/auth/refresh", refresh).await.problem(401, "unauthorized");
        }
        let events = cluster.heard.wait(Kind::SessionEnded, 2).await;
        assert!(events.len() == 2 && events.iter().all(|event| !event.header.subject.is_nil()), "{events:?}");
        let login = async |password: &str| {
            phone.post("/auth/login", json!({ "identifier": "ada", "password": password })).await
        };
        login(PASSWORD).await.problem(401, "invalid_credentials");
        login("new horse battery").await.ok();
    }
}

#[tokio::test]
async fn a_wrong_current_password_changes_nothing_and_cannot_be_tried_for_ever() {
    let mut config = unlimited();
    config.limits.failed_sign_in.max = 3;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let change = async |current: &str| {
        ada.put("/auth/change-password", json!({ "currentPassword": current, "newPassword": "new horse battery" }))
            .await
    };
    for _ in 0..2 {
        change("wrong password").await.problem(403, "forbidden");
    }
    // A success clears the failures, as it does at sign-in.
    let same = json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD });
    ada.put("/auth/change-password", same).await.expect(204);
    for _ in 0..3 {
        change("wrong password").await.problem(403, "forbidden");
    }
    let refused = change(PASSWORD).await;
    assert!(!refused.header("retry-after").is_empty());
    refused.problem(429, "rate_limited");
    // They count together with those at sign-in.
    let login = json!({ "identifier": "ada", "password": PASSWORD });
    ada.post("/auth/login", login).await.problem(429, "rate_limited");
}

#[tokio::test]
async fn what_is_wrong_with_a_new_password_is_named() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let change = async |body: Value| ada.put("/auth/change-password", body).await.problem(422, "invalid");
    assert_eq!(change(json!({})).await, ["currentPassword", "newPassword"]);
    assert_eq!(change(json!({ "currentPassword": PASSWORD, "newPassword": "short" })).await, ["newPassword"]);
    let other =
        json!({ "currentPassword": PASSWORD, "newPassword": "new horse battery", "confirmPassword": "another" });
    assert_eq!(change(other).await, ["confirmPassword"]);
    cluster.visitor(0).put("/auth/change-password", json!({})).await.problem(401, "unauthorized");
}
