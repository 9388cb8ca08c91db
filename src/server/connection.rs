//! One peer: a task that reads, asks the session, posts to shards, and writes.
//!
//! ```text
//!            ┌── inbound ──> session ──commands──> mailboxes of shards
//! socket <──>│                  └──replies──┐
//!            └── writer <───────────────────┴──── outbox <── shards
//! ```
//!
//! Everything happens in one poll: what the peer sent, what the shards queued, what time it is.
//! Nothing here waits for a shard, and no shard waits for this.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep_until};
use tracing::debug;

use super::clock::Clock;
use super::closing;
use super::inbound::{Inbound, Progress, Stopped};
use super::outbox::Outbox;
use super::registry::Place;
use super::shard::{Mail, Mailboxes};
use super::writer::{Framing, Writer};
use crate::command::Command;
use crate::session::{Ending, Facts, Output, Session};
use crate::time::Time;
use crate::wire::Reason;

/// What a connection needs of its server.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) facts: Arc<Facts>,
    pub(super) mailboxes: Mailboxes,
    pub(super) clock: Clock,
}

/// How the peer speaks.
#[derive(Debug)]
pub(super) enum Speaks {
    /// Frames on a stream.
    Tcp,
    /// WebSocket, after its handshake.
    WebSocket {
        /// What came behind the request.
        read: Bytes,
        /// The room that the request's path named.
        room: Option<Bytes>,
    },
}

/// One peer.
struct Connection<T> {
    io: T,
    surroundings: Surroundings,
    session: Session,
    outbox: Arc<Outbox>,
    inbound: Inbound,
    writer: Writer,
    output: Output,
    place: Arc<Place>,
    rooms: Rooms,
    /// Held until hello is accepted.
    greeting: Option<Arc<OwnedSemaphorePermit>>,
    reading: Reading,
}

/// Whether the socket is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    On,
    /// As many of our chunks wait in mailboxes as may.
    Backlogged,
}

/// Replies and answers of the WebSocket layer that may wait for a peer who does not read: the
/// rates of refusals and pings keep an honest one far below.
const UNREAD_REPLIES: usize = 64 * 1024;

/// Runs a connection to its end, the closing included. `greeting` is given back after hello, for
/// which the time counts from `connected`.
pub(super) async fn run<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    speaks: Speaks,
    surroundings: Surroundings,
    place: Place,
    greeting: Option<Arc<OwnedSemaphorePermit>>,
    connected: Time,
) {
    let facts = Arc::clone(&surroundings.facts);
    let outbox = Arc::new(Outbox::new(&facts.limits));
    place.enter(&outbox);
    let place = Arc::new(place);
    let (framing, inbound, session) = match speaks {
        Speaks::Tcp => (Framing::Tcp, Inbound::tcp(&facts.limits), Session::over_tcp(facts, connected)),
        Speaks::WebSocket { read, room } => {
            let inbound = Inbound::websocket(read, &facts.limits);
            (Framing::WebSocket, inbound, Session::over_websocket(facts, room, connected))
        }
    };
    let writer = Writer::new(framing);
    let rooms = Rooms {
        mailboxes: surroundings.mailboxes.clone(),
        place: Arc::clone(&place),
        shards: SmallVec::new(),
        last_will: Reason::FINISHED,
    };
    let mut connection = Connection {
        io,
        surroundings,
        session,
        outbox,
        inbound,
        writer,
        output: Output::default(),
        place,
        rooms,
        greeting,
        reading: Reading::On,
    };
    let stopped = connection.open().await;
    connection.close(stopped, framing).await;
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// Until the session ends.
    async fn open(&mut self) -> Stopped {
        let timer = sleep_until(tokio::time::Instant::now());
        tokio::pin!(timer);
        poll_fn(|cx| match self.poll(cx, timer.as_mut()) {
            Ok(()) => Poll::Pending,
            Err(stopped) => Poll::Ready(stopped),
        })
        .await
    }

    /// Everything that can be done now. The tasks that have more to give will wake us.
    fn poll(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Result<(), Stopped> {
        self.outbox.register(cx.waker());
        let read = self.poll_read(cx);
        // What a session said before it ended still reaches the shards.
        self.post()?;
        let wrote = read.and_then(|()| self.poll_write(cx));
        wrote.and_then(|()| self.poll_time(cx, timer))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<(), Stopped> {
        let now = self.surroundings.clock.now();
        if self.outbox.is_backlogged() {
            self.reading = Reading::Backlogged;
            self.session.handle_paused(now);
            return Ok(());
        }
        if self.reading == Reading::Backlogged {
            self.reading = Reading::On;
            self.session.handle_resumed(now);
        }
        let Self { io, inbound, session, writer, output, .. } = self;
        match inbound.poll_read(io, cx, session, now, writer, output) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(progress)) => {
                if progress == Progress::All {
                    // One read a turn: a second one would mostly find nothing. tokio knows whether
                    // there is more, and asks again only then.
                    self.read_again(cx)?;
                } else {
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Ready(Err(stopped)) => return Err(stopped),
        }
        if self.session.is_open() {
            self.greeting = None;
        }
        Ok(())
    }

    /// Reads until the socket has no more, so that it will wake us, or until it is another's turn.
    fn read_again(&mut self, cx: &mut Context<'_>) -> Result<(), Stopped> {
        /// Reads in a turn. 8: 32 KiB, after which other connections have their turn.
        const READS: usize = 8;
        /// Commands in a chunk, about. 256: what a shard handles in a fraction of a millisecond.
        const COMMANDS: usize = 256;
        for _ in 1..READS {
            if self.output.commands.len() >= COMMANDS {
                break;
            }
            let now = self.surroundings.clock.now();
            let Self { io, inbound, session, writer, output, .. } = self;
            match inbound.poll_read(io, cx, session, now, writer, output) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(stopped)) => return Err(stopped),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Posts commands to their shards: one chunk of mail for each shard that is meant.
    fn post(&mut self) -> Result<(), Stopped> {
        let mut by_shard: SmallVec<[(usize, SmallVec<[Command; 1]>); 1]> = SmallVec::new();
        for (route, command) in self.output.commands.drain(..) {
            let shard = self.surroundings.mailboxes.shard(route);
            match by_shard.iter_mut().find(|(other, _)| *other == shard) {
                Some((_, list)) => list.push(command),
                None => by_shard.push((shard, SmallVec::from_buf([command]))),
            }
        }
        for (shard, commands) in by_shard {
            self.rooms.post(shard, &self.outbox, commands)?;
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Stopped> {
        loop {
            self.take()?;
            if !self.output.replies.is_empty() {
                self.writer.push_answer(self.output.replies.split().freeze());
            }
            if self.writer.is_empty() {
                return Ok(());
            }
            match self.writer.poll_write(&mut self.io, cx) {
                // Something may have been queued meanwhile; it would find us marked as awake.
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(Stopped::Gone),
                Poll::Pending => {
                    let unread = self.writer.answers_left();
                    return if unread > UNREAD_REPLIES { Err(Ending::because(Reason::SLOW).into()) } else { Ok(()) };
                }
            }
        }
    }

    /// Takes what the shards queued and noticed.
    fn take(&mut self) -> Result<(), Stopped> {
        let (written, queue) = self.writer.refill();
        let before = queue.len();
        let notices = self.outbox.take(written, queue);
        let sending = queue.len() > before;
        let now = self.surroundings.clock.now();
        for handle in notices.released {
            self.session.handle_released(handle, now);
        }
        for _ in 0..notices.refusals {
            self.session.count_refusal(now)?;
        }
        if let Some((reconnect, closes)) = notices.going_away {
            self.session.handle_going_away(reconnect, closes, &mut self.output);
        }
        if let Some(ending) = notices.ending {
            return Err(ending.into());
        }
        if sending {
            self.session.handle_sending(now, &mut self.output);
        }
        Ok(())
    }

    fn poll_time(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Result<(), Stopped> {
        let clock = self.surroundings.clock;
        loop {
            let Some(deadline) = clock.instant(self.session.deadline()) else { return Ok(()) };
            // A deadline moves with every frame. The timer is left alone while it fires earlier: it
            // then finds nothing to do, and is set again.
            if timer.is_elapsed() || timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.session.handle_timeout(clock.now(), &mut self.output)?;
            self.poll_write(cx)?;
        }
    }

    /// Says why, and leaves.
    async fn close(mut self, stopped: Stopped, framing: Framing) {
        self.outbox.absorb();
        let ending = match stopped {
            Stopped::Ending(ending) | Stopped::WebSocket(ending, _) => Some(ending),
            Stopped::Gone => None,
        };
        let reason = ending.map_or(Reason::FINISHED, |ending| ending.reason);
        debug!(session = self.place.session.0, reason = reason.0, "session ended: {}", reason.sentence());
        self.rooms.last_will = reason;
        drop(self.rooms);
        self.writer.drop_queued();
        // Answers that precede the end are still sent: they were asked for before.
        if !self.output.replies.is_empty() {
            self.writer.push_answer(self.output.replies.split().freeze());
        }
        self.greeting = None;
        let limits = &self.surroundings.facts.limits;
        closing::run(&mut self.io, self.writer, stopped, framing, limits).await;
    }
}

/// The shards where this session may be in rooms. Dropping it, also in a panic, leaves them all.
#[derive(Debug)]
struct Rooms {
    mailboxes: Mailboxes,
    place: Arc<Place>,
    /// Every shard that was ever sent something.
    shards: SmallVec<[usize; 2]>,
    last_will: Reason,
}

impl Rooms {
    fn post(&mut self, shard: usize, outbox: &Arc<Outbox>, commands: SmallVec<[Command; 1]>) -> Result<(), Ending> {
        if !self.shards.contains(&shard) {
            self.shards.push(shard);
        }
        outbox.chunk_sent();
        let mail = Mail::Chunk { session: self.place.session, outbox: Arc::clone(outbox), commands };
        self.mailboxes.send(shard, mail).map_err(|_| Ending::because(Reason::INTERNAL))
    }
}

impl Drop for Rooms {
    fn drop(&mut self) {
        for shard in &self.shards {
            let ended = Mail::Ended { place: Arc::clone(&self.place), reason: self.last_will };
            // A shard that is gone has no rooms to leave.
            let _gone = self.mailboxes.send(*shard, ended);
        }
    }
}
