//! A room, watched from inside the server: a session like any other over a pipe in memory, so that the
//! same rights, limits and ladder hold for it.
//!
//! ```text
//! Watch ──HELLO, JOIN──> pipe ──> connection ──> session ──> shard
//!   └──frames, answers to pings── pipe <── outbox <── room ────┘
//! ```
//!
//! It reads only when it is asked for more, and tells how much that was: so whoever takes nothing is seen
//! to be slow, as over a socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use crate::name::RoomName;
use crate::server::{Full, Handle as Server};
use crate::wire::control::{Command, Hello, Join, Mode};
use crate::wire::extension::kind;
use crate::wire::{
    Capabilities, Control, Decoder, Epoch, Extensions, Frame, FrameType, Handle, Header, MAGIC, Ping, PingBody,
    Position, Reason, RequestId, Sender, VERSION, put_extension, put_varint,
};

/// Bytes in the pipe, each way. 16 KiB: a frame of the default limit.
const PIPE: usize = 16 * 1024;

/// How long joining may take. 10 s: as long as hello may.
const JOINING: Duration = Duration::from_secs(10);

/// The largest payload that a header can announce.
const MAX_FRAME: usize = 65_535;

/// A member that only receives.
#[derive(Debug)]
pub(super) struct Watch {
    pipe: DuplexStream,
    buffer: BytesMut,
    decoder: Decoder,
    /// Bytes of frames that were handed on.
    consumed: u64,
}

/// What a watcher wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) room: RoomName,
    /// The last position it knows.
    pub(super) since: Option<(Epoch, Position)>,
    /// Who it is; empty for anonymous.
    pub(super) token: Vec<u8>,
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Next {
    /// A frame; pings are answered already.
    Frame(Frame),
    /// Nothing for so long.
    Silence,
    /// The session is over.
    End,
}

impl Watch {
    /// Joins, and waits for the answer, which is the frame. `ended` is told when the session has ended.
    ///
    /// # Errors
    /// Why not, in the words of the protocol.
    pub(super) async fn join(server: &Server, wanted: &Wanted, ended: Arc<Notify>) -> Result<(Self, Frame), Reason> {
        let (near, far) = duplex(PIPE);
        let server = server.clone();
        let attached = tokio::spawn(async move {
            let attached = server.attach_tcp(far).await;
            ended.notify_one();
            attached
        });
        let decoder = Decoder::new(Sender::Server, MAX_FRAME);
        let mut watch = Self { pipe: near, buffer: BytesMut::new(), decoder, consumed: 0 };
        match timeout(JOINING, watch.ask(wanted)).await {
            Ok(Some(answer)) => answer.map(|frame| (watch, frame)),
            // Without a word it ends only where there is no place.
            Ok(None) => match attached.await {
                Ok(Err(Full)) => Err(Reason::SERVER_FULL),
                Ok(Ok(())) | Err(_) => Err(Reason::INTERNAL),
            },
            Err(_) => Err(Reason::INTERNAL),
        }
    }

    /// The next frame. Waits at most for `patience`, whatever pings come meanwhile. Not cancel safe.
    pub(super) async fn next(&mut self, patience: Duration) -> Next {
        let deadline = Instant::now() + patience;
        loop {
            // Only the server speaks to us here: what cannot be read is a bug of ours, and an end.
            let Ok(decoded) = self.decoder.decode(&mut self.buffer) else { return Next::End };
            if let Some(frame) = decoded {
                self.consumed += (Header::LEN + frame.payload.len()) as u64;
                if frame.header.frame_type != FrameType::Ping {
                    return Next::Frame(frame);
                }
                if self.answer(&frame).await.is_none() {
                    return Next::End;
                }
                continue;
            }
            match timeout_at(deadline, self.pipe.read_buf(&mut self.buffer)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Next::End,
                Err(_) => return Next::Silence,
            }
        }
    }

    /// Whether there is a frame without waiting.
    pub(super) fn has_frame(&self) -> bool {
        self.decoder.has_frame(&self.buffer)
    }

    /// HELLO and JOIN in one go; the answer to JOIN. `None` where the session ends without one.
    async fn ask(&mut self, wanted: &Wanted) -> Option<Result<Frame, Reason>> {
        self.pipe.write_all(&opening(wanted)).await.ok()?;
        loop {
            let Next::Frame(frame) = self.next(JOINING).await else { return None };
            if frame.header.frame_type != FrameType::Control {
                continue;
            }
            match Control::decode(&frame.payload).ok()?.command {
                Command::Joined(_) => return Some(Ok(frame)),
                Command::Refused(refused) => return Some(Err(refused.reason)),
                Command::Close(close) => return Some(Err(close.reason)),
                // Joined or not, it would have to leave at once.
                Command::GoingAway(_) => return Some(Err(Reason::GOING_AWAY)),
                _ => {}
            }
        }
    }

    /// Answers a ping of the server, with what was taken so far.
    async fn answer(&mut self, frame: &Frame) -> Option<()> {
        let ping = Ping::decode(frame.header.flags, &frame.payload, Sender::Server).ok()?;
        if let PingBody::ServerAsk { .. } = ping.body {
            let body = PingBody::Client { answer: true, consumed: self.consumed, directs: 0 };
            let mut bytes = Vec::new();
            Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut bytes);
            self.pipe.write_all(&bytes).await.ok()?;
        }
        Some(())
    }
}

/// What a watcher says first.
fn opening(wanted: &Wanted) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    let mut extensions = Vec::new();
    if !wanted.token.is_empty() {
        put_extension(kind::TOKEN, &wanted.token, &mut extensions);
    }
    let extensions = Extensions::from_encoded(&extensions).unwrap_or_default();
    let hello = Hello { capabilities: Capabilities::HISTORY, extensions, ..Hello::default() };
    Control::new(RequestId(1), Command::Hello(hello)).encode(&mut bytes);

    let mut extensions = Vec::new();
    if let Some((epoch, position)) = wanted.since {
        let mut since = epoch.0.to_vec();
        put_varint(position.0, &mut since);
        put_extension(kind::SINCE, &since, &mut extensions);
    }
    let extensions = Extensions::from_encoded(&extensions).unwrap_or_default();
    let name = wanted.room.as_str().as_bytes();
    let join = Join { handle: Handle(1), mode: Mode::RECEIVE, name, extensions };
    Control::new(RequestId(2), Command::Join(join)).encode(&mut bytes);
    bytes
}
