//! Coming back: what was missed, once and in order, then what is said; on the cluster through another node.

use crate::harness::{Installation, Person, Socket, cluster, standalone};
use serde_json::{Value, json};

/// Says something over REST; gives its place.
async fn say(person: &Person, room: &str, content: &str) -> u64 {
    let path = format!("/rooms/{room}/messages");
    person.post(&path, json!({ "content": content })).await["seq"].as_u64().expect("a seq")
}

/// Signs in and stays for a moment; gives the epoch.
async fn epoch(person: &Person, gateway: &str) -> String {
    let mut socket = Socket::open(&format!("{gateway}?token={}", person.token), None).await;
    let authenticated = socket.event("authenticated").await;
    authenticated["data"]["storeEpoch"].as_str().expect("an epoch").to_owned()
}

async fn places_after(socket: &mut Socket, cursor: u64, head: u64, room: &str) {
    for seq in cursor + 1..=head {
        let frame = socket.next().await.expect("open");
        assert_eq!((&frame["roomId"], &frame["seq"]), (&json!(room), &json!(seq)), "in order, without holes, once");
    }
}

async fn what_was_missed_comes_before_what_is_said(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let (room, other) = (ada.make_room("private", &[&bob]).await, ada.make_room("private", &[&bob]).await);
    let left = ada.make_room("public", &[&bob]).await;
    let epoch = epoch(&bob, &installation.gateway(0)).await;
    let cursor = say(&ada, &room, "seen").await;
    let mut head = cursor;
    for n in 0..30 {
        head = say(&ada, &room, &format!("missed {n}")).await;
    }
    bob.post(&format!("/rooms/{left}/leave"), json!({})).await;
    let cursors = json!({ "storeEpoch": epoch, "rooms": { room.clone(): cursor, left.clone(): 1 } });

    // Cursors at sign-in: `authenticated`, `resumed`, what was missed, then what is said.
    let mut socket = Socket::open(&installation.gateway(1), None).await;
    socket.post("authenticate", json!({ "token": bob.token, "resume": cursors })).await;
    assert_eq!(socket.next().await.expect("open")["type"], "authenticated");
    let resumed = socket.next().await.expect("open");
    assert_eq!((&resumed["type"], resumed.get("id")), (&json!("resumed"), None));
    assert_eq!(resumed["data"]["rooms"][&room], json!({ "status": "recovered", "head": head }));
    assert_eq!(resumed["data"]["rooms"][&left]["status"], "gone");
    assert_eq!(resumed["data"]["rooms"].get(&other), None);
    places_after(&mut socket, cursor, head, &room).await;
    let live = say(&ada, &room, "live").await;
    places_after(&mut socket, head, live, &room).await;
    let again = socket.command("resume", cursors.clone()).await;
    assert_eq!(again["data"]["code"], "already_live");

    // Cursors in a command: nothing of a room before `resumed`, and nothing that was said meanwhile is lost.
    let url = format!("{}?resume=1&token={}", installation.gateway(0), bob.token);
    let mut socket = Socket::open(&url, None).await;
    assert_eq!(socket.next().await.expect("open")["type"], "authenticated");
    let meanwhile = say(&ada, &room, "meanwhile").await;
    let elsewhere = say(&ada, &other, "elsewhere").await;
    let id = socket.post("resume", cursors).await;
    let resumed = loop {
        let frame = socket.next().await.expect("open");
        assert_eq!(frame.get("roomId"), None, "no room event before resumed: {frame}");
        if frame["type"] == "resumed" {
            break frame;
        }
    };
    assert_eq!(resumed["id"], id);
    let mut of_room = Vec::new();
    let mut of_other: Vec<Value> = Vec::new();
    while of_room.len() < usize::try_from(meanwhile - cursor).expect("few") || of_other.is_empty() {
        let frame = socket.next().await.expect("open");
        if frame["roomId"] == room.as_str() { of_room.push(frame["seq"].clone()) } else { of_other.push(frame) }
    }
    assert_eq!(of_room, (cursor + 1..=meanwhile).map(|seq| json!(seq)).collect::<Vec<_>>());
    assert_eq!((of_other.len(), &of_other[0]["seq"]), (1, &json!(elsewhere)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_through_another_node_misses_nothing() {
    what_was_missed_comes_before_what_is_said(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_to_the_standalone_program_misses_nothing() {
    what_was_missed_comes_before_what_is_said(standalone(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_leads_nowhere_gets_a_gap_and_live_entries_go_on() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let room = ada.make_room("private", &[]).await;
    let epoch = epoch(&ada, &installation.gateway(0)).await;
    let head = say(&ada, &room, "something").await;
    for cursors in [
        json!({ "storeEpoch": "another", "rooms": { room.clone(): head } }),
        json!({ "storeEpoch": epoch, "rooms": { room.clone(): head + 7 } }),
    ] {
        let mut socket = Socket::open(&installation.gateway(0), None).await;
        socket.command("authenticate", json!({ "token": ada.token, "resume": cursors })).await;
        let resumed = socket.event("resumed").await;
        let head = resumed["data"]["rooms"][&room]["head"].as_u64().expect("a head");
        assert_eq!(resumed["data"]["rooms"][&room]["status"], "gap");
        let live = say(&ada, &room, "live").await;
        places_after(&mut socket, head, live, &room).await;
    }
}
