//! What a server says as itself.

use crate::harness::{Answer, Cluster, Person, each, id};
use reqwest::{Client, Method};
use rookery_shared::ids::RoomId;
use serde_json::{Value, json};

/// A server with a key of these scopes.
async fn server(admin: &Person, scopes: &[&str]) -> (Person, Value) {
    let made = admin.post("/admin/api-keys", json!({ "name": "the shop", "scopes": scopes })).await.created();
    (Person { token: Some(made["key"].as_str().expect("a key").to_owned()), ..admin.clone() }, made["id"].clone())
}

/// Sends a message as a user.
async fn says_as(server: &Person, user: &Person, room: &str, content: &str) -> Answer {
    let request = Client::new().post(format!("{}/api/v1/rooms/{room}/messages", server.url));
    let request = request.header("Rookery-Act-As", user.id.to_string()).json(&json!({ "content": content }));
    Answer::of(request.bearer_auth(server.token.as_deref().expect("a key")).send().await.expect("an answer")).await
}

#[tokio::test]
async fn a_server_speaks_as_the_system_in_any_room_and_as_a_user_in_theirs() {
    let cluster = Cluster::start().await;
    let (admin, ada, ben) = (cluster.admin("root").await, cluster.person("ada").await, cluster.person("ben").await);
    let (shop, key) = server(&admin, &["messages:write", "read"]).await;
    let room = ada.makes_room(json!({ "name": "r", "visibility": "private" })).await;
    let body = json!({ "content": "your order is on its way", "type": "text", "clientId": "order-7" });
    let said = shop.tries_to_say(&room, body.clone()).await.created();
    assert_eq!((&said["type"], &said["author"]["userId"]), (&json!("system"), &key));
    assert_eq!(said["author"]["displayName"], "the shop");
    assert_eq!(shop.tries_to_say(&room, body).await.created(), said, "once, however often it is said");
    assert_eq!(each(&ada.history(&room, "").await, "content"), ["your order is on its way"]);
    assert_eq!(shop.history(&room, "").await["items"][0], said);
    assert_eq!(each(&shop.sync(&room, "").await, "seq"), [1, 2], "a server sees everything");

    // It is not edited, not by its author either; who moderates the room may take it away.
    shop.edits(&said, "it is not").await.problem(403, "forbidden");
    ada.edits(&said, "it is not").await.problem(403, "forbidden");
    let again = shop.says(&room, "arrived").await;
    shop.deletes(&again).await.expect(204);
    ada.deletes(&said).await.expect(204);
    let of_ada = ada.says(&room, "thanks").await;
    shop.request(Method::PUT, &format!("/messages/{}/pin", id(&of_ada)), None).await.ok();

    // A server has no conversations and no read cursor; it does that as a user.
    shop.post("/messages", json!({ "to": ben.id, "content": "x" })).await.problem(403, "forbidden");
    shop.reads(&room, None).await.problem(403, "forbidden");
    shop.request(Method::PUT, &format!("/messages/{}/reactions/👍", id(&of_ada)), None).await.problem(403, "forbidden");
    let as_ada = says_as(&shop, &ada, &room, "said for me").await.created();
    assert_eq!((&as_ada["type"], &as_ada["author"]["username"]), (&json!("text"), &json!("ada")));
    says_as(&shop, &ben, &room, "not in it").await.problem(404, "not_found");
    let nowhere = shop.tries_to_say(&RoomId::new().to_string(), json!({ "content": "x" })).await;
    nowhere.problem(404, "not_found");

    let (reader, _) = server(&admin, &["read"]).await;
    reader.tries_to_say(&room, json!({ "content": "x" })).await.problem(403, "forbidden");
    reader.deletes(&of_ada).await.problem(403, "forbidden");
}
