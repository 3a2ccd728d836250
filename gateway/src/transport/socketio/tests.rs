use super::*;
use proptest::prelude::*;
use rookery_shared::{
    envelope::{Header, Kind},
    ids::{RoomId, UserId},
};
use serde_json::{Value, json};

/// The texts of frames; a close frame is `close`.
fn texts(mut frames: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((payload, is_text, rest)) = websocket::next_own_frame(frames) {
        texts.push(if is_text { String::from_utf8(payload.to_vec()).expect("text") } else { "close".to_owned() });
        frames = rest;
    }
    texts
}

fn only(put: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    put(&mut out);
    let [text] = <[String; 1]>::try_from(texts(&out)).expect("one frame");
    text
}

fn json_of<'a>(text: &'a str, head: &str) -> (Value, &'a str) {
    (serde_json::from_str(text.strip_prefix(head).expect(head)).expect("JSON"), text)
}

#[test]
fn packets_are_read_in_all_their_parts() {
    let packet = |sort, attachments, namespace, ack, data| Ok(Packet { sort, attachments, namespace, ack, data });
    let cases = [
        ("0", packet(Sort::Connect, 0, "/", None, None)),
        ("0{\"token\":\"a\"}", packet(Sort::Connect, 0, "/", None, Some("{\"token\":\"a\"}"))),
        ("0/admin,{}", packet(Sort::Connect, 0, "/admin", None, Some("{}"))),
        ("0/admin?a=b,", packet(Sort::Connect, 0, "/admin", None, None)),
        ("0/admin", packet(Sort::Connect, 0, "/admin", None, None)),
        ("1", packet(Sort::Disconnect, 0, "/", None, None)),
        ("2[\"a\"]", packet(Sort::Event, 0, "/", None, Some("[\"a\"]"))),
        ("212[\"a\"]", packet(Sort::Event, 0, "/", Some("12"), Some("[\"a\"]"))),
        ("2/b,7[\"a\"]", packet(Sort::Event, 0, "/b", Some("7"), Some("[\"a\"]"))),
        ("312[]", packet(Sort::Ack, 0, "/", Some("12"), Some("[]"))),
        ("51-[\"a\"]", packet(Sort::Event, 1, "/", None, Some("[\"a\"]"))),
        ("52-/b,9[\"a\"]", packet(Sort::Event, 2, "/b", Some("9"), Some("[\"a\"]"))),
        ("61-4[]", packet(Sort::Ack, 1, "/", Some("4"), Some("[]"))),
        ("4{}", packet(Sort::ConnectError, 0, "/", None, Some("{}"))),
    ];
    for (text, expected) in cases {
        assert_eq!(decode(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    let cases = [
        "",
        "7",
        "x",
        "é",
        "2",
        "2{}",
        "2x",
        "0[]",
        "1[]",
        "3[]",
        "3",
        "5[\"a\"]",
        "5-[\"a\"]",
        "50-[\"a\"]",
        "5a-[\"a\"]",
        "5+1-[\"a\"]",
        "599999999999-[\"a\"]",
        "21234567890123456[\"a\"]",
        "4",
        "2 [\"a\"]",
    ];
    for text in cases {
        assert_eq!(decode(text), Err(Malformed), "{text}");
    }
}

#[test]
fn the_arguments_of_an_event_are_its_name_and_what_comes_first_behind_it() {
    let read = |text| arguments(text).map(|arguments| (arguments.name, arguments.data));
    assert_eq!(read("[\"a\"]"), Ok(("\"a\"", None)));
    assert_eq!(read("[\"a\",{\"b\":[1]},3]"), Ok(("\"a\"", Some("{\"b\":[1]}"))));
    assert_eq!(read("[1,2]"), Ok(("1", Some("2"))));
    for text in ["[]", "[", "[\"a\"", "[\"a\"]x", "[null]", "[{}]", "[\"connect\"]", "[\"disconnect\",1]", "[\"a\" 1]"]
    {
        assert_eq!(read(text), Err(Malformed), "{text}");
    }
}

#[test]
fn an_event_names_its_place_behind_its_data() {
    let room = RoomId::new();
    let event = |kind, stream| Event { header: Header::new(kind, stream, 42), data: "{\"a\":1}".into() };
    let put = |event: Event| only(|out| put_event(&event, out));
    let text = put(event(Kind::Message, StreamId::Room(room)));
    assert_eq!(json_of(&text, "42").0, json!(["new_message", {"a": 1}, {"roomId": room, "seq": 42}]));
    let text = put(event(Kind::RoomAdded, StreamId::User(UserId::new())));
    assert_eq!(json_of(&text, "42").0, json!(["room_added", {"a": 1}, {"seq": 42}]));
    let text = put(event(Kind::UserTyping, StreamId::Room(room)));
    assert_eq!(json_of(&text, "42").0, json!(["user_typing", {"a": 1}]));
}

#[test]
fn the_longest_event_fits() {
    for kind in Kind::ALL {
        for stream in [StreamId::Room(RoomId::new()), StreamId::User(UserId::new())] {
            let header = Header::new(*kind, stream, u64::MAX);
            let text = only(|out| put_event(&Event { header, data: "null".into() }, out));
            assert_eq!(json_of(&text, "42").0[0], kind.event_type());
        }
    }
}

#[test]
fn a_reply_goes_to_the_acknowledgement_or_comes_as_an_event() {
    let data = json!({ "roomId": 1 });
    assert_eq!(only(|out| put_frame(Some("17"), "room_left", &data, out)), "4317[{\"roomId\":1}]");
    for id in [Some(NO_ACK), None] {
        assert_eq!(only(|out| put_frame(id, "room_left", &data, out)), "42[\"room_left\",{\"roomId\":1}]");
    }
    let problem = Problem::field("roomId", "is missing");
    let text = only(|out| put_error(Some("3"), &problem, out));
    let (value, _) = json_of(&text, "433");
    assert_eq!(
        (&value[0]["error"]["code"], &value[0]["error"]["errors"][0]["field"]),
        (&json!("invalid"), &json!("roomId"))
    );
    let text = only(|out| put_error(Some(NO_ACK), &problem, out));
    assert_eq!(
        (json_of(&text, "42").0[0].as_str(), json_of(&text, "42").0[1]["code"].as_str()),
        (Some("error"), Some("invalid"))
    );
}

#[test]
fn a_connect_is_answered_before_authenticated_or_with_why_not() {
    let mut out = BytesMut::new();
    put_frame(Some(CONNECTING), "authenticated", &json!({ "userSeq": 1 }), &mut out);
    let frames = texts(&out);
    assert_eq!(json_of(&frames[0], "40").0["sid"].as_str().map(str::len), Some(20));
    assert_eq!(frames[1], "42[\"authenticated\",{\"userSeq\":1}]");
    let problem = Problem::new(Code::Unauthorized, "the token has expired");
    let text = only(|out| put_error(Some(CONNECTING), &problem, out));
    let expected = json!({
        "message": "the token has expired",
        "data": {"code": "unauthorized", "message": "the token has expired"},
    });
    assert_eq!(json_of(&text, "44").0, expected);
    let mut out = BytesMut::new();
    put_error(Some(CONNECTING), &Code::Unavailable.into(), &mut out);
    assert!(out.is_empty(), "who is told so does not come again");
    assert_eq!(
        only(|out| put_refusal("/b", "Invalid namespace", None, out)),
        "44/b,{\"message\":\"Invalid namespace\"}"
    );
}

#[test]
fn a_goodbye_says_why_and_who_may_come_again_is_not_told_to_stay_away() {
    let goodbye = |reason, joined| {
        let mut out = BytesMut::new();
        put_close(reason, joined, &mut out);
        texts(&out)
    };
    let ended = goodbye(CloseReason::SessionEnded, true);
    assert_eq!(json_of(&ended[0], "42").0[1]["code"], "session_ended");
    assert_eq!(ended[1..], ["41", "close"]);
    let draining = goodbye(CloseReason::Draining, true);
    assert_eq!(
        (json_of(&draining[0], "42").0[1]["code"].as_str(), &draining[1..]),
        (Some("draining"), &["close".to_owned()][..])
    );
    assert_eq!(goodbye(CloseReason::Normal, true), ["close"]);
    assert_eq!(goodbye(CloseReason::Unauthorized, false), ["close"]);
}

proptest! {
    #[test]
    fn no_text_makes_the_decoder_panic(text in "[0-9]{0,3}-?(/[a-z?=]{0,3},?)?[0-9]{0,17}[\\[{\"]?.{0,20}") {
        if let Ok(Packet { data: Some(data), .. }) = decode(&text) {
            let _ = arguments(data);
        }
    }

    #[test]
    fn what_a_client_writes_is_read_as_it_was_meant(
        namespace in "(/[a-z]{1,8})?",
        ack in proptest::option::of(0..1_000_000_u64),
        name in "[a-z_]{1,20}",
        data in proptest::option::of(".{0,40}"),
    ) {
        let args = data.as_ref().map_or_else(|| json!([name]), |data| json!([name, { "a": data }]));
        let comma = if namespace.is_empty() { "" } else { "," };
        let digits = ack.map(|ack| ack.to_string());
        let text = format!("2{namespace}{comma}{}{args}", digits.clone().unwrap_or_default());
        let packet = decode(&text).expect("a packet");
        prop_assert_eq!(packet.namespace, if namespace.is_empty() { "/" } else { &namespace });
        prop_assert_eq!(packet.ack, digits.as_deref());
        // Names that stand for something else are no events.
        if let Ok(arguments) = arguments(packet.data.expect("data")) {
            prop_assert_eq!(arguments.name, serde_json::to_string(&name).expect("JSON"));
            let read = arguments.data.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
            prop_assert_eq!(read, data.map(|data| json!({ "a": data })));
        }
    }
}
