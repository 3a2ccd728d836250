//! Who has read what: told to those who are there, given to those who come back.

use crate::harness::{Installation, Socket, cluster, standalone};
use serde_json::{Value, json};

/// Marks by socket; gives the cursor that stands.
async fn reads(socket: &mut Socket, room: &str, message: Option<&Value>) -> u64 {
    let data = match message {
        Some(message) => json!({ "roomId": room, "messageId": message }),
        None => json!({ "roomId": room }),
    };
    let ok = socket.command("message_read", data).await;
    assert_eq!((&ok["type"], &ok["data"]["roomId"]), (&json!("ok"), &json!(room)), "{ok}");
    ok["data"]["upTo"].as_u64().expect("a place")
}

/// The `message_read` events that came before this message.
async fn receipts_before(socket: &mut Socket, content: &str) -> Vec<Value> {
    socket.frame(|frame| frame["data"]["content"] == content).await;
    let receipts = socket.kept().filter(|frame| frame["type"] == "message_read");
    receipts.cloned().collect()
}

async fn receipts_reach_everyone_but_who_made_them(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    let mut sender = ada.socket(&installation.gateway(0)).await;
    let mut phone = bob.socket(&installation.gateway(1)).await;
    let mut laptop = bob.socket(&installation.gateway(1)).await;
    let mut desk = bob.socket(&installation.gateway(0)).await;
    let mut ids = Vec::new();
    for content in ["one", "two", "three"] {
        let sent = sender.command("send_message", json!({ "roomId": room, "content": content })).await;
        ids.push((sent["data"]["messageId"].clone(), sent["data"]["seq"].as_u64().expect("a place")));
    }
    assert_eq!(reads(&mut phone, &room, Some(&ids[1].0)).await, ids[1].1);
    for socket in [&mut sender, &mut laptop, &mut desk] {
        let told = socket.event("message_read").await;
        let data = &told["data"];
        let expected = json!({
            "roomId": room, "userId": bob.id, "upTo": ids[1].1, "messageId": ids[1].0, "readAt": data["readAt"],
        });
        assert_eq!((data, told.get("seq"), told.get("roomId")), (&expected, None, None));
        assert!(data["readAt"].is_string());
    }
    assert_eq!(reads(&mut laptop, &room, Some(&ids[0].0)).await, ids[1].1, "never back");
    let path = format!("/rooms/{room}/read");
    assert_eq!(bob.post(&path, json!({})).await, json!({ "roomId": room, "upTo": ids[2].1 }));
    // All devices see the same number.
    assert_eq!(reads(&mut desk, &room, None).await, ids[2].1);
    let told = phone.event("message_read").await;
    assert_eq!(told["data"]["upTo"], ids[2].1, "who marks over REST tells every socket of theirs");
    sender.command("send_message", json!({ "roomId": room, "content": "last" })).await;
    assert_eq!(receipts_before(&mut phone, "last").await, Vec::<Value>::new(), "its own mark was its reply");
    let list = bob.get("/rooms").await;
    assert_eq!(list["items"][0]["unreadCount"], 1);

    // Cursors come with `resumed`, through any gateway, and who read a message can be asked.
    let epoch = ada.get(&format!("/rooms/{room}/sync")).await["storeEpoch"].clone();
    for gateway in 0..2 {
        let mut back = Socket::open(&installation.gateway(gateway), None).await;
        let cursors = json!({ "storeEpoch": epoch, "rooms": { room.clone(): ids[2].1 } });
        back.post("authenticate", json!({ "token": ada.token, "resume": cursors })).await;
        let resumed = back.event("resumed").await;
        let of_room = &resumed["data"]["readCursors"][&room];
        assert_eq!((&of_room[&bob.id], of_room[&ada.id].is_u64()), (&json!(ids[2].1), true), "{resumed}");
    }
    let first = ada.get(&format!("/messages/{}", ids[0].0.as_str().expect("an id"))).await;
    let third = ada.get(&format!("/messages/{}", ids[2].0.as_str().expect("an id"))).await;
    let (first, third) = (&first["readBy"], &third["readBy"]);
    assert_eq!((first.as_array().map(Vec::len), &first[0]["userId"]), (Some(1), &json!(bob.id)));
    assert!(first[0]["readAt"].as_str() <= third[0]["readAt"].as_str());

    let stranger = installation.person("stranger").await;
    let mut outside = stranger.socket(&installation.gateway(0)).await;
    let refused = outside.command("message_read", json!({ "roomId": room })).await;
    assert_eq!(refused["data"]["code"], "not_found");
    let wrong = phone.command("message_read", json!({ "roomId": room, "messageId": room })).await;
    assert_eq!(
        (&wrong["data"]["code"], &wrong["data"]["errors"][0]["field"]),
        (&json!("invalid"), &json!("messageId"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_reach_everyone_but_who_made_them_on_two_gateways() {
    receipts_reach_everyone_but_who_made_them(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_reach_everyone_but_who_made_them_on_the_standalone_program() {
    receipts_reach_everyone_but_who_made_them(standalone(&[]).await).await;
}

async fn in_large_rooms_receipts_are_asked_for(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let cleo = installation.person("cleo").await;
    let room = ada.make_room("private", &[&bob, &cleo]).await;
    let mut sender = ada.socket(&installation.gateway(0)).await;
    let mut phone = bob.socket(&installation.gateway(1)).await;
    let mut laptop = bob.socket(&installation.gateway(0)).await;
    let sent = sender.command("send_message", json!({ "roomId": room, "content": "to many" })).await;
    let place = sent["data"]["seq"].as_u64().expect("a place");
    assert_eq!(reads(&mut phone, &room, None).await, place);
    assert_eq!(laptop.event("message_read").await["data"]["upTo"], place, "their own devices learn it");
    sender.command("send_message", json!({ "roomId": room, "content": "last" })).await;
    assert_eq!(receipts_before(&mut sender, "last").await, Vec::<Value>::new());
    assert_eq!(receipts_before(&mut phone, "last").await, Vec::<Value>::new());
    let path = format!("/messages/{}", sent["data"]["messageId"].as_str().expect("an id"));
    assert_eq!(ada.get(&path).await["readBy"][0]["userId"], bob.id.as_str());
    let epoch = ada.get(&format!("/rooms/{room}/sync")).await["storeEpoch"].clone();
    let mut back = Socket::open(&installation.gateway(1), None).await;
    let cursors = json!({ "storeEpoch": epoch, "rooms": { room.clone(): place } });
    back.post("authenticate", json!({ "token": bob.token, "resume": cursors })).await;
    let resumed = back.event("resumed").await;
    assert_eq!(resumed["data"]["readCursors"][&room], json!({ bob.id.clone(): place }), "one's own alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_large_rooms_receipts_are_asked_for_on_two_gateways() {
    in_large_rooms_receipts_are_asked_for(cluster(2, 2, &[("ROOKERY_RECEIPTS_MAX_ROOM", "2")]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_large_rooms_receipts_are_asked_for_on_the_standalone_program() {
    in_large_rooms_receipts_are_asked_for(standalone(&[("ROOKERY_RECEIPTS_MAX_ROOM", "2")]).await).await;
}
