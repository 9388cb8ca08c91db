//! Where the frames toward a client end: the only places for bytes of the relay's own.
//!
//! ```text
//! TCP        | header, payload | header, payload |
//! WebSocket  | HTTP/1.1 101 .. | message (frames) | message (frames) |
//! ```

use bytes::{Buf, Bytes, BytesMut};
use tickwire::wire::control::Command;
use tickwire::wire::{Control, FrameType, Header, Sender, split_frame};

/// What is sent toward a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Frames.
    Tcp,
    /// The answer to a WebSocket request.
    Handshake,
    /// Messages.
    WebSocket,
    /// Something else: it is passed as it comes.
    Raw,
}

/// The longest head of an answer, in bytes. 16 KiB: ours has some hundred.
const MAX_HEAD: usize = 16 * 1024;

/// The longest message of a server, in bytes. 128 KiB: a server of ours sends 16 KiB, or one frame.
const MAX_MESSAGE: usize = 128 * 1024;

/// The first byte of a binary message that is whole (RFC 6455 5.2).
const BINARY: u8 = 0x82;

impl Framing {
    /// Takes what may be passed off the front, if it is whole.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Option<Bytes> {
        let len = match self {
            Self::Tcp => {
                let [_, high, low, _] = *buffer.first_chunk::<{ Header::LEN }>()?;
                Header::LEN + usize::from(u16::from_be_bytes([high, low]))
            }
            Self::Handshake => {
                let end = buffer.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4);
                if end.is_none() && buffer.len() < MAX_HEAD {
                    return None;
                }
                let accepted = buffer.starts_with(b"HTTP/1.1 101 ");
                *self = if accepted && end.is_some() { Self::WebSocket } else { Self::Raw };
                end.unwrap_or(buffer.len())
            }
            Self::WebSocket => {
                let (head, payload) = message_head(buffer)?;
                if payload > MAX_MESSAGE {
                    *self = Self::Raw;
                    buffer.len()
                } else {
                    head + payload
                }
            }
            Self::Raw => buffer.len(),
        };
        (len > 0 && buffer.len() >= len).then(|| buffer.split_to(len).freeze())
    }

    /// Whether bytes of our own may stand between those of the server now.
    pub(super) const fn has_begun(self) -> bool {
        matches!(self, Self::Tcp | Self::WebSocket)
    }

    /// Bytes as a client takes them: on WebSocket as one message.
    pub(super) fn wrap(self, bytes: &[u8]) -> Vec<u8> {
        let mut wrapped = Vec::with_capacity(bytes.len() + 10);
        if self == Self::WebSocket {
            wrapped.push(BINARY);
            match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
                (Ok(len @ ..126), _) => wrapped.push(len),
                (_, Ok(len)) => {
                    wrapped.push(126);
                    wrapped.extend(len.to_be_bytes());
                }
                _ => {
                    wrapped.push(127);
                    wrapped.extend((bytes.len() as u64).to_be_bytes());
                }
            }
        }
        wrapped.extend(bytes);
        wrapped
    }

    /// What a server that goes away says in these bytes of when to come back, in milliseconds (PROTOCOL 6.9).
    pub(super) fn going_away(self, passed: &Bytes) -> Option<u64> {
        let mut rest = passed.clone();
        match self {
            Self::Tcp => {}
            Self::WebSocket if passed.first() == Some(&BINARY) => rest.advance(message_head(passed)?.0),
            _ => return None,
        }
        let mut rest = &rest[..];
        while let Ok(Some((frame, behind))) = split_frame(rest, usize::from(u16::MAX), Sender::Server) {
            rest = behind;
            if frame.header.frame_type == FrameType::Control
                && let Ok(Control { command: Command::GoingAway(notice), .. }) = Control::decode(frame.payload)
            {
                return Some(notice.reconnect);
            }
        }
        None
    }
}

/// How long the head of a message is, and what follows it (RFC 6455 5.2). A server masks nothing.
fn message_head(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? & 0x7f {
        126 => bytes.get(2..)?.first_chunk().map(|len| (4, usize::from(u16::from_be_bytes(*len)))),
        127 => bytes
            .get(2..)?
            .first_chunk()
            .map(|len| (10, usize::try_from(u64::from_be_bytes(*len)).unwrap_or(usize::MAX))),
        len => Some((2, usize::from(len))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that come one by one are passed in these pieces.
    fn check(mut framing: Framing, bytes: &[u8], pieces: &[&[u8]], ends: Framing) {
        let mut buffer = BytesMut::new();
        let mut passed = Vec::new();
        for byte in bytes {
            buffer.extend([*byte]);
            passed.extend(framing.take(&mut buffer));
        }
        assert_eq!(passed, pieces);
        assert_eq!(framing, ends);
    }

    #[test]
    fn frames_and_messages_end_where_they_say() {
        check(Framing::Tcp, &[1, 0, 2, 0, 9, 9, 2, 0, 0, 0, 3], &[&[1, 0, 2, 0, 9, 9], &[2, 0, 0, 0]], Framing::Tcp);
        let answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x82\x01x\x82\x7e\x00\x02yz\x82";
        let pieces: [&[u8]; 3] = [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"\x82\x01x", b"\x82\x7e\x00\x02yz"];
        check(Framing::Handshake, answer, &pieces, Framing::WebSocket);
        let refused = b"HTTP/1.1 404 Not Found\r\n\r\nno";
        check(Framing::Handshake, refused, &[b"HTTP/1.1 404 Not Found\r\n\r\n", b"n", b"o"], Framing::Raw);
        // A length that no server of ours sends must not be waited for.
        check(
            Framing::WebSocket,
            &[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0],
            &[&[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0]],
            Framing::Raw,
        );
    }

    #[test]
    fn what_is_wrapped_is_one_message() {
        for len in [0, 125, 126, 65_535, 65_539] {
            let wrapped = Framing::WebSocket.wrap(&vec![7; len]);
            let mut buffer = BytesMut::from(&wrapped[..]);
            assert_eq!(Framing::WebSocket.take(&mut buffer).map(|taken| taken.len()), Some(wrapped.len()));
            assert_eq!(message_head(&wrapped).map(|(_, payload)| payload), Some(len));
        }
        assert_eq!(Framing::Tcp.wrap(&[1, 2]), [1, 2]);
    }

    #[test]
    fn a_notice_is_found_among_frames() {
        // PROTOCOL 16.8, behind an empty control frame.
        let frames = [&[2, 0, 2, 0, 0x0c, 4][..], &[2, 0, 5, 0, 9, 0, 0x8d, 0x1d, 0]].concat();
        assert_eq!(Framing::Tcp.going_away(&frames.clone().into()), Some(3725));
        assert_eq!(Framing::WebSocket.going_away(&Framing::WebSocket.wrap(&frames).into()), Some(3725));
        assert_eq!(Framing::Tcp.going_away(&Bytes::from_static(&[2, 0, 1, 0, 9])), None);
        assert_eq!(Framing::Raw.going_away(&frames.into()), None);
    }
}
