//! `/socket.io/`, packet by packet. What the official clients make of it is in `clients.rs`.

use crate::harness::{Client, Ended, Installation, Poller, Socket, cluster, standalone};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// The code of the `error` event among packets.
fn error_code(packets: &[String]) -> Option<String> {
    let packet = packets.iter().find(|packet| packet.starts_with("42[\"error\""))?;
    let value: Value = serde_json::from_str(&packet[2..]).expect("JSON");
    Some(value[1]["code"].as_str().expect("a code").to_owned())
}

async fn rooms_are_lived_in(installation: Installation) {
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    let mut native = bob.socket(&installation.gateway(0)).await;
    let mut socket = Client::signed_in(&installation.socketio(1), &ada.token).await;
    let poller = Poller::signed_in(&installation.socketio(1), &ada.token).await;

    // Messages both ways, with the place of the entry behind the message.
    let sent = socket.command("send_message", json!({ "roomId": room, "content": "one", "clientId": "c" })).await;
    assert_eq!((&sent["roomId"], &sent["clientId"]), (&json!(room), &json!("c")), "{sent}");
    let frame = native.event("new_message").await;
    assert_eq!((&frame["data"]["content"], &frame["seq"]), (&json!("one"), &sent["seq"]));
    let own = socket.event("new_message").await;
    assert_eq!(own, [frame["data"].clone(), json!({ "roomId": room, "seq": frame["seq"] })]);
    native.command("send_message", json!({ "roomId": room, "content": "two" })).await;
    assert_eq!(socket.event("new_message").await[0]["content"], "two");
    let came = poller.poll_until(|packet| packet.contains("\"two\"")).await;
    let contents: Vec<bool> = came.iter().map(|packet| packet.contains("\"one\"")).collect();
    assert_eq!(contents.iter().filter(|is_one| **is_one).count(), 1, "each once: {came:?}");

    // Without an acknowledgement the reply comes as the event of the table; what polls speaks as well.
    socket.send(&format!("42{}", json!(["leave_room", { "roomId": room }]))).await;
    assert_eq!(socket.event("room_left").await, [json!({ "roomId": room })]);
    socket.send(&format!("42{}", json!(["join_room", { "roomId": room }]))).await;
    assert_eq!(socket.event("room_joined").await[0]["roomId"], json!(room));
    let (status, _) = poller.try_post(format!("427{}", json!(["get_room_users", { "roomId": room }]))).await;
    assert_eq!(status, StatusCode::OK);
    let packets = poller.poll_until(|packet| packet.starts_with("437[")).await;
    let reply = packets.iter().find(|packet| packet.starts_with("437[")).expect("a reply");
    let reply: Value = serde_json::from_str(&reply[3..]).expect("JSON");
    assert_eq!(reply[0]["users"].as_array().map(Vec::len), Some(2), "{reply}");

    // Errors go the same ways.
    let refused = socket.command("join_room", json!({ "roomId": 5 })).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["errors"][0]["field"]),
        (&json!("invalid"), &json!("roomId"))
    );
    socket.send("42[\"dance\"]").await;
    assert_eq!(socket.event("error").await[0]["code"], "unknown_command");
    socket.send("42[5]").await;
    assert_eq!(socket.event("error").await[0]["errors"][0]["field"], "type");

    // Typing and presence.
    native.command("join_room", json!({ "roomId": room })).await;
    socket.send(&format!("42{}", json!(["typing", { "roomId": room, "isTyping": true }]))).await;
    assert_eq!(native.event("user_typing").await["data"]["userId"], json!(ada.id));
    native.raw(&json!({ "type": "typing", "data": { "roomId": room, "isTyping": true } }).to_string()).await;
    let typing = socket.event("user_typing").await;
    assert_eq!((typing.len(), &typing[0]["userId"]), (1, &json!(bob.id)), "nothing behind what has no place");
    poller.poll_until(|packet| packet.starts_with("42[\"user_typing\"")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn socketio_and_native_clients_share_rooms() {
    rooms_are_lived_in(standalone(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn socketio_and_native_clients_share_rooms_across_nodes() {
    rooms_are_lived_in(cluster(2, 2, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_what_the_client_has_to_keep_to() {
    let installation = standalone(&[("ROOKERY_MAX_FRAME_BYTES", "1000")]).await;
    let base = installation.socketio(0);
    let (_client, open) = Client::open(&base, "").await;
    let expected = |sid: &Value, upgrades: Value| json!({ "sid": sid, "upgrades": upgrades, "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000 });
    assert_eq!(open, expected(&open["sid"], json!([])));
    let poller = Poller::open(&base, "").await;
    assert_eq!(poller.open, expected(&poller.open["sid"], json!(["websocket"])));
    assert_eq!(poller.try_post("4".repeat(1001)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (mut client, _) = Client::open(&base, "").await;
    client.send(&"4".repeat(1001)).await;
    assert_eq!(client.ended().await.1, Ended(1009));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socketio_client_signs_in_by_auth_query_header_or_command() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let base = installation.socketio(0);
    for (query, connect) in [(format!("&token={}", ada.token), "40"), (format!("&jwt={}", ada.token), "40{}")] {
        let (mut client, _) = Client::open(&base, &query).await;
        client.send(connect).await;
        assert!(client.next().await.expect("an answer").starts_with("40{\"sid\":\""));
        assert_eq!(client.event("authenticated").await[0]["user"]["id"], json!(ada.id));
    }
    Poller::signed_in(&base, &ada.token).await;
    // With nothing in the handshake the client joins, and may do nothing else before it has signed in.
    let (mut client, _) = Client::open(&base, "").await;
    client.send("40").await;
    assert!(client.next().await.expect("an answer").starts_with("40{"));
    let refused = client.command("get_room_users", json!({ "roomId": ada.id })).await;
    assert_eq!(refused["error"]["code"], "unauthorized");
    let signed_in = client.command("authenticate", json!({ "token": ada.token })).await;
    assert_eq!(signed_in["user"]["id"], json!(ada.id));
    let other = installation.person("bob").await;
    let refused = client.command("authenticate", json!({ "token": other.token })).await;
    assert_eq!(refused["error"]["code"], "forbidden", "and the connection goes on");
    client.command("leave_room", json!({ "roomId": ada.id })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_signs_in_a_client_that_polls() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/socket.io/?EIO=4&transport=polling", installation.socketio(0));
    let open = http.get(&url).bearer_auth(&ada.token).send().await.expect("an answer").text().await.expect("a body");
    let open: Value = serde_json::from_str(&open[1..]).expect("JSON");
    let url = format!("{url}&sid={}", open["sid"].as_str().expect("a session"));
    http.post(&url).body("40").send().await.expect("taken");
    let mut seen = String::new();
    while !seen.contains("42[\"authenticated\"") {
        seen += &http.get(&url).send().await.expect("an answer").text().await.expect("a body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_is_a_connect_error_with_its_code() {
    let installation = standalone(&[("ROOKERY_SIGN_IN_SECONDS", "1")]).await;
    let base = installation.socketio(0);
    for (query, connect, code) in [
        ("", "40{\"token\":\"wrong\"}", "unauthorized"),
        ("&token=wrong", "40", "unauthorized"),
        ("", "40{\"token\":5}", "invalid"),
        ("", "40{\"token\":\"a\",\"resume\":{\"rooms\":[]}}", "invalid"),
    ] {
        let (mut client, _) = Client::open(&base, query).await;
        client.send(connect).await;
        let (packets, ended) = client.ended().await;
        let error: Value = serde_json::from_str(packets[0].strip_prefix("44").expect("refused")).expect("JSON");
        assert_eq!((&error["data"]["code"], error["message"].is_string()), (&json!(code), true), "{connect}");
        assert_eq!((packets.len(), ended), (1, Ended(4001)), "{connect}");
    }
    let poller = Poller::open(&base, "").await;
    poller.post("40{\"token\":\"wrong\"}").await;
    let packets = poller.poll_until(|packet| packet == "1").await;
    assert!(packets[0].starts_with("44{"), "{packets:?}");
    assert_eq!(poller.get().await.0, StatusCode::BAD_REQUEST);

    // Who does not join, and who joins and does not sign in.
    let (mut client, _) = Client::open(&base, "").await;
    assert_eq!(client.ended().await, (vec![], Ended(4000)));
    let (mut client, _) = Client::open(&base, "").await;
    client.send("40").await;
    let (packets, ended) = client.ended().await;
    assert_eq!((error_code(&packets[1..]).as_deref(), ended), (Some("sign_in_timeout"), Ended(4000)));
    assert_eq!(packets.last().map(String::as_str), Some("41"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_namespaces_are_refused() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let mut client = Client::signed_in(&installation.socketio(0), &ada.token).await;
    client.send("40/admin,{\"token\":\"a\"}").await;
    assert_eq!(client.next().await.expect("an answer"), "44/admin,{\"message\":\"Invalid namespace\"}");
    client.command("leave_room", json!({ "roomId": ada.id })).await;
    client.send("42/admin,[\"leave_room\"]").await;
    assert_eq!(client.ended().await.1, Ended(1002));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_packets_end_the_connection() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let base = installation.socketio(0);
    let cases = [
        "",
        "x",
        "7",
        "2",
        "2probe",
        "4",
        "49",
        "42",
        "42{}",
        "42[]",
        "42[\"a\"",
        "42[null]",
        "42[\"connect\"]",
        "42[\"disconnecting\",1]",
        "40",
        "40{}",
        "41[]",
        "43[]",
        "451[\"a\"]",
        "450-[\"a\"]",
        "44{}",
        "bAQID",
        "4212345678901234567[\"a\"]",
    ];
    for packet in cases {
        let mut client = Client::signed_in(&base, &ada.token).await;
        client.send(packet).await;
        let (packets, ended) = client.ended().await;
        assert_eq!(ended, Ended(1002), "{packet}");
        assert_eq!(error_code(&packets).as_deref(), Some("protocol_error"), "{packet}: {packets:?}");
        assert_eq!(packets.last().map(String::as_str), Some("41"), "{packet}");
    }
    for message in [Message::binary(Bytes::from_static(b"a")), Message::binary(Bytes::new())] {
        let mut client = Client::signed_in(&base, &ada.token).await;
        client.message(message).await;
        assert_eq!(client.ended().await.1, Ended(1002));
    }
    // Before it has joined, a client may do nothing else; it hears of no events.
    for packet in ["42[\"leave_room\"]", "41", "43[1]", "2"] {
        let (mut client, _) = Client::open(&base, "").await;
        client.send(packet).await;
        assert_eq!(client.ended().await, (vec![], Ended(1002)), "{packet}");
    }
    for body in ["x", "42[", "\u{1e}", "42[\"leave_room\",{}]\u{1e}9"] {
        let poller = Poller::signed_in(&base, &ada.token).await;
        poller.post(body).await;
        let packets = poller.poll_until(|packet| packet == "1").await;
        assert_eq!(packets[packets.len() - 2..], ["41", "1"], "{body:?}");
        assert_eq!(poller.get().await.0, StatusCode::BAD_REQUEST, "{body:?}");
    }
    let poller = Poller::signed_in(&base, &ada.token).await;
    assert_eq!(poller.try_post(vec![b'4', 0xff]).await.0, StatusCode::BAD_REQUEST, "not text");
    poller.poll_until(|packet| packet == "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_attachments_are_refused_with_an_error_and_nothing_else_happens() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let mut client = Client::signed_in(&installation.socketio(0), &ada.token).await;
    client.send("452-7[\"send_message\",{\"_placeholder\":true,\"num\":0}]").await;
    client.message(Message::binary(Bytes::from_static(b"one"))).await;
    client.message(Message::binary(Bytes::from_static(b"two"))).await;
    let answer = client.packet(|packet| packet.starts_with("437[")).await;
    assert!(answer.contains("\"invalid\"") && answer.contains("binary attachments"), "{answer}");
    client.command("leave_room", json!({ "roomId": ada.id })).await;
    client.send("451-[\"send_message\",{}]").await;
    client.send("42[\"leave_room\"]").await;
    assert_eq!(client.ended().await.1, Ended(1002), "something else in place of the attachment");

    let poller = Poller::signed_in(&installation.socketio(0), &ada.token).await;
    poller.post("451-7[\"send_message\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIDBA==").await;
    let packets = poller.poll_until(|packet| packet.starts_with("437[")).await;
    assert!(packets.iter().any(|packet| packet.contains("binary attachments")), "{packets:?}");
    poller.post(&format!("428{}", json!(["leave_room", { "roomId": ada.id }]))).await;
    poller.poll_until(|packet| packet.starts_with("438[")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused_as_the_protocol_says() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let base = installation.socketio(0);
    let poller = Poller::signed_in(&base, &ada.token).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let sid = &poller.sid;
    let cases = [
        (Method::GET, "EIO=4".to_owned(), 400, 0, "Transport unknown"),
        (Method::GET, "EIO=4&transport=carrier-pigeon".to_owned(), 400, 0, "Transport unknown"),
        (Method::GET, "EIO=4&transport=polling&sid=unknown".to_owned(), 400, 1, "Session ID unknown"),
        (Method::POST, "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA".to_owned(), 400, 1, "Session ID unknown"),
        (Method::GET, "EIO=4&transport=polling&sid=________________-___".to_owned(), 400, 1, "Session ID unknown"),
        (Method::POST, "EIO=4&transport=polling".to_owned(), 400, 2, "Bad handshake method"),
        (Method::GET, "EIO=4&transport=websocket".to_owned(), 400, 3, "Bad request"),
        (Method::GET, format!("EIO=4&transport=websocket&sid={sid}"), 400, 3, "Bad request"),
        (Method::GET, format!("EIO=3&transport=polling&sid={sid}"), 400, 3, "Bad request"),
        (Method::DELETE, format!("EIO=4&transport=polling&sid={sid}"), 400, 3, "Bad request"),
        (Method::GET, "EIO=3&transport=polling".to_owned(), 400, 5, "Unsupported protocol version"),
        (Method::GET, "transport=polling".to_owned(), 400, 5, "Unsupported protocol version"),
    ];
    for (method, query, status, code, message) in cases {
        let url = format!("{base}/socket.io/?{query}");
        let answer = http.request(method.clone(), &url).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{method} {query}");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body, json!({ "code": code, "message": message }), "{method} {query}");
    }
    let url = format!("{base}/socket.io/?EIO=4&transport=polling&sid={sid}");
    let binary = http.post(&url).header(header::CONTENT_TYPE, "application/octet-stream").body("4");
    assert_eq!(binary.send().await.expect("an answer").status(), StatusCode::BAD_REQUEST);
    poller.post(&format!("428{}", json!(["leave_room", { "roomId": ada.id }]))).await;
    poller.poll_until(|packet| packet.starts_with("438[")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_polls_at_once_end_the_session() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let poller = Poller::signed_in(&installation.socketio(0), &ada.token).await;
    // Whatever may still be under way from signing in.
    poller.post(&format!("428{}", json!(["leave_room", { "roomId": ada.id }]))).await;
    poller.poll_until(|packet| packet.starts_with("438[")).await;
    let (one, other) = tokio::join!(poller.get(), poller.get());
    let (refused, goodbye) = if one.0 == StatusCode::OK { (other, one) } else { (one, other) };
    assert_eq!((refused.0, goodbye.0), (StatusCode::BAD_REQUEST, StatusCode::OK));
    assert!(goodbye.1.ends_with("\u{1e}41"), "{goodbye:?}");
    assert_eq!(poller.get().await.1, "1", "apart, because clients act on it before what comes with it");
    assert!(poller.get().await.1.contains("Session ID unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_upgrades_gets_everything_once_and_in_order() {
    let installation = standalone(&[]).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    let base = installation.socketio(0);
    let mut native = ada.socket(&installation.gateway(0)).await;
    let poller = Poller::signed_in(&base, &bob.token).await;
    let mut said = 0;
    let mut say = async |count: u32| {
        for _ in 0..count {
            said += 1;
            native.command("send_message", json!({ "roomId": room, "content": format!("m{said}") })).await;
        }
    };
    say(3).await;
    let mut seen = poller.poll_until(|packet| packet.contains("\"m3\"")).await;
    let upgrade = format!("&sid={}", poller.sid);
    // A socket that does not show that it works leaves the session as it was.
    let mut wrong = Client::dial(&base, &upgrade).await;
    wrong.send("5").await;
    assert_eq!(wrong.ended().await, (vec![], Ended(0)));
    say(2).await;
    let mut client = Client::dial(&base, &upgrade).await;
    client.send("2probe").await;
    assert_eq!(client.next().await.expect("an answer"), "3probe");
    seen.extend(poller.poll_until(|packet| packet.contains("\"m5\"")).await);
    // A poll that would have to wait is over at once now.
    assert_eq!(poller.poll().await, ["6"]);
    say(3).await;
    client.message(Message::text("5")).await;
    client.send(&format!("427{}", json!(["leave_room", { "roomId": room }]))).await;
    loop {
        let packet = client.next().await.expect("a packet");
        let last = packet.starts_with("437[");
        seen.push(packet);
        if last {
            break;
        }
    }
    let messages: Vec<&String> = seen.iter().filter(|packet| packet.starts_with("42[\"new_message\"")).collect();
    assert_eq!(messages.len(), 8, "{messages:?}");
    for (n, message) in (1..).zip(messages) {
        assert!(message.contains(&format!("\"m{n}\"")), "{message} at {n}");
    }
    let (status, body) = poller.get().await;
    assert_eq!((status, body.contains("Session ID unknown")), (StatusCode::BAD_REQUEST, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_session_is_told_before_the_connection_ends() {
    let installation = cluster(2, 1, &[]).await;
    let ada = installation.person("ada").await;
    let base = installation.socketio(1);
    let mut client = Client::signed_in(&base, &ada.token).await;
    let poller = Poller::signed_in(&base, &ada.token).await;
    assert_eq!(ada.request(Method::POST, "/auth/logout", None).await.0, StatusCode::NO_CONTENT);
    let (packets, ended) = client.ended().await;
    assert_eq!((error_code(&packets).as_deref(), ended), (Some("session_ended"), Ended(4003)));
    assert_eq!(packets.last().map(String::as_str), Some("41"));
    let packets = poller.poll_until(|packet| packet == "1").await;
    assert_eq!(
        (error_code(&packets).as_deref(), &packets[packets.len() - 2]),
        (Some("session_ended"), &"41".to_owned())
    );
    assert_eq!(poller.get().await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_sends_its_clients_away_and_they_may_come_again() {
    let mut installation = cluster(2, 1, &[]).await;
    let ada = installation.person("ada").await;
    let base = installation.socketio(0);
    let mut client = Client::signed_in(&base, &ada.token).await;
    let poller = Poller::signed_in(&base, &ada.token).await;
    installation.stop_gateway(0);
    assert_eq!(client.event("reconnect").await[0]["code"], "draining");
    let (packets, ended) = client.ended().await;
    assert_eq!((error_code(&packets).as_deref(), ended), (Some("draining"), Ended(1001)));
    assert!(!packets.contains(&"41".to_owned()), "clients take that as: do not come again");
    let packets = poller.poll_until(|packet| packet.starts_with("42[\"error\"")).await;
    assert!(packets.iter().any(|packet| packet.starts_with("42[\"reconnect\"")), "{packets:?}");
    // A close packet is a goodbye for good to some clients; a session that is gone is not.
    assert_eq!(poller.get().await.0, StatusCode::BAD_REQUEST);
    Poller::signed_in(&installation.socketio(1), &ada.token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_goodbye_is_gone() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let base = installation.socketio(0);
    let mut client = Client::signed_in(&base, &ada.token).await;
    client.send("41").await;
    assert_eq!(client.ended().await, (vec![], Ended(1000)));
    for goodbye in ["41", "1"] {
        let poller = Poller::signed_in(&base, &ada.token).await;
        poller.post(goodbye).await;
        assert_eq!(poller.poll().await.last().map(String::as_str), Some("1"), "{goodbye}");
        assert_eq!(poller.get().await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_pings_is_closed_and_who_does_is_not() {
    let beat = [("ROOKERY_SOCKETIO_PING_SECONDS", "1"), ("ROOKERY_SOCKETIO_PING_TIMEOUT_SECONDS", "1")];
    let installation = standalone(&beat).await;
    let ada = installation.person("ada").await;
    let base = installation.socketio(0);
    let mut silent = Client::signed_in(&base, &ada.token).await;
    silent.answers = false;
    let mut lively = Client::signed_in(&base, &ada.token).await;
    let poller = Poller::signed_in(&base, &ada.token).await;
    let gone = Poller::signed_in(&base, &ada.token).await;
    let polls = async {
        for _ in 0..3 {
            poller.poll_until(|packet| packet == "2").await;
        }
    };
    let reads = async {
        lively.answer_pings(4).await;
        lively.send(&format!("427{}", json!(["leave_room", { "roomId": ada.id }]))).await;
        lively.packet(|packet| packet.starts_with("437[")).await;
    };
    let ((), (), (packets, ended)) = tokio::join!(polls, reads, silent.ended());
    assert_eq!((error_code(&packets).as_deref(), ended), (Some("heartbeat_timeout"), Ended(4006)));
    assert!(!packets.contains(&"41".to_owned()), "it may come again");
    rookery_shared::testing::poll("the session is gone", async || {
        (gone.get().await.0 == StatusCode::BAD_REQUEST).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_polls_too_slowly_is_closed_and_can_resume() {
    let installation = standalone(&[("ROOKERY_SLOW_BYTES", "20000")]).await;
    let (ada, bob) = (installation.person("ada").await, installation.person("bob").await);
    let room = ada.make_room("private", &[&bob]).await;
    let mut native = ada.socket(&installation.gateway(0)).await;
    let poller = Poller::signed_in(&installation.socketio(0), &bob.token).await;
    let first = native.command("send_message", json!({ "roomId": room, "content": "first" })).await;
    poller.poll_until(|packet| packet.contains("\"first\"")).await;
    for n in 0..60 {
        native.command("send_message", json!({ "roomId": room, "content": format!("{n} {}", "x".repeat(900)) })).await;
    }
    // What waited for it is gone with the session; nothing of it comes with a hole in it.
    rookery_shared::testing::poll("the session is gone", async || {
        let (status, body) = poller.get().await;
        assert!(!body.contains("new_message"), "{body}");
        (status == StatusCode::BAD_REQUEST).then_some(())
    })
    .await;
    let mut probe = Socket::signed_in(&installation.gateway(0), &bob.token).await;
    let epoch = probe.command("authenticate", json!({ "token": bob.token })).await["data"]["storeEpoch"].clone();
    let resume =
        json!({ "token": bob.token, "resume": { "storeEpoch": epoch, "rooms": { &room: first["data"]["seq"] } } });
    let (mut client, _) = Client::open(&installation.socketio(0), "").await;
    client.send(&format!("40{resume}")).await;
    client.event("authenticated").await;
    let next = client.packet(|packet| packet.starts_with("42[")).await;
    assert!(next.starts_with("42[\"resumed\""), "nothing before it: {next}");
    for n in 1..=60 {
        let message = client.event("new_message").await;
        assert_eq!(message[1]["seq"].as_u64(), first["data"]["seq"].as_u64().map(|first| first + n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_can_come_in_a_command_behind_the_sign_in() {
    let installation = standalone(&[]).await;
    let ada = installation.person("ada").await;
    let room = ada.make_room("private", &[]).await;
    ada.post(&format!("/rooms/{room}/messages"), json!({ "content": "missed" })).await;
    for query in ["&resume=1".to_owned(), format!("&resume=1&token={}", ada.token)] {
        let (mut client, _) = Client::open(&installation.socketio(0), &query).await;
        client
            .send(&format!("40{}", if query.contains("token") { json!({}) } else { json!({ "token": ada.token }) }))
            .await;
        let epoch = client.event("authenticated").await[0]["storeEpoch"].clone();
        let resumed = client.command("resume", json!({ "storeEpoch": epoch, "rooms": { &room: 0 } })).await;
        assert_eq!(resumed["rooms"][&room]["status"], "recovered", "{resumed}");
        assert_eq!(client.event("new_message").await[0]["content"], "missed");
        let again = client.command("resume", json!({ "storeEpoch": epoch, "rooms": {} })).await;
        assert_eq!(again["error"]["code"], "already_live");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_configured_origins_may_poll_and_others_may_not() {
    let installation = standalone(&[("ROOKERY_ALLOWED_ORIGINS", "https://chat.example")]).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/socket.io/?EIO=4&transport=polling", installation.socketio(0));
    let ask = async |method: Method, origin: &str| {
        http.request(method, &url).header(header::ORIGIN, origin).send().await.expect("an answer")
    };
    let allowed = ask(Method::GET, "https://chat.example").await;
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://chat.example");
    assert_eq!(allowed.headers()["access-control-allow-credentials"], "true");
    let preflight = ask(Method::OPTIONS, "https://chat.example").await;
    assert_eq!(preflight.headers()["access-control-allow-methods"], "GET, POST");
    let refused = ask(Method::GET, "https://elsewhere.example").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.json::<Value>().await.expect("JSON"), json!({ "code": 4, "message": "Forbidden" }));
}
