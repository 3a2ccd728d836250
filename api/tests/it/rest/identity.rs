//! People of a foreign identity provider.

use crate::{
    harness::{Cluster, Person, unlimited},
    store::fixture::{self, Fixture},
};
use futures_util::future::join_all;
use reqwest::Method;
use rookery_api::config::ApiConfig;
use rookery_shared::{
    config::Env,
    testing::{IdentityProvider, ProviderKey, confuse, poll, sign},
};
use serde_json::{Value, json};

/// Apis that believe this provider.
async fn cluster(store: Fixture, provider: &IdentityProvider) -> Cluster {
    let read = ApiConfig::read(&Env::from_pairs(provider.settings())).expect("a configuration");
    Cluster::with(store, 2, ApiConfig { identity: read.identity, ..unlimited() }).await
}

/// Someone who shows this token.
fn with_token(cluster: &Cluster, api: usize, token: &str) -> Person {
    Person { token: Some(token.to_owned()), ..cluster.visitor(api) }
}

#[tokio::test]
async fn a_token_of_the_provider_signs_in_and_makes_the_account_at_first_sight() {
    for (key, store) in [
        (ProviderKey::Rsa, fixture::sqlite().await),
        (ProviderKey::Ec, fixture::sqlite().await),
        (ProviderKey::Ed, fixture::mongo().await),
    ] {
        let provider = IdentityProvider::start(&[key]).await;
        let cluster = cluster(store, &provider).await;
        let profile = json!({
            "preferred_username": "Ada", "email": "ada@example.org", "name": "Ada Lovelace", "given_name": "Ada",
            "family_name": "Lovelace", "picture": "https://example.org/a.png",
        });
        let token = provider.token("subject-1", &profile);
        let me = with_token(&cluster, 0, &token).get("/users/me").await.ok();
        assert_eq!((&me["username"], &me["email"]), (&json!("Ada"), &json!("ada@example.org")), "{key:?}");
        assert_eq!((&me["displayName"], &me["firstName"]), (&json!("Ada Lovelace"), &json!("Ada")));
        assert_eq!((&me["lastName"], &me["profilePicture"]), (&json!("Lovelace"), &json!("https://example.org/a.png")));
        assert_eq!((&me["role"], &me["type"]), (&json!("user"), &json!("consumer")));
        // The next token of the same person, anywhere, is the same account.
        let next = provider.token("subject-1", &json!({ "jti": "2" }));
        assert_eq!(with_token(&cluster, 1, &next).get("/users/me").await.ok(), me);
        let ada = with_token(&cluster, 1, &next);
        let room = ada.makes_public_room().await;
        assert_eq!(ada.says(&room, "hello").await["author"]["username"], "Ada");
        // Nobody signs in there with a password.
        let login = json!({ "identifier": "Ada", "password": "" });
        ada.post("/auth/login", login).await.problem(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn what_is_not_quite_the_providers_token_is_refused_and_makes_nobody() {
    let provider = IdentityProvider::start(&[ProviderKey::Ed, ProviderKey::Rsa]).await;
    let cluster = cluster(fixture::sqlite().await, &provider).await;
    let claims = |name: &str, value: Value| {
        let mut claims = provider.claims("mallory");
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = provider.claims("mallory");
        claims.as_object_mut().expect("an object").remove(name);
        claims
    };
    let now = rookery_shared::clock::now().seconds();
    let ed = |claims: &Value| sign(ProviderKey::Ed, "ed", claims);
    let none = {
        let good = ed(&provider.claims("mallory"));
        let mut parts = good.split('.');
        // {"alg":"none","kid":"ed"}
        format!("eyJhbGciOiJub25lIiwia2lkIjoiZWQifQ.{}.", parts.nth(1).expect("claims"))
    };
    let tampered = {
        let (good, other) = (ed(&provider.claims("mallory")), ed(&provider.claims("ada")));
        let (good, other): (Vec<_>, Vec<_>) = (good.split('.').collect(), other.split('.').collect());
        format!("{}.{}.{}", good[0], other[1], good[2])
    };
    // Whoever takes the algorithm from the token would check this one with the public key, as a secret.
    let secret = confuse(ProviderKey::Ed, &provider.claims("mallory"));
    let cases = [
        ("another issuer", ed(&claims("iss", json!("https://evil.example.org/")))),
        ("our own name as the issuer", ed(&claims("iss", json!("rookery")))),
        ("another audience", ed(&claims("aud", json!("mail")))),
        ("an expired one", ed(&claims("exp", json!(now)))),
        ("one from the future", ed(&claims("nbf", json!(now + 3_600)))),
        ("no end", ed(&without("exp"))),
        ("no subject", ed(&without("sub"))),
        ("no audience", ed(&without("aud"))),
        ("an empty subject", ed(&claims("sub", json!("")))),
        ("an unknown key", sign(ProviderKey::Ec, "ec", &provider.claims("mallory"))),
        ("another key under a known name", sign(ProviderKey::Ec, "ed", &provider.claims("mallory"))),
        ("another algorithm than the key's", sign(ProviderKey::Ed, "rsa", &provider.claims("mallory"))),
        ("no algorithm", none),
        ("a shared secret", secret),
        ("changed claims", tampered),
    ];
    for (what, token) in cases {
        let answer = with_token(&cluster, 0, &token).get("/users/me").await;
        assert_eq!((what, answer.status.as_u16(), &answer.body["code"]), (what, 401, &json!("unauthorized")));
    }
    let ada = cluster.person("ada").await;
    assert_eq!(ada.get("/users").await.ok()["items"].as_array().map(Vec::len), Some(1), "nobody was made");
    // Two audiences, one of them ours, are fine.
    let both = ed(&claims("aud", json!(["mail", "chat"])));
    with_token(&cluster, 0, &both).get("/users/me").await.ok();
}

#[tokio::test]
async fn names_and_addresses_that_are_taken_or_do_not_fit_turn_nobody_away() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let provider = IdentityProvider::start(&[ProviderKey::Ed]).await;
        let cluster = cluster(store, &provider).await;
        let ada = cluster.person("ada").await;
        let profile = json!({ "preferred_username": "ADA", "email": "Ada@Example.org", "name": "\u{7}", "picture": "javascript:x" });
        let me = with_token(&cluster, 0, &provider.token("1", &profile)).get("/users/me").await.ok();
        let username = me["username"].as_str().expect("a name");
        assert!(username.starts_with("ADA-") && username.len() == 10, "{username}");
        assert_eq!((&me["email"], &me["profilePicture"]), (&Value::Null, &Value::Null));
        assert_eq!(me["displayName"], json!(username));
        // Several without an address, and without anything.
        for subject in ["2", "3"] {
            let me = with_token(&cluster, 0, &provider.token(subject, &json!({}))).get("/users/me").await.ok();
            assert!(me["username"].as_str().is_some_and(|name| name.starts_with("user")), "{me}");
        }
        assert_eq!(ada.get("/users/me").await.ok()["email"], "ada@example.org");
    }
}

#[tokio::test]
async fn someone_who_comes_at_once_everywhere_is_one_account() {
    for store in [fixture::sqlite().await, fixture::mongo().await] {
        let provider = IdentityProvider::start(&[ProviderKey::Ed]).await;
        let cluster = cluster(store, &provider).await;
        let token = provider.token("1", &json!({ "preferred_username": "ada", "email": "ada@example.org" }));
        let people: Vec<Person> = (0..8).map(|index| with_token(&cluster, index % 2, &token)).collect();
        let answers = join_all(people.iter().map(|person| person.get("/users/me"))).await;
        let ids: Vec<Value> = answers.into_iter().map(|answer| answer.ok()["id"].clone()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let all = people[0].get("/users").await.ok();
        assert_eq!((all["items"].as_array().map(Vec::len), &all["items"][0]["username"]), (Some(1), &json!("ada")));
    }
}

#[tokio::test]
async fn signing_out_ends_a_token_for_good_and_not_the_next_one() {
    let provider = IdentityProvider::start(&[ProviderKey::Ed]).await;
    let cluster = cluster(fixture::sqlite().await, &provider).await;
    let (first, second) = (provider.token("1", &json!({ "jti": "a" })), provider.token("1", &json!({ "jti": "b" })));
    let ada = with_token(&cluster, 0, &first);
    ada.get("/users/me").await.ok();
    let elsewhere = ada.at(cluster.url(1));
    elsewhere.get("/users/me").await.ok();
    ada.request(Method::POST, "/auth/logout", None).await.expect(204);
    ada.get("/users/me").await.problem(401, "unauthorized");
    poll("it ends everywhere", async || (elsewhere.get("/users/me").await.status == 401).then_some(())).await;
    let next = with_token(&cluster, 0, &second);
    next.get("/users/me").await.ok();
    next.request(Method::POST, "/auth/logout-all", None).await.expect(204);
    next.get("/users/me").await.problem(401, "unauthorized");
    // A deleted account does not come back with its next token.
    let third = with_token(&cluster, 0, &provider.token("1", &json!({ "jti": "c" })));
    third.delete("/users/me").await.expect(204);
    let fourth = with_token(&cluster, 0, &provider.token("1", &json!({ "jti": "d" })));
    poll("they stay out", async || (fourth.get("/users/me").await.status == 401).then_some(())).await;
}

#[tokio::test]
async fn the_key_set_is_asked_for_when_it_has_to_be_and_kept_while_the_provider_is_away() {
    let provider = IdentityProvider::start(&[ProviderKey::Ed]).await;
    let cluster = cluster(fixture::sqlite().await, &provider).await;
    let token = provider.token("1", &json!({}));
    let ada = with_token(&cluster, 0, &token);
    provider.away(true);
    ada.get("/users/me").await.problem(503, "unavailable");
    provider.away(false);
    poll("the provider is asked again", async || (ada.get("/users/me").await.status == 200).then_some(())).await;
    let before = provider.asked();
    let made_up = sign(ProviderKey::Ec, "made-up", &provider.claims("2"));
    for _ in 0..10 {
        with_token(&cluster, 0, &made_up).get("/users/me").await.problem(401, "unauthorized");
    }
    // Ten take less than the shortest time between two questions, or a few of them.
    assert!(provider.asked() <= before + 4, "asked {} times", provider.asked() - before);
    // The provider rotates: the new key is found without a restart.
    provider.serve(&[ProviderKey::Ec]);
    let rotated = with_token(&cluster, 0, &provider.token("1", &json!({})));
    poll("the new key is known", async || (rotated.get("/users/me").await.status == 200).then_some(())).await;
    provider.away(true);
    for _ in 0..3 {
        rotated.get("/users/me").await.ok();
    }
    let unknown = with_token(&cluster, 0, &sign(ProviderKey::Rsa, "rsa", &provider.claims("1")));
    poll("nobody can tell", async || (unknown.get("/users/me").await.status == 503).then_some(())).await;
    rotated.get("/users/me").await.ok();
}

#[tokio::test]
async fn without_a_provider_foreign_tokens_are_refused() {
    let provider = IdentityProvider::start(&[ProviderKey::Ed]).await;
    let cluster = Cluster::start().await;
    with_token(&cluster, 0, &provider.token("1", &json!({}))).get("/users/me").await.problem(401, "unauthorized");
    assert_eq!(provider.asked(), 0);
}
