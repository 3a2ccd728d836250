//! Membership on live sockets: what someone hears who is removed, banned, let in again, or whose room is deleted.

use crate::harness::{Installation, Person, Socket};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Makes two tests of each case: a cluster of two gateways and two apis, and the standalone program.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod on_a_cluster {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::harness::cluster(2, 2, &[]).await).await;
            })*
        }

        mod on_the_standalone_program {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::harness::standalone(&[]).await).await;
            })*
        }
    };
}

on_both! {
    who_is_removed_or_banned_hears_and_does_nothing_there_any_more,
    a_deleted_room_is_told_to_everyone_and_refused_to_who_writes,
    who_comes_back_resumes_from_their_new_beginning,
    a_conversation_that_two_open_at_once_is_followed_by_all_devices,
    the_next_message_brings_a_hidden_conversation_back_to_every_device,
    a_change_of_a_room_or_a_role_is_told_to_its_members,
}

/// A request through an api that must succeed.
async fn ask(person: &Person, api: &str, method: Method, path: &str, body: Option<Value>) -> Value {
    let (status, answer) = person.request_at(api, method.clone(), path, body).await;
    assert!(status.is_success(), "{method} {path}: {status} {answer}");
    answer
}

/// Says something over REST; gives its place.
async fn say(person: &Person, room: &str, content: &str) -> u64 {
    let path = format!("/rooms/{room}/messages");
    person.post(&path, json!({ "content": content })).await["seq"].as_u64().expect("a seq")
}

/// Waits for what is said in a room.
async fn hears(socket: &mut Socket, content: &str) -> Value {
    socket.frame(|frame| frame["type"] == "new_message" && frame["data"]["content"] == content).await
}

/// Two devices of someone, on one gateway each.
async fn devices(installation: &Installation, person: &Person) -> [Socket; 2] {
    [person.socket(&installation.gateway(0)).await, person.socket(&installation.gateway(1)).await]
}

/// What an api remembers of a membership is over: every api refuses.
async fn is_out(installation: &Installation, person: &Person, room: &str, expected: StatusCode) {
    for api in [installation.api(0), installation.api(1)] {
        for path in ["messages", "sync", "members"] {
            rookery_shared::testing::poll("they are out", async || {
                let answer = person.request_at(&api, Method::GET, &format!("/rooms/{room}/{path}"), None).await;
                (answer.0 == expected).then_some(())
            })
            .await;
        }
        let (status, found) = person.request_at(&api, Method::GET, "/messages/search?q=before", None).await;
        assert_eq!(status, StatusCode::OK);
        assert!(found["items"].as_array().expect("items").iter().all(|message| message["roomId"] != room), "{found}");
        let body = Some(json!({ "content": "let me in" }));
        let answer = person.request_at(&api, Method::POST, &format!("/rooms/{room}/messages"), body).await;
        assert_eq!(answer.0, expected, "{}", answer.1);
    }
}

async fn who_is_removed_or_banned_hears_and_does_nothing_there_any_more(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    for banned in [false, true] {
        let (room, other) = (ada.make_room("private", &[&bob]).await, ada.make_room("private", &[&bob]).await);
        let mut sockets = devices(&installation, &bob).await;
        let mut here = ada.socket(&installation.gateway(0)).await;
        say(&ada, &room, "before").await;
        for socket in &mut sockets {
            hears(socket, "before").await;
        }
        let path =
            if banned { format!("/rooms/{room}/bans/{}", bob.id) } else { format!("/rooms/{room}/members/{}", bob.id) };
        let method = if banned { Method::PUT } else { Method::DELETE };
        ask(&ada, &installation.api(1), method, &path, None).await;
        assert_eq!(here.event("user_left").await["data"]["userId"], bob.id.as_str());
        for socket in &mut sockets {
            // They are told, in the room and in their own list; and that is the last of it.
            assert_eq!(socket.event("user_left").await["data"]["userId"], bob.id.as_str());
            assert_eq!(socket.event("room_removed").await["data"]["roomId"], room.as_str());
        }
        let cursor = say(&ada, &room, "secret").await;
        hears(&mut here, "secret").await;
        say(&ada, &other, "marker").await;
        for socket in &mut sockets {
            hears(socket, "marker").await;
            assert!(socket.kept().all(|frame| frame["data"]["content"] != "secret"));
            for (command, data) in [
                ("join_room", json!({ "roomId": room })),
                ("join_room", json!({ "roomId": room, "since": 1 })),
                ("get_room_users", json!({ "roomId": room })),
            ] {
                let refused = rookery_shared::testing::poll("it is refused", async || {
                    let answer = socket.command(command, data.clone()).await;
                    (answer["type"] == "error").then_some(answer)
                })
                .await;
                assert_eq!(refused["data"]["code"], "not_found", "{command}");
            }
        }
        is_out(&installation, &bob, &room, StatusCode::NOT_FOUND).await;
        for socket in &mut sockets {
            let sent = socket.command("send_message", json!({ "roomId": room, "content": "still here" })).await;
            assert_eq!(sent["data"]["code"], "not_found");
        }
        let epoch = ada.get(&format!("/rooms/{room}/sync")).await["storeEpoch"].clone();
        let cursors = json!({ "storeEpoch": epoch, "rooms": { room.clone(): cursor - 1 } });
        for gateway in [installation.gateway(0), installation.gateway(1)] {
            let mut socket = Socket::open(&gateway, None).await;
            socket.post("authenticate", json!({ "token": bob.token, "resume": cursors })).await;
            assert_eq!(socket.event("resumed").await["data"]["rooms"][&room]["status"], "gone");
        }
    }
}

async fn a_deleted_room_is_told_to_everyone_and_refused_to_who_writes(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let (room, other) = (ada.make_room("private", &[&bob]).await, ada.make_room("private", &[&bob]).await);
    let mut sockets = devices(&installation, &bob).await;
    let mut mine = ada.socket(&installation.gateway(1)).await;
    let mut writer = bob.socket(&installation.gateway(0)).await;
    let writing = async {
        for n in 0.. {
            let data = json!({ "roomId": room, "content": format!("number {n}"), "clientId": n.to_string() });
            let answer = writer.command("send_message", data).await;
            if answer["type"] == "error" {
                return (n, answer["data"]["code"].clone());
            }
        }
        unreachable!("it ends")
    };
    let deleting = async {
        hears(&mut mine, "number 20").await;
        ask(&ada, &installation.api(1), Method::DELETE, &format!("/rooms/{room}"), None).await;
    };
    let ((said, code), ()) = tokio::join!(writing, deleting);
    assert!(said > 20);
    assert_eq!(code, "not_found", "a clear end");
    for socket in sockets.iter_mut().chain([&mut mine, &mut writer]) {
        assert_eq!(socket.event("room_deleted").await["data"]["roomId"], room.as_str());
        let joined = socket.command("join_room", json!({ "roomId": room })).await;
        assert_eq!(joined["data"]["code"], "not_found");
    }
    for person in [&ada, &bob] {
        is_out(&installation, person, &room, StatusCode::NOT_FOUND).await;
        let rooms = person.get("/rooms").await;
        let ids: Vec<&Value> = rooms["items"].as_array().expect("items").iter().map(|room| &room["id"]).collect();
        assert_eq!(ids, [other.as_str()]);
    }
    // The connections go on.
    say(&ada, &other, "elsewhere").await;
    for socket in &mut sockets {
        hears(socket, "elsewhere").await;
    }
}

async fn who_comes_back_resumes_from_their_new_beginning(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    for (history, first) in [("join", "fourth"), ("start", "second")] {
        let body = json!({ "name": "r", "visibility": "private", "historyFrom": history, "memberIds": [bob.id] });
        let room = ada.post("/rooms", body).await["id"].as_str().expect("an id").to_owned();
        let cursor = say(&ada, &room, "first").await;
        say(&ada, &room, "second").await;
        ask(&ada, &installation.api(0), Method::DELETE, &format!("/rooms/{room}/members/{}", bob.id), None).await;
        say(&ada, &room, "third").await;
        let body = Some(json!({ "userId": bob.id }));
        ask(&ada, &installation.api(1), Method::POST, &format!("/rooms/{room}/members"), body).await;
        let last = say(&ada, &room, "fourth").await;
        let epoch = ada.get(&format!("/rooms/{room}/sync")).await["storeEpoch"].clone();
        let cursors = json!({ "storeEpoch": epoch, "rooms": { room.clone(): cursor } });
        let mut socket = Socket::open(&installation.gateway(1), None).await;
        socket.post("authenticate", json!({ "token": bob.token, "resume": cursors })).await;
        assert_eq!(socket.event("resumed").await["data"]["rooms"][&room]["status"], "recovered");
        let mut messages = Vec::new();
        loop {
            let frame = socket.next().await.expect("open");
            assert_eq!(frame["roomId"], room.as_str());
            if frame["type"] == "new_message" {
                messages.push(frame["data"]["content"].clone());
            }
            if frame["seq"] == last {
                break;
            }
        }
        assert_eq!(messages.first(), Some(&json!(first)), "{history}: {messages:?}");
        assert_eq!(messages.contains(&json!("third")), history == "start");
    }
}

async fn a_conversation_that_two_open_at_once_is_followed_by_all_devices(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let mut sockets: Vec<Socket> = Vec::new();
    for person in [&ada, &bob] {
        sockets.extend(devices(&installation, person).await);
    }
    let opening = (0..6).map(|index| {
        let (one, other) = if index % 2 == 0 { (&ada, &bob) } else { (&bob, &ada) };
        let (api, body) =
            (installation.api(index / 3), json!({ "userIds": [other.id], "type": "consumer-to-consumer" }));
        async move { ask(one, &api, Method::POST, "/conversations", Some(body)).await }
    });
    let opened = join_all(opening).await;
    let room = opened[0]["id"].clone();
    assert!(opened.iter().all(|opened| opened["id"] == room), "one room");
    assert_eq!(opened.iter().filter(|opened| opened["isNew"] == true).count(), 1);
    let room = room.as_str().expect("an id");
    say(&bob, room, "hello").await;
    for socket in &mut sockets {
        assert_eq!(socket.event("room_added").await["data"]["id"], room);
        hears(socket, "hello").await;
        assert!(socket.kept().all(|frame| frame["type"] != "room_added"), "once");
    }
}

async fn the_next_message_brings_a_hidden_conversation_back_to_every_device(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let opened = ada.post("/conversations", json!({ "userIds": [bob.id] })).await;
    let room = opened["id"].as_str().expect("an id").to_owned();
    let mut sockets = devices(&installation, &bob).await;
    say(&ada, &room, "before").await;
    ask(&bob, &installation.api(1), Method::POST, &format!("/rooms/{room}/leave"), None).await;
    for socket in &mut sockets {
        hears(socket, "before").await;
        assert_eq!(socket.event("room_removed").await["data"]["roomId"], room.as_str());
    }
    let seq = say(&ada, &room, "after").await;
    for socket in &mut sockets {
        assert_eq!(hears(socket, "after").await["seq"], seq);
        let added = socket.event("room_added").await;
        assert_eq!((&added["data"]["id"], &added["data"]["unreadCount"]), (&json!(room), &json!(2)));
        // They followed it all the time: nothing comes twice.
        say(&ada, &room, "later").await;
        hears(socket, "later").await;
        assert!(socket.kept().all(|frame| frame["data"]["content"] != "after"));
    }
}

async fn a_change_of_a_room_or_a_role_is_told_to_its_members(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    let mut sockets = devices(&installation, &bob).await;
    let path = format!("/rooms/{room}");
    ask(&ada, &installation.api(0), Method::PATCH, &path, Some(json!({ "name": "another name" }))).await;
    let role = Some(json!({ "role": "moderator" }));
    ask(&ada, &installation.api(1), Method::PATCH, &format!("{path}/members/{}", bob.id), role).await;
    for socket in &mut sockets {
        let renamed = socket.event("room_updated").await;
        assert_eq!((&renamed["roomId"], &renamed["data"]["name"]), (&json!(room), &json!("another name")));
        assert_eq!(renamed["data"].get("role"), None, "everyone gets the same");
        let raised = socket.event("room_updated").await;
        let member = json!({ "userId": bob.id, "username": bob.username, "role": "moderator" });
        assert_eq!(
            (&raised["data"]["member"], &raised["seq"]),
            (&member, &json!(renamed["seq"].as_u64().expect("a seq") + 1))
        );
    }
}
