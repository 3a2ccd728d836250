//! The end of an account.

use crate::{
    harness::{Cluster, PASSWORD, each, unlimited},
    store::fixture,
};
use rookery_shared::{envelope::Kind, ids::StreamId, testing::poll};
use serde_json::{Value, json};

#[tokio::test]
async fn a_deleted_account_is_gone_and_what_it_wrote_stays_without_a_name() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
        let laptop = ada.another_device("ada").await;
        let room = ben.makes_public_room().await;
        ada.joins(&room).await;
        ada.says(&room, "hello").await;
        let open = json!({ "userIds": [ben.id], "type": "consumer-to-consumer" });
        let talk = ada.post("/conversations", open).await.created()["id"].as_str().expect("an id").to_owned();
        ada.says(&talk, "between us").await;
        ada.patch("/users/me", json!({ "bio": "secret", "firstName": "Ada", "profilePicture": "https://a.example/a" }))
            .await
            .ok();
        cluster.bus.subscribe(&[StreamId::User(ada.id)]).await.expect("subscribes");
        ada.delete("/users/me").await.expect(204);
        for device in [&ada, &laptop] {
            poll("they are out", async || (device.get("/users/me").await.status == 401).then_some(())).await;
            let refresh = json!({ "refreshToken": device.refresh_token() });
            device.post("/auth/refresh", refresh).await.problem(401, "unauthorized");
        }
        ada.post("/auth/login", json!({ "identifier": "ada", "password": PASSWORD }))
            .await
            .problem(401, "invalid_credentials");
        let ended = cluster.heard.wait(Kind::SessionEnded, 1).await;
        assert!(ended[0].header.subject.is_nil());
        let path = format!("/users/{}", ada.id);
        poll("they are not there", async || (ben.get(&path).await.status == 404).then_some(())).await;
        ben.get("/users/search?q=ada").await.ok()["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
            .then_some(())
            .expect("not found");
        let author = json!({ "userId": ada.id, "username": null, "displayName": "Deleted user" });
        for place in [&room, &talk] {
            let history = ben.history(place, "").await;
            assert_eq!(each(&history, "author"), [&author]);
        }
        // The room lost a member, the conversation did not.
        assert_eq!(each(&ben.get(&format!("/rooms/{room}/members")).await.ok(), "userId"), [&json!(ben.id)]);
        let talkers = ben.get(&format!("/rooms/{talk}/members")).await.ok();
        assert_eq!(each(&talkers, "displayName").len(), 2);
        let kept = cluster.store.users(&[ada.id]).await.expect("read").pop().flatten().expect("the row stays");
        assert_eq!((kept.username.as_str(), kept.email.as_str(), kept.display_name.as_str()), ("", "", ""));
        assert_eq!((kept.bio, kept.first_name, kept.profile_picture, kept.password_hash), (None, None, None, None));
        // Name and address are free.
        cluster.person("ada").await.get("/users/me").await.ok();
    }
}

#[tokio::test]
async fn rooms_go_to_the_longest_standing_moderator_else_member() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
        let (shared, alone) = (ada.makes_public_room().await, ada.makes_public_room().await);
        ben.joins(&shared).await;
        eve.joins(&shared).await;
        ada.delete(&format!("/users/{}", ada.id)).await.expect(204);
        let members = ben.get(&format!("/rooms/{shared}/members")).await.ok();
        assert_eq!(each(&members, "userId"), [&json!(ben.id), &json!(eve.id)]);
        assert_eq!(each(&members, "role"), ["owner", "member"]);
        ben.get(&format!("/rooms/{alone}")).await.problem(404, "not_found");
        assert_eq!(ben.get(&format!("/rooms/{shared}")).await.ok()["memberCount"], 2);
        // Everyone in the room hears who owns it now, before the owner goes.
        let types: Vec<Value> = each(&ben.sync(&shared, "").await, "type").into_iter().cloned().collect();
        assert_eq!(types[types.len() - 2..], [json!("room_updated"), json!("user_left")]);
    }
}

#[tokio::test]
async fn an_admin_deletes_accounts_and_once_more_is_nothing_new() {
    let cluster = Cluster::start().await;
    let (admin, ada, ben) = (cluster.admin("admin").await, cluster.person("ada").await, cluster.person("ben").await);
    let path = format!("/users/{}", ada.id);
    ben.delete(&path).await.problem(403, "forbidden");
    for _ in 0..2 {
        admin.delete(&path).await.expect(204);
    }
    admin.get(&path).await.problem(404, "not_found");
    admin.patch(&path, json!({ "displayName": "back" })).await.problem(404, "not_found");
    admin.put(&format!("/admin/users/{}/role", ada.id), json!({ "role": "admin" })).await.problem(404, "not_found");
    ben.request(reqwest::Method::PUT, &format!("/users/{}/block", ada.id), None).await.problem(404, "not_found");
    let room = json!({ "name": "a", "visibility": "private", "memberIds": [ada.id] });
    assert_eq!(ben.post("/rooms", room).await.problem(422, "invalid"), ["memberIds"]);
    assert_eq!(admin.get("/users").await.ok()["items"].as_array().map(Vec::len), Some(2));
    assert_ne!(admin.get("/users/me").await.ok(), Value::Null);
}
