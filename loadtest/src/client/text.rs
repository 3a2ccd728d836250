//! What has to be known of a text frame without reading it as JSON: millions of them pass in a second.

/// How a message begins.
const MESSAGE: &[u8] = b"{\"type\":\"new_message\"";

/// How it begins on Socket.IO, and what stands between its data and the room's id.
const SOCKETIO_MESSAGE: &[u8] = b"42[\"new_message\",";
const SOCKETIO_ROOM: &[u8] = b",{\"roomId\":\"";

/// A ping of Engine.IO, and the answer to it.
pub(crate) const SOCKETIO_PING: &[u8] = b"2";
pub(crate) const SOCKETIO_PONG: &[u8] = b"3";

/// What stands between [`MESSAGE`] and the room's id, and between the id and the number.
const ROOM: &[u8] = b",\"roomId\":\"";
const SEQ: &[u8] = b",\"seq\":";

/// Bytes of an id.
const ID_BYTES: usize = 36;

/// Where [`SEQ`] is in a message, by the order in which gateways put the fields.
const SEQ_AT: usize = MESSAGE.len() + ROOM.len() + ID_BYTES + 1;

/// How far into a frame its own `seq` is looked for; further on it would be the data's.
const HEAD_BYTES: usize = 128;

/// Whether this is a message.
pub(crate) fn is_message(payload: &[u8]) -> bool {
    payload.starts_with(MESSAGE) || payload.starts_with(SOCKETIO_MESSAGE)
}

/// Whether this is one of the packets that come before a Socket.IO client is signed in.
pub(crate) fn begins_socketio(payload: &[u8]) -> bool {
    payload.starts_with(b"0{") || payload.starts_with(b"40{")
}

/// Whether this is the answer that ends signing in.
pub(crate) fn is_authenticated(payload: &[u8]) -> bool {
    payload.starts_with(b"{\"type\":\"authenticated\"") || payload.starts_with(b"42[\"authenticated\"")
}

/// The place of a durable event in its log.
pub(crate) fn seq_of(payload: &[u8]) -> Option<u64> {
    if let Some(rest) = payload.get(SEQ_AT..).and_then(|rest| rest.strip_prefix(SEQ)) {
        return number(rest);
    }
    if payload.starts_with(b"42[") {
        // Behind the data, at the very end.
        let at = payload.len().checked_sub(SEQ.len() + 23)?.max(SOCKETIO_MESSAGE.len());
        let tail = payload.get(at..)?;
        let at = tail.windows(SEQ.len()).rposition(|window| window == SEQ)?;
        return number(&tail[at + SEQ.len()..]);
    }
    let head = &payload[..payload.len().min(HEAD_BYTES)];
    let at = head.windows(SEQ.len()).position(|window| window == SEQ)?;
    number(&payload[at + SEQ.len()..])
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).take(20);
    let mut any = false;
    let number = digits.fold(0_u64, |number, digit| {
        any = true;
        number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
    });
    any.then_some(number)
}

/// Bytes of a message's frame beside its data and the digits of its number.
pub(crate) const AROUND_DATA: usize = SEQ_AT + SEQ.len() + ",\"data\":}".len();

/// The same on Socket.IO.
pub(crate) const SOCKETIO_AROUND_DATA: usize =
    SOCKETIO_MESSAGE.len() + SOCKETIO_ROOM.len() + ID_BYTES + 1 + SEQ.len() + "}]".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_frame_s_own_and_not_the_data_s() {
        let room = "0190a000-0000-7000-8000-000000000001";
        let frame = format!(r#"{{"type":"new_message","roomId":"{room}","seq":17,"data":{{"seq":18}}}}"#);
        assert!(is_message(frame.as_bytes()));
        assert_eq!(seq_of(frame.as_bytes()), Some(17));
        assert_eq!(frame.len(), AROUND_DATA + 2 + r#"{"seq":18}"#.len());
    }

    #[test]
    fn on_socketio_the_place_is_at_the_end() {
        let room = "0190a000-0000-7000-8000-000000000001";
        let frame = format!(r#"42["new_message",{{"seq":18}},{{"roomId":"{room}","seq":1234567}}]"#);
        assert!(is_message(frame.as_bytes()));
        assert_eq!(seq_of(frame.as_bytes()), Some(1_234_567));
        assert_eq!(frame.len(), SOCKETIO_AROUND_DATA + 7 + r#"{"seq":18}"#.len());
    }

    #[test]
    fn frames_with_other_fields_in_front_are_read_as_well() {
        assert_eq!(seq_of(br#"{"type":"room_added","seq":3,"data":{}}"#), Some(3));
        assert_eq!(seq_of(br#"{"type":"user_typing","data":{}}"#), None);
        assert_eq!(seq_of(br#"{"type":"room_added","seq":"#), None);
        assert!(!is_message(br#"{"type":"user_typing","data":{}}"#));
    }
}
