//! Ways into a room for whoever has the token.

use super::on_both_stores;
use crate::harness::{Cluster, Person, each};
use futures_util::future::join_all;
use rookery_shared::testing::poll;
use serde_json::{Value, json};

on_both_stores! {
    of_ten_who_come_at_once_with_three_uses_exactly_three_come_in,
    an_invite_to_a_deleted_room_is_gone,
}

async fn invites(owner: &Person, room: &str, body: Value) -> Value {
    owner.post(&format!("/rooms/{room}/invites"), body).await.created()
}

fn path(invite: &Value) -> String {
    format!("/invites/{}", invite["token"].as_str().expect("a token"))
}

async fn come(person: &Person, invite: &Value) -> crate::harness::Answer {
    person.post(&format!("{}/join", path(invite)), json!({})).await
}

#[tokio::test]
async fn an_invite_is_made_shown_used_and_taken_back() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let body = json!({ "name": "Reading", "description": "books", "visibility": "private" });
    let room = ada.makes_room(body).await;
    let made = ada.post(&format!("/rooms/{room}/invites"), json!({ "expiresIn": 3_600, "maxUses": 5 })).await;
    let location = made.header("location").to_owned();
    let invite = made.created();
    assert_eq!(location, format!("/api/v1{}", path(&invite)));
    let expected = json!({
        "token": invite["token"], "roomId": room, "expiresAt": invite["expiresAt"], "maxUses": 5, "uses": 0,
        "createdBy": ada.id, "createdAt": invite["createdAt"],
    });
    assert_eq!(invite, expected);
    let time = |value: &Value| serde_json::from_value::<rookery_shared::clock::Time>(value.clone()).expect("a time").0;
    assert_eq!(time(&invite["expiresAt"]) - time(&invite["createdAt"]), 3_600_000);
    let preview = json!({
        "roomId": room, "name": "Reading", "description": "books", "visibility": "private", "memberCount": 1,
        "expiresAt": invite["expiresAt"], "isMember": false,
    });
    assert_eq!(ben.get(&path(&invite)).await.ok(), preview);
    cluster.visitor(0).get(&path(&invite)).await.problem(401, "unauthorized");
    ben.get(&format!("/rooms/{room}")).await.problem(404, "not_found");

    let joined = come(&ben, &invite).await.ok();
    assert_eq!((&joined["id"], &joined["isNew"], &joined["role"]), (&json!(room), &json!(true), &json!("member")));
    assert_eq!((&joined["memberCount"], joined["members"].as_array().map(Vec::len)), (&json!(2), Some(2)));
    let again = come(&ben, &invite).await.ok();
    assert_eq!((&again["id"], &again["isNew"]), (&json!(room), &json!(false)));
    assert_eq!(come(&ada, &invite).await.ok()["isNew"], false);
    assert_eq!(ben.get(&path(&invite)).await.ok()["isMember"], true);
    let list = format!("/rooms/{room}/invites");
    assert_eq!(each(&ada.get(&list).await.ok(), "uses"), [1], "who is in already spends nothing");
    assert_eq!(each(&ada.sync(&room, "").await, "type"), ["user_joined", "user_joined"]);

    let revoke = format!("{list}/{}", invite["token"].as_str().expect("a token"));
    ben.delete(&revoke).await.problem(403, "forbidden");
    for _ in 0..2 {
        ada.delete(&revoke).await.expect(204);
    }
    ada.delete(&format!("{list}/nothing")).await.problem(404, "not_found");
    assert_eq!(each(&ada.get(&list).await.ok(), "token"), Vec::<&Value>::new());
    eve.get(&path(&invite)).await.problem(410, "gone");
    come(&eve, &invite).await.problem(410, "gone");
    eve.get("/invites/nothing").await.problem(404, "not_found");
    eve.post("/invites/nothing/join", json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn who_may_invite_and_with_what() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let room = ada.makes_private_room(&[&ben]).await;
    let list = format!("/rooms/{room}/invites");
    ben.post(&list, json!({})).await.problem(403, "forbidden");
    ben.get(&list).await.problem(403, "forbidden");
    eve.post(&list, json!({})).await.problem(404, "not_found");
    ada.patch(&format!("/rooms/{room}/members/{}", ben.id), json!({ "role": "moderator" })).await.ok();
    for (field, value) in [
        ("expiresIn", json!(0)),
        ("expiresIn", json!(-1)),
        ("expiresIn", json!(365 * 24 * 3_600 + 1)),
        ("expiresIn", json!("soon")),
        ("maxUses", json!(0)),
        ("maxUses", json!(1_000_001)),
        ("maxUses", json!(1.5)),
    ] {
        assert_eq!(ben.post(&list, json!({ field: value })).await.problem(422, "invalid"), [field]);
    }
    // Without a body it has the defaults: a week, and any number of uses.
    let plain = ben.request(reqwest::Method::POST, &list, None).await.created();
    assert_eq!(plain["maxUses"], Value::Null);
    let second = invites(&ben, &room, json!({ "maxUses": 1 })).await;
    let listed = ada.get(&list).await.ok();
    assert_eq!(each(&listed, "token"), [&second["token"], &plain["token"]]);
    let first = ada.get(&format!("{list}?limit=1")).await.ok();
    let next = first["next"].as_str().expect("there is more");
    assert_eq!(each(&ada.get(&format!("{list}?limit=1&after={next}")).await.ok(), "token"), [&plain["token"]]);
}

#[tokio::test]
async fn an_invite_that_is_spent_or_expired_is_gone() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let room = ada.makes_private_room(&[]).await;
    let spent = invites(&ada, &room, json!({ "maxUses": 1 })).await;
    assert_eq!(come(&ben, &spent).await.ok()["isNew"], true);
    come(&eve, &spent).await.problem(410, "gone");
    eve.get(&path(&spent)).await.problem(410, "gone");
    assert_eq!(come(&ben, &spent).await.ok()["isNew"], false, "an answer that was lost is given again");
    let short = invites(&ada, &room, json!({ "expiresIn": 1 })).await;
    poll("it expires", async || (eve.get(&path(&short)).await.status == 410).then_some(())).await;
    come(&eve, &short).await.problem(410, "gone");
    assert_eq!(ada.get(&format!("/rooms/{room}")).await.ok()["memberCount"], 2);
}

async fn of_ten_who_come_at_once_with_three_uses_exactly_three_come_in(cluster: Cluster) {
    let ada = cluster.person("ada").await;
    let room = ada.makes_private_room(&[]).await;
    let invite = invites(&ada, &room, json!({ "maxUses": 3 })).await;
    let mut people = Vec::new();
    for index in 0..10 {
        people.push(cluster.person(&format!("person{index}")).await.at(cluster.url(index % 2)));
    }
    let coming = people.iter().map(|person| async { come(person, &invite).await.status.as_u16() });
    let mut outcomes = join_all(coming).await;
    outcomes.sort_unstable();
    assert_eq!(outcomes, [200, 200, 200, 410, 410, 410, 410, 410, 410, 410]);
    assert_eq!(ada.get(&format!("/rooms/{room}")).await.ok()["memberCount"], 4);
    assert_eq!(each(&ada.get(&format!("/rooms/{room}/invites")).await.ok(), "uses"), [3]);
}

async fn an_invite_to_a_deleted_room_is_gone(cluster: Cluster) {
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_private_room(&[]).await;
    let (open, revoked) = (invites(&ada, &room, json!({})).await, invites(&ada, &room, json!({})).await);
    let token = revoked["token"].as_str().expect("a token");
    ada.delete(&format!("/rooms/{room}/invites/{token}")).await.expect(204);
    ada.delete(&format!("/rooms/{room}")).await.expect(204);
    for _ in 0..2 {
        for invite in [&open, &revoked] {
            ben.get(&path(invite)).await.problem(410, "gone");
            come(&ben, invite).await.problem(410, "gone");
        }
        // Once more when everything of the room is gone.
        let room = room.parse().expect("an id");
        let log = rookery_shared::ids::StreamId::Room(room);
        poll("the log is gone", async || (cluster.store.heads(&[log]).await.expect("read") == [0]).then_some(())).await;
    }
}
