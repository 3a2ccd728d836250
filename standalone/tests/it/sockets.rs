//! Signing in on a socket, being refused, and frames that are not what they should be.

use crate::harness::{Closed, Installation, Socket, cluster, standalone};
use reqwest::{Method, StatusCode};
use rookery_shared::{
    ids::{SessionId, UserId},
    token::{Claims, TokenKeys, random_secret},
};
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::{Bytes, Message};

fn closed(code: u16, reason: &str) -> Closed {
    Closed { code, reason: reason.to_owned() }
}

async fn every_way_to_sign_in(installation: Installation) {
    let ada = installation.person("ada").await;
    let url = installation.gateway(0);
    for query in ["token", "jwt"] {
        let mut socket = Socket::open(&format!("{url}?{query}={}", ada.token), None).await;
        let first = socket.next().await.expect("open");
        assert_eq!((&first["type"], &first["data"]["user"]["id"]), (&json!("authenticated"), &json!(ada.id)));
    }
    let mut by_header = Socket::open(&url, Some(&ada.token)).await;
    let first = by_header.next().await.expect("open");
    assert_eq!(first["type"], "authenticated");
    for field in ["sessionId", "tokenExpiresAt", "storeEpoch"] {
        assert!(first["data"][field].is_string(), "{field}");
    }
    assert!(first["data"]["userSeq"].is_u64());

    let mut by_command = Socket::open(&url, None).await;
    let refused = by_command.command("get_room_users", json!({ "roomId": ada.id })).await;
    assert_eq!(refused["data"]["code"], "unauthorized", "nothing before the sign-in");
    let answer = by_command.command("authenticate", json!({ "token": ada.token })).await;
    assert_eq!((&answer["type"], &answer["data"]["user"]["email"].is_string()), (&json!("authenticated"), &true));
    let again = by_command.command("authenticate", json!({ "token": ada.token })).await;
    assert_eq!(again["type"], "authenticated", "a fresh token on a live connection");

    let bob = installation.person("bob").await;
    let other = by_command.command("authenticate", json!({ "token": bob.token })).await;
    assert_eq!(other["data"]["code"], "forbidden", "another user's token is refused");
    let still = by_command.command("leave_room", json!({ "roomId": ada.id })).await;
    assert_eq!(still["type"], "room_left", "and the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_signs_in_by_header_url_or_command() {
    every_way_to_sign_in(cluster(1, 1, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_the_standalone_program_signs_in_by_header_url_or_command() {
    every_way_to_sign_in(standalone(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_sign_in_is_closed_at_the_deadline() {
    let installation = standalone(&[("ROOKERY_SIGN_IN_SECONDS", "1")]).await;
    let mut socket = Socket::open(&installation.gateway(0), None).await;
    let error = socket.next().await.expect("an error first");
    assert_eq!((&error["type"], &error["data"]["code"]), (&json!("error"), &json!("unauthorized")));
    assert_eq!(socket.closed().await, closed(4000, "sign_in_timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_an_expired_and_a_foreign_token_are_refused() {
    let secret = random_secret();
    let installation = cluster(1, 1, &[("ROOKERY_TOKEN_SECRET", &secret)]).await;
    let ada = installation.person("ada").await;
    let url = installation.gateway(0);
    let issue = |secret: &str, life: Duration, user: UserId| {
        let issuer = TokenKeys::shared_secret(secret.as_bytes()).issuer().expect("an issuer");
        let mut claims = Claims::new(user, SessionId::new(), life);
        if life.is_zero() {
            claims.exp -= 60;
        }
        issuer.issue(&claims).expect("a token")
    };
    let user: UserId = ada.id.parse().expect("an id");
    let hour = Duration::from_hours(1);
    let cases = [
        ("nonsense".to_owned(), 4001, "unauthorized"),
        (issue(&random_secret(), hour, user), 4001, "unauthorized"),
        (issue(&secret, Duration::ZERO, user), 4002, "token_expired"),
        // Well signed, but of a session that nobody began.
        (issue(&secret, hour, user), 4003, "session_ended"),
    ];
    for (token, code, reason) in cases {
        let mut by_url = Socket::open(&format!("{url}?token={token}"), None).await;
        let error = by_url.next().await.expect("an error first");
        assert_eq!((&error["type"], &error["data"]["code"]), (&json!("error"), &json!("unauthorized")), "{reason}");
        assert_eq!(by_url.closed().await, closed(code, reason));
        let mut by_command = Socket::open(&url, None).await;
        let answer = by_command.command("authenticate", json!({ "token": token })).await;
        assert_eq!(answer["data"]["code"], "unauthorized", "{reason}");
        assert_eq!(by_command.closed().await, closed(code, reason));
    }
}

async fn a_stranger_is_refused(installation: Installation) {
    let (ada, eve) = (installation.person("ada").await, installation.person("eve").await);
    let (private, public) = (ada.make_room("private", &[]).await, ada.make_room("public", &[]).await);
    let mut socket = eve.socket(&installation.gateway(1)).await;
    for (room, code, status) in
        [(&private, "not_found", StatusCode::NOT_FOUND), (&public, "not_a_member", StatusCode::FORBIDDEN)]
    {
        for (command, data) in [
            ("join_room", json!({ "roomId": room })),
            ("send_message", json!({ "roomId": room, "content": "hello" })),
            ("get_room_users", json!({ "roomId": room })),
        ] {
            let answer = socket.command(command, data).await;
            assert_eq!((&answer["type"], answer["data"]["code"].as_str()), (&json!("error"), Some(code)), "{command}");
        }
        let (found, problem) =
            eve.request(Method::POST, &format!("/rooms/{room}/messages"), Some(json!({ "content": "hello" }))).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)));
    }
    let (status, _) = eve.request(Method::GET, &format!("/rooms/{private}/messages"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = eve.request(Method::GET, &format!("/rooms/{private}/sync?since=0"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let answer = socket.command("typing", json!({ "roomId": public, "isTyping": true })).await;
    assert_eq!(answer["data"]["code"], "not_a_member");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_member_can_neither_join_nor_send_nor_read() {
    a_stranger_is_refused(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_member_can_neither_join_nor_send_nor_read_on_the_standalone_program() {
    a_stranger_is_refused(standalone(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_makes_no_sense_is_told_so_and_the_connection_goes_on() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let mut socket = ada.socket(&installation.gateway(0)).await;
    for (frame, code) in [
        ("not JSON", "bad_request"),
        ("[1]", "bad_request"),
        (r#"{"id":1,"type":"dance","data":{}}"#, "unknown_command"),
        (r#"{"id":1,"type":"join_room","data":{"roomId":7}}"#, "invalid"),
        (r#"{"id":1,"type":"send_message","data":{"roomId":"x","content":"a"}}"#, "invalid"),
    ] {
        socket.raw(frame).await;
        let answer = socket.next().await.expect("open");
        assert_eq!((&answer["type"], answer["data"]["code"].as_str()), (&json!("error"), Some(code)), "{frame}");
    }
    let named = socket.command("join_room", json!({ "roomId": 7 })).await;
    assert_eq!(named["data"]["errors"][0]["field"], "roomId");
    let room = ada.make_room("public", &[]).await;
    for (content, field) in [(json!(""), "content"), (json!("   "), "content"), (json!("x".repeat(4_001)), "content")] {
        let answer = socket.command("send_message", json!({ "roomId": room, "content": content })).await;
        assert_eq!(answer["data"]["errors"][0]["field"], field, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_too_large_or_binary_ends_the_connection() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let cases = [
        (Message::text("x".repeat(65 * 1024)), closed(1009, "too_large")),
        (Message::Binary(Bytes::from_static(b"x")), closed(1003, "unsupported_data")),
    ];
    for (message, expected) in cases {
        let mut socket = ada.socket(&installation.gateway(0)).await;
        socket.message(message).await;
        assert_eq!(socket.closed().await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_closes_the_sockets_of_that_session_on_every_node() {
    let installation = cluster(2, 2, &[]).await;
    let ada = installation.person("ada").await;
    let mut here = ada.socket(&installation.gateway(0)).await;
    let mut there = ada.socket(&installation.gateway(1)).await;
    assert_ne!(here.node, there.node);
    let body = json!({ "refreshToken": ada.refresh_token });
    let (status, _) = ada.request(Method::POST, "/auth/logout", Some(body)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    for socket in [&mut here, &mut there] {
        assert_eq!(socket.closed().await, closed(4003, "session_ended"));
        assert!(socket.kept().any(|frame| frame["type"] == "session_ended"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_end_are_refused_with_a_time_to_come_again() {
    let installation = standalone(&[("ROOKERY_LIMIT_COMMANDS", "3")]).await;
    let ada = installation.person("ada").await;
    let mut socket = ada.socket(&installation.gateway(0)).await;
    let room = ada.make_room("public", &[]).await;
    for _ in 0..3 {
        assert_eq!(socket.command("leave_room", json!({ "roomId": room })).await["type"], "room_left");
    }
    let refused = socket.command("leave_room", json!({ "roomId": room })).await;
    assert_eq!(refused["data"]["code"], "rate_limited");
    assert!(refused["data"]["retryAfterMs"].as_u64().expect("a time") > 0);
    let sent = socket.command("send_message", json!({ "roomId": room, "content": "messages are counted apart" })).await;
    assert_eq!(sent["type"], "message_sent");
    // Who does not stop is stopped.
    for _ in 0..1_000 {
        socket.post("leave_room", json!({ "roomId": room })).await;
    }
    assert_eq!(socket.closed().await, closed(4008, "rate_limited"));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_messages_in_ten_seconds_pass_through_two_gateways() {
    let installation = cluster(2, 2, &[("ROOKERY_LIMIT_MESSAGES", "5")]).await;
    let ada = installation.person("ada").await;
    let room = ada.make_room("public", &[]).await;
    let mut sockets = [ada.socket(&installation.gateway(0)).await, ada.socket(&installation.gateway(1)).await];
    let mut ids = [Vec::new(), Vec::new()];
    for n in 0..50 {
        let data = json!({ "roomId": room, "content": format!("message {n}"), "clientId": n.to_string() });
        ids[n % 2].push((n, sockets[n % 2].post("send_message", data).await));
    }
    let (mut passed, mut refused) = (Vec::new(), 0);
    for (socket, ids) in sockets.iter_mut().zip(ids) {
        for (n, id) in ids {
            let answer = socket.frame(|frame| frame["id"] == id).await;
            match answer["data"]["code"].as_str() {
                None => passed.push(n),
                Some("rate_limited") => refused += usize::from(answer["data"]["retryAfterMs"].is_u64()),
                Some(other) => panic!("{other}"),
            }
        }
    }
    assert_eq!((passed.len(), refused), (5, 45));
    // Each of those that passed passes again, through the other gateway, as the same message; refused ones made none.
    for n in passed {
        let data = json!({ "roomId": room, "content": format!("message {n}"), "clientId": n.to_string() });
        let again = sockets[(n + 1) % 2].command("send_message", data).await;
        assert_eq!(again["type"], "message_sent", "{again}");
    }
    assert_eq!(ada.get(&format!("/rooms/{room}/messages")).await["items"].as_array().expect("messages").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_follows_as_many_rooms_as_it_may() {
    let installation = standalone(&[("ROOKERY_MAX_ROOMS_PER_CONNECTION", "2")]).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(ada.make_room("private", &[&bob]).await);
    }
    let say = async |room: &str, content: &str| {
        bob.post(&format!("/rooms/{room}/messages"), json!({ "content": content })).await;
    };
    // The most recently active ones are followed.
    say(&rooms[0], "before").await;
    say(&rooms[2], "before").await;
    let mut socket = ada.socket(&installation.gateway(0)).await;
    for room in &rooms {
        say(room, "after").await;
    }
    for room in [&rooms[0], &rooms[2]] {
        let told = socket.event("new_message").await;
        assert_eq!(told["roomId"], room.as_str());
    }
    let join = json!({ "roomId": rooms[1] });
    let refused = socket.command("join_room", join.clone()).await;
    assert_eq!((&refused["type"], &refused["data"]["code"]), (&json!("error"), &json!("conflict")));
    // Where one makes way, another comes in.
    socket.command("leave_room", json!({ "roomId": rooms[0] })).await;
    assert_eq!(socket.command("join_room", join).await["type"], "room_joined");
    say(&rooms[0], "unheard").await;
    say(&rooms[1], "heard").await;
    assert_eq!(socket.event("new_message").await["data"]["content"], "heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_as_long_as_it_may_be() {
    let installation = standalone(&[("ROOKERY_MAX_FRAME_BYTES", "2000")]).await;
    let ada = installation.person("ada").await;
    let mut socket = ada.socket(&installation.gateway(0)).await;
    socket.raw(&format!(r#"{{"id":1,"type":"dance","data":"{}"}}"#, "x".repeat(1_500))).await;
    assert_eq!(socket.next().await.expect("open")["data"]["code"], "unknown_command");
    socket.message(Message::text("x".repeat(2_001))).await;
    assert_eq!(socket.closed().await, closed(1009, "too_large"));
}
