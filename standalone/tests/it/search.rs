//! Searching for what was said over a socket, whichever node was talked to.

use crate::harness::{Installation, Person, cluster, standalone};
use rookery_shared::testing::poll;
use serde_json::{Value, json};

/// What an api gives for these words, newest first.
async fn found(person: &Person, words: &str) -> Value {
    person.get(&format!("/messages/search?sort=newest&q={words}")).await["items"].clone()
}

async fn what_is_said_over_a_socket_is_found(installation: Installation) {
    let ada = installation.person("ada").await;
    let bob = Person::register(&installation.api(1), "bob").await;
    let eve = Person::register(&installation.api(1), "eve").await;
    let room = ada.make_room("private", &[&bob]).await;
    let mut sockets = [ada.socket(&installation.gateway(0)).await, bob.socket(&installation.gateway(1)).await];
    for (socket, content) in sockets.iter_mut().zip(["a needle from here", "東京 🎉 from there"]) {
        let sent = socket.command("send_message", json!({ "roomId": room, "content": content })).await;
        assert_eq!(sent["type"], "message_sent", "{sent}");
    }
    for person in [&ada, &bob] {
        for (words, content) in
            [("need", "a needle from here"), ("東京", "東京 🎉 from there"), ("🎉", "東京 🎉 from there")]
        {
            poll(words, async || (found(person, words).await[0]["content"] == content).then_some(())).await;
        }
        let both = found(person, "from").await;
        assert_eq!(both.as_array().map(Vec::len), Some(2), "{both}");
        assert_eq!(both[0]["highlights"][0]["length"], json!(4));
    }
    assert_eq!(found(&eve, "from").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_through_two_gateways_is_found_at_two_apis() {
    what_is_said_over_a_socket_is_found(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_on_the_standalone_program_is_found() {
    what_is_said_over_a_socket_is_found(standalone(&[]).await).await;
}
