//! API keys of servers.

use crate::{
    harness::{Answer, Cluster, PASSWORD, Person, each, unlimited},
    store::fixture,
};
use reqwest::{Client, Method};
use rookery_shared::{
    ids::{ApiKeyId, UserId},
    testing::poll,
};
use serde_json::{Value, json};

/// A server with a key.
struct Server {
    person: Person,
    id: String,
}

impl Server {
    /// Makes a key with these scopes.
    async fn with(root: &Person, scopes: &[&str]) -> Self {
        let made = root.post("/admin/api-keys", json!({ "name": "the shop", "scopes": scopes })).await.created();
        Self { person: keyed(root, &made), id: made["id"].as_str().expect("an id").to_owned() }
    }

    /// A request as a user.
    async fn as_user(&self, user: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url = format!("{}/api/v1{path}", self.person.url);
        let mut request = Client::new().request(method, url).header("Rookery-Act-As", user);
        request = request.bearer_auth(self.person.token.as_deref().expect("a key"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }
}

/// Someone who shows this key.
fn keyed(person: &Person, made: &Value) -> Person {
    Person { token: Some(made["key"].as_str().expect("a key").to_owned()), ..person.clone() }
}

#[tokio::test]
async fn a_key_is_shown_once_and_kept_as_a_hash() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let root = cluster.admin("root").await;
        let body = json!({ "name": "the shop", "scopes": ["read", "users:write", "read"], "expiresAt": "2999-01-01T00:00:00.000Z" });
        let made = root.post("/admin/api-keys", body).await.created();
        let key = made["key"].as_str().expect("a key");
        assert!(key.starts_with("rk_") && key.len() > 60, "{key}");
        assert_eq!((&made["name"], &made["scopes"]), (&json!("the shop"), &json!(["read", "users:write"])));
        assert_eq!((&made["expiresAt"], &made["lastUsedAt"]), (&json!("2999-01-01T00:00:00.000Z"), &Value::Null));
        assert!(made["createdAt"].is_string());
        let list = root.get("/admin/api-keys").await.ok();
        assert_eq!((each(&list, "id"), list["items"][0].get("key")), (vec![&made["id"]], None));
        assert_eq!(
            root.get(&format!("/admin/api-keys/{}", made["id"].as_str().expect("an id"))).await.ok(),
            list["items"][0]
        );
        let secret = key.rsplit('_').next().expect("a secret");
        let id: ApiKeyId = made["id"].as_str().expect("an id").parse().expect("an id");
        let kept = cluster.store.record_by_id(rookery_api::store::records::Area::ApiKey, id.0).await.expect("read");
        assert!(!kept.expect("is kept").data.contains(secret));
        // At the other api as well, and its use is noted.
        let server = keyed(&root, &made).at(cluster.url(1));
        server.get("/users").await.ok();
        poll("its use is noted", async || {
            let list = root.get("/admin/api-keys").await.ok();
            list["items"][0]["lastUsedAt"].is_string().then_some(())
        })
        .await;
        // Its author is nobody who can be found.
        assert_eq!(each(&root.get("/users").await.ok(), "username"), ["root"]);
        root.get(&format!("/users/{id}")).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_key_to_be_is_named() {
    let cluster = Cluster::start().await;
    let root = cluster.admin("root").await;
    let cases = [
        (json!({}), vec!["name", "scopes"]),
        (json!({ "name": " ", "scopes": ["read"] }), vec!["name"]),
        (json!({ "name": "a", "scopes": [] }), vec!["scopes"]),
        (json!({ "name": "a", "scopes": ["everything"] }), vec!["scopes"]),
        (json!({ "name": "a", "scopes": "read" }), vec!["scopes"]),
        (json!({ "name": "a", "scopes": ["read"], "expiresAt": "2000-01-01T00:00:00Z" }), vec!["expiresAt"]),
        (json!({ "name": "a", "scopes": ["read"], "expiresAt": "tomorrow" }), vec!["expiresAt"]),
    ];
    for (body, fields) in cases {
        assert_eq!(root.post("/admin/api-keys", body.clone()).await.problem(422, "invalid"), fields, "{body}");
    }
    let nobody = ApiKeyId::new();
    root.delete(&format!("/admin/api-keys/{nobody}")).await.problem(404, "not_found");
    root.post(&format!("/admin/api-keys/{nobody}/rotate"), json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let cluster = Cluster::start().await;
    let (root, ada) = (cluster.admin("root").await, cluster.person("ada").await);
    let reader = Server::with(&root, &["read"]).await;
    reader.person.get("/users").await.ok();
    let register = json!({ "username": "ben", "email": "ben@example.org", "password": PASSWORD });
    for (method, path, body) in [
        (Method::POST, "/auth/register".to_owned(), Some(register.clone())),
        (Method::PATCH, format!("/users/{}", ada.id), Some(json!({ "displayName": "x" }))),
        (Method::GET, "/admin/api-keys".to_owned(), None),
        (Method::POST, "/auth/login".to_owned(), Some(json!({}))),
        (Method::POST, "/auth/logout-all".to_owned(), None),
    ] {
        reader.person.request(method.clone(), &path, body.clone()).await.problem(403, "forbidden");
        // Acting as somebody does not reach farther, not even as an admin.
        reader.as_user(&root.id.to_string(), method, &path, body).await.problem(403, "forbidden");
    }
    let writer = Server::with(&root, &["users:write"]).await;
    writer.person.get("/users").await.problem(403, "forbidden");
    writer.person.post("/auth/register", register).await.created();
    writer.person.patch(&format!("/users/{}", ada.id), json!({ "type": "support" })).await.ok();
    let admin = Server::with(&root, &["admin"]).await;
    assert_eq!(each(&admin.person.get("/admin/api-keys").await.ok(), "name").len(), 3);
    // The address of others is for admins: a server that acts as one is one only with the scope.
    let path = format!("/users/{}", ada.id);
    assert_eq!(reader.as_user(&root.id.to_string(), Method::GET, &path, None).await.ok().get("email"), None);
    reader.person.get("/nowhere").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_server_signs_people_up_with_a_type_and_without_the_limit_of_its_address() {
    let mut config = unlimited();
    config.limits.sign_in.max = 3;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let root = cluster.admin("root").await;
    let server = Server::with(&root, &["users:write"]).await;
    for index in 0..6 {
        let name = format!("person-{index}");
        let body = json!({ "username": name, "email": format!("{name}@example.org"), "password": PASSWORD, "type": "support" });
        let tokens = server.person.post("/auth/register", body).await.created();
        assert_eq!(tokens["user"]["type"], "support");
        cluster.visitor(0).signed_in(tokens).get("/users/me").await.ok();
    }
}

#[tokio::test]
async fn a_server_acts_as_a_user() {
    let cluster = Cluster::start().await;
    let (root, ada) = (cluster.admin("root").await, cluster.person("ada").await);
    let server = Server::with(&root, &["read", "rooms:write", "messages:write"]).await;
    let id = ada.id.to_string();
    assert_eq!(server.as_user(&id, Method::GET, "/users/me", None).await.ok()["email"], "ada@example.org");
    let room = json!({ "name": "a", "visibility": "public" });
    let room = server.as_user(&id, Method::POST, "/rooms", Some(room)).await.created();
    assert_eq!((&room["createdBy"], &room["role"]), (&json!(ada.id), &json!("owner")));
    let path = format!("/rooms/{}/messages", room["id"].as_str().expect("an id"));
    let message = server.as_user(&id, Method::POST, &path, Some(json!({ "content": "hi" }))).await.created();
    assert_eq!(message["author"]["username"], "ada");
    // As itself it is nobody.
    server.person.get("/users/me").await.problem(403, "forbidden");
    let gone = cluster.person("gone").await;
    gone.delete("/users/me").await.expect(204);
    for nobody in [UserId::new().to_string(), "nonsense".to_owned(), gone.id.to_string(), server.id.clone()] {
        let refused = server.as_user(&nobody, Method::GET, "/users", None).await;
        assert_eq!(refused.problem(422, "invalid"), ["Rookery-Act-As"], "{nobody}");
    }
    // Only servers act as others.
    let person = Server { person: ada.clone(), id: String::new() };
    person.as_user(&root.id.to_string(), Method::GET, "/users/me", None).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_server_runs_rooms_as_itself() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let (root, ada, ben) = (cluster.admin("root").await, cluster.person("ada").await, cluster.person("ben").await);
        let server = Server::with(&root, &["read", "rooms:write", "members:write", "messages:write"]).await;
        let body = json!({ "name": "orders", "visibility": "private", "memberIds": [ada.id] });
        let room = server.person.post("/rooms", body).await.created();
        assert_eq!((&room["createdBy"], &room["role"]), (&Value::Null, &Value::Null));
        let room = room["id"].as_str().expect("an id");
        server.person.post(&format!("/rooms/{room}/members"), json!({ "userId": ben.id })).await.expect(201);
        let members = ada.get(&format!("/rooms/{room}/members")).await.ok();
        assert_eq!(each(&members, "role"), ["member", "member"], "nobody owns it");
        let path = format!("/rooms/{room}/messages");
        let message = server.person.post(&path, json!({ "content": "shipped" })).await.created();
        assert_eq!((&message["type"], &message["author"]["displayName"]), (&json!("system"), &json!("the shop")));
        let seen = ben.history(room, "").await;
        assert_eq!(
            (each(&seen, "content"), each(&seen, "author")),
            (vec![&json!("shipped")], vec![&message["author"]])
        );
        // People do not speak for the product.
        ada.post(&path, json!({ "content": "shipped", "type": "system" })).await.problem(403, "forbidden");
        // Each of these needs its scope.
        let weak = Server::with(&root, &["read"]).await;
        weak.person.post("/rooms", json!({ "name": "a", "visibility": "public" })).await.problem(403, "forbidden");
        weak.person
            .post(&format!("/rooms/{room}/members"), json!({ "userId": root.id }))
            .await
            .problem(403, "forbidden");
        weak.person.post(&path, json!({ "content": "no" })).await.problem(403, "forbidden");
        weak.person.delete(&format!("/rooms/{room}")).await.problem(403, "forbidden");
        weak.as_user(&ada.id.to_string(), Method::POST, &path, Some(json!({ "content": "no" })))
            .await
            .problem(403, "forbidden");
        // What a deleted key said keeps its author.
        root.delete(&format!("/admin/api-keys/{}", server.id)).await.expect(204);
        assert_eq!(each(&ada.history(room, "").await, "author"), [&message["author"]]);
    }
}

#[tokio::test]
async fn a_server_as_itself_makes_rooms_without_owner_and_manages_every_room() {
    let cluster = Cluster::start().await;
    let root = cluster.admin("root").await;
    let (ada, ben, eve) = (cluster.person("ada").await, cluster.person("ben").await, cluster.person("eve").await);
    let server = Server::with(&root, &["rooms:write", "members:write", "read"]).await.person;
    let body = json!({ "name": "Order 7", "visibility": "private", "memberIds": [ada.id, ben.id] });
    let room = server.post("/rooms", body).await.created();
    assert_eq!((&room["createdBy"], &room["role"], &room["memberCount"]), (&Value::Null, &Value::Null, &json!(2)));
    let path = format!("/rooms/{}", room["id"].as_str().expect("an id"));
    let members = server.get(&format!("{path}/members")).await.ok();
    assert_eq!(each(&members, "username"), ["ada", "ben"]);
    assert_eq!(each(&members, "role"), ["member", "member"]);
    // Nobody in it owns it, and anybody may leave it.
    ada.delete(&path).await.problem(403, "forbidden");
    ada.patch(&path, json!({ "name": "mine" })).await.problem(403, "forbidden");
    ada.post(&format!("{path}/leave"), json!({})).await.expect(204);

    // It manages this room, and those of others, of which it is no member.
    let mine = eve.makes_private_room(&[&ben]).await;
    for path in [path.clone(), format!("/rooms/{mine}")] {
        let renamed = server.patch(&path, json!({ "name": "renamed" })).await.ok();
        assert_eq!((&renamed["name"], &server.get(&path).await.ok()["name"]), (&json!("renamed"), &json!("renamed")));
        let add = json!({ "userId": ada.id, "role": "moderator" });
        assert_eq!(server.post(&format!("{path}/members"), add).await.created()["role"], "moderator");
        let member = format!("{path}/members/{}", ada.id);
        assert_eq!(server.patch(&member, json!({ "role": "owner" })).await.ok()["role"], "owner");
        assert_eq!(server.get(&member).await.ok()["role"], "owner");
        let invite = server.post(&format!("{path}/invites"), json!({})).await.created();
        assert_eq!(invite["createdBy"], Value::Null);
        assert_eq!(each(&server.get(&format!("{path}/invites")).await.ok(), "token"), [&invite["token"]]);
        let ban = format!("{path}/bans/{}", ben.id);
        server.puts(&ban).await.expect(204);
        let bans = server.get(&format!("{path}/bans")).await.ok();
        assert_eq!((each(&bans, "userId"), each(&bans, "bannedBy")), (vec![&json!(ben.id)], vec![&Value::Null]));
        server.post(&format!("{path}/members"), json!({ "userId": ben.id })).await.problem(409, "banned");
        server.delete(&ban).await.expect(204);
    }
    // A room that has owners keeps one; whoever else is in it goes.
    let path = format!("/rooms/{mine}");
    server.delete(&format!("{path}/members/{}", ada.id)).await.expect(204);
    server.post(&format!("{path}/members"), json!({ "userId": ben.id })).await.created();
    server.delete(&format!("{path}/members/{}", eve.id)).await.problem(409, "last_owner");
    assert_eq!(each(&server.get(&format!("/users/{}/rooms", eve.id)).await.ok(), "id"), [&json!(mine)]);
    // What only people do needs one; and a key itself is nobody to be added.
    server.post(&format!("{path}/join"), json!({})).await.problem(403, "forbidden");
    server.puts(&format!("{path}/mute")).await.problem(403, "forbidden");
    for _ in 0..2 {
        server.delete(&path).await.expect(204);
    }
    eve.get(&path).await.problem(404, "not_found");
}

#[tokio::test]
async fn after_a_rotation_the_old_key_works_for_the_grace_alone() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let root = cluster.admin("root").await;
        let old = Server::with(&root, &["read"]).await;
        let path = format!("/admin/api-keys/{}/rotate", old.id);
        // Both apis have seen the old one.
        let elsewhere = old.person.at(cluster.url(1));
        old.person.get("/users").await.ok();
        elsewhere.get("/users").await.ok();
        let new = keyed(&root, &root.request(Method::POST, &path, None).await.ok());
        for person in [&new, &new.at(cluster.url(1)), &old.person, &elsewhere] {
            person.get("/users").await.ok();
        }
        let newest = root.post(&path, json!({ "graceSeconds": 0 })).await.ok();
        assert_eq!(newest["id"], json!(old.id));
        let newest = keyed(&root, &newest);
        for person in [&newest, &newest.at(cluster.url(1))] {
            person.get("/users").await.ok();
        }
        for person in [&new, &new.at(cluster.url(1)), &old.person, &elsewhere] {
            poll("the old ones end", async || (person.get("/users").await.status == 401).then_some(())).await;
        }
        for grace in [json!(-1), json!(1e12), json!("a")] {
            assert_eq!(
                root.post(&path, json!({ "graceSeconds": grace })).await.problem(422, "invalid"),
                ["graceSeconds"]
            );
        }
    }
}

#[tokio::test]
async fn a_deleted_an_expired_and_a_made_up_key_are_refused() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let root = cluster.admin("root").await;
    let server = Server::with(&root, &["read"]).await;
    let elsewhere = server.person.at(cluster.url(1));
    elsewhere.get("/users").await.ok();
    for _ in 0..2 {
        root.delete(&format!("/admin/api-keys/{}", server.id)).await.expect(204);
    }
    server.person.get("/users").await.problem(401, "unauthorized");
    poll("it ends everywhere", async || (elsewhere.get("/users").await.status == 401).then_some(())).await;
    let soon = rookery_shared::clock::now().0 + 300;
    let soon = serde_json::to_value(rookery_shared::clock::Time(soon)).expect("writes");
    let made =
        root.post("/admin/api-keys", json!({ "name": "short", "scopes": ["read"], "expiresAt": soon })).await.created();
    let short = keyed(&root, &made);
    poll("it expires", async || (short.get("/users").await.status == 401).then_some(())).await;
    let made_up = format!("rk_{}_x", ApiKeyId::new().0.simple());
    let key = made["key"].as_str().expect("a key");
    for token in ["rk_", "rk_x_y", &made_up, &format!("{key}x"), &key[..key.len() - 1]] {
        let person = Person { token: Some(token.to_owned()), ..root.clone() };
        person.get("/users").await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn requests_are_counted_per_key() {
    let mut config = unlimited();
    config.limits.requests = 40;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let root = cluster.admin("root").await;
    let (one, other) = (Server::with(&root, &["read"]).await, Server::with(&root, &["read"]).await);
    poll("the limit is met", async || (one.person.get("/users").await.status == 429).then_some(())).await;
    one.as_user(&root.id.to_string(), Method::GET, "/users", None).await.problem(429, "rate_limited");
    other.person.get("/users").await.ok();
}
