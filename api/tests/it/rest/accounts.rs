//! Registering and signing in.

use crate::harness::{Cluster, PASSWORD};
use serde_json::{Value, json};

#[tokio::test]
async fn who_registers_gets_their_profile_and_working_tokens() {
    let cluster = Cluster::start().await;
    let body = json!({
        "username": "Ada", "email": "Ada@Example.org", "password": PASSWORD, "confirmPassword": PASSWORD,
        "displayName": "Ada Lovelace", "firstName": "Ada", "lastName": "Lovelace", "later": true,
    });
    let answer = cluster.visitor(0).post("/auth/register", body).await;
    let location = answer.header("location").to_owned();
    let tokens = answer.created();
    let user = &tokens["user"];
    assert_eq!(location, format!("/api/v1/users/{}", user["id"].as_str().expect("an id")));
    assert_eq!((&user["username"], &user["displayName"]), (&json!("Ada"), &json!("Ada Lovelace")));
    assert_eq!(
        (&user["email"], &user["role"], &user["type"]),
        (&json!("Ada@Example.org"), &json!("user"), &json!("consumer"))
    );
    assert_eq!(tokens["expiresIn"], 900);
    let ada = cluster.visitor(0).signed_in(tokens.clone());
    assert_eq!(&ada.get("/users/me").await.ok(), user);
}

#[tokio::test]
async fn a_name_and_an_address_are_taken_without_regard_to_case() {
    let cluster = Cluster::start().await;
    cluster.person("straße").await;
    let visitor = cluster.visitor(0);
    let register = async |username: &str, email: &str| {
        visitor.post("/auth/register", json!({ "username": username, "email": email, "password": PASSWORD })).await
    };
    assert_eq!(register("STRASSE", "new@example.org").await.problem(409, "conflict"), ["username"]);
    assert_eq!(register("another", "STRASSE@EXAMPLE.ORG").await.problem(409, "conflict"), ["email"]);
}

#[tokio::test]
async fn every_wrong_field_of_a_registration_is_named() {
    let cluster = Cluster::start().await;
    let good = json!({ "username": "ada", "email": "ada@example.org", "password": PASSWORD });
    let cases: [(&str, Value); 12] = [
        ("username", json!(null)),
        ("username", json!("ab")),
        ("username", json!("a b c")),
        ("username", json!(7)),
        ("email", json!("nowhere")),
        ("password", json!("short")),
        ("password", json!("x".repeat(129))),
        ("confirmPassword", json!("another one")),
        ("displayName", json!("x".repeat(65))),
        ("displayName", json!(" ")),
        ("displayName", json!("a\u{7}b")),
        ("type", json!("wizard")),
    ];
    for (field, value) in cases {
        let mut body = good.clone();
        body[field] = value;
        let answer = cluster.visitor(0).post("/auth/register", body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [field], "{body}");
    }
    let all = cluster.visitor(0).post("/auth/register", json!({})).await.problem(422, "invalid");
    assert_eq!(all, ["username", "email", "password"]);
}

#[tokio::test]
async fn nobody_makes_themselves_support() {
    let cluster = Cluster::start().await;
    let body = json!({ "username": "ada", "email": "ada@example.org", "password": PASSWORD, "type": "support" });
    cluster.visitor(0).post("/auth/register", body).await.problem(403, "forbidden");
}

#[tokio::test]
async fn people_sign_in_by_name_or_address_and_not_with_a_wrong_password() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let visitor = cluster.visitor(0);
    for identifier in ["ada", "ADA", "ada@example.org", "Ada@Example.ORG"] {
        let tokens = visitor.post("/auth/login", json!({ "identifier": identifier, "password": PASSWORD })).await.ok();
        assert_eq!(tokens["user"], ada.tokens["user"], "{identifier}");
    }
    for (identifier, password) in [("ada", "wrong password"), ("nobody", PASSWORD), ("ada", "")] {
        let answer = visitor.post("/auth/login", json!({ "identifier": identifier, "password": password })).await;
        answer.problem(401, "invalid_credentials");
    }
    let missing = visitor.post("/auth/login", json!({})).await.problem(422, "invalid");
    assert_eq!(missing, ["identifier", "password"]);
}

#[tokio::test]
async fn others_see_a_profile_without_the_address() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let seen = ben.get(&format!("/users/{}", ada.id)).await.ok();
    assert_eq!((&seen["username"], seen.get("email")), (&json!("ada"), None));
    ben.get(&format!("/users/{}", rookery_shared::ids::UserId::new())).await.problem(404, "not_found");
}
