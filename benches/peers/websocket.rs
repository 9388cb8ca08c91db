//! The little of WebSocket that a load generator and the floor need.
//!
//! ```text
//! | fin, opcode | mask, length | longer length: 0, 2 or 8 | mask: 4, from clients | payload |
//! ```

use super::dialect::Sink;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The opcode, where the payload or its mask begins, and the payload's length.
pub(crate) fn head(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (bytes.first()?, bytes.get(1)?);
    let opcode = first & 0x0f;
    match second & 0x7f {
        126 => Some((opcode, 4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)))),
        127 => {
            let len = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            Some((opcode, 10, usize::try_from(len).ok()?))
        }
        short => Some((opcode, 2, usize::from(short))),
    }
}

/// Appends a frame's head: for a server unmasked, or with the bit and the key that a client owes.
pub(crate) fn put_head(opcode: u8, len: usize, masked: bool, out: &mut Vec<u8>) {
    let bit = if masked { 0x80 } else { 0 };
    out.push(0x80 | opcode);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ 0..126), _) => out.push(bit | short),
        (_, Ok(len)) => {
            out.push(bit | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(bit | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if masked {
        out.extend_from_slice(&KEY);
    }
}

/// Appends a client's whole frame.
pub(crate) fn put(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    put_head(opcode, payload.len(), true, out);
    let at = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[at..], KEY);
}

/// Masks or unmasks.
pub(crate) fn mask(bytes: &mut [u8], key: [u8; 4]) {
    // Eight at a time: the floor must not look dearer than it is.
    let [a, b, c, d] = key;
    let twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ twice).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Walks a server's whole frames: answers pings, hands data to `handle(opcode, last, payload, sink)`. Returns the
/// bytes used.
pub(crate) fn walk<S: Sink>(bytes: &[u8], sink: &mut S, mut handle: impl FnMut(u8, bool, &[u8], &mut S)) -> usize {
    let mut at = 0;
    while let Some((opcode, start, len)) = head(&bytes[at..]) {
        let Some(payload) = bytes[at..].get(start..start.saturating_add(len)) else { break };
        match opcode {
            0..=BINARY => handle(opcode, bytes[at] & 0x80 != 0, payload, sink),
            PING => {
                let mut answer = Vec::with_capacity(payload.len() + 8);
                put(PONG, payload, &mut answer);
                sink.reply(&answer);
            }
            PONG => {}
            CLOSE => sink.bad("WebSocket close"),
            _ => sink.bad("WebSocket opcode"),
        }
        at += start + len;
    }
    at
}

/// Walks a stream inside WebSocket frames: `carried` keeps what does not end at a frame's end.
pub(crate) fn walk_stream<S: Sink>(
    carried: &mut Vec<u8>,
    bytes: &[u8],
    sink: &mut S,
    mut inner: impl FnMut(&[u8], &mut S) -> usize,
) -> usize {
    walk(bytes, sink, |_, _, payload, sink| {
        if carried.is_empty() {
            let used = inner(payload, sink);
            carried.extend_from_slice(&payload[used..]);
        } else {
            carried.extend_from_slice(payload);
            let used = inner(carried, sink);
            carried.drain(..used);
        }
    })
}

/// Any key does: the bytes never leave this machine.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[cfg(test)]
mod tests {
    use super::super::dialect::Heard;
    use super::*;

    #[test]
    fn frames_of_every_length_come_back() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut frame = Vec::new();
            put(BINARY, &payload, &mut frame);
            let (opcode, at, got) = head(&frame).unwrap();
            assert_eq!((opcode, got, frame.len()), (BINARY, len, at + 4 + len));
            let key = *frame[at..].first_chunk().unwrap();
            mask(&mut frame[at + 4..], key);
            assert_eq!(frame[at + 4..], payload);
            // What a server sends has no key.
            let mut plain = Vec::new();
            put_head(BINARY, len, false, &mut plain);
            plain.extend_from_slice(&payload);
            assert_eq!(head(&plain[..1]), None);
            let mut heard = Heard::default();
            let walked = walk(&plain, &mut heard, |_, last, payload, heard| {
                assert!(last);
                heard.delivery(payload);
            });
            assert_eq!((walked, heard.deliveries), (plain.len(), vec![payload]));
        }
    }

    #[test]
    fn each_byte_is_masked_by_its_own_of_the_key() {
        for len in 0..40 {
            let mut bytes = vec![0; len];
            mask(&mut bytes, [1, 2, 4, 8]);
            assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == 1 << (at % 4)), "{bytes:?}");
        }
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let inner = |bytes: &[u8], heard: &mut Heard| {
            let whole = bytes.len() / 3 * 3;
            bytes[..whole].chunks(3).for_each(|unit| heard.delivery(unit));
            whole
        };
        let (mut heard, mut carried) = (Heard::default(), Vec::new());
        for piece in [&b"ab"[..], b"cd", b"e", b"fghi"] {
            let mut frame = Vec::new();
            put_head(BINARY, piece.len(), false, &mut frame);
            frame.extend_from_slice(piece);
            assert_eq!(walk_stream(&mut carried, &frame, &mut heard, inner), frame.len());
        }
        assert_eq!(heard.deliveries, [b"abc", b"def", b"ghi"]);
        assert!(carried.is_empty());
    }

    #[test]
    fn pings_are_answered_and_a_close_is_bad() {
        let mut heard = Heard::default();
        walk(&[0x89, 2, 7, 8, 0x88, 0], &mut heard, |_, _, _, _| unreachable!());
        assert_eq!(heard.bad, 1);
        assert_eq!(head(&heard.replies), Some((PONG, 2, 2)));
    }
}
