//! Commands of the cluster's api, run as people run it.

use crate::{
    harness::{Cluster, PASSWORD, unlimited},
    store::fixture,
};
use rookery_shared::testing::poll;
use serde_json::json;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_admin_of_a_cluster_is_made_by_a_command() {
    let store = fixture::mongo().await;
    let settings = store.settings();
    let cluster = Cluster::with(store, 2, unlimited()).await;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rookery-api"));
        let output = command.args(arguments).env_clear().envs(settings.clone()).output().await.expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let printed = run(&["admin", "create", "--username", "root", "--email", "root@example.org"]).await;
    let password = printed.trim().strip_prefix("admin root, password ").expect("a password is printed");
    let visitor = cluster.visitor(0);
    let tokens = visitor.post("/auth/login", json!({ "identifier": "root", "password": password })).await.ok();
    let root = visitor.signed_in(tokens);
    root.get("/admin/api-keys").await.ok();
    let ada = cluster.person("ada").await;
    ada.get("/admin/api-keys").await.problem(403, "forbidden");
    run(&["admin", "promote", "ada@example.org"]).await;
    poll("they are an admin", async || (ada.get("/admin/api-keys").await.status == 200).then_some(())).await;
    root.put(&format!("/admin/users/{}/password", ada.id), json!({ "newPassword": PASSWORD })).await.expect(204);
}
