//! RFC 6455 from a client's side: whole frames are found in the bytes of a read and handed out in place.

/// The sort of a frame that holds text.
pub(crate) const TEXT: u8 = 1;
/// The sort of a frame that ends a connection.
pub(crate) const CLOSE: u8 = 8;
/// The sort of a frame that asks for a [`PONG`].
pub(crate) const PING: u8 = 9;
/// The sort of a frame that answers a [`PING`].
pub(crate) const PONG: u8 = 10;

/// Masks are random so that pages cannot write what they like into proxies. There is no page here, and a fixed mask
/// lets the server do the same work.
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

/// Lengths that say how many bytes the length itself takes: two, eight.
const MEDIUM: u8 = 0x7e;
const LONG: u8 = 0x7f;

/// Beside the length: clients mask.
const MASKED: u8 = 0x80;

/// A frame as it lies in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Its sort.
    pub(crate) opcode: u8,
    /// What it holds.
    pub(crate) payload: &'a [u8],
}

/// Bytes that no server sends, or that ours never does: a masked or fragmented frame, an extension's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

/// The frame at the front of `bytes` and how many bytes it takes; `None` while it is not there in full.
pub(crate) fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Foreign> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 || second & 0x80 != 0 {
        return Err(Foreign);
    }
    let (length_bytes, length) = match second & 0x7f {
        MEDIUM => (2, rest.first_chunk().map(|bytes| u64::from(u16::from_be_bytes(*bytes)))),
        LONG => (8, rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))),
        short => (0, Some(u64::from(short))),
    };
    let Some(length) = length else { return Ok(None) };
    let length = usize::try_from(length).map_err(|_| Foreign)?;
    let payload = rest.get(length_bytes..).and_then(|rest| rest.get(..length));
    Ok(payload.map(|payload| (Frame { opcode: first & 0x0f, payload }, 2 + length_bytes + length)))
}

/// Hands out the whole frames at the front of `bytes`; tells how many bytes they took.
pub(crate) fn whole_frames(bytes: &[u8], mut sink: impl FnMut(Frame<'_>)) -> Result<usize, Foreign> {
    let mut used = 0;
    while let Some((frame, taken)) = first(&bytes[used..])? {
        sink(frame);
        used += taken;
    }
    Ok(used)
}

/// Puts a frame as clients send them: whole and masked.
pub(crate) fn put_masked(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.push(MASKED | short),
        (_, Ok(medium)) => {
            out.push(MASKED | MEDIUM);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | LONG);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The code of a close frame; 1005 stands for none.
pub(crate) fn close_code(payload: &[u8]) -> u16 {
    match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1005,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server sends it.
    fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        put_masked(opcode, payload, &mut masked);
        let head = masked.len() - payload.len() - MASK.len();
        let mut out = masked[..head].to_vec();
        out[1] &= 0x7f;
        out.extend_from_slice(payload);
        out
    }

    fn found(bytes: &[u8]) -> (usize, Vec<(u8, Vec<u8>)>) {
        let mut frames = Vec::new();
        let used = whole_frames(bytes, |frame| frames.push((frame.opcode, frame.payload.to_vec()))).expect("frames");
        (used, frames)
    }

    #[test]
    fn frames_of_every_length_are_found_and_a_part_of_one_waits() {
        let lengths = [0, 1, 125, 126, 65_535, 65_536];
        let bytes: Vec<u8> = lengths.iter().flat_map(|length| unmasked(TEXT, &vec![b'x'; *length])).collect();
        let (used, frames) = found(&bytes);
        assert_eq!(used, bytes.len());
        assert_eq!(frames.iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>(), lengths);
        // However the bytes are cut, whole frames come out and the rest waits.
        let two = [unmasked(PING, b"a"), unmasked(TEXT, &[b'y'; 300])].concat();
        for cut in 0..two.len() {
            let (used, frames) = found(&two[..cut]);
            assert_eq!((used, frames.len()), if cut < 3 { (0, 0) } else { (3, 1) }, "cut at {cut}");
        }
    }

    #[test]
    fn what_only_clients_send_is_refused() {
        let mut masked = Vec::new();
        put_masked(TEXT, b"hello", &mut masked);
        assert_eq!(whole_frames(&masked, |_| ()), Err(Foreign));
        assert_eq!(masked[6] ^ MASK[0], b'h');
        assert_eq!(whole_frames(&[0x01, 0x00], |_| ()), Err(Foreign), "a fragment");
    }

    #[test]
    fn a_close_frame_may_have_no_code() {
        assert_eq!(close_code(&4005_u16.to_be_bytes()), 4005);
        assert_eq!(close_code(b""), 1005);
    }
}
