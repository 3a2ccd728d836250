//! Who is there, who sees whom, and what one is seen as.

use crate::{
    harness::{Cluster, Person, each, unlimited},
    store::fixture,
};
use rookery_shared::{
    envelope::{Event, Kind},
    ids::{RoomId, StreamId},
    model::Chosen,
};
use serde_json::{Value, json};

async fn status(viewer: &Person, of: &Person) -> Value {
    viewer.get(&format!("/users/{}/status", of.id)).await.ok()
}

async fn online(viewer: &Person) -> Vec<String> {
    let page = viewer.get("/users/online").await.ok();
    each(&page, "username").into_iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// The ids of a public room that these people are in.
async fn room_of(people: &[&Person]) -> String {
    let room = people[0].makes_public_room().await;
    for person in &people[1..] {
        person.joins(&room).await;
    }
    room
}

#[tokio::test]
async fn who_shares_a_room_sees_who_is_there_and_how() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    room_of(&[&ada, &ben]).await;
    assert_eq!(
        status(&ada, &ben).await,
        json!({ "userId": ben.id, "username": "ben", "status": "offline", "lastSeen": null })
    );
    assert!(online(&ada).await.is_empty());
    cluster.connect(&ben).await;
    let chosen = ben.put("/users/me/status", json!({ "status": "busy", "text": "in a call" })).await.ok();
    assert_eq!(chosen, json!({ "status": "busy", "text": "in a call" }));
    assert_eq!(
        status(&ada, &ben).await,
        json!({ "userId": ben.id, "username": "ben", "status": "busy", "lastSeen": null, "text": "in a call" })
    );
    let page = ada.get("/users/online").await.ok();
    let there = &page["items"][0];
    assert_eq!(
        (&there["username"], &there["status"], &there["text"]),
        (&json!("ben"), &json!("busy"), &json!("in a call"))
    );
    assert!(there.get("email").is_none());
    // The words go with the next choice, and with being gone.
    let chosen = ben.put("/users/me/status", json!({ "status": "away" })).await.ok();
    assert_eq!(chosen, json!({ "status": "away", "text": null }));
    assert!(status(&ada, &ben).await.get("text").is_none());
}

#[tokio::test]
async fn who_shares_no_room_small_enough_sees_nobody_and_admins_see_everybody() {
    let mut config = unlimited();
    config.presence.max_room = 2;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let boss = cluster.admin("root").await;
    for person in [&ada, &ben, &eve] {
        cluster.connect(person).await;
    }
    assert_eq!(status(&ada, &ben).await["status"], "offline", "strangers");
    let room = room_of(&[&ada, &ben]).await;
    assert_eq!(status(&ada, &ben).await["status"], "online");
    assert_eq!((online(&ada).await, online(&ben).await), (vec!["ben".to_owned()], vec!["ada".to_owned()]));
    eve.joins(&room).await;
    assert_eq!(
        status(&ada, &ben).await,
        json!({ "userId": ben.id, "username": "ben", "status": "offline", "lastSeen": null })
    );
    assert!(online(&ada).await.is_empty(), "the room is too large now");
    assert_eq!(status(&ada, &ada).await["status"], "online", "oneself");
    assert_eq!(status(&boss, &ben).await["status"], "online");
    assert_eq!(online(&boss).await, ["ada", "ben", "eve"]);
    // Who is in it is told on demand in rooms of any size.
    let members = ada.get(&format!("/rooms/{room}/members")).await.ok();
    assert_eq!(each(&members, "isOnline"), [true, true, true]);
}

#[tokio::test]
async fn who_is_invisible_is_offline_since_they_chose_it_for_everyone() {
    // Two apis, one of which has just read the account: what is remembered must not show through.
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let boss = cluster.admin("root").await;
    let room = room_of(&[&ada, &ben]).await;
    cluster.connect(&ben).await;
    let elsewhere = ada.at(cluster.url(1));
    assert_eq!(status(&elsewhere, &ben).await["status"], "online");
    ben.at(cluster.url(0)).put("/users/me/status", json!({ "status": "invisible", "text": "shh" })).await.ok();
    let seen = status(&elsewhere, &ben).await;
    let since = seen["lastSeen"].clone();
    assert!(since.is_string(), "{seen}");
    for viewer in [&ada, &elsewhere, &boss, &ben] {
        let expected = json!({ "userId": ben.id, "username": "ben", "status": "offline", "lastSeen": since });
        assert_eq!(status(viewer, &ben).await, expected);
        assert!(!online(viewer).await.contains(&"ben".to_owned()));
    }
    let members = elsewhere.get(&format!("/rooms/{room}/members")).await.ok();
    let of_ben = members["items"].as_array().expect("a page").iter().find(|member| member["username"] == "ben");
    assert_eq!(of_ben.expect("is in it")["isOnline"], false);
    // Other words are no sign of life; what is chosen is for its owner to see.
    ben.put("/users/me/status", json!({ "status": "invisible", "text": "still" })).await.ok();
    assert_eq!(status(&ada, &ben).await["lastSeen"], since);
    let me = ben.get("/users/me").await.ok();
    assert_eq!((&me["status"], &me["statusText"]), (&json!("invisible"), &json!("still")));
    ben.put("/users/me/status", json!({ "status": "online" })).await.ok();
    assert_eq!(status(&elsewhere, &ben).await["status"], "online");
}

/// The data of events, with their streams.
fn told(events: &[Event]) -> Vec<(StreamId, Value)> {
    let json = |event: &Event| serde_json::from_slice(&event.data).expect("JSON");
    events.iter().map(|event| (event.header.stream, json(event))).collect()
}

#[tokio::test]
async fn a_choice_is_told_to_small_rooms_and_ones_own_devices_if_a_device_is_there() {
    let mut config = unlimited();
    config.presence.max_room = 2;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let small = room_of(&[&ada, &ben]).await;
    let large = room_of(&[&ada, &ben, &eve]).await;
    let stream = |room: &str| StreamId::Room(room.parse::<RoomId>().expect("an id"));
    let own = StreamId::User(ben.id);
    cluster.bus.subscribe(&[stream(&small), stream(&large), own]).await.expect("subscribes");
    let mut heard = 0;
    let mut next = async |count: usize| {
        let events = cluster.heard.wait(Kind::UserStatus, heard + count).await;
        let new = told(&events[heard..]);
        heard = events.len();
        new
    };
    ben.put("/users/me/status", json!({ "status": "away" })).await.ok();
    assert_eq!(next(1).await.iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), [own], "nobody is there");
    cluster.connect(&ben).await;
    ben.put("/users/me/status", json!({ "status": "busy", "text": "hm" })).await.ok();
    let busy = json!({ "userId": ben.id, "username": "ben", "status": "busy", "lastSeen": null, "text": "hm" });
    let events = next(2).await;
    assert_eq!(events.iter().find(|(of, _)| *of == stream(&small)).expect("is told").1, busy);
    let mut with_choice = busy.clone();
    with_choice["chosen"] = json!("busy");
    assert_eq!(events.iter().find(|(of, _)| *of == own).expect("is told").1, with_choice);
    // The same once more changes nothing and tells nobody; the next choice is the next thing that is told.
    ben.put("/users/me/status", json!({ "status": "busy", "text": "hm" })).await.ok();
    ben.put("/users/me/status", json!({ "status": "invisible" })).await.ok();
    let events = next(2).await;
    let (_, gone) = events.iter().find(|(of, _)| *of == stream(&small)).expect("is told");
    assert_eq!(gone["status"], "offline");
    assert_eq!(gone["lastSeen"], status(&ada, &ben).await["lastSeen"]);
    let (_, told) = events.iter().find(|(of, _)| *of == own).expect("is told");
    assert_eq!((&told["status"], &told["chosen"]), (&json!("offline"), &json!("invisible")));
    // Other words of someone who stays invisible are for themselves.
    ben.put("/users/me/status", json!({ "status": "invisible", "text": "shh" })).await.ok();
    ben.put("/users/me/status", json!({ "status": "online" })).await.ok();
    let events: Vec<_> = next(3).await.into_iter().map(|(of, data)| (of, data["status"].clone())).collect();
    let seen_by_ada: Vec<_> = events.iter().filter(|(of, _)| *of == stream(&small)).map(|(_, status)| status).collect();
    assert_eq!(seen_by_ada, ["online"]);
    let of_presence = cluster.heard.wait(Kind::UserStatus, 1).await;
    assert!(of_presence.iter().all(|event| event.header.stream != stream(&large)));
}

#[tokio::test]
async fn a_wrong_choice_names_its_field() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let cases = [
        (json!({}), "status"),
        (json!({ "status": "offline" }), "status"),
        (json!({ "status": 7 }), "status"),
        (json!({ "status": "away", "text": "x".repeat(101) }), "text"),
        (json!({ "status": "away", "text": "two\nlines" }), "text"),
        (json!({ "status": "away", "text": "  " }), "text"),
        (json!({ "status": "away", "text": 7 }), "text"),
    ];
    for (body, field) in cases {
        assert_eq!(ada.put("/users/me/status", body.clone()).await.problem(422, "invalid"), [field], "{body}");
    }
    let text = "é".repeat(100);
    ada.put("/users/me/status", json!({ "status": "away", "text": text })).await.ok();
    assert_eq!(ada.put("/users/me/status", json!({ "status": "away", "text": "" })).await.ok()["text"], Value::Null);
    let visitor = cluster.visitor(0);
    visitor.put("/users/me/status", json!({ "status": "away" })).await.problem(401, "unauthorized");
    visitor.get("/users/online").await.problem(401, "unauthorized");
    ada.get(&format!("/users/{}/status", RoomId::new())).await.problem(404, "not_found");
}

/// Walks a list there and back.
async fn walk(viewer: &Person) -> (Vec<String>, Vec<String>) {
    let names = |page: &Value| each(page, "username").into_iter().map(ToString::to_string).collect::<Vec<_>>();
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let mut page = viewer.get("/users/online?limit=2").await.ok();
    assert_eq!(page["prev"], Value::Null);
    loop {
        assert!(each(&page, "username").len() <= 2);
        there.extend(names(&page));
        let Some(next) = page["next"].as_str().map(str::to_owned) else { break };
        page = viewer.get(&format!("/users/online?limit=2&after={next}")).await.ok();
    }
    let last = names(&page);
    while let Some(prev) = page["prev"].as_str().map(str::to_owned) {
        page = viewer.get(&format!("/users/online?limit=2&before={prev}")).await.ok();
        back.splice(0..0, names(&page));
    }
    back.extend(last);
    (there, back)
}

#[tokio::test]
async fn who_is_there_is_listed_by_username_there_and_back() {
    let cluster = Cluster::start().await;
    let (ada, boss) = (cluster.person("ada").await, cluster.admin("root").await);
    let room = ada.makes_public_room().await;
    let mut expected = Vec::new();
    for name in ["eve", "ben", "fay", "cat", "dan"] {
        let person = cluster.person(name).await;
        person.joins(&room).await;
        if name != "cat" {
            cluster.connect(&person).await;
            expected.push(format!("\"{name}\""));
        }
    }
    expected.sort();
    for viewer in [&ada, &boss] {
        assert_eq!(walk(viewer).await, (expected.clone(), expected.clone()));
        viewer.get("/users/online?limit=0").await.problem(422, "invalid");
        viewer.get("/users/online?after=nonsense").await.problem(422, "invalid");
    }
}

#[tokio::test]
async fn only_admins_see_and_command_the_installation() {
    let cluster = Cluster::start().await;
    let (ada, boss) = (cluster.person("ada").await, cluster.admin("root").await);
    let node = cluster.node("one").await;
    cluster.connect(&ada).await;
    for path in ["/admin/nodes", "/admin/stats"] {
        ada.get(path).await.problem(403, "forbidden");
        cluster.visitor(0).get(path).await.problem(401, "unauthorized");
    }
    let (drain, disconnect) = (format!("/admin/nodes/{node}/drain"), format!("/admin/users/{}/disconnect", ada.id));
    for path in [&drain, &disconnect] {
        ada.post(path, json!({})).await.problem(403, "forbidden");
    }
    let nodes = boss.get("/admin/nodes").await.ok();
    assert_eq!(each(&nodes, "id"), [&json!(node)]);
    for field in ["name", "version", "connections", "streams", "startedAt", "draining"] {
        assert!(!nodes["items"][0][field].is_null(), "{field}");
    }
    ada.makes_public_room().await;
    let stats = boss.get("/admin/stats").await.ok();
    for (field, value) in [("users", 2), ("rooms", 1), ("nodes", 1), ("connections", 3), ("onlineUsers", 1)] {
        assert_eq!(stats[field], value, "{field}: {stats}");
    }
    assert!(stats["logEntries"].as_u64().expect("a number") >= 2);

    cluster.bus.subscribe(&[StreamId::User(ada.id), StreamId::of_node(node)]).await.expect("subscribes");
    boss.post(&disconnect, json!({})).await.expect(204);
    let order = cluster.heard.wait(Kind::CloseConnection, 1).await.remove(0).header;
    assert_eq!((order.stream, order.ref_seq, order.subject.is_nil()), (StreamId::User(ada.id), 4009, true));
    boss.post(&drain, json!({})).await.expect(204);
    assert_eq!(cluster.heard.wait(Kind::DrainNode, 1).await[0].header.stream, StreamId::of_node(node));
    for path in ["/admin/nodes/nonsense/drain".to_owned(), format!("/admin/nodes/{}/drain", RoomId::new())] {
        boss.post(&path, json!({})).await.problem(404, "not_found");
    }
    boss.post(&format!("/admin/users/{}/disconnect", RoomId::new()), json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_gateway_learns_where_presence_is_told_and_nothing_of_who_is_invisible() {
    use rookery_shared::backend::{Backend as _, UpdateStatus};
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = room_of(&[&ada, &ben]).await;
    let chosen = Chosen { status: rookery_shared::model::ChosenStatus::Invisible, text: None };
    cluster.apis[0].update_status(UpdateStatus { user_id: ben.id, chosen }).await.expect("is kept");
    let told = cluster.apis[0].presence_rooms(vec![ada.id, ben.id]).await.expect("answers");
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].user_id, told[0].rooms[0].to_string()), (ada.id, room));
}
