//! Reading logs: pages of history, sync, and who sees from where on.

use crate::harness::{Cluster, Person, each};
use serde_json::{Value, json};

async fn room_with(person: &Person, messages: usize) -> String {
    let room = person.makes_public_room().await;
    for index in 0..messages {
        person.says(&room, &index.to_string()).await;
    }
    room
}

#[tokio::test]
async fn history_begins_with_the_newest_page_and_goes_both_ways() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    // One entry is the maker's own coming, so messages have the places 2 to 8.
    let room = room_with(&ada, 7).await;
    let newest = ada.history(&room, "?limit=3").await;
    assert_eq!((each(&newest, "seq"), &newest["next"]), (vec![&json!(6), &json!(7), &json!(8)], &Value::Null));
    let prev = newest["prev"].as_str().expect("there is more");
    let middle = ada.history(&room, &format!("?limit=3&before={prev}")).await;
    assert_eq!(each(&middle, "seq"), [3, 4, 5]);
    let prev = middle["prev"].as_str().expect("there is more");
    let oldest = ada.history(&room, &format!("?limit=3&before={prev}")).await;
    assert_eq!((each(&oldest, "seq"), &oldest["prev"]), (vec![&json!(2)], &Value::Null));
    let next = oldest["next"].as_str().expect("there is more");
    let back = ada.history(&room, &format!("?limit=3&after={next}")).await;
    assert_eq!(each(&back, "seq"), [3, 4, 5]);
    let end = ada.history(&room, "?after=8").await;
    assert_eq!((each(&end, "seq"), &end["next"]), (Vec::new(), &Value::Null));
    assert_eq!(newest["items"][0]["author"], json!({ "userId": ada.id, "username": "ada", "displayName": "ada" }));
    let answer = ada.get(&format!("/rooms/{room}/messages?before=1&after=1")).await;
    assert_eq!(answer.problem(422, "invalid"), ["before"]);
    assert_eq!(ada.get(&format!("/rooms/{room}/messages?before=x")).await.problem(422, "invalid"), ["before"]);
}

#[tokio::test]
async fn sync_gives_every_entry_after_a_place_and_says_where_the_head_is() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = room_with(&ada, 3).await;
    ben.joins(&room).await;
    let all = ada.sync(&room, "").await;
    assert_eq!(each(&all, "seq"), [1, 2, 3, 4, 5]);
    assert_eq!(each(&all, "type")[3..], ["new_message", "user_joined"]);
    assert_eq!((&all["head"], &all["from"], &all["next"]), (&json!(5), &json!(1), &Value::Null));
    assert!(all["storeEpoch"].as_str().is_some_and(|epoch| !epoch.is_empty()));
    let message = ada.history(&room, "?limit=1").await["items"][0].clone();
    assert_eq!(all["items"][3]["data"], message, "the state of now, as in history");
    let page = ada.sync(&room, "?since=1&limit=2").await;
    assert_eq!((each(&page, "seq"), &page["next"]), (vec![&json!(2), &json!(3)], &json!("3")));
    assert_eq!(each(&ada.sync(&room, "?since=5").await, "seq"), Vec::<&Value>::new());
    assert_eq!(page["prev"], json!("2"));
    let back = ada.sync(&room, "?before=5&limit=2").await;
    assert_eq!(
        (each(&back, "seq"), &back["next"], &back["prev"]),
        (vec![&json!(3), &json!(4)], &json!("4"), &json!("3"))
    );
    let start = ada.sync(&room, "?before=3").await;
    assert_eq!((each(&start, "seq"), &start["prev"]), (vec![&json!(1), &json!(2)], &Value::Null));
    assert_eq!(ada.get(&format!("/rooms/{room}/sync?before=x")).await.problem(422, "invalid"), ["before"]);
    assert_eq!(ada.get(&format!("/rooms/{room}/sync?before=2&since=1")).await.problem(422, "invalid"), ["before"]);
    ada.get(&format!("/rooms/{room}/sync?since=6")).await.problem(409, "past_head");
    assert_eq!(ada.get(&format!("/rooms/{room}/sync?since=x")).await.problem(422, "invalid"), ["since"]);
}

#[tokio::test]
async fn a_newcomer_sees_what_the_room_lets_them_see() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    for (history_from, first) in [("start", 1), ("join", 4)] {
        let body = json!({ "name": "a room", "visibility": "public", "historyFrom": history_from });
        let room = ada.makes_room(body).await;
        let early = ada.says(&room, "one").await;
        ada.says(&room, "two").await;
        ben.joins(&room).await;
        ada.says(&room, "three").await;
        let log = ben.sync(&room, "").await;
        assert_eq!((&log["from"], each(&log, "seq")[0]), (&json!(first), &json!(first)), "{history_from}");
        let all = each(&ben.history(&room, "").await, "content").len();
        assert_eq!(all, if first == 1 { 3 } else { 1 });
        assert_eq!(each(&ben.history(&room, "?before=4").await, "seq").len(), if first == 1 { 2 } else { 0 });
        let single = ben.get(&format!("/messages/{}", early["id"].as_str().expect("an id"))).await;
        assert_eq!(single.status, if first == 1 { 200 } else { 404 });
    }
}

#[tokio::test]
async fn who_left_reads_nothing_of_the_room() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room = room_with(&ada, 1).await;
    ben.joins(&room).await;
    ben.history(&room, "").await;
    ben.leaves(&room).await.expect(204);
    for path in ["messages", "sync", "members"] {
        ben.get(&format!("/rooms/{room}/{path}")).await.problem(403, "not_a_member");
    }
}
