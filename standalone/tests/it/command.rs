//! Commands of the program, run as people run it.

use reqwest::StatusCode;
use rookery_api::{Api, Parts, config::ApiConfig};
use rookery_shared::{
    bus::memory::MemoryBus,
    lifecycle,
    limits::memory::MemoryLimits,
    presence::memory::MemoryPresence,
    telemetry::Metrics,
    token::{TokenKeys, random_secret},
};
use serde_json::{Value, json};
use std::{
    future::pending,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

fn rookery(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rookery"))
        .args(arguments)
        .env("ROOKERY_DATA", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_admin_is_made_by_a_command_also_beside_a_running_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    // A server that runs already, on the same file.
    let store = rookery_standalone::open_store(data).await.expect("opens");
    let keys = TokenKeys::shared_secret(random_secret().as_bytes());
    let api = Api::new(Parts {
        store,
        bus: MemoryBus::new().publisher(),
        presence: Arc::new(MemoryPresence::new()),
        limits: Arc::new(MemoryLimits::new()),
        issuer: keys.issuer().expect("signs"),
        verifier: keys.verifier(),
        metrics: Metrics::detached(),
        internal_secret: None,
        config: ApiConfig::default(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/api/v1", listener.local_addr().expect("bound"));
    tokio::spawn(lifecycle::serve(listener, api.router(), pending(), Duration::ZERO));
    let http = reqwest::Client::new();
    let login = async |name: &str, password: &str| {
        let body = json!({ "identifier": name, "password": password });
        let answer = http.post(format!("{url}/auth/login")).json(&body).send().await.expect("an answer");
        (answer.status(), answer.json::<Value>().await.expect("JSON"))
    };

    let made = rookery(data, &["admin", "create", "--username", "root", "--email", "root@example.org"], "");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let output = text(&made.stdout);
    let password = output.trim().strip_prefix("admin root, password ").expect("a password is printed").to_owned();
    let (status, tokens) = login("root", &password).await;
    assert_eq!((status, &tokens["user"]["role"]), (StatusCode::OK, &json!("admin")));
    let keys = http.get(format!("{url}/admin/api-keys")).bearer_auth(tokens["accessToken"].as_str().expect("a token"));
    assert_eq!(keys.send().await.expect("an answer").status(), StatusCode::OK);

    // With a password of one's own, which is not printed.
    let second = ["admin", "create", "--username", "second", "--email", "second@example.org", "--password-stdin"];
    let made = rookery(data, &second, "a password of my own\n");
    assert_eq!(text(&made.stdout), "admin second\n", "{}", text(&made.stderr));
    assert_eq!(login("second", "a password of my own").await.0, StatusCode::OK);

    // Somebody who has an account.
    let body = json!({ "username": "ada", "email": "ada@example.org", "password": "correct horse battery" });
    http.post(format!("{url}/auth/register")).json(&body).send().await.expect("an answer");
    for _ in 0..2 {
        assert!(rookery(data, &["admin", "promote", "ADA"], "").status.success());
    }
    assert_eq!(login("ada", "correct horse battery").await.1["user"]["role"], "admin");
}

#[test]
fn a_command_that_cannot_be_done_says_why_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let create = |username: &str, email: &str, password: &str| {
        let arguments = ["admin", "create", "--username", username, "--email", email, "--password-stdin"];
        rookery(folder.path(), &arguments, password)
    };
    assert!(create("root", "root@example.org", "long enough").status.success());
    for (output, words) in [
        (create("root", "other@example.org", "long enough"), "username is taken"),
        (create("other", "ROOT@example.org", "long enough"), "e-mail address is taken"),
        (create("a b", "other@example.org", "long enough"), "the username"),
        (create("other", "nowhere", "long enough"), "the e-mail address"),
        (create("other", "other@example.org", "short"), "the password"),
        (rookery(folder.path(), &["admin", "promote", "nobody"], ""), "no account nobody"),
        (rookery(folder.path(), &["admin", "demote"], ""), "demote"),
    ] {
        assert!(!output.status.success() && text(&output.stderr).contains(words), "{output:?}");
    }
}
