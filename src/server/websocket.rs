//! Messages off the front of a WebSocket stream: plain ones here, everything else by tungstenite.
//!
//! ```text
//! bytes ──> | whole, final, masked binary frame | ──unmask──────────────> message
//!           | ping, close, fragments            | ──one frame──> context ──> message, ping, close
//!           | what no client may send           | ──all that comes──> context ──> violation
//! ```
//!
//! Nearly all that clients send is the first kind, and a stream that stands between two such frames
//! needs no memory: the context, with its buffers, is there only while it has something to remember.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error as WsError, Message};

use super::inbound::Stopped;
use crate::session::Ending;
use crate::wire::Reason;

/// Reads the messages of one connection.
#[derive(Debug)]
pub(super) struct Websocket {
    context: Option<Box<WebSocketContext>>,
    /// The context has begun a message that other frames continue.
    fragmented: bool,
    /// The context has all that came, and gets all that comes: the stream is not as it should be.
    handed_over: bool,
    max_message: usize,
}

/// What a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A whole binary message.
    Message(Bytes),
    /// A ping, which has been answered.
    Ping,
}

/// A frame at the front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// Whole, and all there is to do is to unmask it.
    Plain { header: usize, payload: usize, mask: [u8; 4] },
    /// Whole, and of so many bytes; what it means is the context's business.
    Whole { len: usize, kind: Kind },
    /// Not here yet.
    Partial,
    /// Not what a client may send.
    Bad,
}

/// What a frame does to the messages of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Control,
    /// It ends a message.
    Final,
    /// Others continue its message.
    Begun,
}

/// tungstenite takes and zero-fills so much for each context; frames above it make it grow.
const CONTEXT_BUFFER: usize = 256;

impl Websocket {
    /// A stream whose messages are at most so long, in bytes.
    pub(super) const fn new(max_message: usize) -> Self {
        Self { context: None, fragmented: false, handed_over: false, max_message }
    }

    /// The next message at the front of `buffer`; `None` where more bytes are needed. Answers go to
    /// `answer`, as whole frames.
    pub(super) fn next(
        &mut self,
        buffer: &mut BytesMut,
        answer: &mut impl FnMut(&[u8]),
    ) -> Result<Option<Incoming>, Stopped> {
        while !buffer.is_empty() {
            if self.handed_over {
                return self.read(buffer, answer);
            }
            match front(buffer, self.max_message) {
                Front::Partial => return Ok(None),
                Front::Plain { header, payload, mask } if !self.fragmented => {
                    buffer.advance(header);
                    let mut message = buffer.split_to(payload);
                    unmask(&mut message, mask);
                    return Ok(Some(Incoming::Message(message.freeze())));
                }
                Front::Bad => self.handed_over = true,
                // A new message within another one: the context finds that out.
                Front::Plain { .. } => self.handed_over = true,
                Front::Whole { len, kind } => {
                    let mut frame = buffer.split_to(len);
                    let read = self.read(&mut frame, answer)?;
                    match kind {
                        Kind::Control => {}
                        Kind::Final => self.fragmented = false,
                        Kind::Begun => self.fragmented = true,
                    }
                    if !self.fragmented {
                        self.context = None;
                    }
                    if read.is_some() {
                        return Ok(read);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether [`next`](Self::next) has an answer without more bytes.
    pub(super) fn has_some(&self, bytes: &[u8]) -> bool {
        front(bytes, self.max_message) != Front::Partial
    }

    /// Lets the context read.
    fn read(&mut self, bytes: &mut BytesMut, answer: &mut impl FnMut(&[u8])) -> Result<Option<Incoming>, Stopped> {
        let max_message = self.max_message;
        let context = self.context.get_or_insert_with(|| context(max_message));
        let mut shim = Shim { bytes, answer };
        match context.read(&mut shim) {
            Ok(Message::Binary(bytes)) => Ok(Some(Incoming::Message(bytes))),
            Ok(Message::Ping(_)) => {
                // The answer is queued by the context; flushing hands it over.
                let flushed = context.flush(&mut shim);
                debug_assert!(flushed.is_ok(), "the shim takes everything");
                Ok(Some(Incoming::Ping))
            }
            Ok(Message::Text(_)) => Err(Ending::because(Reason::TEXT_MESSAGE).into()),
            Ok(Message::Pong(_) | Message::Frame(_)) => Ok(None),
            // tungstenite puts this in the place of a code that must not be sent.
            Ok(Message::Close(Some(close)))
                if close.code == CloseCode::Protocol && close.reason == "Protocol violation" =>
            {
                stopped(&ProtocolError::InvalidCloseSequence.into())
            }
            // Its answer is the last that is written, and not the context's to give.
            Ok(Message::Close(close)) => Err(Stopped::Left(close.map(|close| close.code.into()))),
            Err(error) => stopped(&error),
        }
    }
}

fn context(max_message: usize) -> Box<WebSocketContext> {
    let config = WebSocketConfig::default()
        .read_buffer_size(CONTEXT_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(4096)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    Box::new(WebSocketContext::new(Role::Server, Some(config)))
}

/// What a stream begins with (RFC 6455, section 5.2).
fn front(bytes: &[u8], max_message: usize) -> Front {
    const FINAL: u8 = 0x80;
    const RESERVED: u8 = 0x70;
    const MASKED: u8 = 0x80;
    const BINARY: u8 = 2;
    let [first, second, rest @ ..] = bytes else { return Front::Partial };
    let (is_final, opcode) = (first & FINAL != 0, first & 0x0f);
    let kind = match opcode {
        0..=2 if is_final => Kind::Final,
        0..=2 => Kind::Begun,
        8..=10 if is_final && second & !MASKED <= 125 => Kind::Control,
        _ => return Front::Bad,
    };
    if first & RESERVED != 0 || second & MASKED == 0 {
        return Front::Bad;
    }
    let (payload, rest, header) = match second & !MASKED {
        127 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest, 14),
            None => return Front::Partial,
        },
        126 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest, 8),
            None => return Front::Partial,
        },
        short => (u64::from(short), rest, 6),
    };
    let Some(payload) = usize::try_from(payload).ok().filter(|payload| *payload <= max_message) else {
        return Front::Bad;
    };
    match rest.split_first_chunk() {
        Some((mask, rest)) if rest.len() >= payload => {
            if opcode == BINARY && is_final {
                Front::Plain { header, payload, mask: *mask }
            } else {
                Front::Whole { len: header + payload, kind }
            }
        }
        _ => Front::Partial,
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = u32::from_ne_bytes(mask);
    let (chunks, rest) = bytes.as_chunks_mut::<4>();
    for chunk in chunks {
        *chunk = (u32::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// What a context reads from and writes to. It takes everything, so the context's own buffer is
/// always empty and its frames stay whole.
struct Shim<'a, A> {
    bytes: &'a mut BytesMut,
    answer: &'a mut A,
}

impl<A> Read for Shim<'_, A> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = buffer.len().min(self.bytes.len());
        self.bytes.split_to(len).copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

impl<A: FnMut(&[u8])> Write for Shim<'_, A> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.answer)(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stopped(error: &WsError) -> Result<Option<Incoming>, Stopped> {
    /// RFC 6455, section 7.4.1.
    const PROTOCOL_ERROR: u16 = 1002;
    const INVALID_DATA: u16 = 1007;
    const TOO_LARGE: u16 = 1009;
    let violated = |reason, code| Stopped::WebSocket(Ending::because(reason), code);
    Err(match error {
        WsError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        WsError::Capacity(CapacityError::MessageTooLong { .. }) => violated(Reason::FRAME_TOO_LARGE, TOO_LARGE),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Stopped::Gone,
        WsError::Protocol(_) | WsError::Capacity(_) => violated(Reason::WEBSOCKET, PROTOCOL_ERROR),
        WsError::Utf8(_) => violated(Reason::WEBSOCKET, INVALID_DATA),
        _ => Stopped::Gone,
    })
}

#[cfg(test)]
mod tests;
