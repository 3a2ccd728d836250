//! What is found, by whom, and how it is shown; the same on both stores.

use crate::{
    harness::{Cluster, Person, each, unlimited},
    store::{conformance, fixture::Fixture},
};
use reqwest::{Method, Url};
use rookery_shared::{ids::RoomId, testing::poll};
use serde_json::{Value, json};

conformance! {
    words_and_beginnings_of_any_language_are_found,
    nobody_finds_what_they_may_not_see,
    filters_narrow_down_what_is_found,
    the_most_relevant_come_first_or_the_newest,
    pages_of_either_order_are_turned_there_and_back,
    what_was_found_is_highlighted,
    a_server_looks_in_the_room_that_it_names,
    a_stretch_that_only_seems_to_be_there_is_not_found,
    what_is_asked_wrongly_is_named,
}

/// A search with these parameters.
pub(crate) async fn search(person: &Person, params: &[(&str, &str)]) -> Value {
    person.get(&path(params)).await.ok()
}

fn path(params: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params("http://nowhere", params).expect("a URL");
    format!("/messages/search?{}", url.query().unwrap_or_default())
}

/// The contents of what is found, newest first.
pub(crate) async fn found(person: &Person, query: &str) -> Vec<String> {
    contents(&search(person, &[("q", query), ("sort", "newest")]).await)
}

fn contents(page: &Value) -> Vec<String> {
    each(page, "content").into_iter().map(|content| content.as_str().expect("text").to_owned()).collect()
}

/// Waits until something is found; within five seconds on any machine that is not overwhelmed.
pub(crate) async fn is_found(person: &Person, query: &str) {
    poll(query, async || (!found(person, query).await.is_empty()).then_some(())).await;
}

/// Says things one after the other, and waits until the last one is found, as are all before it then.
async fn says_all(person: &Person, room: &str, texts: &[&str]) {
    for text in texts {
        person.says(room, text).await;
    }
    let last = texts.last().expect("something was said");
    poll("what was said is found", async || {
        let page = search(person, &[("q", last), ("roomId", room), ("sort", "newest")]).await;
        contents(&page).contains(&(*last).to_owned()).then_some(())
    })
    .await;
}

async fn words_and_beginnings_of_any_language_are_found(store: Fixture) {
    let cluster = Cluster::with(store, 2, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = ada.makes_public_room().await;
    ben.joins(&room).await;
    let corpus = [
        "The quick brown fox: can't stop, won't stop",
        "Die STRASSE nach São Paulo",
        "Привет, как дела?",
        "今日は東京タワーに行きました",
        "北京的天气很好，我们去公园",
        "오늘 날씨가 좋네요",
        "مرحبا بالعالم",
        "नमस्ते दुनिया",
        "วันนี้อากาศดี",
        "party 🎉 with 👨‍👩‍👧‍👦 and 👍🏽",
        "see https://example.org/a_page?x=1 at 10:30",
    ];
    says_all(&ada, &room, &corpus).await;
    let cases: &[(&str, &[usize])] = &[
        ("fox", &[0]),
        ("FOX quick", &[0]),
        ("qui", &[0]),
        ("can't", &[0]),
        ("uick", &[]),
        ("fox wolf", &[]),
        ("straße", &[1]),
        ("são p", &[1]),
        ("sao", &[]),
        ("ПРИВЕТ", &[2]),
        ("дел", &[2]),
        ("東京", &[3]),
        ("タワー", &[3]),
        ("京", &[4, 3]),
        ("行きました", &[3]),
        ("京東", &[]),
        ("天气", &[4]),
        ("公园 北京", &[4]),
        ("날씨", &[5]),
        ("مرحبا", &[6]),
        ("नमस्ते", &[7]),
        ("อากาศ", &[8]),
        ("🎉", &[9]),
        ("👨‍👩‍👧‍👦", &[9]),
        ("👍", &[9]),
        ("👎", &[]),
        ("example.org", &[10]),
        ("page 30", &[10]),
        ("p", &[10, 9, 1]),
    ];
    // Whichever api is asked.
    for person in [&ada, &ben] {
        for (query, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|index| corpus[*index]).collect();
            assert_eq!(found(person, query).await, expected, "{query}");
        }
    }
    let long: String = (0..4_000_u32).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
    ada.says(&room, &long).await;
    is_found(&ben, &long.chars().skip(3_990).collect::<String>()).await;
}

async fn nobody_finds_what_they_may_not_see(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let private = ada.makes_room(json!({ "name": "private", "visibility": "private" })).await;
    let public = ada.makes_public_room().await;
    let from_joining = json!({ "name": "a room", "visibility": "public", "historyFrom": "join" });
    let later = ada.makes_room(from_joining).await;
    says_all(&ada, &private, &["secret one"]).await;
    says_all(&ada, &public, &["secret two"]).await;
    says_all(&ada, &later, &["secret three"]).await;
    assert_eq!(found(&ben, "secret").await, [""; 0], "of no room");
    ben.get(&path(&[("q", "secret"), ("roomId", &private)])).await.problem(404, "not_found");
    ben.get(&path(&[("q", "secret"), ("roomId", &RoomId::new().to_string())])).await.problem(404, "not_found");
    ben.get(&path(&[("q", "secret"), ("roomId", &public)])).await.problem(403, "not_a_member");
    ben.joins(&public).await;
    ben.joins(&later).await;
    says_all(&ada, &later, &["secret four"]).await;
    assert_eq!(found(&ben, "secret").await, ["secret four", "secret two"], "not what was said before they came");
    let of_later = search(&ben, &[("q", "secret"), ("roomId", &later)]).await;
    assert_eq!(contents(&of_later), ["secret four"]);
    assert_eq!(found(&ada, "secret").await, ["secret four", "secret three", "secret two", "secret one"]);
    ben.leaves(&public).await.expect(204);
    assert_eq!(found(&ben, "secret").await, ["secret four"]);
    let visitor = cluster.visitor(0).request(Method::GET, &path(&[("q", "secret")]), None).await;
    visitor.problem(401, "unauthorized");
}

async fn filters_narrow_down_what_is_found(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let (one, two) = (ada.makes_public_room().await, ada.makes_public_room().await);
    ben.joins(&one).await;
    says_all(&ada, &one, &["word by ada"]).await;
    let middle = ben.says(&one, "word by ben").await;
    says_all(&ada, &two, &["word elsewhere"]).await;
    let middle_at = middle["createdAt"].as_str().expect("a time");
    let find = async |params: &[(&str, &str)]| {
        let params = [&[("q", "word"), ("sort", "newest")], params].concat();
        contents(&search(&ada, &params).await)
    };
    is_found(&ada, "ben").await;
    assert_eq!(find(&[]).await, ["word elsewhere", "word by ben", "word by ada"]);
    assert_eq!(find(&[("roomId", &one)]).await, ["word by ben", "word by ada"]);
    assert_eq!(find(&[("from", &ben.id.to_string())]).await, ["word by ben"]);
    assert_eq!(find(&[("from", &ben.id.to_string()), ("roomId", &two)]).await, [""; 0]);
    assert_eq!(find(&[("from", &RoomId::new().to_string())]).await, [""; 0], "someone who is not there said nothing");
    assert_eq!(find(&[("since", "2000-01-01T00:00:00Z"), ("until", "2000-01-02T00:00:00Z")]).await, [""; 0]);
    let since = find(&[("since", middle_at)]).await;
    assert!(since.contains(&"word by ben".into()) && since.contains(&"word elsewhere".into()), "{since:?}");
    assert!(!find(&[("until", middle_at)]).await.contains(&"word by ben".into()), "until is no longer part of it");
    assert_eq!(find(&[("since", middle_at), ("until", middle_at)]).await, [""; 0]);
}

async fn the_most_relevant_come_first_or_the_newest(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let corpus = ["cat cat cat", "the cat", "a category", "cats and cats and cats", "my cat"];
    says_all(&ada, &room, &corpus).await;
    let ranked = ["cat cat cat", "my cat", "the cat", "cats and cats and cats", "a category"];
    for params in [vec![("q", "cat")], vec![("q", "cat"), ("sort", "relevance")]] {
        assert_eq!(contents(&search(&ada, &params).await), ranked);
    }
    let newest: Vec<_> = corpus.iter().rev().collect();
    assert_eq!(found(&ada, "cat").await, newest.into_iter().copied().collect::<Vec<_>>());
}

async fn pages_of_either_order_are_turned_there_and_back(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    for sort in ["newest", "relevance"] {
        let ada = cluster.person(&format!("ada-{sort}")).await;
        let rooms = [ada.makes_public_room().await, ada.makes_public_room().await];
        for n in 0..20 {
            ada.says(&rooms[n % 2], &format!("number {n} {}", "again number ".repeat(n % 3))).await;
        }
        says_all(&ada, &rooms[0], &["the last number"]).await;
        let page = async |cursor: Option<(&str, &str)>, limit: &str| {
            let mut params = vec![("q", "number"), ("sort", sort), ("limit", limit)];
            params.extend(cursor);
            search(&ada, &params).await
        };
        let all = page(None, "200").await;
        assert_eq!((contents(&all).len(), &all["next"], &all["prev"]), (21, &Value::Null, &Value::Null), "{sort}");
        let mut walked = page(None, "6").await;
        let (mut there, mut back) = (contents(&walked), Vec::new());
        assert_eq!(walked["prev"], Value::Null);
        while let Some(next) = walked["next"].as_str() {
            // What is said meanwhile is on no later page.
            ada.says(&rooms[1], "noise and a number").await;
            walked = page(Some(("after", next)), "6").await;
            there.extend(contents(&walked));
        }
        assert_eq!(there, contents(&all), "{sort}");
        let mut last_page = contents(&walked);
        while let Some(prev) = walked["prev"].as_str() {
            walked = page(Some(("before", prev)), "6").await;
            let mut shown = contents(&walked);
            shown.retain(|content| content != "noise and a number");
            shown.append(&mut back);
            back = shown;
        }
        back.append(&mut last_page);
        assert_eq!(back, there, "{sort}");
        let garbage = ada.get(&path(&[("q", "number"), ("sort", sort), ("after", "nonsense")])).await;
        assert_eq!(garbage.problem(422, "invalid"), ["after"]);
    }
}

async fn what_was_found_is_highlighted(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let said = ada.says(&room, "👨‍👩‍👧‍👦 Straßen 東京 strasse").await;
    is_found(&ada, "strass 東京").await;
    let page = search(&ada, &[("q", "strass 東京")]).await;
    let mut item = page["items"][0].clone();
    let highlights = item.as_object_mut().expect("an object").remove("highlights").expect("highlights");
    assert_eq!(item, said, "the message as everyone sees it");
    let utf16: Vec<u16> = said["content"].as_str().expect("text").encode_utf16().collect();
    let parts = highlights.as_array().expect("a list").iter().map(|it| {
        let number = |name: &str| usize::try_from(it[name].as_u64().expect("a number")).expect("small");
        String::from_utf16(&utf16[number("start")..number("start") + number("length")]).expect("whole characters")
    });
    assert_eq!(parts.collect::<Vec<_>>(), ["Straß", "東京", "strass"]);
}

async fn a_stretch_that_only_seems_to_be_there_is_not_found(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    // Every pair of neighbours is there, but never all three.
    let pairs: Vec<_> = (0..60).map(|n| format!("東京 京都 {n}")).collect();
    for text in &pairs {
        ada.says(&room, text).await;
    }
    says_all(&ada, &room, &["the end"]).await;
    assert_eq!(found(&ada, "東京都").await, [""; 0]);
    says_all(&ada, &room, &["東京都"]).await;
    let page = search(&ada, &[("q", "東京都"), ("sort", "newest"), ("limit", "1")]).await;
    assert_eq!(contents(&page), ["東京都"]);
    assert_eq!(contents(&search(&ada, &[("q", "東京都")]).await), ["東京都"]);
}

async fn what_is_asked_wrongly_is_named(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    let long = "x".repeat(257);
    let cases = [
        (vec![], "q"),
        (vec![("q", "")], "q"),
        (vec![("q", "a\u{0}")], "q"),
        (vec![("q", long.as_str())], "q"),
        (vec![("q", "a"), ("roomId", "x")], "roomId"),
        (vec![("q", "a"), ("from", "ada")], "from"),
        (vec![("q", "a"), ("since", "yesterday")], "since"),
        (vec![("q", "a"), ("until", "2026-13-01T00:00:00Z")], "until"),
        (vec![("q", "a"), ("sort", "oldest")], "sort"),
        (vec![("q", "a"), ("limit", "0")], "limit"),
        (vec![("q", "a"), ("limit", "201")], "limit"),
        (vec![("q", "a"), ("before", "x")], "before"),
        (vec![("q", "a"), ("after", "e30")], "after"),
        (vec![("q", "a"), ("after", "e30"), ("before", "e30")], "before"),
    ];
    for (params, field) in cases {
        assert_eq!(ada.get(&path(&params)).await.problem(422, "invalid"), [field], "{params:?}");
    }
    let several = ada.get(&path(&[("sort", "x"), ("from", "x")])).await;
    assert_eq!(several.problem(422, "invalid"), ["q", "from", "sort"]);
    let nothing = json!({ "items": [], "next": null, "prev": null });
    assert_eq!(search(&ada, &[("q", "a")]).await, nothing);
    ada.makes_public_room().await;
    for sort in ["relevance", "newest"] {
        assert_eq!(search(&ada, &[("q", " ?! "), ("sort", sort)]).await, nothing, "there is no word in it");
    }
    search(&ada, &[("q", &"x".repeat(256))]).await;
}

async fn a_server_looks_in_the_room_that_it_names(store: Fixture) {
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let (admin, ada) = (cluster.admin("admin").await, cluster.person("ada").await);
    let body = json!({ "name": "the shop", "scopes": ["read"] });
    let key = admin.post("/admin/api-keys", body).await.created()["key"].as_str().expect("a key").to_owned();
    let server = Person { token: Some(key), ..admin.clone() };
    let room = ada.makes_room(json!({ "name": "private", "visibility": "private" })).await;
    says_all(&ada, &room, &["a word"]).await;
    assert_eq!(contents(&search(&server, &[("q", "word"), ("roomId", &room)]).await), ["a word"]);
    server.get(&path(&[("q", "word"), ("roomId", &RoomId::new().to_string())])).await.problem(404, "not_found");
    server.get(&path(&[("q", "word")])).await.problem(403, "forbidden");
    admin.get(&path(&[("q", "word"), ("roomId", &room)])).await.problem(404, "not_found");
    assert_eq!(found(&admin, "word").await, [""; 0], "admins find what they may read and no more");
}
