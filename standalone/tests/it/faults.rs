//! What breaks, and what people then see.

use crate::harness::{Socket, cluster, standalone};
use serde_json::{Value, json};
use std::time::Duration;

/// Reads messages until this many have come, and checks that they are the next ones of the log.
async fn expect_next(socket: &mut Socket, from: u64, count: u64) {
    for seq in from..from + count {
        let message = socket.frame(|frame| frame["type"] == "new_message").await;
        assert_eq!(message["seq"], seq, "in order, without holes, once");
    }
}

fn seq(answer: &Value) -> u64 {
    answer["data"]["seq"].as_u64().unwrap_or_else(|| panic!("sent: {answer}"))
}

/// Redis is a hint: messages are stored and acknowledged without it, sockets stay, and who is connected catches up by
/// themselves when it is back, although it has forgotten everything.
#[tokio::test(flavor = "multi_thread")]
async fn redis_dies_and_comes_back_empty_and_everyone_catches_up() {
    let mut installation = cluster(2, 2, &[]).await;
    let ada = installation.person("ada").await;
    let bob = installation.person("bob").await;
    let room = ada.make_room("private", &[&bob]).await;
    let mut here = ada.socket(&installation.gateway(0)).await;
    let mut there = bob.socket(&installation.gateway(1)).await;
    let say = |content: &str| json!({ "roomId": room, "content": content });
    let first = seq(&here.command("send_message", say("before")).await);
    expect_next(&mut there, first, 1).await;

    let redis = installation.redis.as_mut().expect("a cluster has one");
    redis.kill();
    for n in 0..20 {
        let sent = here.command("send_message", say(&format!("meanwhile {n}"))).await;
        assert_eq!(sent["type"], "message_sent", "{sent}");
    }
    redis.restart().await;
    // Both were sent nothing live; the sockets are the same, and nobody asked for anything.
    expect_next(&mut there, first + 1, 20).await;
    expect_next(&mut here, first, 21).await;
    let last = seq(&there.command("send_message", say("after")).await);
    expect_next(&mut here, last, 1).await;
    expect_next(&mut there, last, 1).await;
}

/// Who signs in while Redis is away can send, and gets what is said from then on when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_needs_no_redis() {
    let mut installation = cluster(1, 1, &[]).await;
    let ada = installation.person("ada").await;
    let room = ada.make_room("private", &[]).await;
    installation.redis.as_mut().expect("a cluster has one").kill();
    let mut socket = ada.socket(&installation.gateway(0)).await;
    let sent = socket.command("send_message", json!({ "roomId": room, "content": "hello" })).await;
    installation.redis.as_mut().expect("a cluster has one").restart().await;
    expect_next(&mut socket, seq(&sent), 1).await;
}

/// Who leaves and comes back while events are lost learns both from two logs, in any order, and is a follower after.
#[tokio::test(flavor = "multi_thread")]
async fn leaving_and_coming_back_unseen_ends_in_following() {
    let mut installation = cluster(1, 2, &[]).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("public", &[&bob]).await;
    let mut there = bob.socket(&installation.gateway(0)).await;
    for round in 0..3 {
        installation.redis.as_mut().expect("a cluster has one").kill();
        bob.post(&format!("/rooms/{room}/leave"), json!({})).await;
        bob.post(&format!("/rooms/{room}/join"), json!({})).await;
        installation.redis.as_mut().expect("a cluster has one").restart().await;
        there.event("room_removed").await;
        there.event("room_added").await;
        let content = format!("welcome back {round}");
        ada.post(&format!("/rooms/{room}/messages"), json!({ "content": content })).await;
        assert_eq!(there.event("new_message").await["data"]["content"], content);
    }
    let mut seqs: Vec<u64> =
        there.kept().filter(|frame| frame["roomId"] == room.as_str()).filter_map(|f| f["seq"].as_u64()).collect();
    let all = seqs.len();
    seqs.dedup();
    assert_eq!(seqs.len(), all, "no entry came twice");
}

/// An api goes; sends find the other one.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_goes_and_sends_find_the_other() {
    let mut installation = cluster(1, 2, &[]).await;
    let ada = installation.person("ada").await;
    let mut rooms = Vec::new();
    for _ in 0..8 {
        rooms.push(ada.make_room("private", &[]).await);
    }
    let mut socket = ada.socket(&installation.gateway(0)).await;
    installation.end_api(1);
    // Among eight rooms, some belonged to the one that has gone.
    for room in &rooms {
        let sent = socket.command("send_message", json!({ "roomId": room, "content": "hello" })).await;
        assert_eq!(sent["type"], "message_sent", "{sent}");
    }
}

/// A client that reads nothing costs the others nothing, and is closed with a reason to come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_is_closed_and_costs_the_others_nothing() {
    let slow_bytes = (64 * 1024).to_string();
    let installation = cluster(1, 1, &[("ROOKERY_SLOW_BYTES", &slow_bytes)]).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    let mut slow = bob.socket(&installation.gateway(0)).await;
    let mut here = ada.socket(&installation.gateway(0)).await;
    // The kernel keeps several megabytes for a socket that is not read: as long as messages get, in bytes.
    let long = "\u{1d11e}".repeat(4_000);
    let mut sent = 0;
    let closed = tokio::time::timeout(Duration::from_mins(1), async {
        loop {
            let answer = here.command("send_message", json!({ "roomId": room, "content": long })).await;
            assert_eq!(answer["type"], "message_sent");
            sent += 1;
            if sent % 20 != 0 {
                continue;
            }
            let members = here.command("get_room_users", json!({ "roomId": room })).await;
            let users = members["data"]["users"].as_array().expect("users").clone();
            if users.iter().any(|user| user["isOnline"] == false) {
                return;
            }
        }
    });
    closed.await.expect("the slow one is closed");
    let mut received = 0;
    while slow.next().await.is_ok() {
        received += 1;
    }
    assert!(received < sent, "what waited was dropped with the connection: {received} of {sent}");
    // They come again and read on from where they were.
    let mut again = bob.socket(&installation.gateway(0)).await;
    let head = seq(&here.command("send_message", json!({ "roomId": room, "content": "there?" })).await);
    expect_next(&mut again, head, 1).await;
}

/// Long messages that are more together than the kernel keeps for a socket that is not read and has little room.
const FILLING: usize = 400;

/// How often someone says that they type, and then that they do not.
const TYPED: usize = 50;

/// Reads up to the last message; how many said that someone types, and how many messages came.
async fn read_to_the_end(socket: &mut Socket) -> (usize, usize) {
    let (mut typings, mut messages) = (0, 0);
    loop {
        let frame = socket.next().await.expect("still connected");
        match frame["type"].as_str() {
            Some("user_typing") => typings += 1,
            Some("new_message") => messages += 1,
            _ => {}
        }
        if frame["data"]["content"] == "the last one" {
            return (typings, messages);
        }
    }
}

/// A client that does not read for a while loses what is of the moment, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_first_loses_typing_and_no_message() {
    let patient =
        [("ROOKERY_SLOW_BYTES", "67108864"), ("ROOKERY_SLOW_SECONDS", "600"), ("ROOKERY_HEARTBEAT_SECONDS", "600")];
    let installation = standalone(&patient).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let eve = installation.person("eve").await;
    let room = ada.make_room("private", &[&bob, &eve]).await;
    let mut slow = Socket::with_little_room(&installation.gateway(0), &bob.token).await;
    let mut quick = eve.socket(&installation.gateway(0)).await;
    let mut here = ada.socket(&installation.gateway(0)).await;
    let reading = tokio::spawn(async move {
        for _ in 0..FILLING {
            quick.event("new_message").await;
        }
        quick
    });
    let long = "\u{1d11e}".repeat(4_000);
    for _ in 0..FILLING {
        here.post("send_message", json!({ "roomId": room, "content": long })).await;
    }
    let mut quick = reading.await.expect("reads on");
    for _ in 0..TYPED {
        for is_typing in [true, false] {
            here.post("typing", json!({ "roomId": room, "isTyping": is_typing })).await;
        }
    }
    here.command("send_message", json!({ "roomId": room, "content": "the last one" })).await;
    let (told, _) = read_to_the_end(&mut quick).await;
    assert_eq!(told, 2 * TYPED);
    let (typings, messages) = read_to_the_end(&mut slow).await;
    assert_eq!(messages, FILLING + 1, "every message came");
    assert!(typings < told, "who reads in time was told {told} times, who does not {typings} times");
    // Having caught up, it is told everything again.
    here.post("typing", json!({ "roomId": room, "isTyping": true })).await;
    assert_eq!(slow.event("user_typing").await["data"]["isTyping"], true);
}
