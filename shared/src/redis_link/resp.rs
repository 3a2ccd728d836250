//! RESP3, as much of it as the bus needs: commands out, replies and pushes in.
//!
//! A published event takes a path of its own through the parser: it is the one thing that comes a million times a
//! second. Its payload is copied out of the read buffer on purpose, because a slice that a room's ring keeps for hours
//! would hold the whole buffer.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// No reply that we ask for nests deeper.
const MAX_DEPTH: usize = 8;

/// The largest count or length that is believed. Redis itself allows 512 MB.
const MAX_LENGTH: usize = 512 << 20;

/// The other side does not speak RESP3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server does not speak RESP3")]
pub struct NotResp;

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null in any of its forms.
    Null,
    /// An integer.
    Int(i64),
    /// Text or bytes; doubles, booleans, big numbers and simple strings come as their text.
    Text(Bytes),
    /// An error, as the server words it.
    Error(String),
    /// Array or set; a map as keys and values in turn.
    List(Vec<Value>),
}

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// Payload of a message on a channel that is subscribed.
    Message(Bytes),
    /// The answer to a command.
    Reply(Value),
    /// Something else that was not asked for, or that confirms a subscription.
    Push(Vec<Value>),
}

impl Value {
    /// The bytes of a text.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A text that is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|text| std::str::from_utf8(text).ok())
    }

    /// An integer, also where it came as text.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(int) = self { Some(*int) } else { self.as_str()?.parse().ok() }
    }

    /// The elements of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }
}

/// Appends a command.
pub fn encode(out: &mut BytesMut, arguments: &[&[u8]]) {
    length(out, b'*', arguments.len());
    for argument in arguments {
        length(out, b'$', argument.len());
        out.put_slice(argument);
        out.put_slice(b"\r\n");
    }
}

fn length(out: &mut BytesMut, sort: u8, length: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = length;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_u8(sort);
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
}

/// Takes what came apart. Bytes may come in any pieces.
#[derive(Debug, Default)]
pub struct Parser {
    /// With fewer bytes than this, another look is in vain.
    needed: usize,
}

impl Parser {
    /// Takes the next whole thing off the buffer; `None` if it is not there in full.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Incoming>, NotResp> {
        if buffer.is_empty() || buffer.len() < self.needed {
            return Ok(None);
        }
        let mut cursor = Cursor { bytes: buffer, at: 0 };
        match cursor.incoming() {
            Ok(incoming) => {
                let at = cursor.at;
                buffer.advance(at);
                self.needed = 0;
                Ok(Some(incoming))
            }
            Err(Stop::Incomplete(needed)) => {
                self.needed = needed;
                Ok(None)
            }
            Err(Stop::NotResp) => Err(NotResp),
        }
    }
}

/// Why a look at the buffer ended early.
enum Stop {
    /// At least so many bytes are needed from the beginning of the buffer.
    Incomplete(usize),
    NotResp,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn incoming(&mut self) -> Result<Incoming, Stop> {
        loop {
            return match self.bytes.get(self.at) {
                Some(b'>') => self.push(),
                // Attributes describe the reply behind them; nothing here asks for any.
                Some(b'|') => {
                    self.value(0)?;
                    continue;
                }
                _ => self.value(0).map(Incoming::Reply),
            };
        }
    }

    fn push(&mut self) -> Result<Incoming, Stop> {
        let rest = &self.bytes[self.at..];
        for head in [b">3\r\n$7\r\nmessage\r\n".as_slice(), b">3\r\n$8\r\nsmessage\r\n"] {
            if rest.starts_with(head) {
                self.at += head.len();
                self.bulk()?;
                return Ok(Incoming::Message(Bytes::copy_from_slice(self.bulk()?)));
            }
        }
        self.at += 1;
        let count = self.count()?.unwrap_or(0);
        self.elements(count, 0).map(Incoming::Push)
    }

    /// A text with its length before it.
    fn bulk(&mut self) -> Result<&'a [u8], Stop> {
        if *self.bytes.get(self.at).ok_or(Stop::Incomplete(self.at + 1))? != b'$' {
            return Err(Stop::NotResp);
        }
        self.at += 1;
        let length = self.count()?.ok_or(Stop::NotResp)?;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let end = self.at + length;
        let text = self.bytes.get(self.at..end + 2).ok_or(Stop::Incomplete(end + 2))?;
        if !text.ends_with(b"\r\n") {
            return Err(Stop::NotResp);
        }
        self.at = end + 2;
        Ok(&text[..length])
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(Stop::Incomplete(self.bytes.len() + 1))?;
        self.at += end + 2;
        Ok(&rest[..end])
    }

    fn int(&mut self) -> Result<i64, Stop> {
        let line = self.line()?;
        std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(Stop::NotResp)
    }

    /// A length or count; `None` for -1, which is RESP2's null.
    fn count(&mut self) -> Result<Option<usize>, Stop> {
        match self.int()? {
            -1 => Ok(None),
            count => match usize::try_from(count) {
                Ok(count) if count <= MAX_LENGTH => Ok(Some(count)),
                _ => Err(Stop::NotResp),
            },
        }
    }

    fn elements(&mut self, count: usize, depth: usize) -> Result<Vec<Value>, Stop> {
        if depth >= MAX_DEPTH {
            return Err(Stop::NotResp);
        }
        // The count may be a lie, so it reserves no more than what is there could fill.
        let mut list = Vec::with_capacity(count.min((self.bytes.len() - self.at) / 3));
        for _ in 0..count {
            list.push(self.value(depth + 1)?);
        }
        Ok(list)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        let sort = *self.bytes.get(self.at).ok_or(Stop::Incomplete(self.at + 1))?;
        self.at += 1;
        let text = |bytes: &[u8]| Value::Text(Bytes::copy_from_slice(bytes));
        match sort {
            b'+' | b',' | b'#' | b'(' => self.line().map(text),
            b':' => self.int().map(Value::Int),
            b'-' => self.line().map(|line| Value::Error(String::from_utf8_lossy(line).into_owned())),
            b'_' => self.line().map(|_| Value::Null),
            b'$' | b'=' | b'!' => match self.count()? {
                None => Ok(Value::Null),
                Some(length) if sort == b'!' => {
                    self.take(length).map(|bytes| Value::Error(String::from_utf8_lossy(bytes).into_owned()))
                }
                // A verbatim text begins with its format and a colon.
                Some(length) if sort == b'=' => self.take(length).map(|bytes| text(bytes.get(4..).unwrap_or_default())),
                Some(length) => self.take(length).map(text),
            },
            b'*' | b'~' | b'>' => match self.count()? {
                None => Ok(Value::Null),
                Some(count) => self.elements(count, depth).map(Value::List),
            },
            b'%' | b'|' => {
                let count = self.count()?.ok_or(Stop::NotResp)?;
                self.elements(count * 2, depth).map(Value::List)
            }
            _ => Err(Stop::NotResp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(value: &Value, out: &mut BytesMut) {
        match value {
            Value::Null => out.put_slice(b"_\r\n"),
            Value::Int(int) => out.put_slice(format!(":{int}\r\n").as_bytes()),
            Value::Error(text) => out.put_slice(format!("-{text}\r\n").as_bytes()),
            Value::Text(text) => {
                length(out, b'$', text.len());
                out.put_slice(text);
                out.put_slice(b"\r\n");
            }
            Value::List(list) => {
                length(out, b'*', list.len());
                for value in list {
                    write(value, out);
                }
            }
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            any::<Vec<u8>>().prop_map(|bytes| Value::Text(bytes.into())),
            "[A-Z ]{0,20}".prop_map(Value::Error),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| proptest::collection::vec(inner, 0..5).prop_map(Value::List))
    }

    fn things() -> impl Strategy<Value = Incoming> {
        prop_oneof![
            values().prop_map(Incoming::Reply),
            any::<Vec<u8>>().prop_map(|bytes| Incoming::Message(bytes.into())),
            any::<i64>().prop_map(|n| Incoming::Push(vec![Value::Text("subscribe".into()), Value::Int(n)])),
        ]
    }

    proptest! {
        #[test]
        fn what_comes_in_any_pieces_is_read_whole(list in proptest::collection::vec(things(), 0..8), piece in 1_usize..64) {
            let mut bytes = BytesMut::new();
            for thing in &list {
                match thing {
                    Incoming::Reply(value) => write(value, &mut bytes),
                    Incoming::Message(payload) => {
                        bytes.put_slice(b">3\r\n$8\r\nsmessage\r\n$2\r\nch\r\n");
                        write(&Value::Text(payload.clone()), &mut bytes);
                    }
                    Incoming::Push(values) => {
                        length(&mut bytes, b'>', values.len());
                        for value in values {
                            write(value, &mut bytes);
                        }
                    }
                }
            }
            let (mut parser, mut buffer, mut read) = (Parser::default(), BytesMut::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                buffer.extend_from_slice(piece);
                while let Some(thing) = parser.next(&mut buffer).expect("is RESP3") {
                    read.push(thing);
                }
            }
            prop_assert_eq!(read, list);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, sort in "[*$>%:|=~!+_-][0-9]{0,12}\r\n") {
            for bytes in [bytes.clone(), [sort.as_bytes(), &bytes].concat()] {
                let (mut parser, mut buffer) = (Parser::default(), BytesMut::from(bytes.as_slice()));
                while let Ok(Some(_)) = parser.next(&mut buffer) {}
            }
        }
    }

    #[test]
    fn a_command_is_an_array_of_its_words() {
        let mut out = BytesMut::new();
        encode(&mut out, &[b"PUBLISH", b"", b"0123456789"]);
        assert_eq!(&out[..], b"*3\r\n$7\r\nPUBLISH\r\n$0\r\n\r\n$10\r\n0123456789\r\n");
    }
}
