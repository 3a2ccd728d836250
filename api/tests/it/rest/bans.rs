//! Who may not be in a room.

use super::on_both_stores;
use crate::harness::{Cluster, Person, each};
use futures_util::future::join_all;
use rookery_shared::{
    envelope::Kind,
    ids::{StreamId, UserId},
};
use serde_json::{Value, json};

on_both_stores! {
    a_ban_ends_a_membership_and_outlives_every_invite,
    who_joins_while_they_are_banned_is_out,
}

async fn invite(owner: &Person, room: &str) -> String {
    let invite = owner.post(&format!("/rooms/{room}/invites"), json!({})).await.created();
    invite["token"].as_str().expect("a token").to_owned()
}

async fn a_ban_ends_a_membership_and_outlives_every_invite(cluster: Cluster) {
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    cluster.bus.subscribe(&[StreamId::User(ben.id)]).await.expect("subscribes");
    let path = format!("/rooms/{room}/bans/{}", ben.id);
    let token = invite(&ada, &room).await;
    for _ in 0..2 {
        let body = json!({ "reason": "spam" });
        ada.put(&path, body).await.expect(204);
    }
    let log = ada.sync(&room, "").await;
    assert_eq!(each(&log, "type"), ["user_joined", "user_joined", "user_left"], "once");
    let removed = cluster.heard.wait(Kind::RoomRemoved, 1).await;
    assert_eq!((removed.len(), removed[0].header.ref_seq), (1, 3));
    let later = invite(&ada, &room).await;
    for url in [cluster.url(0), cluster.url(1)] {
        let ben = ben.at(url);
        ben.post(&format!("/rooms/{room}/join"), json!({})).await.problem(403, "banned");
        for token in [&token, &later] {
            ben.post(&format!("/invites/{token}/join"), json!({})).await.problem(403, "banned");
        }
        let add = json!({ "userId": ben.id });
        ada.at(url).post(&format!("/rooms/{room}/members"), add).await.problem(409, "banned");
    }
    let bans = ada.get(&format!("/rooms/{room}/bans")).await.ok();
    let expected = json!({
        "userId": ben.id, "username": "ben", "displayName": "ben", "reason": "spam", "bannedBy": ada.id,
        "createdAt": bans["items"][0]["createdAt"],
    });
    assert_eq!(bans["items"], json!([expected]));
    for _ in 0..2 {
        ada.delete(&path).await.expect(204);
    }
    assert_eq!(each(&ada.get(&format!("/rooms/{room}/bans")).await.ok(), "userId"), Vec::<&Value>::new());
    let joined = ben.post(&format!("/invites/{later}/join"), json!({})).await.ok();
    assert_eq!(joined["isNew"], true);
}

async fn who_joins_while_they_are_banned_is_out(cluster: Cluster) {
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    for _ in 0..6 {
        let room = ada.makes_public_room().await;
        let token = invite(&ada, &room).await;
        let ban = format!("/rooms/{room}/bans/{}", ben.id);
        let (join, by_invite) = (format!("/rooms/{room}/join"), format!("/invites/{token}/join"));
        let members = format!("/rooms/{room}/members");
        let (owner, joiner) = (ada.at(cluster.url(0)), ben.at(cluster.url(1)));
        let (banned, _, _, _) = tokio::join!(
            owner.puts(&ban),
            joiner.post(&join, json!({})),
            joiner.post(&by_invite, json!({})),
            owner.post(&members, json!({ "userId": ben.id })),
        );
        banned.expect(204);
        let there = ada.get(&members).await.ok();
        assert_eq!(each(&there, "username"), ["ada"], "whichever was first");
    }
}

#[tokio::test]
async fn who_may_ban_whom() {
    let cluster = Cluster::start().await;
    let people = join_all(["ada", "bea", "cleo", "dan", "eve"].map(|name| cluster.person(name))).await;
    let [ada, one, two, member, stranger] = people.as_slice() else { panic!("five") };
    let room = ada.makes_public_room().await;
    for moderator in [one, two] {
        let body = json!({ "userId": moderator.id, "role": "moderator" });
        ada.post(&format!("/rooms/{room}/members"), body).await.created();
    }
    member.joins(&room).await;
    let ban = |person: &Person| format!("/rooms/{room}/bans/{}", person.id);
    member.puts(&ban(stranger)).await.problem(403, "forbidden");
    member.get(&format!("/rooms/{room}/bans")).await.problem(403, "forbidden");
    stranger.puts(&ban(member)).await.problem(403, "not_a_member");
    one.puts(&ban(ada)).await.problem(403, "forbidden");
    one.puts(&ban(two)).await.problem(403, "forbidden");
    assert_eq!(one.puts(&ban(one)).await.problem(422, "invalid"), ["userId"]);
    one.puts(&format!("/rooms/{room}/bans/{}", UserId::new())).await.problem(404, "not_found");
    let long = json!({ "reason": "x".repeat(501) });
    let answer = one.put(&ban(member), long).await;
    assert_eq!(answer.problem(422, "invalid"), ["reason"]);
    // Before a membership, and at its end.
    one.puts(&ban(stranger)).await.expect(204);
    stranger.post(&format!("/rooms/{room}/join"), json!({})).await.problem(403, "banned");
    one.puts(&ban(member)).await.expect(204);
    ada.puts(&ban(two)).await.expect(204);
    let path = format!("/rooms/{room}/bans");
    let bans = ada.get(&path).await.ok();
    assert_eq!(each(&bans, "username"), ["cleo", "dan", "eve"], "the newest first");
    let first = ada.get(&format!("{path}?limit=2")).await.ok();
    let next = first["next"].as_str().expect("there is more");
    let second = ada.get(&format!("{path}?limit=2&after={next}")).await.ok();
    assert_eq!((each(&second, "username"), &second["next"]), (vec![&json!("eve")], &Value::Null));
    let prev = second["prev"].as_str().expect("there is something before");
    assert_eq!(ada.get(&format!("{path}?limit=2&before={prev}")).await.ok()["items"], first["items"]);
}
