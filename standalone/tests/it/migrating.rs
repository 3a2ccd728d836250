//! The usual flow of each kind of backend in docs/migrating.md, walked through this API: REST and sockets, through two
//! gateways and two apis, and on the standalone program.

use crate::harness::{Installation, Person, Socket, cluster, standalone};
use reqwest::Method;
use rookery_shared::testing::poll;
use serde_json::{Value, json};

/// A flow on a cluster and on the standalone program.
macro_rules! walks {
    ($flow:ident, $on_a_cluster:ident, $alone:ident) => {
        walks!($flow, $on_a_cluster, $alone, &[]);
    };
    ($flow:ident, $on_a_cluster:ident, $alone:ident, $changes:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $on_a_cluster() {
            $flow(cluster(2, 2, $changes).await).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $alone() {
            $flow(standalone($changes).await).await;
        }
    };
}

/// A request, and its status and body.
async fn ask(person: &Person, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let (status, body) = person.request(method, path, body).await;
    (status.as_u16(), body)
}

/// A request that succeeds.
async fn done(person: &Person, method: Method, path: &str, body: Option<Value>) -> Value {
    let (status, answer) = ask(person, method.clone(), path, body).await;
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

/// A command that succeeds, and the data of its reply.
async fn say(socket: &mut Socket, command: &str, data: Value) -> Value {
    let reply = socket.command(command, data).await;
    assert_ne!(reply["type"], "error", "{command}: {reply}");
    reply["data"].clone()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// One field of every item of a page.
fn each<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    page["items"].as_array().expect("a page").iter().map(|item| text(item, field)).collect()
}

/// Two devices for everyone: one on each gateway.
async fn devices(installation: &Installation, person: &Person) -> [Socket; 2] {
    [person.socket(&installation.gateway(0)).await, person.socket(&installation.gateway(1)).await]
}

// A: rooms initiated between users, read by recipients, recent conversations.

async fn initiated_rooms(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let found = done(&ada, Method::GET, "/users?limit=200", None).await;
    assert!(each(&found, "id").contains(&bob.id.as_str()));
    assert_eq!(done(&ada, Method::GET, &format!("/users/{}", bob.id), None).await["type"], "consumer");
    let [mut phone, mut laptop] = devices(&installation, &bob).await;
    let mut adas = ada.socket(&installation.gateway(0)).await;

    // The same set of people gives the old room, and nobody subscribes anybody.
    let initiate = json!({ "userIds": [bob.id, ada.id, bob.id], "type": "consumer-to-consumer" });
    let (status, room) = ask(&ada, Method::POST, "/conversations", Some(initiate.clone())).await;
    assert_eq!((status, &room["isNew"]), (201, &json!(true)));
    let (status, again) =
        ask(&bob, Method::POST, "/conversations", Some(json!({ "userIds": [ada.id], "type": "consumer-to-consumer" })))
            .await;
    assert_eq!((status, &again["isNew"], &again["id"]), (200, &json!(false), &room["id"]));
    let (status, problem) =
        ask(&ada, Method::POST, "/conversations", Some(json!({ "userIds": [], "type": "consumer-to-consumer" }))).await;
    assert_eq!((status, text(&problem["errors"][0], "field")), (422, "userIds"));
    let (status, _) =
        ask(&ada, Method::POST, "/conversations", Some(json!({ "userIds": [bob.id], "type": "consumer-to-support" })))
            .await;
    assert_eq!(status, 422, "nobody of support is among them");
    let id = text(&room, "id");
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.event("room_added").await["data"]["id"], room["id"]);
    }

    let messages = format!("/rooms/{id}/messages");
    for content in ["one", "two", "three"] {
        let post = done(&ada, Method::POST, &messages, Some(json!({ "content": content }))).await;
        assert_eq!(text(&post["author"], "username"), ada.username);
        for device in [&mut phone, &mut laptop] {
            assert_eq!(text(&device.event("new_message").await["data"], "content"), content);
        }
    }
    let newest = done(&bob, Method::GET, &format!("{messages}?limit=2"), None).await;
    assert_eq!(each(&newest, "content"), ["two", "three"]);
    let older = done(&bob, Method::GET, &format!("{messages}?limit=2&before={}", text(&newest, "prev")), None).await;
    assert_eq!(each(&older, "content"), ["one"]);

    let recent = done(&bob, Method::GET, "/conversations", None).await;
    assert_eq!(
        (&recent["items"][0]["unreadCount"], &recent["items"][0]["lastMessage"]["content"]),
        (&json!(3), &json!("three"))
    );
    done(&bob, Method::POST, &format!("/rooms/{id}/read"), Some(json!({}))).await;
    assert_eq!(text(&adas.event("message_read").await["data"], "userId"), bob.id);
    assert_eq!(done(&bob, Method::GET, "/conversations", None).await["items"][0]["unreadCount"], 0);
    let last = text(&newest["items"][1], "id").to_owned();
    let readers = done(&ada, Method::GET, &format!("/messages/{last}"), None).await;
    assert_eq!(readers["readBy"].as_array().map(Vec::len), Some(1), "its author apart: {readers}");
    assert_eq!(text(&readers["readBy"][0], "userId"), bob.id);

    done(&bob, Method::PUT, &format!("/rooms/{id}/mute"), Some(json!({}))).await;
    assert_eq!(done(&bob, Method::GET, "/conversations", None).await["items"][0]["muted"], true);
    say(&mut laptop, "leave_room", json!({ "roomId": id })).await;

    done(&ada, Method::DELETE, &format!("/messages/{last}"), None).await;
    assert_eq!(phone.event("message_deleted").await["data"]["content"], "");
    done(&ada, Method::DELETE, &format!("/rooms/{id}"), None).await;
    assert_eq!(phone.event("room_deleted").await["data"]["roomId"], room["id"]);
    assert_eq!(ask(&bob, Method::GET, &messages, None).await.0, 404);
    assert_eq!(ask(&bob, Method::GET, "/nowhere", None).await, (404, ask(&bob, Method::GET, "/nowhere", None).await.1));
    assert_eq!(ask(&ada, Method::DELETE, "/users/me", None).await.0, 204);
    poll("the account is gone", async || {
        (ask(&bob, Method::GET, &format!("/users/{}", ada.id), None).await.0 == 404).then_some(())
    })
    .await;
}

walks!(initiated_rooms, rooms_are_initiated_between_users_on_a_cluster, rooms_are_initiated_between_users_alone);

// B: accounts, and messages between two.

async fn one_to_one(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let account =
        json!({ "username": ada.username, "email": "another@example.org", "password": "correct horse battery" });
    assert_eq!(ask(&ada, Method::POST, "/auth/register", Some(account)).await.0, 409, "a name is unique");
    let wrong = json!({ "identifier": ada.username, "password": "not this one" });
    let (status, problem) = ask(&bob, Method::POST, "/auth/login", Some(wrong)).await;
    assert_eq!((status, text(&problem, "code")), (401, "invalid_credentials"));
    let right = json!({ "identifier": ada.username, "password": "correct horse battery" });
    assert_eq!(done(&bob, Method::POST, "/auth/login", Some(right)).await["user"]["id"], ada.id);

    let mut adas = ada.socket(&installation.gateway(0)).await;
    let mut bobs = bob.socket(&installation.gateway(1)).await;
    let sent = say(&mut adas, "send_message", json!({ "to": bob.id, "content": "hello" })).await;
    let received = bobs.event("new_message").await["data"].clone();
    assert_eq!(
        (&received["id"], text(&received["author"], "userId"), text(&received, "content")),
        (&sent["messageId"], ada.id.as_str(), "hello")
    );
    done(&bob, Method::POST, "/messages", Some(json!({ "to": ada.id, "content": "and back" }))).await;
    adas.frame(|frame| frame["type"] == "new_message" && frame["data"]["content"] == "and back").await;
    for (one, other) in [(&ada, &bob), (&bob, &ada)] {
        let both = done(one, Method::GET, &format!("/conversations/with/{}/messages", other.id), None).await;
        assert_eq!(each(&both, "content"), ["hello", "and back"]);
    }
}

walks!(one_to_one, two_people_write_to_each_other_on_a_cluster, two_people_write_to_each_other_alone);

// C: accounts, and one page on which everyone talks.

async fn chat_page(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let found = done(&bob, Method::GET, "/users?limit=200", None).await;
    assert!(each(&found, "username").contains(&ada.username.as_str()));
    let changed = done(&ada, Method::PATCH, "/users/me", Some(json!({ "displayName": "Ada L." }))).await;
    assert_eq!(text(&changed, "displayName"), "Ada L.");
    assert_eq!(
        ask(&bob, Method::PATCH, &format!("/users/{}", ada.id), Some(json!({ "displayName": "Eve" }))).await.0,
        403
    );

    let page = installation.gateway(0);
    let mut refused = Socket::open(&format!("{page}?jwt=nonsense"), None).await;
    assert_eq!(refused.event("error").await["data"]["code"], "unauthorized");
    assert_eq!(refused.closed().await.code, 4001);
    let mut adas = Socket::open(&format!("{page}?jwt={}", ada.token), None).await;
    assert_eq!(text(&adas.event("authenticated").await["data"]["user"], "id"), ada.id);

    let everyone = ada.make_room("public", &[]).await;
    done(&bob, Method::POST, &format!("/rooms/{everyone}/join"), None).await;
    let mut bobs = Socket::open(&format!("{}?jwt={}", installation.gateway(1), bob.token), None).await;
    bobs.event("authenticated").await;
    adas.event("user_joined").await;
    let sent = say(&mut adas, "send_message", json!({ "roomId": everyone, "content": "hi", "clientId": "mine" })).await;
    let line = bobs.event("new_message").await["data"].clone();
    assert_eq!(
        format!("{} : {}", text(&line["author"], "username"), text(&line, "content")),
        format!("{} : hi", ada.username)
    );
    let own = adas.event("new_message").await["data"].clone();
    assert_eq!((&own["id"], text(&own, "clientId")), (&sent["messageId"], "mine"), "\"You: hi\"");

    assert_eq!(ask(&bob, Method::DELETE, &format!("/users/{}", bob.id), None).await.0, 204);
    assert_eq!(bobs.closed().await.code, 4003);
    say(&mut adas, "send_message", json!({ "roomId": everyone, "content": "still here" })).await;
}

walks!(chat_page, everyone_talks_on_one_page_on_a_cluster, everyone_talks_on_one_page_alone);

// D: one to one with presence, receipts, search, refresh tokens.

async fn with_presence(installation: Installation) {
    let ada = installation.person("ada").await;
    let name = format!("{}-too", ada.username);
    let mut account = json!({ "username": name, "email": format!("{name}@example.org"), "password": "correct horse battery", "confirmPassword": "another one" });
    let (status, problem) = ask(&ada, Method::POST, "/auth/register", Some(account.clone())).await;
    assert_eq!((status, text(&problem["errors"][0], "field")), (422, "confirmPassword"));
    account["confirmPassword"] = account["password"].clone();
    done(&ada, Method::POST, "/auth/register", Some(account)).await;
    let bob = installation.person("bob").await;
    let login = json!({ "identifier": format!("{}@example.org", bob.username), "password": "correct horse battery" });
    let tokens = done(&bob, Method::POST, "/auth/login", Some(login)).await;
    let fresh =
        done(&bob, Method::POST, "/auth/refresh", Some(json!({ "refreshToken": tokens["refreshToken"] }))).await;
    assert_ne!(fresh["refreshToken"], tokens["refreshToken"]);
    let profile = done(
        &ada,
        Method::PATCH,
        "/users/me",
        Some(json!({ "bio": "mathematician", "profilePicture": "https://example.org/ada.png" })),
    )
    .await;
    assert_eq!(done(&ada, Method::GET, "/users/me", None).await["bio"], profile["bio"]);

    let mut adas = Socket::open(&installation.gateway(0), None).await;
    let signed_in = say(&mut adas, "authenticate", json!({ "token": ada.token })).await;
    assert_eq!(text(&signed_in["user"], "id"), ada.id);
    let sent = say(&mut adas, "send_message", json!({ "to": bob.id, "content": "a first plan", "type": "text" })).await;
    let room = text(&sent, "roomId").to_owned();
    let mut bobs = bob.socket(&installation.gateway(1)).await;
    let is = |status: &'static str| {
        let bob = bob.id.clone();
        move |frame: &Value| {
            frame["type"] == "user_status"
                && frame["data"]["userId"] == bob.as_str()
                && frame["data"]["status"] == status
        }
    };
    adas.frame(is("online")).await;
    say(&mut bobs, "update_status", json!({ "status": "busy" })).await;
    adas.frame(is("busy")).await;
    assert_eq!(done(&ada, Method::GET, &format!("/users/{}/status", bob.id), None).await["status"], "busy");
    let online = done(&ada, Method::GET, "/users/online", None).await;
    assert!(online.to_string().contains(&bob.id), "{online}");
    let found = done(&ada, Method::GET, &format!("/users/search?q={}", bob.username), None).await;
    assert_eq!(each(&found, "id"), [bob.id.as_str()]);

    bobs.post("typing", json!({ "to": ada.id, "isTyping": true })).await;
    assert_eq!(adas.event("user_typing").await["data"]["isTyping"], true);
    let answer =
        done(&bob, Method::POST, "/messages", Some(json!({ "to": ada.id, "content": "an answer", "type": "text" })))
            .await;
    adas.frame(|frame| frame["type"] == "new_message" && frame["data"]["id"] == answer["id"]).await;
    say(&mut adas, "message_read", json!({ "roomId": room, "messageId": answer["id"] })).await;
    let read = bobs.event("message_read").await["data"].clone();
    assert_eq!((text(&read, "userId"), &read["messageId"]), (ada.id.as_str(), &answer["id"]));
    let chats = done(&bob, Method::GET, "/conversations", None).await;
    assert_eq!(chats["items"][0]["lastMessage"]["id"], answer["id"]);
    let talk = done(&bob, Method::GET, &format!("/conversations/with/{}/messages", ada.id), None).await;
    assert_eq!(each(&talk, "content"), ["a first plan", "an answer"]);

    let edited = done(
        &bob,
        Method::PATCH,
        &format!("/messages/{}", text(&answer, "id")),
        Some(json!({ "content": "a better answer" })),
    )
    .await;
    assert!(edited["editedAt"].is_string());
    assert_eq!(adas.event("message_updated").await["data"]["content"], "a better answer");
    poll("the new words are found", async || {
        let found = done(&ada, Method::GET, "/messages/search?q=better", None).await;
        (each(&found, "id") == [text(&answer, "id")]).then_some(())
    })
    .await;
    done(&bob, Method::DELETE, &format!("/messages/{}", text(&answer, "id")), None).await;
    adas.event("message_deleted").await;

    let mut elsewhere = Socket::signed_in(&installation.gateway(0), text(&fresh, "accessToken")).await;
    let change = json!({ "currentPassword": "correct horse battery", "newPassword": "another horse battery" });
    done(&bob, Method::PUT, "/auth/change-password", Some(change)).await;
    assert_eq!(elsewhere.closed().await.code, 4003, "the other sessions end");
    done(&bob, Method::POST, "/auth/logout", None).await;
    assert_eq!(bobs.closed().await.code, 4003);
    adas.frame(is("offline")).await;
}

walks!(
    with_presence,
    two_people_see_each_other_come_read_and_go_on_a_cluster,
    two_people_see_each_other_come_read_and_go_alone
);

// E: public and private rooms, invites, five messages in ten seconds.

async fn rooms_with_invites(installation: Installation) {
    let (ada, bob, eve) =
        (installation.person("ada").await, installation.person("bob").await, installation.person("eve").await);
    let (public, private) = (ada.make_room("public", &[]).await, ada.make_room("private", &[]).await);
    let listed = done(&bob, Method::GET, "/rooms?limit=200", None).await;
    assert!(each(&listed, "id").contains(&public.as_str()) && !each(&listed, "id").contains(&private.as_str()));
    assert_eq!(ask(&bob, Method::GET, &format!("/rooms/{private}"), None).await.0, 404);
    assert_eq!(ask(&bob, Method::GET, "/rooms/not-a-uuid", None).await.0, 404);
    done(&bob, Method::POST, &format!("/rooms/{public}/join"), None).await;

    let invite = done(&ada, Method::POST, &format!("/rooms/{private}/invites"), Some(json!({ "maxUses": 1 }))).await;
    assert_eq!(
        ask(&bob, Method::POST, &format!("/rooms/{public}/invites"), Some(json!({}))).await.0,
        403,
        "not a moderator"
    );
    let [mut adas, _other] = devices(&installation, &ada).await;
    let token = text(&invite, "token");
    done(&bob, Method::POST, &format!("/invites/{token}/join"), None).await;
    assert_eq!(adas.event("user_joined").await["data"]["userId"], bob.id);
    assert_eq!(ask(&eve, Method::POST, &format!("/invites/{token}/join"), None).await.0, 410, "it is spent");
    let members = done(&bob, Method::GET, &format!("/rooms/{private}/members"), None).await;
    assert_eq!(members["items"].as_array().map(Vec::len), Some(2));
    let own = done(&bob, Method::GET, &format!("/users/{}/rooms", bob.id), None).await;
    assert_eq!(own["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(ask(&bob, Method::GET, &format!("/users/{}/rooms", ada.id), None).await.0, 403);

    let mut bobs = bob.socket(&installation.gateway(1)).await;
    let joined = say(&mut bobs, "join_room", json!({ "roomId": private })).await;
    assert_eq!(text(&joined, "roomId"), private);
    let users = say(&mut bobs, "get_room_users", json!({ "roomId": private })).await;
    assert!(users["users"].as_array().expect("users").iter().all(|user| user["isOnline"] == true), "{users}");
    bobs.post("typing", json!({ "roomId": private, "isTyping": true })).await;
    assert_eq!(adas.event("user_typing").await["data"]["username"], bob.username);

    for number in 0..5 {
        let sent = say(&mut bobs, "send_message", json!({ "roomId": private, "content": format!("{number}") })).await;
        let received = adas.event("new_message").await["data"].clone();
        assert_eq!(
            (&received["id"], text(&received["author"], "username")),
            (&sent["messageId"], bob.username.as_str())
        );
        say(&mut adas, "message_read", json!({ "roomId": private, "messageId": received["id"] })).await;
        assert_eq!(bobs.event("message_read").await["data"]["messageId"], received["id"]);
    }
    let sixth = bobs.command("send_message", json!({ "roomId": private, "content": "too much" })).await;
    assert_eq!((&sixth["data"]["code"], sixth["data"]["retryAfterMs"].is_u64()), (&json!("rate_limited"), true));
    let history = done(&bob, Method::GET, &format!("/rooms/{private}/messages"), None).await;
    assert_eq!(each(&history, "content"), ["0", "1", "2", "3", "4"]);
    done(&bob, Method::POST, &format!("/rooms/{private}/read"), Some(json!({}))).await;

    assert_eq!(text(&say(&mut bobs, "leave_room", json!({ "roomId": private })).await, "roomId"), private);
    done(&bob, Method::POST, &format!("/rooms/{private}/leave"), None).await;
    assert_eq!(adas.event("user_left").await["data"]["userId"], bob.id);
    let refused = bobs.command("send_message", json!({ "roomId": private, "content": "gone" })).await;
    assert_eq!(refused["type"], "error");
}

walks!(
    rooms_with_invites,
    rooms_are_joined_by_invite_on_a_cluster,
    rooms_are_joined_by_invite_alone,
    &[("ROOKERY_LIMIT_MESSAGES", "5")]
);
