//! People talk: through two gateways and two apis, and in one process, over REST and sockets mixed.

use crate::harness::{Installation, Person, Socket, cluster, standalone};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Messages that each of the two sends.
const EACH: usize = 1_000;

/// Every how many messages one goes by REST.
const REST_EVERY: usize = 10;

/// Commands that are unanswered at most.
const WINDOW: usize = 32;

/// Sends so many messages, by socket and through the apis in turn, and gives what arrived of both people's.
async fn talk(installation: &Installation, person: &Person, mut socket: Socket, room: &str) -> Vec<Value> {
    let (mut sent, mut answered) = (0, 0);
    let mut heard: Vec<Value> = Vec::new();
    while answered < EACH || heard.len() < 2 * EACH {
        if sent < EACH && sent - answered < WINDOW {
            let client_id = format!("{}-{sent}", person.username);
            let content = format!("message {sent} of {}", person.username);
            if sent % REST_EVERY == 0 {
                // What went by socket before is answered first: order between the two ways is the sender's to keep.
                while answered < sent {
                    let frame = socket.next().await.expect("open");
                    sort(&frame, room, &mut answered, &mut heard);
                }
                let api = installation.api(sent / REST_EVERY);
                let body = json!({ "content": content, "clientId": client_id });
                let path = format!("/rooms/{room}/messages");
                let (status, answer) = person.request_at(&api, Method::POST, &path, Some(body)).await;
                assert_eq!(status, StatusCode::CREATED, "{answer}");
                answered += 1;
            } else {
                let data = json!({ "roomId": room, "content": content, "clientId": client_id });
                socket.post("send_message", data).await;
            }
            sent += 1;
            continue;
        }
        let frame = socket.next().await.expect("open");
        sort(&frame, room, &mut answered, &mut heard);
    }
    heard
}

/// An answer, or an entry of the room's log; anything else of a room is a defect.
fn sort(frame: &Value, room: &str, answered: &mut usize, heard: &mut Vec<Value>) {
    match frame["type"].as_str().expect("a type") {
        "message_sent" => *answered += 1,
        "new_message" => {
            assert_eq!(frame["roomId"], room);
            assert_eq!(frame["seq"], frame["data"]["seq"]);
            heard.push(frame["data"].clone());
        }
        "error" => panic!("{frame}"),
        _ => {}
    }
}

async fn a_thousand_messages_each_way(installation: Installation) {
    let ada = installation.person("ada").await;
    let bob = Person::register(&installation.api(1), "bob").await;
    let room = ada.make_room("private", &[&bob]).await;
    let here = ada.socket(&installation.gateway(0)).await;
    let there = bob.socket(&installation.gateway(1)).await;
    let (by_ada, by_bob) =
        tokio::join!(talk(&installation, &ada, here, &room), talk(&installation, &bob, there, &room));
    let history = history(&ada, &room).await;
    for heard in [&by_ada, &by_bob, &history] {
        let seqs: Vec<u64> = heard.iter().map(|message| message["seq"].as_u64().expect("a seq")).collect();
        assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order, without holes");
        let ids: HashSet<&str> = heard.iter().map(|message| message["clientId"].as_str().expect("text")).collect();
        assert_eq!((heard.len(), ids.len()), (2 * EACH, 2 * EACH), "all of them, once");
        for person in [&ada, &bob] {
            let of = |message: &&Value| message["author"]["userId"] == person.id.as_str();
            let order: Vec<&str> = heard.iter().filter(of).map(|m| m["clientId"].as_str().expect("text")).collect();
            let expected: Vec<String> = (0..EACH).map(|n| format!("{}-{n}", person.username)).collect();
            assert_eq!(order, expected, "in the order in which {} sent them", person.username);
        }
    }
    assert_eq!(by_ada, by_bob);
    assert_eq!(by_ada, history);
}

/// All messages of a room, page by page.
async fn history(person: &Person, room: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let page = person.get(&format!("/rooms/{room}/messages?after={after}&limit=200")).await;
        all.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_on_two_gateways_have_every_message_once_and_in_order() {
    a_thousand_messages_each_way(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_on_the_standalone_program_have_every_message_once_and_in_order() {
    a_thousand_messages_each_way(standalone(&[]).await).await;
}

/// Five at once, through every api and over a socket.
async fn the_same_client_id_five_times(installation: Installation) {
    let ada = installation.person("ada").await;
    let room = ada.make_room("public", &[]).await;
    let mut socket = ada.socket(&installation.gateway(0)).await;
    let body = json!({ "content": "once", "clientId": "the-same" });
    let path = format!("/rooms/{room}/messages");
    let (first, second) = (installation.api(0), installation.api(1));
    let post = |api: &str| {
        let (api, body, path, ada) = (api.to_owned(), body.clone(), path.clone(), &ada);
        async move { ada.request_at(&api, Method::POST, &path, Some(body)).await }
    };
    let over_socket =
        socket.command("send_message", json!({ "roomId": room, "content": "once", "clientId": "the-same" }));
    let by_rest = futures_util::future::join_all([&first, &second, &first, &second].map(|api| post(api)));
    let (by_rest, by_socket) = tokio::join!(by_rest, over_socket);
    let id = by_socket["data"]["messageId"].clone();
    assert!(id.is_string(), "{by_socket}");
    for (status, answer) in by_rest {
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        assert_eq!(answer["id"], id);
    }
    assert_eq!(history(&ada, &room).await.len(), 1);
    let other = json!({ "content": "something else", "clientId": "the-same" });
    let (status, problem) = ada.request(Method::POST, &path, Some(other)).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("client_id_reused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_client_id_through_two_apis_makes_one_message() {
    the_same_client_id_five_times(cluster(1, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_client_id_on_the_standalone_program_makes_one_message() {
    the_same_client_id_five_times(standalone(&[]).await).await;
}

/// Someone is there from the start; another comes by joining; both by events alone.
async fn a_room_fills_up(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let mut here = ada.socket(&installation.gateway(0)).await;
    let mut there = bob.socket(&installation.gateway(1)).await;
    let room = ada.make_room("public", &[]).await;
    let added = here.event("room_added").await;
    assert_eq!(added["data"]["id"], room.as_str());
    bob.post(&format!("/rooms/{room}/join"), json!({})).await;
    assert_eq!(there.event("room_added").await["data"]["id"], room.as_str());
    let joined = here.frame(|frame| frame["type"] == "user_joined" && frame["data"]["userId"] == bob.id.as_str()).await;
    assert_eq!(joined["roomId"], room.as_str());

    // No command was needed: both follow the room.
    there.command("send_message", json!({ "roomId": room, "content": "hello", "clientId": "1" })).await;
    let told = here.event("new_message").await;
    assert_eq!(told["data"]["content"], "hello");
    assert_eq!(told["data"]["author"]["username"], bob.username.as_str());
    assert_eq!(there.event("new_message").await["seq"], told["seq"]);

    // What is typed is told to the other, once, and ends with the message.
    there.post("typing", json!({ "roomId": room, "isTyping": true })).await;
    let typing = here.event("user_typing").await;
    assert_eq!((&typing["data"]["userId"], &typing["data"]["isTyping"]), (&json!(bob.id), &json!(true)));
    assert_eq!(typing["data"]["username"], bob.username.as_str());
    there.command("send_message", json!({ "roomId": room, "content": "typed", "clientId": "2" })).await;
    assert_eq!(here.event("user_typing").await["data"]["isTyping"], false);

    let users = here.command("get_room_users", json!({ "roomId": room })).await;
    let users = users["data"]["users"].as_array().expect("users");
    assert_eq!(users.len(), 2);
    assert!(users.iter().all(|user| user["isOnline"] == true), "{users:?}");

    // Presence: gone after a grace, and back.
    drop(there);
    let status = here.frame(|frame| frame["data"]["status"] == "offline").await;
    assert_eq!((&status["type"], &status["data"]["userId"]), (&json!("user_status"), &json!(bob.id)));
    let mut there = bob.socket(&installation.gateway(1)).await;
    here.frame(|frame| frame["data"]["userId"] == bob.id.as_str() && frame["data"]["status"] == "online").await;

    // Following and membership are two things.
    assert_eq!(there.command("leave_room", json!({ "roomId": room })).await["type"], "room_left");
    here.command("send_message", json!({ "roomId": room, "content": "unheard" })).await;
    let unheard = here.frame(|frame| frame["data"]["content"] == "unheard").await["seq"].as_u64().expect("a seq");
    let joined = there.command("join_room", json!({ "roomId": room, "since": unheard - 1 })).await;
    assert_eq!((&joined["type"], &joined["data"]["recovered"]), (&json!("room_joined"), &json!(true)));
    assert_eq!(joined["data"]["seq"], unheard);
    assert_eq!(joined["data"]["events"][0]["data"]["content"], "unheard");
    let past = there.command("join_room", json!({ "roomId": room, "since": unheard + 1 })).await;
    assert_eq!(past["data"]["code"], "past_head");

    // Leaving ends it, with the leaver told last.
    bob.post(&format!("/rooms/{room}/leave"), json!({})).await;
    assert_eq!(here.event("user_left").await["data"]["userId"], bob.id.as_str());
    there.event("room_removed").await;
    here.command("send_message", json!({ "roomId": room, "content": "secret" })).await;
    let refused = there.command("send_message", json!({ "roomId": room, "content": "still there?" })).await;
    assert_eq!(refused["type"], "error");
    assert!(there.kept().all(|frame| frame["data"]["content"] != "secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_fills_up_and_empties_on_two_gateways() {
    a_room_fills_up(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_fills_up_and_empties_on_the_standalone_program() {
    a_room_fills_up(standalone(&[]).await).await;
}

/// A message to a user opens the conversation; every device of both has it at once.
async fn a_conversation_reaches_every_device(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let mut devices = Vec::new();
    for index in 0..3 {
        devices.push(bob.socket(&installation.gateway(index)).await);
    }
    let mut here = ada.socket(&installation.gateway(0)).await;
    let sent = here.command("send_message", json!({ "to": bob.id, "content": "hello" })).await;
    let room = sent["data"]["roomId"].clone();
    for device in devices.iter_mut().chain([&mut here]) {
        assert_eq!(device.event("room_added").await["data"]["id"], room);
        let message = device.event("new_message").await;
        assert_eq!((&message["roomId"], &message["data"]["content"]), (&room, &json!("hello")));
    }
    let body = json!({ "userIds": [ada.id], "type": "consumer-to-consumer" });
    let again = bob.post("/conversations", body).await;
    assert_eq!((&again["id"], &again["isNew"]), (&room, &json!(false)));
    let list = bob.get("/conversations").await;
    assert_eq!(list["items"][0]["lastMessage"]["content"], "hello");
    assert_eq!(list["items"][0]["unreadCount"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_reaches_every_device_on_two_gateways() {
    a_conversation_reaches_every_device(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_reaches_every_device_on_the_standalone_program() {
    a_conversation_reaches_every_device(standalone(&[]).await).await;
}
