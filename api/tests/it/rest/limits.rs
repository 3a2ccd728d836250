//! What is limited: that it is, what counts, and when one may come again.

use crate::harness::{Answer, Cluster, PASSWORD, the_clock_moves, unlimited};
use crate::store::fixture;
use rookery_api::{
    config::{ApiConfig, ContentLimit},
    store::StoreError,
};
use rookery_shared::limits::Limit;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[tokio::test]
async fn five_messages_in_ten_seconds_pass_across_all_apis() {
    let config = ApiConfig { limits: ApiConfig::default().limits, ..unlimited() };
    let cluster = Cluster::with(fixture::sqlite().await, 2, config).await;
    let ada = cluster.person("ada").await;
    let elsewhere = ada.at(cluster.url(1));
    let (room, other) = (ada.makes_public_room().await, ada.makes_public_room().await);
    for index in 0..5 {
        let person = if index % 2 == 0 { &ada } else { &elsewhere };
        let body = json!({ "content": index.to_string(), "clientId": index.to_string() });
        person.tries_to_say(&room, body).await.created();
    }
    for person in [&ada, &elsewhere] {
        let answer = person.tries_to_say(&room, json!({ "content": "six" })).await;
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=10).contains(&wait), "{wait}");
        answer.problem(429, "rate_limited");
    }
    // A repeat is no message, another room is another limit, and what is wrong does not count.
    ada.tries_to_say(&room, json!({ "content": "0", "clientId": "0" })).await.created();
    ada.tries_to_say(&room, json!({ "content": "not 0", "clientId": "0" })).await.problem(409, "client_id_reused");
    ada.says(&other, "elsewhere").await;
}

#[tokio::test]
async fn repeats_and_refusals_do_not_count_against_the_limit() {
    let mut config = unlimited();
    config.limits.messages = Limit { max: 3, window: Duration::from_mins(1) };
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    for _ in 0..5 {
        ada.tries_to_say(&room, json!({ "content": "one", "clientId": "1" })).await.created();
        ada.tries_to_say(&room, json!({ "content": "not one", "clientId": "1" }))
            .await
            .problem(409, "client_id_reused");
        ada.tries_to_say(&room, json!({ "content": " " })).await.problem(422, "invalid");
    }
    ada.says(&room, "two").await;
    ada.says(&room, "three").await;
    ada.tries_to_say(&room, json!({ "content": "four" })).await.problem(429, "rate_limited");
}

#[tokio::test]
async fn a_repeat_is_answered_after_the_window_of_the_limit_too() {
    let mut config = unlimited();
    config.limits.messages = Limit { max: 2, window: Duration::from_millis(50) };
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let once = json!({ "content": "one", "clientId": "1" });
    let first = ada.tries_to_say(&room, once.clone()).await.created();
    the_clock_moves(Duration::from_millis(50)).await;
    for _ in 0..5 {
        assert_eq!(ada.tries_to_say(&room, once.clone()).await.created(), first);
    }
}

#[tokio::test]
async fn tries_to_sign_in_are_limited_per_address_and_refreshes_are_not() {
    let mut config = unlimited();
    config.limits.sign_in.max = 3;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let login = json!({ "identifier": "ada", "password": PASSWORD });
    ada.post("/auth/login", login.clone()).await.ok();
    ada.post("/auth/register", json!({})).await.problem(422, "invalid");
    let answer = ada.post("/auth/login", login).await;
    assert!(!answer.header("retry-after").is_empty());
    answer.problem(429, "rate_limited");
    ada.post("/auth/register", json!({})).await.problem(429, "rate_limited");
    ada.post("/auth/refresh", json!({ "refreshToken": ada.refresh_token() })).await.ok();
}

#[tokio::test]
async fn failures_lock_one_account_for_one_address_and_nobody_else() {
    let mut config = unlimited();
    config.limits.failed_sign_in.max = 2;
    config.http.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let (ada, _ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let login = async |from: &str, name: &str, password: &str| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", from)];
        let body = json!({ "identifier": name, "password": password }).to_string();
        ada.raw("/auth/login", &headers, body).await.status.as_u16()
    };
    // A success in between clears what failed before.
    for (password, status) in [("wrong", 401), (PASSWORD, 200), ("wrong", 401), ("wrong", 401), (PASSWORD, 429)] {
        assert_eq!(login("192.0.2.1", "ada", password).await, status, "{password}");
    }
    assert_eq!(login("192.0.2.1", "ben", PASSWORD).await, 200);
    assert_eq!(login("192.0.2.2", "ada", PASSWORD).await, 200);
}

#[tokio::test]
async fn a_name_that_looks_like_the_key_of_another_account_locks_nobody_out() {
    let mut config = unlimited();
    config.limits.failed_sign_in.max = 2;
    config.http.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let login = async |from: &str, name: &str, password: &str| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", from)];
        let body = json!({ "identifier": name, "password": password }).to_string();
        ada.raw("/auth/login", &headers, body).await.status.as_u16()
    };
    for _ in 0..2 {
        assert_eq!(login("192.0.2.9", "ada:192.0.2.1", "wrong").await, 401);
    }
    assert_eq!(login("192.0.2.1", "ada", PASSWORD).await, 200);
}

#[tokio::test]
async fn a_name_and_an_address_of_one_account_count_together() {
    let mut config = unlimited();
    config.limits.failed_sign_in.max = 2;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    for (identifier, status) in [("ada", 401), ("ada@example.org", 401), ("ADA", 429), ("ada@example.org", 429)] {
        let answer = ada.post("/auth/login", json!({ "identifier": identifier, "password": "wrong" })).await;
        assert_eq!(answer.status.as_u16(), status, "{identifier}");
    }
}

#[tokio::test]
async fn an_unavailable_store_costs_no_try() {
    let mut config = unlimited();
    config.limits.failed_sign_in.max = 1;
    config.limits.failed_sign_in_account.max = 1;
    let away = Arc::new(AtomicBool::new(false));
    let asked = away.clone();
    let store = fixture::sqlite().await.hooked(move |name| {
        let refused = name == "user_by_key" && asked.load(Ordering::Relaxed);
        async move { if refused { Err(StoreError::Unavailable("away".into())) } else { Ok(()) } }
    });
    let cluster = Cluster::with(store, 1, config).await;
    let ada = cluster.person("ada").await;
    let login = json!({ "identifier": "ada", "password": PASSWORD });
    away.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        ada.post("/auth/login", login.clone()).await.problem(503, "unavailable");
    }
    away.store(false, Ordering::Relaxed);
    ada.post("/auth/login", login).await.ok();
}

#[tokio::test]
async fn an_account_is_closed_to_everyone_after_failures_from_many_addresses() {
    let mut config = unlimited();
    config.limits.failed_sign_in_account.max = 3;
    config.http.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    for (index, status) in [401, 401, 401, 429].into_iter().enumerate() {
        let from = format!("192.0.2.{index}");
        let headers = [("content-type", "application/json"), ("x-forwarded-for", from.as_str())];
        let body = json!({ "identifier": "ada", "password": "wrong" }).to_string();
        assert_eq!(ada.raw("/auth/login", &headers, body).await.status.as_u16(), status, "{index}");
    }
}

#[tokio::test]
async fn requests_are_limited_per_user_and_per_address_without_a_token() {
    let mut config = unlimited();
    config.limits.requests = 5;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let number = |answer: &Answer, name: &str| answer.header(name).parse::<u64>().expect("a number");
    for left in (0..5).rev() {
        let answer = ada.get("/users/me").await;
        assert_eq!((number(&answer, "ratelimit-limit"), number(&answer, "ratelimit-remaining")), (5, left));
        // A fifth of a minute for each that was used.
        assert_eq!(number(&answer, "ratelimit-reset"), 12 * (5 - left));
        answer.ok();
    }
    let answer = ada.get("/users/me").await;
    let (reset, retry) = (number(&answer, "ratelimit-reset"), number(&answer, "retry-after"));
    assert!((1..=12).contains(&retry) && reset == 60, "{retry} {reset}");
    assert_eq!(number(&answer, "ratelimit-remaining"), 0);
    answer.problem(429, "rate_limited");
    ben.get("/users/me").await.ok();
    // Two have registered from this address; what comes with no token, or with one that is none, is counted with that.
    let mut nobody = cluster.visitor(0);
    nobody.get("/users/me").await.problem(401, "unauthorized");
    nobody.token = Some("nonsense".into());
    let mut passed = 0;
    while nobody.get("/users/me").await.status != 429 {
        passed += 1;
        assert!(passed < 50, "nobody is limited");
    }
    ben.get("/users/me").await.ok();
}

#[tokio::test]
async fn content_has_as_many_characters_and_bytes_as_it_may() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
    for fine in ["x".repeat(4_000), "語".repeat(4_000), family.repeat(900)] {
        ada.says(&room, &fine).await;
    }
    for refused in ["x".repeat(4_001), family.repeat(1_000), String::new()] {
        let answer = ada.tries_to_say(&room, json!({ "content": refused })).await;
        assert_eq!(answer.problem(422, "invalid"), ["content"]);
    }
    let mut config = unlimited();
    config.limits.content = ContentLimit { characters: 3, bytes: 5 };
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    ada.says(&room, "abc").await;
    for refused in ["abcd", "語語"] {
        ada.tries_to_say(&room, json!({ "content": refused })).await.problem(422, "invalid");
    }
}

#[tokio::test]
async fn a_body_is_as_long_as_it_may_be() {
    let mut config = unlimited();
    config.http.max_body_bytes = 200;
    let cluster = Cluster::with(fixture::sqlite().await, 1, config).await;
    let ada = cluster.person("ada").await;
    let body = |length: usize| json!({ "name": "x".repeat(20), "visibility": "public", "ignored": "x".repeat(length) });
    ada.post("/rooms", body(50)).await.created();
    ada.post("/rooms", body(200)).await.problem(413, "too_large");
}
