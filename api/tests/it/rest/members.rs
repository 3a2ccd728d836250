//! Adding people to a room, their roles, and removing them.

use super::on_both_stores;
use crate::harness::{Cluster, Person, each};
use futures_util::future::join_all;
use rookery_shared::ids::UserId;
use serde_json::{Value, json};

on_both_stores! {
    of_two_owners_who_demote_each_other_one_stays,
    what_someone_sees_begins_with_their_newest_membership,
}

async fn three(cluster: &Cluster) -> (Person, Person, Person) {
    (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await)
}

/// Adds someone with a role.
async fn adds(owner: &Person, room: &str, person: &Person, role: &str) {
    let body = json!({ "userId": person.id, "role": role });
    owner.post(&format!("/rooms/{room}/members"), body).await.created();
}

#[tokio::test]
async fn someone_is_added_once() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = three(&cluster).await;
    let room = ada.makes_private_room(&[]).await;
    let path = format!("/rooms/{room}/members");
    let added = ada.post(&path, json!({ "userId": ben.id })).await;
    assert_eq!(added.header("location"), format!("/api/v1{path}/{}", ben.id));
    let member = added.created();
    let expected = json!({
        "userId": ben.id, "username": "ben", "displayName": "ben", "role": "member", "joinedAt": member["joinedAt"],
        "isOnline": false,
    });
    assert_eq!(member, expected);
    // Again, and with another role: they are in, and stay what they are.
    for body in [json!({ "userId": ben.id }), json!({ "userId": ben.id, "role": "owner" })] {
        assert_eq!(ada.post(&path, body).await.ok(), expected);
    }
    assert_eq!(ben.get(&format!("{path}/{}", ben.id)).await.ok(), expected);
    assert_eq!(ben.get(&format!("{path}/{}", eve.id)).await.problem(404, "not_found"), [""; 0]);
    assert_eq!(each(&ada.sync(&room, "").await, "type"), ["user_joined", "user_joined"]);
    for (body, field) in [
        (json!({}), "userId"),
        (json!({ "userId": UserId::new() }), "userId"),
        (json!({ "userId": "nobody" }), "userId"),
        (json!({ "userId": eve.id, "role": "king" }), "role"),
    ] {
        assert_eq!(ada.post(&path, body).await.problem(422, "invalid"), [field]);
    }
}

#[tokio::test]
async fn who_may_add_and_remove_whom() {
    let cluster = Cluster::start().await;
    let (ada, mod_one, mod_two) = three(&cluster).await;
    let (member, other) = (cluster.person("member").await, cluster.person("other").await);
    let room = ada.makes_public_room().await;
    let path = format!("/rooms/{room}/members");
    adds(&ada, &room, &mod_one, "moderator").await;
    adds(&ada, &room, &mod_two, "moderator").await;
    let add = |role: &str| json!({ "userId": other.id, "role": role });
    mod_one.post(&path, add("owner")).await.problem(403, "forbidden");
    mod_one.post(&path, json!({ "userId": member.id })).await.created();
    member.post(&path, add("member")).await.problem(403, "forbidden");
    other.post(&path, json!({ "userId": other.id })).await.problem(403, "not_a_member");
    let of = |person: &Person| format!("{path}/{}", person.id);
    member.delete(&of(&mod_one)).await.problem(403, "forbidden");
    mod_one.delete(&of(&mod_two)).await.problem(403, "forbidden");
    mod_one.delete(&of(&ada)).await.problem(403, "forbidden");
    mod_one.patch(&of(&member), json!({ "role": "moderator" })).await.problem(403, "forbidden");
    ada.patch(&of(&member), json!({})).await.problem(422, "invalid");
    ada.patch(&of(&other), json!({ "role": "member" })).await.problem(404, "not_found");
    for _ in 0..2 {
        mod_one.delete(&of(&member)).await.expect(204);
    }
    ada.delete(&of(&mod_two)).await.expect(204);
    // Oneself: that is leaving, and any member may.
    mod_one.delete(&of(&mod_one)).await.expect(204);
    let log = ada.sync(&room, "").await;
    let told: Vec<_> =
        log["items"].as_array().expect("entries").iter().map(|it| (&it["type"], &it["data"]["userId"])).collect();
    let left = |person: &Person| (json!("user_left"), json!(person.id));
    let gone: Vec<_> = told[4..].iter().map(|(kind, who)| ((*kind).clone(), (*who).clone())).collect();
    assert_eq!(gone, [left(&member), left(&mod_two), left(&mod_one)]);
}

#[tokio::test]
async fn a_room_keeps_its_last_owner() {
    let cluster = Cluster::start().await;
    let (ada, ben, _) = three(&cluster).await;
    let room = ada.makes_public_room().await;
    let of = |person: &Person| format!("/rooms/{room}/members/{}", person.id);
    let demote = json!({ "role": "member" });
    ada.patch(&of(&ada), demote.clone()).await.problem(409, "last_owner");
    ben.joins(&room).await;
    ada.delete(&of(&ada)).await.problem(409, "last_owner");
    ada.patch(&of(&ben), json!({ "role": "owner" })).await.ok();
    ada.patch(&of(&ada), demote.clone()).await.ok();
    ben.patch(&of(&ben), demote).await.problem(409, "last_owner");
    ada.leaves(&room).await.expect(204);
    assert_eq!(ben.get(&format!("/rooms/{room}")).await.ok()["memberCount"], 1);
}

async fn of_two_owners_who_demote_each_other_one_stays(cluster: Cluster) {
    let (ada, ben, eve) = three(&cluster).await;
    for _ in 0..4 {
        let room = ada.makes_private_room(&[&eve]).await;
        adds(&ada, &room, &ben, "owner").await;
        let demoting = [(&ada, &ben), (&ben, &ada)].map(|(one, other)| {
            let path = format!("/rooms/{room}/members/{}", other.id);
            async move { one.patch(&path, json!({ "role": "member" })).await.status.as_u16() }
        });
        let outcomes = join_all(demoting).await;
        let done = outcomes.iter().filter(|status| **status == 200).count();
        // The slower one is told that they are no owner any more, or that the other is the last one.
        assert!(done == 1 && outcomes.iter().all(|status| [200, 403, 409].contains(status)), "{outcomes:?}");
        let roles = eve.get(&format!("/rooms/{room}/members")).await.ok();
        assert_eq!(each(&roles, "role").into_iter().filter(|role| **role == "owner").count(), 1);
    }
}

async fn what_someone_sees_begins_with_their_newest_membership(cluster: Cluster) {
    let (ada, ben, _) = three(&cluster).await;
    let ben = ben.at(cluster.url(0));
    let said = |history: &Value| -> Vec<String> {
        each(history, "content").into_iter().map(|it| it.as_str().expect("text").to_owned()).collect()
    };
    for (from, newcomer, returned) in
        [("join", vec!["two"], vec!["four"]), ("start", vec!["one", "two"], vec!["one", "two", "three", "four"])]
    {
        let room = ada.makes_room(json!({ "name": "r", "visibility": "private", "historyFrom": from })).await;
        ada.says(&room, "one").await;
        adds(&ada, &room, &ben, "member").await;
        ada.says(&room, "two").await;
        assert_eq!(said(&ben.history(&room, "").await), newcomer, "{from}");
        let first = if from == "join" { 3 } else { 1 };
        assert_eq!(each(&ben.sync(&room, "").await, "seq").first(), Some(&&json!(first)));
        let old = ada.history(&room, "").await["items"][0]["id"].as_str().expect("an id").to_owned();
        let status = ben.get(&format!("/messages/{old}")).await.status.as_u16();
        assert_eq!(status, if from == "join" { 404 } else { 200 });

        ada.at(cluster.url(0)).delete(&format!("/rooms/{room}/members/{}", ben.id)).await.expect(204);
        for path in ["", "/messages", "/sync", "/members"] {
            ben.get(&format!("/rooms/{room}{path}")).await.problem(404, "not_found");
        }
        ben.tries_to_say(&room, json!({ "content": "hello?" })).await.problem(404, "not_found");
        ada.says(&room, "three").await;
        adds(&ada, &room, &ben, "member").await;
        ada.says(&room, "four").await;
        assert_eq!(said(&ben.history(&room, "").await), returned, "{from}");
        assert_eq!(said(&ben.history(&room, "?after=0").await), returned, "{from}");
        let log = ben.sync(&room, "").await;
        let first = if from == "join" { 7 } else { 1 };
        assert_eq!((&log["from"], each(&log, "seq").first()), (&json!(first), Some(&&json!(first))));
    }
}

#[tokio::test]
async fn nobody_is_managed_in_a_conversation() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = three(&cluster).await;
    let opened = ada.post("/conversations", json!({ "userIds": [ben.id] })).await.created();
    let path = format!("/rooms/{}", opened["id"].as_str().expect("an id"));
    for person in [&ada, &ben] {
        person.patch(&path, json!({ "name": "us" })).await.problem(403, "forbidden");
        person.post(&format!("{path}/members"), json!({ "userId": eve.id })).await.problem(403, "forbidden");
        person.post(&format!("{path}/invites"), json!({})).await.problem(403, "forbidden");
        person.puts(&format!("{path}/bans/{}", eve.id)).await.problem(403, "forbidden");
        person.get(&format!("{path}/bans")).await.problem(403, "forbidden");
        let other = if person.id == ada.id { &ben } else { &ada };
        person.delete(&format!("{path}/members/{}", other.id)).await.problem(403, "forbidden");
        person
            .patch(&format!("{path}/members/{}", other.id), json!({ "role": "owner" }))
            .await
            .problem(403, "forbidden");
    }
    eve.post(&format!("{path}/join"), json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn someone_and_admins_see_what_they_are_in() {
    let cluster = Cluster::start().await;
    let (ada, ben, eve) = three(&cluster).await;
    let admin = cluster.admin("admin").await;
    let room = ada.makes_private_room(&[&ben]).await;
    let opened = ada.post("/conversations", json!({ "userIds": [ben.id] })).await.created();
    ada.says(&room, "newest").await;
    let path = format!("/users/{}/rooms", ben.id);
    let rooms = ben.get(&path).await.ok();
    assert_eq!(each(&rooms, "id"), [&json!(room), &opened["id"]]);
    assert_eq!(each(&rooms, "unreadCount"), [1, 0]);
    let first = ben.get(&format!("{path}?limit=1")).await.ok();
    let next = first["next"].as_str().expect("there is more");
    assert_eq!(each(&ben.get(&format!("{path}?limit=1&after={next}")).await.ok(), "id"), [&opened["id"]]);
    eve.get(&path).await.problem(403, "forbidden");
    eve.get(&format!("/users/{}/rooms", UserId::new())).await.problem(404, "not_found");
    assert_eq!(each(&admin.get(&path).await.ok(), "id"), [&json!(room), &opened["id"]]);
}
