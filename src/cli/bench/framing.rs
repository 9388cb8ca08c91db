//! Frames in the bytes of a connection, without a copy and without a task of their own.

use std::io::Cursor;

use tickwire::client::Scheme;
use tickwire::wire::{DecodeError, RawFrame, Sender, split_frame};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The largest payload a frame can announce.
const MAX_FRAME: usize = 65_535;

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Back to back.
    Tcp,
    /// Whole frames in binary messages.
    WebSocket,
}

/// What a server sent that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Decode(DecodeError),
    /// A WebSocket header that cannot be read, a text, a continuation: nothing of ours.
    WebSocket,
    /// A WebSocket close frame.
    Closed,
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl Framing {
    pub(super) const fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Tcp => Self::Tcp,
            Scheme::WebSocket => Self::WebSocket,
        }
    }

    /// Appends whole frames as the transport wants them.
    pub(super) fn wrap(self, frames: &[u8], out: &mut Vec<u8>) {
        if self == Self::Tcp {
            out.extend_from_slice(frames);
            return;
        }
        // RFC 6455 wants a mask that nobody can guess, against proxies that mistake messages for
        // requests. Nobody is attacked here, and every server has to do the same work.
        let mask = [0x5a, 0xc3, 0x96, 0x3c];
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), mask: Some(mask), ..FrameHeader::default() };
        header.format(frames.len() as u64, out).expect("writing to a vector does not fail");
        out.extend(frames.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Passes every whole frame at the front of `bytes` on: how many bytes were used.
    pub(super) fn walk(self, bytes: &[u8], mut each: impl FnMut(RawFrame<'_>)) -> Result<usize, Fault> {
        match self {
            Self::Tcp => Ok(bytes.len() - walk_frames(bytes, &mut each)?.len()),
            Self::WebSocket => walk_messages(bytes, &mut each),
        }
    }
}

fn walk_messages(bytes: &[u8], each: &mut impl FnMut(RawFrame<'_>)) -> Result<usize, Fault> {
    let mut used = 0;
    loop {
        let rest = &bytes[used..];
        let mut cursor = Cursor::new(rest);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Fault::WebSocket)?;
        let Some((header, len)) = parsed else { return Ok(used) };
        let start = usize::try_from(cursor.position()).map_err(|_| Fault::WebSocket)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_FRAME + 4).ok_or(Fault::WebSocket)?;
        let Some(message) = rest.get(start..start + len) else { return Ok(used) };
        match header.opcode {
            OpCode::Data(Data::Binary) if header.is_final => {
                if !walk_frames(message, each)?.is_empty() {
                    return Err(DecodeError::PartialFrame.into());
                }
            }
            OpCode::Control(Control::Close) => return Err(Fault::Closed),
            // A server of ours asks in frames of its own (PROTOCOL 9); these need no answer in a short run.
            OpCode::Control(Control::Ping | Control::Pong) => {}
            _ => return Err(Fault::WebSocket),
        }
        used += start + len;
    }
}

/// Passes whole frames on, and returns what is left.
fn walk_frames<'a>(mut bytes: &'a [u8], each: &mut impl FnMut(RawFrame<'_>)) -> Result<&'a [u8], Fault> {
    while let Some((frame, rest)) = split_frame(bytes, MAX_FRAME, Sender::Server)? {
        each(frame);
        bytes = rest;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two frames without payload, and the start of a third.
    const FRAMES: &[u8] = &[3, 0, 0, 0, 2, 0, 0, 0, 1, 0];

    fn count(framing: Framing, bytes: &[u8]) -> Result<(usize, usize), Fault> {
        let mut frames = 0;
        framing.walk(bytes, |_| frames += 1).map(|used| (used, frames))
    }

    #[test]
    fn frames_are_found_in_both_transports() {
        assert_eq!(count(Framing::Tcp, FRAMES), Ok((8, 2)));
        let mut message = vec![0x82, 8];
        message.extend_from_slice(&FRAMES[..8]);
        message.extend_from_slice(&[0x82, 4, 3]);
        assert_eq!(count(Framing::WebSocket, &message), Ok((10, 2)));
        assert_eq!(count(Framing::WebSocket, &[0x82, 2, 3, 0]), Err(Fault::Decode(DecodeError::PartialFrame)));
        assert_eq!(count(Framing::WebSocket, &[0x88, 0]), Err(Fault::Closed));
        assert_eq!(count(Framing::WebSocket, &[0x81, 0]), Err(Fault::WebSocket));
        assert_eq!(count(Framing::WebSocket, &[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0]), Err(Fault::WebSocket));
    }

    #[test]
    fn messages_are_masked() {
        let mut out = Vec::new();
        Framing::WebSocket.wrap(&[0, 0, 0, 0, 1], &mut out);
        assert_eq!(out, [0x82, 0x85, 0x5a, 0xc3, 0x96, 0x3c, 0x5a, 0xc3, 0x96, 0x3c, 0x5b]);
    }
}
