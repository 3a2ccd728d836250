//! Who is there, on several devices and nodes, and what administrators do about it.

use crate::harness::{Closed, Installation, Person, Socket, cluster, standalone};
use reqwest::{Method, StatusCode};
use rookery_shared::testing::poll;
use serde_json::{Value, json};

impl Person {
    async fn chooses(&self, api: &str, body: Value) {
        let (status, answer) = self.request_at(api, Method::PUT, "/users/me/status", Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// How somebody is there, as this person sees it at an api.
    async fn sees(&self, api: &str, other: &Person) -> Value {
        let path = format!("/users/{}/status", other.id);
        let (status, answer) = self.request_at(api, Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }
}

/// The next change of presence of somebody, whatever it is.
async fn told_of(socket: &mut Socket, person: &Person) -> Value {
    socket.frame(|frame| frame["type"] == "user_status" && frame["data"]["userId"] == person.id.as_str()).await["data"]
        .clone()
}

/// Whether the members of a room are there, as `get_room_users` has it.
async fn is_online(socket: &mut Socket, room: &str, person: &Person) -> bool {
    let answer = socket.command("get_room_users", json!({ "roomId": room })).await;
    let users = answer["data"]["users"].as_array().expect("users").clone();
    let user = users.iter().find(|user| user["userId"] == person.id.as_str()).expect("is in it").clone();
    user["isOnline"].as_bool().expect("a truth")
}

/// Waits until everything that was published before has arrived, by publishing something behind it.
async fn everything_arrived(from: &mut Socket, to: &mut Socket, room: &str) {
    let sent = from.command("send_message", json!({ "roomId": room, "content": "a mark" })).await;
    let seq = sent["data"]["seq"].clone();
    to.frame(|frame| frame["type"] == "new_message" && frame["seq"] == seq).await;
}

async fn statuses_are_told(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    ada.make_room("private", &[&bob]).await;
    let (here, there) = (installation.api(0), installation.api(1));
    let mut watcher = ada.socket(&installation.gateway(0)).await;
    let mut phone = bob.socket(&installation.gateway(1)).await;
    assert_eq!(told_of(&mut watcher, &bob).await["status"], "online");
    // A second device changes nothing for others, nor does the end of the first.
    let mut laptop = bob.socket(&installation.gateway(0)).await;
    let answer = phone.command("update_status", json!({ "status": "away", "text": "at lunch" })).await;
    assert_eq!((&answer["type"], &answer["data"]), (&json!("ok"), &json!({ "status": "away" })));
    let away =
        json!({ "userId": bob.id, "username": bob.username, "status": "away", "lastSeen": null, "text": "at lunch" });
    assert_eq!(told_of(&mut watcher, &bob).await, away);
    let mut with_choice = away.clone();
    with_choice["chosen"] = json!("away");
    assert_eq!(told_of(&mut laptop, &bob).await, with_choice, "one's other devices");
    assert_eq!(ada.sees(&there, &bob).await, away);
    drop(phone);
    bob.chooses(&there, json!({ "status": "busy" })).await;
    let busy = told_of(&mut watcher, &bob).await;
    assert_eq!((&busy["status"], busy.get("text")), (&json!("busy"), None));
    assert_eq!(told_of(&mut laptop, &bob).await["status"], "busy");
    assert!(is_online(&mut watcher, &room, &bob).await);
    let wrong = laptop.command("update_status", json!({ "status": "away", "text": "x".repeat(101) })).await;
    assert_eq!((&wrong["type"], &wrong["data"]["errors"][0]["field"]), (&json!("error"), &json!("text")));
    // The last one goes; what was chosen is what one comes back with.
    drop(laptop);
    let gone = told_of(&mut watcher, &bob).await;
    assert_eq!(gone["status"], "offline");
    assert!(gone["lastSeen"].is_string());
    let seen = ada.sees(&here, &bob).await;
    assert_eq!((&seen["status"], seen["lastSeen"].is_string()), (&json!("offline"), true));
    let mut again = bob.socket(&installation.gateway(1)).await;
    assert_eq!(told_of(&mut watcher, &bob).await["status"], "busy");
    // Two rooms are shared, and each change was told once.
    everything_arrived(&mut again, &mut watcher, &room).await;
    assert!(watcher.kept().all(|frame| frame["data"]["userId"] != bob.id.as_str() || frame["type"] != "user_status"));
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_told_once_to_everyone_on_two_gateways() {
    statuses_are_told(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_told_once_to_everyone_on_the_standalone_program() {
    statuses_are_told(standalone(&[]).await).await;
}

async fn nobody_sees_who_is_invisible(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    let (here, there) = (installation.api(0), installation.api(1));
    let mut watcher = ada.socket(&installation.gateway(0)).await;
    let mut phone = bob.socket(&installation.gateway(1)).await;
    assert_eq!(told_of(&mut watcher, &bob).await["status"], "online");
    phone.command("update_status", json!({ "status": "invisible" })).await;
    let gone = told_of(&mut watcher, &bob).await;
    assert_eq!((&gone["status"], gone["lastSeen"].is_string()), (&json!("offline"), true));
    assert_eq!(told_of(&mut phone, &bob).await["chosen"], "invisible");
    for api in [&here, &there] {
        assert_eq!(ada.sees(api, &bob).await, gone);
        let (_, online) = ada.request_at(api, Method::GET, "/users/online", None).await;
        assert_eq!(online["items"], json!([]));
        let (_, members) = ada.request_at(api, Method::GET, &format!("/rooms/{room}/members"), None).await;
        let members = members["items"].as_array().expect("members").clone();
        assert!(
            members.iter().all(|member| member["isOnline"] == (member["userId"] == ada.id.as_str())),
            "{members:?}"
        );
    }
    assert!(!is_online(&mut watcher, &room, &bob).await);
    // They hear and are heard like everyone else, and nothing of their coming and going is told.
    everything_arrived(&mut phone, &mut watcher, &room).await;
    drop(phone);
    let mut phone = bob.socket(&installation.gateway(0)).await;
    phone.command("update_status", json!({ "status": "invisible", "text": "still" })).await;
    assert_eq!(told_of(&mut phone, &bob).await["text"], "still");
    // Who wants to be seen again is; between the two there was nothing.
    bob.chooses(&here, json!({ "status": "away" })).await;
    assert_eq!(told_of(&mut watcher, &bob).await["status"], "away");
    assert_eq!(told_of(&mut phone, &bob).await["status"], "away");
    // Who chooses it over REST and goes at once has gone when they chose it, and not a second time.
    bob.chooses(&there, json!({ "status": "invisible" })).await;
    let gone = told_of(&mut watcher, &bob).await;
    assert_eq!(told_of(&mut phone, &bob).await["chosen"], "invisible");
    drop(phone);
    assert_eq!(ada.sees(&here, &bob).await, gone);
    // Longer than anyone is waited for: another one's going is told after the same grace, and nothing before it.
    let eve = installation.person("eve").await;
    let shared = ada.make_room("private", &[&eve]).await;
    // Typing and presence have no place in the log: who does not follow the room yet misses them.
    watcher.command("join_room", json!({ "roomId": shared })).await;
    let mut other = eve.socket(&installation.gateway(1)).await;
    assert_eq!(told_of(&mut watcher, &eve).await["status"], "online");
    everything_arrived(&mut other, &mut watcher, &shared).await;
    drop(other);
    assert_eq!(told_of(&mut watcher, &eve).await["status"], "offline");
    assert!(watcher.kept().all(|frame| frame["data"]["userId"] != bob.id.as_str() || frame["type"] != "user_status"));
    assert_eq!(ada.sees(&there, &bob).await["lastSeen"], gone["lastSeen"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_who_is_invisible_on_two_gateways() {
    nobody_sees_who_is_invisible(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_who_is_invisible_on_the_standalone_program() {
    nobody_sees_who_is_invisible(standalone(&[]).await).await;
}

/// Rooms of more than two are large here.
const SMALL: [(&str, &str); 2] = [("ROOKERY_PRESENCE_MAX_ROOM", "2"), ("ROOKERY_RECEIPTS_MAX_ROOM", "2")];

async fn a_large_room_is_told_less(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let eve = installation.person("eve").await;
    let large = ada.make_room("public", &[&bob, &eve]).await;
    let small = ada.make_room("public", &[&eve]).await;
    let mut watcher = ada.socket(&installation.gateway(0)).await;
    let mut there = bob.socket(&installation.gateway(1)).await;
    there.post("typing", json!({ "roomId": large, "isTyping": true })).await;
    there.command("update_status", json!({ "status": "away" })).await;
    everything_arrived(&mut there, &mut watcher, &large).await;
    // In the small one all of it is told; had anything been told of the large one, it would have come before.
    let mut third = eve.socket(&installation.gateway(1)).await;
    assert_eq!(told_of(&mut watcher, &eve).await["status"], "online");
    third.post("typing", json!({ "roomId": small, "isTyping": true })).await;
    assert_eq!(watcher.event("user_typing").await["data"]["roomId"], small.as_str());
    assert!(watcher.kept().all(|frame| frame["data"]["userId"] != bob.id.as_str() || frame.get("seq").is_some()));
    assert_eq!(ada.sees(&installation.api(1), &bob).await["status"], "offline");
    // On demand it is told, however large the room is.
    assert!(is_online(&mut watcher, &large, &bob).await);
    // The room gets smaller, and is told everything again.
    eve.post(&format!("/rooms/{large}/leave"), json!({})).await;
    watcher.event("user_left").await;
    there.event("user_left").await;
    there.post("typing", json!({ "roomId": large, "isTyping": true })).await;
    assert_eq!(watcher.event("user_typing").await["data"]["roomId"], large.as_str());
    assert_eq!(ada.sees(&installation.api(1), &bob).await["status"], "away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_room_is_told_nothing_of_typing_and_presence_on_two_gateways() {
    a_large_room_is_told_less(cluster(2, 2, &SMALL).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_room_is_told_nothing_of_typing_and_presence_on_the_standalone_program() {
    a_large_room_is_told_less(standalone(&SMALL).await).await;
}

async fn typing_ends(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    let mut watcher = ada.socket(&installation.gateway(0)).await;
    let mut there = bob.socket(&installation.gateway(1)).await;
    let typing = |is_typing: bool| json!({ "roomId": room, "isTyping": is_typing });
    let expect =
        |is_typing: bool| json!({ "roomId": room, "userId": bob.id, "username": bob.username, "isTyping": is_typing });
    // When the client says so, with a message, by itself, and when the connection goes.
    there.post("typing", typing(true)).await;
    assert_eq!(watcher.event("user_typing").await["data"], expect(true));
    there.post("typing", typing(false)).await;
    assert_eq!(watcher.event("user_typing").await["data"], expect(false));
    there.post("typing", typing(true)).await;
    assert_eq!(watcher.event("user_typing").await["data"], expect(true));
    there.command("send_message", json!({ "roomId": room, "content": "typed" })).await;
    assert_eq!(watcher.event("user_typing").await["data"], expect(false));
    let began = std::time::Instant::now();
    there.post("typing", json!({ "to": ada.id, "isTyping": true })).await;
    there.post("typing", typing(true)).await;
    assert_eq!(watcher.event("user_typing").await["data"], expect(true), "to whom one never talked nobody is told");
    assert_eq!(watcher.event("user_typing").await["data"], expect(false));
    assert!(began.elapsed().as_secs() >= 8, "it ended too early");
    there.post("typing", typing(true)).await;
    assert_eq!(watcher.event("user_typing").await["data"], expect(true));
    drop(there);
    assert_eq!(watcher.event("user_typing").await["data"], expect(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_ends_in_every_way_on_two_gateways() {
    typing_ends(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_ends_in_every_way_on_the_standalone_program() {
    typing_ends(standalone(&[]).await).await;
}

/// The gateways, as an admin sees them.
async fn nodes(boss: &Person) -> Vec<Value> {
    boss.get("/admin/nodes").await["items"].as_array().expect("a list").clone()
}

/// Open sockets on all gateways, as an admin sees them.
async fn connections(boss: &Person) -> u64 {
    nodes(boss).await.iter().map(|node| node["connections"].as_u64().expect("a number")).sum()
}

fn closed(code: u16, reason: &str) -> Closed {
    Closed { code, reason: reason.to_owned() }
}

async fn the_oldest_goes_for_one_more(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let boss = installation.admin("root").await;
    let room = ada.make_room("private", &[&bob]).await;
    let mut watcher = bob.socket(&installation.gateway(0)).await;
    let mut sockets = Vec::new();
    for index in 0..20 {
        sockets.push(ada.socket(&installation.gateway(index)).await);
    }
    // All of them are there.
    for socket in &mut sockets {
        let answer = socket.command("leave_room", json!({ "roomId": bob.id })).await;
        assert_eq!(answer["type"], "room_left");
    }
    for index in 0..3 {
        sockets.push(ada.socket(&installation.gateway(index)).await);
        let mut oldest = sockets.remove(0);
        assert_eq!(oldest.closed().await, closed(4004, "too_many_connections"));
    }
    // Who goes makes room for another.
    drop(sockets.remove(0));
    poll("the gateways have noticed", async || (connections(&boss).await == 20).then_some(())).await;
    sockets.push(ada.socket(&installation.gateway(1)).await);
    watcher.command("send_message", json!({ "roomId": room, "content": "all there?" })).await;
    for socket in &mut sockets {
        socket.event("new_message").await;
    }
    assert_eq!(sockets.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_of_21_connections_goes_on_two_gateways() {
    the_oldest_goes_for_one_more(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_of_21_connections_goes_on_the_standalone_program() {
    the_oldest_goes_for_one_more(standalone(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_come_at_once_as_many_stay_as_may() {
    let installation = cluster(2, 1, &[("ROOKERY_MAX_CONNECTIONS_PER_USER", "3")]).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let boss = installation.admin("root").await;
    let room = ada.make_room("private", &[&bob]).await;
    let urls = [installation.gateway(0), installation.gateway(1)];
    let coming = (0..12).map(|index| ada.socket(&urls[index % 2]));
    let sockets = futures_util::future::join_all(coming).await;
    let mut speaker = bob.socket(&urls[0]).await;
    poll("nine were closed", async || (connections(&boss).await == 4).then_some(())).await;
    speaker.command("send_message", json!({ "roomId": room, "content": "who is left?" })).await;
    let ends = sockets.into_iter().map(|mut socket| async move {
        loop {
            match socket.next().await {
                Ok(frame) if frame["type"] == "new_message" => return None,
                Ok(_) => {}
                Err(closed) => return Some(closed),
            }
        }
    });
    let ends = futures_util::future::join_all(ends).await;
    let gone: Vec<Closed> = ends.into_iter().flatten().collect();
    assert_eq!(gone.len(), 9);
    assert!(gone.iter().all(|end| *end == closed(4004, "too_many_connections")), "{gone:?}");
}

async fn an_admin_disconnects_a_user(installation: Installation) {
    let (boss, ada) = (installation.admin("root").await, installation.person("ada").await);
    let bob = installation.person("bob").await;
    let mut others = bob.socket(&installation.gateway(0)).await;
    let mut sockets = [ada.socket(&installation.gateway(0)).await, ada.socket(&installation.gateway(1)).await];
    let path = format!("/admin/users/{}/disconnect", ada.id);
    let (status, _) = bob.request(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = boss.request_at(&installation.api(1), Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, closed(4009, "disconnected"));
        assert!(socket.kept().all(|frame| frame["type"] != "close_connection"), "an order is not for clients");
    }
    // Only the sockets: the session goes on, and comes again. Nobody else is concerned.
    let mut again = ada.socket(&installation.gateway(1)).await;
    assert_eq!(again.command("leave_room", json!({ "roomId": ada.id })).await["type"], "room_left");
    assert_eq!(others.command("leave_room", json!({ "roomId": ada.id })).await["type"], "room_left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_disconnects_a_user_on_two_gateways() {
    an_admin_disconnects_a_user(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_disconnects_a_user_on_the_standalone_program() {
    an_admin_disconnects_a_user(standalone(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_drained_sends_its_clients_elsewhere_and_stays() {
    let installation = cluster(2, 2, &[]).await;
    let (boss, ada) = (installation.admin("root").await, installation.person("ada").await);
    let mut first = ada.socket(&installation.gateway(0)).await;
    let mut second = ada.socket(&installation.gateway(1)).await;
    let both = poll("both nodes report their clients", async || {
        let nodes = nodes(&boss).await;
        (nodes.len() == 2 && nodes.iter().all(|node| node["connections"] == 1)).then_some(nodes)
    })
    .await;
    assert!(both.iter().all(|node| node["draining"] == false && node["streams"].as_u64().is_some_and(|n| n >= 1)));
    boss.drain(&first.node).await;
    assert!(first.event("reconnect").await["data"]["retryAfterMs"].is_u64());
    assert_eq!(first.closed().await, closed(1001, "draining"));
    poll("the node says that it drains, and that nobody is left", async || {
        let nodes = nodes(&boss).await;
        let drained = |node: &Value| node["name"] == first.node.as_str() && node["draining"] == true;
        nodes.iter().any(|node| drained(node) && node["connections"] == 0).then_some(())
    })
    .await;
    let http = |path: &str| installation.gateway(0).replacen("ws", "http", 1).replace("/ws", path);
    assert_eq!(reqwest::get(http("/readyz")).await.expect("an answer").status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reqwest::get(http("/healthz")).await.expect("an answer").status(), StatusCode::OK);
    // The other one is not concerned.
    assert_eq!(second.command("leave_room", json!({ "roomId": ada.id })).await["type"], "room_left");
    let numbers = boss.get("/admin/stats").await;
    assert_eq!((&numbers["nodes"], &numbers["onlineUsers"]), (&json!(2), &json!(1)));
}
