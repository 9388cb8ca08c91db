//! From a socket's bytes to frames: the two transports before the one decoder.
//!
//! ```text
//! TCP        socket ──> BytesMut ──────────────────────────> decoder ──> frames
//! WebSocket  socket ──> WebSocketContext ──> messages ─────> decoder ──> frames
//!                              └── pongs and closes ──> Writer, between messages
//! ```

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error as WsError, Message};

use super::writer::Writer;
use crate::limits::Limits;
use crate::session::{Ending, Output, Session};
use crate::time::Time;
use crate::wire::{Decoder, Header, Reason, Sender};

/// Reads one connection.
#[derive(Debug)]
pub(super) struct Inbound {
    transport: Transport,
    decoder: Decoder,
}

#[derive(Debug)]
enum Transport {
    Tcp { buffer: BytesMut },
    WebSocket { context: Box<WebSocketContext>, message: Bytes },
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The session ended, and the peer is to be told.
    Ending(Ending),
    /// As `Ending`, for a violation of RFC 6455 with this close code.
    WebSocket(Ending, u16),
    /// The peer has closed in the way of its transport.
    Left,
    /// The connection broke.
    Gone,
}

impl From<Ending> for Stopped {
    fn from(ending: Ending) -> Self {
        Self::Ending(ending)
    }
}

/// What came of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The read was used up.
    All,
    /// Frames are left; other tasks should have a turn first.
    Some,
}

/// What one read takes at most. 4 KiB: a hundred messages, and little to pin while they wait.
const READ: usize = 4 * 1024;

/// tungstenite zero-fills its read buffer on every read, so it is kept small.
const WEBSOCKET_READ: usize = 2 * 1024;

/// Frames of one read before other tasks get a turn: a read may hold a thousand empty ones.
const FRAMES: usize = 256;

impl Inbound {
    pub(super) fn tcp(limits: &Limits) -> Self {
        Self::new(Transport::Tcp { buffer: BytesMut::new() }, limits)
    }

    /// `read` is what came behind the request.
    pub(super) fn websocket(read: Bytes, limits: &Limits) -> Self {
        let message = limits.max_frame + Header::LEN;
        let config = WebSocketConfig::default()
            .read_buffer_size(WEBSOCKET_READ)
            .write_buffer_size(0)
            .max_write_buffer_size(4096)
            .max_message_size(Some(message))
            .max_frame_size(Some(message));
        let context = WebSocketContext::from_partially_read(read.into(), Role::Server, Some(config));
        Self::new(Transport::WebSocket { context: Box::new(context), message: Bytes::new() }, limits)
    }

    fn new(transport: Transport, limits: &Limits) -> Self {
        Self { transport, decoder: Decoder::new(Sender::Client, limits.max_hello_frame) }
    }

    /// Reads once, and gives the session what it makes whole.
    pub(super) fn poll_read<T: AsyncRead + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
        session: &mut Session,
        now: Time,
        writer: &mut Writer,
        output: &mut Output,
    ) -> Poll<Result<Progress, Stopped>> {
        let Self { transport, decoder } = self;
        match transport {
            Transport::Tcp { buffer } => {
                // Frames that the last turn left behind come before another read.
                if !decoder.has_frame(buffer) {
                    reserve(buffer, decoder);
                    match ready!(poll_read_buf(io, cx, buffer)) {
                        Ok(0) | Err(_) => return Poll::Ready(Err(Stopped::Gone)),
                        Ok(_) => {}
                    }
                }
                Poll::Ready(read_stream(buffer, decoder, session, now, output))
            }
            Transport::WebSocket { context, message } => {
                if message.is_empty() {
                    let mut shim = Shim { io, cx, writer };
                    match context.read(&mut shim) {
                        Ok(Message::Binary(bytes)) => *message = bytes,
                        Ok(Message::Ping(_)) => {
                            // The answer is queued by the context; flushing hands it to the writer.
                            let flushed = context.flush(&mut shim);
                            debug_assert!(flushed.is_ok(), "the shim takes everything");
                            session.handle_websocket_ping(now)?;
                        }
                        Ok(Message::Text(_)) => {
                            return Poll::Ready(Err(Ending::because(Reason::TEXT_MESSAGE).into()));
                        }
                        Ok(Message::Pong(_) | Message::Frame(_)) => {}
                        // tungstenite puts this in the place of a code that must not be sent.
                        Ok(Message::Close(Some(close)))
                            if close.code == CloseCode::Protocol && close.reason == "Protocol violation" =>
                        {
                            return stopped(&ProtocolError::InvalidCloseSequence.into());
                        }
                        Ok(Message::Close(_)) => {
                            // The answer is queued by the context; flushing hands it to the writer,
                            // and says that the connection is closed.
                            let _closed = context.flush(&mut shim);
                            return Poll::Ready(Err(Stopped::Left));
                        }
                        Err(error) => return stopped(&error),
                    }
                }
                Poll::Ready(read_message(message, decoder, session, now, output))
            }
        }
    }
}

fn read_stream(
    buffer: &mut BytesMut,
    decoder: &mut Decoder,
    session: &mut Session,
    now: Time,
    output: &mut Output,
) -> Result<Progress, Stopped> {
    if !session.handle_preamble(buffer)? {
        return Ok(Progress::All);
    }
    for _ in 0..FRAMES {
        if session.waiting().is_some() {
            break;
        }
        decoder.set_max_payload(session.max_frame());
        match decoder.decode(buffer).map_err(Ending::from)? {
            Some(frame) => session.handle_frame(frame, now, output)?,
            None => return Ok(Progress::All),
        }
    }
    Ok(Progress::Some)
}

fn read_message(
    message: &mut Bytes,
    decoder: &mut Decoder,
    session: &mut Session,
    now: Time,
    output: &mut Output,
) -> Result<Progress, Stopped> {
    for _ in 0..FRAMES {
        if session.waiting().is_some() {
            break;
        }
        decoder.set_max_payload(session.max_frame());
        match decoder.decode_message(message).map_err(Ending::from)? {
            Some(frame) => session.handle_frame(frame, now, output)?,
            None => {
                // Not to pin the read buffer while nothing is left of the message.
                *message = Bytes::new();
                return Ok(Progress::All);
            }
        }
    }
    Ok(Progress::Some)
}

/// Makes room for a read, and for the rest of a frame whose header is there: its length was
/// checked by then.
fn reserve(buffer: &mut BytesMut, decoder: &Decoder) {
    let wanted = decoder.missing(buffer).unwrap_or_default().max(READ / 4);
    if buffer.capacity() - buffer.len() < wanted {
        buffer.reserve(wanted.max(READ));
    }
}

fn poll_read_buf<T: AsyncRead + Unpin>(
    io: &mut T,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    // The future keeps nothing between polls, so that it may be made anew for each.
    std::pin::pin!(io.read_buf(buffer)).poll(cx)
}

/// What a WebSocket context reads from and writes to: the socket, and the connection's writer.
/// It takes everything, so the context's own buffer is always empty and its frames stay whole.
struct Shim<'a, 'b, T> {
    io: &'a mut T,
    cx: &'a mut Context<'b>,
    writer: &'a mut Writer,
}

impl<T: AsyncRead + Unpin> Read for Shim<'_, '_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buffer) {
            Poll::Ready(Ok(())) => Ok(buffer.filled().len()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<T> Write for Shim<'_, '_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.push_raw(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stopped(error: &WsError) -> Poll<Result<Progress, Stopped>> {
    /// RFC 6455, section 7.4.1.
    const PROTOCOL_ERROR: u16 = 1002;
    const INVALID_DATA: u16 = 1007;
    const TOO_LARGE: u16 = 1009;
    let violated = |reason, code| Stopped::WebSocket(Ending::because(reason), code);
    Poll::Ready(Err(match error {
        WsError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
        WsError::Capacity(CapacityError::MessageTooLong { .. }) => violated(Reason::FRAME_TOO_LARGE, TOO_LARGE),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Stopped::Gone,
        WsError::Protocol(_) | WsError::Capacity(_) => violated(Reason::WEBSOCKET, PROTOCOL_ERROR),
        WsError::Utf8(_) => violated(Reason::WEBSOCKET, INVALID_DATA),
        _ => Stopped::Gone,
    }))
}
