//! What admins do to accounts.

use crate::{
    harness::{Cluster, PASSWORD, unlimited},
    store::fixture,
};
use futures_util::future::join;
use rookery_shared::{
    envelope::Kind,
    ids::{StreamId, UserId},
    testing::poll,
};
use serde_json::json;

#[tokio::test]
async fn an_admin_resets_a_password_which_ends_that_users_sessions() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let (root, ada) = (cluster.admin("root").await, cluster.person("ada").await);
        cluster.bus.subscribe(&[StreamId::User(ada.id)]).await.expect("subscribes");
        let path = format!("/admin/users/{}/password", ada.id);
        root.put(&path, json!({ "newPassword": "new horse battery" })).await.expect(204);
        poll("their session is over", async || (ada.get("/users/me").await.status == 401).then_some(())).await;
        let refresh = json!({ "refreshToken": ada.refresh_token() });
        ada.post("/auth/refresh", refresh).await.problem(401, "unauthorized");
        assert!(cluster.heard.wait(Kind::SessionEnded, 1).await[0].header.subject.is_nil());
        let login =
            async |password: &str| ada.post("/auth/login", json!({ "identifier": "ada", "password": password })).await;
        login(PASSWORD).await.problem(401, "invalid_credentials");
        login("new horse battery").await.ok();
        root.get("/users/me").await.ok();
        assert_eq!(root.put(&path, json!({ "newPassword": "short" })).await.problem(422, "invalid"), ["newPassword"]);
        assert_eq!(root.put(&path, json!({})).await.problem(422, "invalid"), ["newPassword"]);
    }
}

#[tokio::test]
async fn only_admins_do_what_admins_do() {
    let cluster = Cluster::start().await;
    let (ada, root) = (cluster.person("ada").await, cluster.admin("root").await);
    let nobody = UserId::new();
    for (path, body) in [("password", json!({ "newPassword": PASSWORD })), ("role", json!({ "role": "admin" }))] {
        ada.put(&format!("/admin/users/{}/{path}", ada.id), body.clone()).await.problem(403, "forbidden");
        cluster
            .visitor(0)
            .put(&format!("/admin/users/{}/{path}", ada.id), body.clone())
            .await
            .problem(401, "unauthorized");
        root.put(&format!("/admin/users/{nobody}/{path}"), body).await.problem(404, "not_found");
    }
    ada.get("/admin/api-keys").await.problem(403, "forbidden");
    ada.post("/admin/api-keys", json!({ "name": "a", "scopes": ["admin"] })).await.problem(403, "forbidden");
    assert_eq!(ada.get("/users/me").await.ok()["role"], "user");
}

#[tokio::test]
async fn roles_change_and_take_effect_within_a_second() {
    let cluster = Cluster::with(fixture::sqlite().await, 2, unlimited()).await;
    let (root, ada) = (cluster.admin("root").await, cluster.person("ada").await);
    let path = format!("/admin/users/{}/role", ada.id);
    for _ in 0..2 {
        assert_eq!(root.put(&path, json!({ "role": "admin" })).await.ok()["role"], "admin");
    }
    poll("they are an admin", async || (ada.get("/admin/api-keys").await.status == 200).then_some(())).await;
    assert_eq!(root.put(&path, json!({ "role": "user" })).await.ok()["role"], "user");
    poll("they are none", async || (ada.get("/admin/api-keys").await.status == 403).then_some(())).await;
    for body in [json!({}), json!({ "role": "wizard" })] {
        assert_eq!(root.put(&path, body).await.problem(422, "invalid"), ["role"]);
    }
}

#[tokio::test]
async fn the_last_admin_stays_one_even_if_two_end_each_other() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let cluster = Cluster::with(store, 2, unlimited()).await;
        let (one, other) = (cluster.admin("one").await, cluster.admin("other").await);
        let path = |id: UserId| format!("/admin/users/{id}/role");
        let (first, second) = join(
            one.put(&path(other.id), json!({ "role": "user" })),
            other.put(&path(one.id), json!({ "role": "user" })),
        )
        .await;
        let passed = [&first, &second].into_iter().filter(|answer| answer.status == 200).count();
        assert_eq!(passed, 1, "{first:?} {second:?}");
        let last = if first.status == 200 { &one } else { &other };
        last.put(&path(last.id), json!({ "role": "user" })).await.problem(409, "conflict");
        last.delete("/users/me").await.problem(409, "conflict");
        assert_eq!(last.get("/users/me").await.ok()["role"], "admin");
    }
}
