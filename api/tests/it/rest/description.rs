//! The description of the API, as the API serves it.

use crate::harness::Cluster;
use serde_json::Value;

#[tokio::test]
async fn the_description_is_public_and_is_the_committed_one() {
    let cluster = Cluster::start().await;
    let served = cluster.visitor(0).get("/openapi.json").await.ok();
    let committed: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).expect("is JSON");
    assert_eq!(served, committed);
    assert!(served["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    assert!(served["components"]["schemas"]["Problem"].is_object());
}

#[tokio::test]
async fn its_page_loads_nothing_from_elsewhere() {
    let cluster = Cluster::start().await;
    let visitor = cluster.visitor(0);
    let url = |path: &str| format!("{}{path}", visitor.url);
    let page = visitor.http.get(url("/api/v1/docs")).send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("http"), "{policy}");
    let html = page.text().await.expect("text");
    assert!(!html.contains("//"), "only what is here is named: {html}");
    for path in ["/style.css", "/docs.css", "/docs.js"] {
        assert!(html.contains(&format!("\"{path}\"")), "{path}");
        assert_eq!(visitor.http.get(url(path)).send().await.expect("an answer").status(), 200, "{path}");
    }
}
