//! People: lists, search, profiles and their changes.

use crate::{
    harness::{Cluster, each, unlimited},
    store::fixture,
};
use rookery_shared::{ids::UserId, testing::poll};
use serde_json::{Value, json};

#[tokio::test]
async fn people_are_listed_by_username_and_paged_there_and_back() {
    let cluster = Cluster::start().await;
    for name in ["eve", "Bob", "carol", "ada", "dan"] {
        cluster.person(name).await;
    }
    let ada = cluster.visitor(0).another_device("ada").await;
    let all = ada.get("/users").await.ok();
    assert_eq!(each(&all, "username"), ["ada", "Bob", "carol", "dan", "eve"]);
    assert_eq!((&all["next"], &all["prev"]), (&Value::Null, &Value::Null));
    let first = ada.get("/users?limit=2").await.ok();
    let second = ada.get(&format!("/users?limit=2&after={}", first["next"].as_str().expect("more"))).await.ok();
    assert_eq!(each(&second, "username"), ["carol", "dan"]);
    let back = ada.get(&format!("/users?limit=2&before={}", second["prev"].as_str().expect("more"))).await.ok();
    assert_eq!(each(&back, "username"), ["ada", "Bob"]);
    let last = ada.get(&format!("/users?limit=2&after={}", second["next"].as_str().expect("more"))).await.ok();
    assert_eq!((each(&last, "username"), &last["next"]), (vec![&json!("eve")], &Value::Null));
    assert_eq!(ada.get("/users?after=nonsense").await.problem(422, "invalid"), ["after"]);
    cluster.visitor(0).get("/users").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn people_are_found_by_the_beginning_of_either_name() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 1, unlimited()).await;
        let ada = cluster.person("ada").await;
        ada.patch("/users/me", json!({ "displayName": "Éva Straße" })).await.ok();
        cluster.person("evan").await;
        cluster.person("bob").await;
        let found = async |q: &str| {
            let page = ada.get(&format!("/users/search?q={q}")).await.ok();
            each(&page, "username")
                .into_iter()
                .map(|name| name.as_str().expect("a name").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("EVAN").await, ["evan"]);
        assert_eq!(found("e%CC%81va").await, ["ada"], "of the display name, however it is composed");
        assert_eq!(found("%C3%A9va%20STRASSE").await, ["ada"]);
        assert_eq!(found("ada").await, ["ada"]);
        assert_eq!(found("ob").await, Vec::<String>::new(), "only beginnings");
        assert_eq!(found("%25").await, Vec::<String>::new());
        for query in ["", "?q=", "?q=%07", &format!("?q={}", "x".repeat(65))] {
            assert_eq!(ada.get(&format!("/users/search{query}")).await.problem(422, "invalid"), ["q"], "{query}");
        }
    }
}

#[tokio::test]
async fn a_profile_is_changed_field_by_field() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 1, unlimited()).await;
        let ada = cluster.person("ada").await;
        let full = json!({
            "displayName": "Ada Lovelace", "firstName": "Ada", "lastName": "L", "bio": "writes\r\nnotes",
            "profilePicture": "https://example.org/a.png", "email": "New@Example.org", "later": 1,
        });
        let changed = ada.patch("/users/me", full).await.ok();
        assert_eq!((&changed["displayName"], &changed["bio"]), (&json!("Ada Lovelace"), &json!("writes\nnotes")));
        assert_eq!((&changed["email"], &changed["username"]), (&json!("New@Example.org"), &json!("ada")));
        assert_eq!(ada.get("/users/me").await.ok(), changed);
        let cleared = json!({ "firstName": null, "bio": null, "profilePicture": null });
        let cleared = ada.patch(&format!("/users/{}", ada.id), cleared).await.ok();
        assert_eq!(
            (&cleared["firstName"], &cleared["bio"], &cleared["profilePicture"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert_eq!(
            (&cleared["lastName"], &cleared["displayName"]),
            (&json!("L"), &json!("Ada Lovelace")),
            "absent ones stay"
        );
        assert_eq!(ada.patch("/users/me", json!({})).await.ok(), cleared);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_change_is_named_and_nothing_changes() {
    let cluster = Cluster::start().await;
    let (ada, _ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let before = ada.get("/users/me").await.ok();
    let cases = [
        ("displayName", json!(null)),
        ("displayName", json!(" ")),
        ("displayName", json!("x".repeat(65))),
        ("firstName", json!(7)),
        ("bio", json!("a\u{7}b")),
        ("bio", json!("x".repeat(1_001))),
        ("profilePicture", json!("javascript:alert(1)")),
        ("profilePicture", json!("https://")),
        ("profilePicture", json!("")),
        ("email", json!("nowhere")),
        ("email", json!(null)),
        ("type", json!("wizard")),
    ];
    for (field, value) in cases {
        let body = json!({ "lastName": "changed", field: value });
        assert_eq!(ada.patch("/users/me", body.clone()).await.problem(422, "invalid"), [field], "{body}");
    }
    let both = ada.patch("/users/me", json!({ "displayName": "", "email": "" })).await.problem(422, "invalid");
    assert_eq!(both, ["displayName", "email"]);
    let taken = ada.patch("/users/me", json!({ "email": "BEN@example.org", "lastName": "changed" })).await;
    assert_eq!(taken.problem(409, "conflict"), ["email"]);
    assert_eq!(ada.get("/users/me").await.ok(), before);
}

#[tokio::test]
async fn others_neither_see_the_address_nor_change_a_profile_and_admins_do_both() {
    let cluster = Cluster::start().await;
    let (ada, ben, root) = (cluster.person("ada").await, cluster.person("ben").await, cluster.admin("root").await);
    let path = format!("/users/{}", ada.id);
    let public = ben.get(&path).await.ok();
    assert_eq!((public.get("email"), public.get("role")), (None, None));
    assert!(
        each(&ben.get("/users").await.ok(), "email")
            .iter()
            .zip(["ada", "ben", "root"])
            .all(|(email, name)| { email.is_null() == (name != "ben") })
    );
    assert_eq!(root.get(&path).await.ok()["email"], "ada@example.org");
    assert_eq!(each(&root.get("/users/search?q=ada").await.ok(), "email"), ["ada@example.org"]);
    ben.patch(&path, json!({ "displayName": "changed" })).await.problem(403, "forbidden");
    ben.delete(&path).await.problem(403, "forbidden");
    ada.patch(&path, json!({ "type": "support" })).await.problem(403, "forbidden");
    let changed = root.patch(&path, json!({ "type": "support", "displayName": "Support" })).await.ok();
    assert_eq!((&changed["type"], &changed["displayName"]), (&json!("support"), &json!("Support")));
    let nobody = format!("/users/{}", UserId::new());
    root.get(&nobody).await.problem(404, "not_found");
    root.patch(&nobody, json!({})).await.problem(404, "not_found");
    root.delete(&nobody).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_new_name_is_seen_at_every_api_within_a_second() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let ada = cluster.person("ada").await;
    let elsewhere = ada.at(cluster.url(1));
    let room = ada.makes_public_room().await;
    ada.says(&room, "hello").await;
    // The other api remembers the old name.
    elsewhere.history(&room, "").await;
    ada.patch("/users/me", json!({ "displayName": "Countess" })).await.ok();
    poll("the other api shows the new name", async || {
        let history = elsewhere.history(&room, "").await;
        (history["items"][0]["author"]["displayName"] == "Countess").then_some(())
    })
    .await;
    assert_eq!(
        ada.history(&room, "").await["items"][0]["author"]["displayName"],
        "Countess",
        "at once where it was changed"
    );
}
