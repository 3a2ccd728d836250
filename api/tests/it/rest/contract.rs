//! Statuses and problem documents that hold for every route.

use crate::harness::{Cluster, unlimited};
use crate::store::fixture;
use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

#[tokio::test]
async fn unknown_paths_methods_and_ids_are_problems_too() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    ada.get("/nowhere").await.problem(404, "not_found");
    ada.get("/rooms/no-id").await.problem(404, "not_found");
    ada.get("/users/%00").await.problem(404, "not_found");
    ada.request(Method::DELETE, "/auth/login", None).await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_body_is_a_json_object_of_a_reasonable_size() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let json = [("content-type", "application/json; charset=utf-8")];
    for body in ["", "nonsense", "[]", "null", "{", "{} {}", "{\"name\": \"\u{0}\"}"] {
        ada.raw("/rooms", &json, body).await.problem(400, "bad_request");
    }
    ada.raw("/rooms", &[("content-type", "text/plain")], "{}").await.problem(415, "unsupported_media_type");
    ada.raw("/rooms", &[], "{}").await.problem(415, "unsupported_media_type");
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(64 * 1024));
    ada.raw("/rooms", &json, large).await.problem(413, "too_large");
    assert_eq!(ada.raw("/rooms", &json, "{\"name\": 7}").await.problem(422, "invalid"), ["name"]);
}

#[tokio::test]
async fn limits_of_pages_are_checked_everywhere() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let lists = ["/rooms".to_owned(), "/conversations".to_owned()]
        .into_iter()
        .chain(["messages", "sync", "members"].map(|list| format!("/rooms/{room}/{list}")));
    for list in lists {
        for limit in ["0", "201", "-1", "x"] {
            let answer = ada.get(&format!("{list}?limit={limit}")).await;
            assert_eq!(answer.problem(422, "invalid"), ["limit"], "{list} {limit}");
        }
        ada.get(&format!("{list}?limit=200")).await.ok();
    }
}

#[tokio::test]
async fn browsers_of_configured_origins_may_call_and_others_may_not() {
    let mut config = unlimited();
    config.http.allowed_origins = vec!["https://chat.example.org".into()];
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    for (origin, allowed) in [("https://chat.example.org", true), ("https://evil.example.org", false)] {
        let url = format!("{}/api/v1/auth/login", cluster.url(0));
        let preflight = Client::new()
            .request(Method::OPTIONS, url)
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let answer = preflight.send().await.expect("an answer");
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
}

#[tokio::test]
async fn the_page_and_the_state_of_the_process_are_at_the_root() {
    let cluster = Cluster::start().await;
    let get =
        async |path: &str| Client::new().get(format!("{}{path}", cluster.url(0))).send().await.expect("an answer");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(path).await.status(), 200, "{path}");
    }
    for (path, content_type) in [("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")] {
        let answer = get(path).await;
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert!(header("content-type").starts_with(content_type), "{path}");
        assert!(header("content-security-policy").contains("default-src 'none'"), "{path}");
    }
    assert_eq!(get("/nowhere").await.status(), 404);
}

#[tokio::test]
async fn many_who_ask_whether_the_api_is_ready_cost_one_write() {
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = writes.clone();
    let store = fixture::sqlite().await.hooked(move |name| {
        counted.fetch_add(usize::from(name == "ready"), Ordering::Relaxed);
        async { Ok(()) }
    });
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let url = format!("{}/readyz", cluster.url(0));
    let ask = async || Client::new().get(&url).send().await.expect("an answer").status();
    let started = Instant::now();
    assert!(join_all((0..20).map(|_| ask())).await.iter().all(|status| *status == 200));
    // An outcome is believed for half a second; a busy machine takes longer to ask twenty times.
    let most = 1 + usize::try_from(started.elapsed().as_millis() / 500).expect("a small number");
    assert!((1..=most).contains(&writes.load(Ordering::Relaxed)), "{writes:?} writes, at most {most}");
}

#[tokio::test]
async fn internal_routes_are_for_those_who_show_the_secret() {
    let cluster = Cluster::start().await;
    let url = format!("{}/internal/v1/heads", cluster.url(0));
    let ask = async |secret: Option<&str>| {
        let request = Client::new().post(&url).json(&json!([]));
        let request = secret.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        request.send().await.expect("an answer").status()
    };
    assert_eq!(ask(Some(crate::harness::INTERNAL_SECRET)).await, 200);
    assert_eq!(ask(Some("another secret")).await, 401);
    assert_eq!(ask(None).await, 401);
}
