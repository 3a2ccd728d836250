//! What gateways ask, of the api in their process and over HTTP.

use crate::{
    harness::{Cluster, INTERNAL_SECRET, Person, the_clock_moves, unlimited},
    store::fixture,
};
use reqwest::Client;
use rookery_shared::{
    backend::{Backend as _, EntriesAfter, RoomAccess, Send, SignIn, SignedIn, Target},
    envelope::{self, Kind},
    ids::{RoomId, SessionId, StreamId},
    model::MessageType,
    protocol::{
        Code, Problem,
        command::{Draft, MessageSent},
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::{Notify, Semaphore};

fn draft(content: &str, client_id: Option<&str>) -> Draft {
    Draft {
        content: content.into(),
        message_type: MessageType::Text,
        client_id: client_id.map(str::to_owned),
        reply_to: None,
        attachment: None,
    }
}

fn to_room(sender: &Person, room: RoomId, content: &str) -> Send {
    Send { sender: sender.id, target: Target::Room(room), draft: draft(content, None), traceparent: None }
}

fn session(cluster: &Cluster, person: &Person) -> SessionId {
    cluster.keys.verifier().verify(person.token.as_deref().expect("a token")).expect("is good").sid
}

async fn ask<T: DeserializeOwned>(cluster: &Cluster, name: &str, request: &impl serde::Serialize) -> T {
    let url = format!("{}/internal/v1/{name}", cluster.url(0));
    let answer = Client::new().post(url).bearer_auth(INTERNAL_SECRET).json(request).send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn signing_in_gives_the_rooms_to_follow_and_where_the_users_stream_is() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let early = ada.makes_room(json!({ "name": "early", "visibility": "public", "historyFrom": "join" })).await;
    ada.says(&early, "before ben").await;
    ben.joins(&early).await;
    let quiet = ben.makes_public_room().await;
    the_clock_moves(std::time::Duration::ZERO).await;
    ada.says(&early, "newer than the quiet room").await;
    let request = SignIn { user_id: ben.id, session_id: session(&cluster, &ben), max_rooms: 10 };
    let signed_in = cluster.apis[0].sign_in(request.clone()).await.expect("signs in");
    let rooms: Vec<_> =
        signed_in.rooms.iter().map(|room| (room.room_id.to_string(), room.from, room.member_count)).collect();
    assert_eq!(rooms, [(early, 3, 2), (quiet, 1, 1)], "the most recently active first");
    assert_eq!((signed_in.user_seq, signed_in.user.public.username.as_str()), (2, "ben"));
    let over_http: SignedIn = ask(&cluster, "sign-in", &request).await;
    assert_eq!(over_http.rooms, signed_in.rooms);
    let one = cluster.apis[0].sign_in(SignIn { max_rooms: 1, ..request }).await.expect("signs in");
    assert_eq!(one.rooms.len(), 1);
}

#[tokio::test]
async fn nobody_signs_in_with_a_session_that_ended_or_is_not_theirs() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let ended = session(&cluster, &ada);
    ada.post("/auth/logout", json!({})).await.expect(204);
    for (user_id, session_id) in [(ada.id, ended), (ada.id, session(&cluster, &ben)), (ada.id, SessionId::new())] {
        let request = SignIn { user_id, session_id, max_rooms: 10 };
        let refused = cluster.apis[0].sign_in(request.clone()).await.expect_err("is refused");
        assert_eq!(refused.code, Code::Unauthorized);
        assert_eq!(ask::<Problem>(&cluster, "sign-in", &request).await, refused);
    }
}

#[tokio::test]
async fn a_session_that_ends_while_it_signs_in_is_refused_or_told() {
    let (reached, held, armed) =
        (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
    let hook = {
        let (reached, held, armed) = (reached.clone(), held.clone(), armed.clone());
        move |name| {
            let (reached, held) = (reached.clone(), held.clone());
            let holds = name == "heads" && armed.swap(false, Ordering::AcqRel);
            async move {
                if holds {
                    reached.notify_one();
                    held.acquire().await.expect("is open").forget();
                }
                Ok(())
            }
        }
    };
    let cluster = Cluster::with(fixture::sqlite().await.hooked(hook), 1, unlimited()).await;
    let ada = cluster.person("ada").await;
    let request = SignIn { user_id: ada.id, session_id: session(&cluster, &ada), max_rooms: 10 };
    armed.store(true, Ordering::Release);
    let api = cluster.apis[0].clone();
    let signing_in = tokio::spawn(async move { api.sign_in(request).await });
    reached.notified().await;
    ada.post("/auth/logout", json!({})).await.expect(204);
    held.add_permits(1);
    match signing_in.await.expect("no panic") {
        Ok(signed_in) => assert_eq!(signed_in.user_seq, 0, "the end of the session, at place 1, is still to be told"),
        Err(problem) => assert_eq!(problem.code, Code::Unauthorized),
    }
}

#[tokio::test]
async fn a_batch_of_sends_is_answered_one_by_one_and_keeps_its_order() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let room: RoomId = ada.makes_public_room().await.parse().expect("an id");
    let sends = vec![
        to_room(&ada, room, "one"),
        to_room(&ben, room, "not a member"),
        to_room(&ada, room, " "),
        to_room(&ada, RoomId::new(), "nowhere"),
        to_room(&ada, room, "two"),
        Send { target: Target::User(ben.id), ..to_room(&ada, room, "to ben") },
        Send { target: Target::User(ada.id), ..to_room(&ada, room, "to myself") },
    ];
    let answers: Vec<Result<MessageSent, Problem>> = ask(&cluster, "send", &sends).await;
    let codes: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().map(|sent| sent.seq).map_err(|problem| problem.code)).collect();
    let expected =
        [Ok(2), Err(Code::NotAMember), Err(Code::Invalid), Err(Code::NotFound), Ok(3), Ok(3), Err(Code::Invalid)];
    assert_eq!(codes, expected);
    let conversation = answers[5].as_ref().expect("was sent").room_id;
    assert_eq!(cluster.apis[0].conversation_of(ben.id, ada.id).await, Ok(Some(conversation)));
    assert_eq!(ask::<Option<RoomId>>(&cluster, "conversation-of", &(ada.id, ben.id)).await, Some(conversation));
    assert_eq!(ben.history(&conversation.to_string(), "").await["items"][0]["content"], "to ben");
}

#[tokio::test]
async fn everyone_who_is_not_in_a_room_is_refused_without_a_look_for_each() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = looks.clone();
    let store = fixture::sqlite().await.hooked(move |name| {
        counted.fetch_add(usize::from(name == "rooms" || name == "memberships"), Ordering::Relaxed);
        async { Ok(()) }
    });
    let cluster = Cluster::with(store, 1, unlimited()).await;
    let (ada, eve) = (cluster.person("ada").await, cluster.person("eve").await);
    let public: RoomId = ada.makes_public_room().await.parse().expect("an id");
    let private = ada.makes_room(json!({ "name": "ours", "visibility": "private" })).await.parse().expect("an id");
    let rooms = [public, private, RoomId::new()].repeat(5);
    looks.store(0, Ordering::Relaxed);
    let answers = cluster.apis[0].send(rooms.iter().map(|room| to_room(&eve, *room, "let me in")).collect()).await;
    let codes: Vec<_> =
        answers.expect("answers").into_iter().map(|answer| answer.expect_err("is refused").code).collect();
    assert_eq!(codes, [Code::NotAMember, Code::NotFound, Code::NotFound].repeat(5));
    // One for the memberships and one for the rooms; publishing the two new rooms may still look as often for each.
    assert!((2..=6).contains(&looks.load(Ordering::Relaxed)), "{looks:?}");
}

#[tokio::test]
async fn entries_and_heads_are_the_same_in_process_over_http_and_on_the_bus() {
    let cluster = Cluster::start().await;
    let ada = cluster.person("ada").await;
    let room = ada.makes_public_room().await;
    let stream = StreamId::Room(room.parse().expect("an id"));
    cluster.bus.subscribe(&[stream]).await.expect("subscribes");
    for content in ["one", "two"] {
        ada.says(&room, content).await;
    }
    let heads = cluster.apis[0].heads(vec![stream, StreamId::User(ada.id), StreamId::Room(RoomId::new())]).await;
    assert_eq!(heads, Ok(vec![3, 1, 0]));
    let request = EntriesAfter { stream, after: 1, limit: 10 };
    let entries = cluster.apis[0].entries(request).await.expect("gives them");
    let url = format!("{}/internal/v1/entries", cluster.url(0));
    let answer = Client::new().post(url).bearer_auth(INTERNAL_SECRET).json(&request).send().await.expect("an answer");
    let over_http = envelope::decode_list(answer.bytes().await.expect("bytes")).expect("decodes");
    assert_eq!(over_http, entries);
    let published = cluster.heard.wait(Kind::Message, 2).await;
    let seen = |events: &[envelope::Event]| -> Vec<_> {
        events.iter().map(|event| (event.header.seq, event.header.subject, event.data.clone())).collect()
    };
    assert_eq!(seen(&published), seen(&entries));
}

#[tokio::test]
async fn the_entries_of_a_users_stream_are_rendered_for_that_user() {
    let cluster = Cluster::start().await;
    let (ada, ben) = (cluster.person("ada").await, cluster.person("ben").await);
    let (stays, goes) = (ada.makes_public_room().await, ada.makes_public_room().await);
    ben.joins(&stays).await;
    ben.joins(&goes).await;
    ben.leaves(&goes).await.expect(204);
    let request = EntriesAfter { stream: StreamId::User(ben.id), after: 0, limit: 10 };
    let entries = cluster.apis[0].entries(request).await.expect("gives them");
    let data: Vec<Value> = entries.iter().map(|event| serde_json::from_slice(&event.data).expect("JSON")).collect();
    assert_eq!((&data[0]["id"], &data[0]["role"]), (&json!(stays), &json!("member")));
    assert_eq!(data[1], Value::Null, "they are no longer in that room");
    assert_eq!(data[2], json!({ "roomId": goes }));
}

#[tokio::test]
async fn access_and_presence_of_a_room_are_for_its_members() {
    let cluster = Cluster::start().await;
    let (ada, eve) = (cluster.person("ada").await, cluster.person("eve").await);
    let public: RoomId = ada.makes_public_room().await.parse().expect("an id");
    let private = ada.makes_room(json!({ "name": "ours", "visibility": "private" })).await.parse().expect("an id");
    cluster.connect(&ada).await;
    let api = &cluster.apis[0];
    let access = |person: &Person, room_id| RoomAccess { user_id: person.id, room_id };
    assert_eq!(api.room_access(access(&ada, public)).await.expect("is in").member_count, 1);
    assert_eq!(api.room_access(access(&eve, public)).await.expect_err("is not in").code, Code::NotAMember);
    assert_eq!(api.room_access(access(&eve, private)).await.expect_err("is not in").code, Code::NotFound);
    let users = api.room_users(access(&ada, public)).await.expect("is in");
    assert_eq!((users.len(), users[0].user_id, users[0].is_online), (1, ada.id, true));
    assert!(api.room_users(access(&eve, public)).await.is_err());
    let told = api.presence_rooms(vec![ada.id, rookery_shared::ids::UserId::new()]).await.expect("tells");
    assert_eq!((told.len(), told[0].username.as_str(), told[0].rooms.len()), (1, "ada", 2));
}
