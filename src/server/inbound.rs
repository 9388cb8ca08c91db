//! From a socket's bytes to frames: the two transports before the one decoder.
//!
//! ```text
//! TCP        socket ──> scratch ──> bytes ──────────────────────────> decoder ──> frames
//! WebSocket  socket ──> scratch ──> bytes ──> Websocket ──> messages ──> decoder ──> frames
//!                                                 └── pongs ──> Writer, between messages
//! ```
//!
//! The scratch belongs to the thread and not to the connection: a connection from which nothing is
//! half read owns no buffer. What a read leaves behind moves into memory of its own, so that nobody
//! who takes his time pins what others have read.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::websocket::{Incoming, Websocket};
use super::writer::Writer;
use crate::limits::Limits;
use crate::session::{Ending, Output, Session};
use crate::time::Time;
use crate::wire::{Decoder, Header, Sender};

/// Reads one connection.
#[derive(Debug)]
pub(super) struct Inbound {
    transport: Transport,
    decoder: Decoder,
    /// What came and has not had its turn.
    bytes: BytesMut,
    /// Whether that is in memory of its own.
    owned: bool,
    /// Bytes that were read, and frames that were whole.
    read: u64,
    frames: u64,
}

#[derive(Debug)]
enum Transport {
    Tcp,
    WebSocket { stream: Websocket, message: Bytes },
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The session ended, and the peer is to be told.
    Ending(Ending),
    /// As `Ending`, for a violation of RFC 6455 with this close code.
    WebSocket(Ending, u16),
    /// The peer has sent a close frame, with this code if with one.
    Left(Option<u16>),
    /// The peer takes nothing more. What it sent before may be here, and why it ends: a socket that is closed with unread
    /// bytes is reset, and then a write fails before its last words are read.
    Deaf,
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
    /// Frames are left; other connections should have a turn first.
    Some,
}

/// Frames of one read before others get a turn: a read may hold thousands of empty ones.
const FRAMES: usize = 256;

/// Where the connections of a thread read into.
struct Scratch {
    read: Box<[u8]>,
    /// What was read moves on from here, so that nothing is filled with zeros before it is read
    /// into. The memory is taken again as soon as nobody has a part of it.
    bytes: BytesMut,
}

impl Default for Scratch {
    fn default() -> Self {
        let read = vec![0; Limits::READ].into_boxed_slice();
        Self { read, bytes: BytesMut::with_capacity(Limits::READ) }
    }
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Inbound {
    pub(super) fn tcp(limits: &Limits) -> Self {
        Self::new(Transport::Tcp, BytesMut::new(), limits)
    }

    /// `read` is what came behind the request.
    pub(super) fn websocket(read: Bytes, limits: &Limits) -> Self {
        let stream = Websocket::new(limits.max_frame + Header::LEN);
        Self::new(Transport::WebSocket { stream, message: Bytes::new() }, read.into(), limits)
    }

    fn new(transport: Transport, bytes: BytesMut, limits: &Limits) -> Self {
        let decoder = Decoder::new(Sender::Client, limits.max_hello_frame);
        Self { transport, decoder, bytes, owned: true, read: 0, frames: 0 }
    }

    /// Bytes read so far, and frames among them.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.read, self.frames)
    }

    /// Gives the session what is whole of what is here, or else of what one read brings.
    pub(super) fn poll_read<T: AsyncRead + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
        session: &mut Session,
        now: Time,
        writer: &mut Writer,
        output: &mut Output,
    ) -> Poll<Result<Progress, Stopped>> {
        // Frames that the last turn left behind come before another read.
        if !self.has_some() && ready!(self.poll_fill(io, cx)) == 0 {
            return Poll::Ready(Err(Stopped::Gone));
        }
        let progress = self.handle(session, now, writer, output);
        self.settle();
        Poll::Ready(progress)
    }

    /// Whether something is here that can be handled without reading on.
    fn has_some(&self) -> bool {
        match &self.transport {
            Transport::Tcp => self.decoder.has_frame(&self.bytes),
            Transport::WebSocket { stream, message } => !message.is_empty() || stream.has_some(&self.bytes),
        }
    }

    /// Reads once: how many bytes came; 0 is the end, whatever its reason.
    fn poll_fill<T: AsyncRead + Unpin>(&mut self, io: &mut T, cx: &mut Context<'_>) -> Poll<usize> {
        // Taken out, since whose stream this is may poll another connection in there.
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let filled = self.poll_fill_from(io, cx, &mut scratch);
        SCRATCH.set(Some(scratch));
        filled
    }

    fn poll_fill_from<T: AsyncRead + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Poll<usize> {
        let mut read = ReadBuf::new(&mut scratch.read);
        if ready!(Pin::new(io).poll_read(cx, &mut read)).is_err() {
            return Poll::Ready(0);
        }
        self.read += read.filled().len() as u64;
        if self.bytes.is_empty() {
            scratch.bytes.extend_from_slice(read.filled());
            self.bytes = scratch.bytes.split();
            self.owned = false;
        } else {
            // A large frame grows as its bytes come: its header alone costs nothing.
            self.bytes.extend_from_slice(read.filled());
        }
        Poll::Ready(read.filled().len())
    }

    fn handle(
        &mut self,
        session: &mut Session,
        now: Time,
        writer: &mut Writer,
        output: &mut Output,
    ) -> Result<Progress, Stopped> {
        let Self { transport, decoder, bytes, frames, .. } = self;
        match transport {
            Transport::Tcp => read_stream(bytes, decoder, frames, session, now, output),
            Transport::WebSocket { stream, message } => {
                let mut answer = |bytes: &[u8]| writer.push_raw(bytes);
                for _ in 0..FRAMES {
                    if message.is_empty() {
                        match stream.next(bytes, &mut answer)? {
                            Some(Incoming::Message(next)) => *message = next,
                            Some(Incoming::Ping) => {
                                session.handle_websocket_ping(now)?;
                                if session.is_delayed(now) {
                                    return Ok(Progress::Some);
                                }
                                continue;
                            }
                            None => return Ok(Progress::All),
                        }
                    }
                    if read_message(message, decoder, frames, session, now, output)? == Progress::Some {
                        return Ok(Progress::Some);
                    }
                }
                Ok(Progress::Some)
            }
        }
    }

    /// What is left gets memory of its own.
    fn settle(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        } else if !self.owned {
            self.bytes = BytesMut::from(&self.bytes[..]);
        }
        self.owned = true;
        if let Transport::WebSocket { message, .. } = &mut self.transport
            && !message.is_empty()
        {
            *message = Bytes::copy_from_slice(message);
        }
    }
}

fn read_stream(
    buffer: &mut BytesMut,
    decoder: &mut Decoder,
    frames: &mut u64,
    session: &mut Session,
    now: Time,
    output: &mut Output,
) -> Result<Progress, Stopped> {
    if !session.handle_preamble(buffer)? {
        return Ok(Progress::All);
    }
    for _ in 0..FRAMES {
        if session.is_waiting() || session.is_delayed(now) {
            break;
        }
        decoder.set_max_payload(session.max_frame());
        match decoder.decode(buffer).map_err(Ending::from)? {
            Some(frame) => {
                *frames += 1;
                session.handle_frame(frame, now, output)?;
            }
            None => return Ok(Progress::All),
        }
    }
    Ok(Progress::Some)
}

fn read_message(
    message: &mut Bytes,
    decoder: &mut Decoder,
    frames: &mut u64,
    session: &mut Session,
    now: Time,
    output: &mut Output,
) -> Result<Progress, Stopped> {
    for _ in 0..FRAMES {
        if session.is_waiting() || session.is_delayed(now) {
            break;
        }
        decoder.set_max_payload(session.max_frame());
        match decoder.decode_message(message).map_err(Ending::from)? {
            Some(frame) => {
                *frames += 1;
                session.handle_frame(frame, now, output)?;
            }
            None => {
                // Not to pin what was read while nothing is left of the message.
                *message = Bytes::new();
                return Ok(Progress::All);
            }
        }
    }
    Ok(Progress::Some)
}
