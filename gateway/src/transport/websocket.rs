//! RFC 6455 from a server's side: an incremental decoder of what clients send, and the head of what they are sent.
//!
//! A decoder holds nothing while frames arrive whole, which is nearly always: then it reads them in place, out of the
//! buffer that all connections of a core share. That is what keeps an idle connection at a few hundred bytes.

use bytes::{BufMut, BytesMut};
use rookery_shared::protocol::CloseReason;

/// What a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message; what it says is never looked at.
    Binary,
    /// A ping with its payload, to be sent back.
    Ping(&'a [u8]),
    /// A pong; only says that the client lives.
    Pong,
    /// The client closes.
    Close,
}

/// The state between two reads: part of a frame, part of a fragmented message.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a frame whose rest has not come.
    partial: Vec<u8>,
    /// Opcode and payload so far of a message in fragments; `None` between messages.
    message: Option<(u8, Vec<u8>)>,
    /// How many binary messages the last text has announced that have not come. Socket.IO's; it is kept here because a
    /// decoder is there only while something is incomplete.
    pub attachments: u32,
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame's head, read.
struct Head {
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Bytes of the head.
    bytes: usize,
    /// Bytes of the payload.
    payload: usize,
}

impl Decoder {
    /// Whether nothing waits for a rest, so that the decoder can be forgotten.
    pub fn is_idle(&self) -> bool {
        self.partial.is_empty() && self.message.is_none() && self.attachments == 0
    }

    /// Takes the bytes of one read and hands out what is complete, in order. Messages may have `limit` bytes at most.
    /// `input` is unmasked in place. The sink returns false to stop; what follows is dropped.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        limit: usize,
        sink: &mut dyn FnMut(Item<'_>) -> bool,
    ) -> Result<(), CloseReason> {
        if self.partial.is_empty() {
            let used = self.frames(input, limit, sink)?;
            self.partial.extend_from_slice(&input[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(input);
            let used = self.frames(&mut whole, limit, sink)?;
            whole.drain(..used);
            // A long frame may have left a large buffer; the next one is most likely short.
            if whole.is_empty() {
                whole = Vec::new();
            }
            self.partial = whole;
        }
        Ok(())
    }

    /// Reads whole frames from the front of `bytes`; returns how many bytes they took.
    fn frames(
        &mut self,
        bytes: &mut [u8],
        limit: usize,
        sink: &mut dyn FnMut(Item<'_>) -> bool,
    ) -> Result<usize, CloseReason> {
        let mut used = 0;
        while let Some(head) = read_head(&bytes[used..], limit)? {
            let start = used + head.bytes;
            let end = start + head.payload;
            if bytes.len() < end {
                break;
            }
            unmask(&mut bytes[start..end], head.mask);
            used = end;
            if !self.frame(&head, &bytes[start..end], limit, sink)? {
                return Ok(bytes.len());
            }
        }
        Ok(used)
    }

    fn frame(
        &mut self,
        head: &Head,
        payload: &[u8],
        limit: usize,
        sink: &mut dyn FnMut(Item<'_>) -> bool,
    ) -> Result<bool, CloseReason> {
        match (head.opcode, &mut self.message) {
            (PING, _) => Ok(sink(Item::Ping(payload))),
            (PONG, _) => Ok(sink(Item::Pong)),
            (CLOSE, _) => check_close(payload).map(|()| sink(Item::Close)),
            (opcode @ (TEXT | BINARY), None) if head.last => whole(opcode, payload, sink),
            (opcode @ (TEXT | BINARY), message @ None) => {
                *message = Some((opcode, payload.to_vec()));
                Ok(true)
            }
            (CONTINUATION, Some((_, message))) => {
                if message.len() + payload.len() > limit {
                    return Err(CloseReason::TooLarge);
                }
                message.extend_from_slice(payload);
                if !head.last {
                    return Ok(true);
                }
                let (opcode, message) = self.message.take().unwrap_or_default();
                whole(opcode, &message, sink)
            }
            _ => Err(CloseReason::ProtocolError),
        }
    }
}

/// A message is there in full.
fn whole(opcode: u8, payload: &[u8], sink: &mut dyn FnMut(Item<'_>) -> bool) -> Result<bool, CloseReason> {
    if opcode == BINARY { Ok(sink(Item::Binary)) } else { text(payload).map(|text| sink(Item::Text(text))) }
}

/// Reads a frame's head; `None` while it is not there in full. Refuses what can be refused before the payload comes.
fn read_head(bytes: &[u8], limit: usize) -> Result<Option<Head>, CloseReason> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
    // Extensions would use the reserved bits; none was negotiated. Clients must mask.
    if first & 0x70 != 0 || second & 0x80 == 0 {
        return Err(CloseReason::ProtocolError);
    }
    let short = usize::from(second & 0x7f);
    let control = opcode & 0x08 != 0;
    if control && (!last || short > 125) {
        return Err(CloseReason::ProtocolError);
    }
    let (length_bytes, payload) = match (short, rest) {
        (126, [a, b, ..]) => (2, u64::from(u16::from_be_bytes([*a, *b]))),
        (127, rest) => match rest.first_chunk::<8>() {
            Some(length) => (8, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        (short, _) => (0, short as u64),
    };
    let payload = usize::try_from(payload).map_err(|_| CloseReason::TooLarge)?;
    if payload > limit {
        return Err(CloseReason::TooLarge);
    }
    let Some(mask) = rest.get(length_bytes..length_bytes + 4) else { return Ok(None) };
    let mask = [mask[0], mask[1], mask[2], mask[3]];
    Ok(Some(Head { last, opcode, mask, bytes: 2 + length_bytes + 4, payload }))
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mut chunks = payload.chunks_exact_mut(4);
    for chunk in &mut chunks {
        for (byte, key) in chunk.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

fn text(payload: &[u8]) -> Result<&str, CloseReason> {
    std::str::from_utf8(payload).map_err(|_| CloseReason::InvalidText)
}

/// A close frame has no payload, or a code that may be on the wire (RFC 6455 section 7.4) and UTF-8 behind it.
fn check_close(payload: &[u8]) -> Result<(), CloseReason> {
    match payload {
        [] => Ok(()),
        [a, b, reason @ ..] => match u16::from_be_bytes([*a, *b]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 => text(reason).map(|_| ()),
            _ => Err(CloseReason::ProtocolError),
        },
        [_] => Err(CloseReason::ProtocolError),
    }
}

/// Puts the head of a text frame for this many bytes.
pub fn put_text_head(out: &mut BytesMut, payload: usize) {
    put_head(out, TEXT, payload);
}

/// A ping without payload.
pub const PING_FRAME: &[u8] = &[0x80 | PING, 0];

/// Puts a pong that answers a ping.
pub fn put_pong(out: &mut BytesMut, payload: &[u8]) {
    put_head(out, PONG, payload.len());
    out.put_slice(payload);
}

/// Puts a close frame with code and reason.
pub fn put_close(out: &mut BytesMut, reason: CloseReason) {
    let text = reason.as_str().as_bytes();
    put_head(out, CLOSE, 2 + text.len());
    out.put_u16(reason.code());
    out.put_slice(text);
}

/// The first of the server's own frames: its payload, whether that is text, and what comes behind it. `None` at the
/// end.
pub fn next_own_frame(bytes: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let [first, short, rest @ ..] = bytes else { return None };
    let (length, rest) = match (short, rest) {
        (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        (127, rest) => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        (short, rest) => (usize::from(*short), rest),
    };
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((payload, first & 0x0f == TEXT, rest))
}

fn put_head(out: &mut BytesMut, opcode: u8, payload: usize) {
    out.put_u8(0x80 | opcode);
    // Each branch has checked that the cast loses nothing.
    #[expect(clippy::cast_possible_truncation, reason = "each branch bounds the length")]
    match payload {
        0..=125 => out.put_u8(payload as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(payload as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame as a client sends it.
    fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = BytesMut::new();
        put_head(&mut out, 0, payload.len());
        out[0] = first;
        out[1] |= 0x80;
        out.put_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        out.to_vec()
    }

    fn decode_in(pieces: &[&[u8]]) -> Result<Vec<String>, CloseReason> {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for piece in pieces {
            decoder.feed(&mut piece.to_vec(), 70_000, &mut |item| {
                seen.push(format!("{item:?}"));
                true
            })?;
        }
        Ok(seen)
    }

    #[test]
    fn a_message_in_fragments_arrives_whole_with_a_ping_in_between() {
        let bytes = [client_frame(0x01, b"he"), client_frame(0x89, b"!"), client_frame(0x80, b"llo")].concat();
        let seen = decode_in(&[&bytes]).expect("valid");
        assert_eq!(seen, ["Ping([33])", "Text(\"hello\")"]);
    }

    #[test]
    fn what_the_protocol_forbids_is_refused_with_its_reason() {
        let unmasked = [0x81, 0x01, b'a'];
        let cases: [(&[u8], CloseReason); 8] = [
            (&unmasked, CloseReason::ProtocolError),
            (&client_frame(0xc1, b"a"), CloseReason::ProtocolError),
            (&client_frame(0x80, b"a"), CloseReason::ProtocolError),
            (&client_frame(0x83, b"a"), CloseReason::ProtocolError),
            (&client_frame(0x09, b"a"), CloseReason::ProtocolError),
            (&client_frame(0x81, &[0xff]), CloseReason::InvalidText),
            (&client_frame(0x88, &[3]), CloseReason::ProtocolError),
            (&client_frame(0x81, &vec![b'a'; 70_001]), CloseReason::TooLarge),
        ];
        for (bytes, reason) in cases {
            assert_eq!(decode_in(&[bytes]), Err(reason));
        }
    }

    #[test]
    fn a_binary_message_is_told_as_such_in_fragments_too() {
        let bytes = [client_frame(0x82, &[0xff]), client_frame(0x02, &[0xff]), client_frame(0x80, &[0xfe])].concat();
        assert_eq!(decode_in(&[&bytes]).expect("valid"), ["Binary", "Binary"]);
    }

    #[test]
    fn own_frames_of_every_length_are_read_back() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut out = BytesMut::new();
            put_text_head(&mut out, length);
            out.put_bytes(b'a', length);
            out.put_slice(b"rest");
            let (payload, is_text, rest) = next_own_frame(&out).expect("a frame");
            assert_eq!((payload.len(), is_text, rest), (length, true, &b"rest"[..]));
        }
        assert_eq!(next_own_frame(&[]), None);
    }

    proptest! {
        #[test]
        fn messages_arrive_the_same_however_the_bytes_are_cut(
            texts in proptest::collection::vec(".{0,200}", 1..6),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| client_frame(0x81, text.as_bytes())).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            at.sort_unstable();
            at.push(bytes.len());
            let mut from = 0;
            let pieces: Vec<&[u8]> =
                at.iter().map(|to| { let piece = &bytes[from..*to]; from = *to; piece }).collect();
            let expected: Vec<String> = texts.iter().map(|text| format!("{:?}", Item::Text(text))).collect();
            prop_assert_eq!(decode_in(&pieces), Ok(expected));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(pieces: Vec<Vec<u8>>) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = decode_in(&pieces);
        }
    }
}
