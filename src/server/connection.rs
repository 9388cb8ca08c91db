//! One peer: reads, asks the session, posts to shards, and writes.
//!
//! ```text
//!            ┌── inbound ──> session ──commands──> mailboxes of shards
//! socket <──>│                  └──replies──┐
//!            └── writer <───────────────────┴──── outbox <── shards
//! ```
//!
//! Everything happens in one poll: what the peer sent, what the shards queued, what time it is.
//! Nothing here waits for a shard, and no shard waits for this. A worker polls the connections of
//! its sockets; others are tasks that poll themselves.

mod end;
mod identify;
mod read;
mod resume;
pub(super) mod task;
mod tell;

use std::cell::Cell;
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tracing::debug;

use self::identify::Asked;
pub(super) use self::read::Here;
use self::read::Reading;
pub(super) use self::tell::Mark;
use super::access::Guest;
use super::clock::Clock;
use super::identify::Identification;
use super::inbound::{Inbound, Stopped};
use super::mailbox::Mailboxes;
use super::outbox::{Outbox, Taking};
use super::parking::Handover;
use super::registry::Place;
use super::rooms::Rooms;
use super::writer::{Framing, Writer};
use crate::command::{Command, SessionId};
#[cfg(feature = "console")]
use crate::identity::Identity;
use crate::limits::Limits;
use crate::session::{Ending, Facts, Output, Route, Session};
use crate::time::Time;
use crate::wire::{Capabilities, Reason};

/// What a connection needs of its server.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) facts: Arc<Facts>,
    pub(super) mailboxes: Mailboxes,
    pub(super) clock: Clock,
    pub(super) identification: Identification,
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
        /// The token that the request brought.
        token: Option<Bytes>,
    },
    /// WebSocket, by an operator whose key was looked at.
    #[cfg(feature = "console")]
    Operator {
        /// What came behind the request.
        read: Bytes,
        /// Who it is.
        identity: Arc<Identity>,
    },
}

/// One peer.
#[derive(Debug)]
pub(super) struct Connection<T> {
    io: T,
    surroundings: Arc<Surroundings>,
    session: Session,
    outbox: Arc<Outbox>,
    inbound: Inbound,
    writer: Writer,
    output: Output,
    place: Arc<Place>,
    rooms: Rooms,
    /// Where it came from, and the places it has for that; nothing is known where an application handed
    /// it over.
    guest: Option<Box<Guest>>,
    greeted: bool,
    /// Whether chunks of ours may wait in mailboxes of other shards, those of the session's earlier
    /// connections included.
    mailed: bool,
    connected: Time,
    /// What the outbox was told that the peer has not consumed.
    told: usize,
    /// The highest direct that the outbox was told to be confirmed.
    confirmed: u64,
    /// Whether the outbox knows that the peer waits to be told what is accepted.
    awaits: bool,
    reading: Reading,
    /// The session that hello asked for, on its way from its old connection.
    resuming: Option<oneshot::Receiver<Handover>>,
    /// The token that the session brought, while it is verified.
    asked: Option<Asked>,
    /// Who gets this session: another connection has taken it over.
    taken_by: Option<oneshot::Sender<Handover>>,
}

impl<T> Connection<T> {
    /// A connection that has said nothing yet. The time for hello counts from `connected`.
    pub(super) fn new(
        io: T,
        speaks: Speaks,
        surroundings: Arc<Surroundings>,
        place: Place,
        guest: Option<Guest>,
        connected: Time,
    ) -> Self {
        let facts = Arc::clone(&surroundings.facts);
        let outbox = Arc::new(Outbox::new(&facts));
        place.enter(&outbox);
        let place = Arc::new(place);
        let (framing, inbound, session) = match speaks {
            Speaks::Tcp => (Framing::Tcp, Inbound::tcp(&facts.limits), Session::over_tcp(facts, connected)),
            Speaks::WebSocket { read, room, token } => {
                let inbound = Inbound::websocket(read, &facts.limits);
                let session = Session::over_websocket(facts, room, connected).with_credential(token);
                (Framing::WebSocket, inbound, session)
            }
            #[cfg(feature = "console")]
            Speaks::Operator { read, identity } => {
                let inbound = Inbound::websocket(read, &facts.limits);
                let session = Session::over_websocket(facts, None, connected).with_identity(identity);
                (Framing::WebSocket, inbound, session)
            }
        };
        let session = match resume::token(place.session) {
            Some(token) if !surroundings.facts.limits.grace.is_zero() => session.with_token(token),
            _ => session,
        };
        let rooms = Rooms::new(surroundings.mailboxes.clone(), Arc::clone(&place));
        Self {
            io,
            surroundings,
            session,
            outbox,
            inbound,
            writer: Writer::new(framing),
            output: Output::default(),
            place,
            rooms,
            guest: guest.map(Box::new),
            greeted: false,
            mailed: false,
            connected,
            told: 0,
            confirmed: 0,
            awaits: false,
            reading: Reading::On,
            resuming: None,
            asked: None,
            taken_by: None,
        }
    }

    /// The same connection over what its socket is made into. `None`, and the connection is over, where
    /// that fails.
    pub(super) fn try_map_io<U>(self, map: impl FnOnce(T) -> io::Result<U>) -> Option<Connection<U>> {
        Some(Connection {
            io: map(self.io).inspect_err(|error| debug!("a socket cannot be used: {error}")).ok()?,
            surroundings: self.surroundings,
            session: self.session,
            outbox: self.outbox,
            inbound: self.inbound,
            writer: self.writer,
            output: self.output,
            place: self.place,
            rooms: self.rooms,
            guest: self.guest,
            greeted: self.greeted,
            mailed: self.mailed,
            connected: self.connected,
            told: self.told,
            confirmed: self.confirmed,
            awaits: self.awaits,
            reading: self.reading,
            resuming: self.resuming,
            asked: self.asked,
            taken_by: self.taken_by,
        })
    }

    /// Looks at fields all over what a turn touches, and says whose session it is.
    #[inline]
    pub(super) fn warm(&self) -> SessionId {
        self.session.warm();
        black_box((self.writer.is_empty(), self.writer.counts(), self.output.commands.capacity()));
        black_box((self.inbound.counts(), self.told, self.reading));
        self.outbox.warm();
        self.rooms.session()
    }

    /// What it reads from and writes to.
    pub(super) const fn io_mut(&mut self) -> &mut T {
        &mut self.io
    }

    /// Others of its worker find it by this key.
    pub(super) fn settle(&self, worker: usize, key: usize) {
        self.outbox.settle(Some((worker, key)));
    }

    /// It has left its worker.
    pub(super) fn unsettle(&self) {
        self.outbox.settle(None);
    }

    /// When [`handle_time`](Self::handle_time) has something to do, at the earliest.
    pub(super) fn deadline(&self, now: Time) -> Time {
        self.session.deadline(now)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// Reads what is there and writes what there is to write. `woken` says that somebody has woken us,
    /// so that there may be more to write than answers; `here` is the shard that runs us, if one does.
    pub(super) fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        woken: bool,
        now: Time,
        here: &mut impl Here,
    ) -> Result<(), Stopped> {
        if woken {
            self.outbox.register(cx.waker());
        }
        self.poll_hear(cx, now, here)?;
        if woken || self.has_news(now) { self.poll_write(cx, now) } else { Ok(()) }
    }

    /// Reads what is there, as much as in one turn.
    pub(super) fn poll_hear(&mut self, cx: &mut Context<'_>, now: Time, here: &mut impl Here) -> Result<(), Stopped> {
        self.pick_up();
        let read = self.poll_read(cx, now);
        // What a session said before it ended still reaches the shards.
        let posted = self.post(here, now);
        self.lay_down();
        posted.and(read)
    }

    /// Takes the thread's buffers for what a session says, which no connection needs between its turns.
    fn pick_up(&mut self) {
        if self.output.commands.capacity() == 0 {
            self.output.commands = COMMANDS.take();
        }
        if self.output.replies.capacity() == 0 {
            self.output.replies = REPLIES.take();
        }
    }

    /// Gives the thread its buffers back, as far as nothing is in them.
    fn lay_down(&mut self) {
        if self.output.commands.is_empty() && self.output.commands.capacity() > 0 {
            COMMANDS.set(std::mem::take(&mut self.output.commands));
        }
        if self.output.replies.is_empty() && self.output.replies.capacity() > 0 {
            REPLIES.set(std::mem::take(&mut self.output.replies));
        }
    }

    /// Whether a read has left something to write, or to tell the outbox.
    fn has_news(&self, now: Time) -> bool {
        let tracks = self.session.capabilities().has(Capabilities::ACCEPTED);
        let answers = !self.output.replies.is_empty() || self.writer.has_raw();
        tracks || answers || self.session.directs() > self.confirmed || self.unconsumed(now) != self.told
    }

    /// Bytes that the peer was sent and has not consumed, as far as is known.
    fn unconsumed(&self, now: Time) -> usize {
        let unconsumed = self.session.unconsumed(self.writer.total(), now);
        usize::try_from(unconsumed).unwrap_or(usize::MAX / 2)
    }

    /// Writes what is queued.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, now: Time) -> Result<(), Stopped> {
        self.pick_up();
        loop {
            self.take(now)?;
            if !self.output.replies.is_empty() {
                self.writer.push_answers(Bytes::copy_from_slice(&self.output.replies));
                self.output.replies.clear();
            }
            if self.writer.is_empty() {
                self.lay_down();
                // What TLS holds back leaves as the socket takes it; a plain one holds nothing.
                return match Pin::new(&mut self.io).poll_flush(cx) {
                    Poll::Ready(Err(_)) => Err(Stopped::Deaf),
                    Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
                };
            }
            match self.writer.poll_write(&mut self.io, cx) {
                // Something may have been queued meanwhile; it would find us marked as awake.
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(Stopped::Deaf),
                Poll::Pending => {
                    self.lay_down();
                    let unread = self.writer.answers_left();
                    return if unread > Limits::UNREAD_ANSWERS {
                        Err(Ending::because(Reason::SLOW).into())
                    } else {
                        Ok(())
                    };
                }
            }
        }
    }

    /// Takes what the shards queued and noticed.
    fn take(&mut self, now: Time) -> Result<(), Stopped> {
        let sent = self.writer.total();
        let unconsumed = self.unconsumed(now);
        self.told = unconsumed;
        let awaits = self.session.awaits_accepted();
        if std::mem::replace(&mut self.awaits, awaits) != awaits {
            self.outbox.await_accepted(awaits);
        }
        let (written, queue) = self.writer.refill();
        let before = queue.len();
        let Taking { mut notices, oldest } = self.outbox.take(written, unconsumed, queue);
        let sending = queue.len() > before;
        if self.session.directs() > self.confirmed {
            self.confirmed = self.session.directs();
            self.outbox.confirm_directs(self.confirmed);
        }
        if let Some(notices) = &mut notices {
            if let Some(by) = notices.delay.take() {
                self.session.handle_delay(by, now);
            }
            for hold in notices.released.drain(..) {
                self.session.handle_left(hold, now);
            }
            for refusal in notices.refusals.drain(..) {
                self.session.handle_refusal(&refusal, now, &mut self.output)?;
            }
        }
        self.session.handle_accepted(oldest, &mut self.output);
        if let Some(notices) = notices {
            self.handle_end(*notices)?;
        }
        if sending {
            self.session.handle_sending(sent, now, &mut self.output);
        }
        Ok(())
    }

    /// Has the socket read again that was not, where its time has come.
    fn wake_delayed(&self, cx: &Context<'_>, now: Time) {
        if self.reading == Reading::Delayed && !self.session.is_delayed(now) {
            cx.waker().wake_by_ref();
        }
    }

    /// Does what is due, where something is.
    pub(super) fn handle_time(&mut self, cx: &mut Context<'_>, now: Time) -> Result<(), Stopped> {
        self.wake_delayed(cx, now);
        if self.session.deadline(now) > now && self.unconsumed(now) == self.told {
            return Ok(());
        }
        self.session.handle_timeout(self.writer.total(), now, &mut self.output)?;
        self.poll_write(cx, now)
    }
}

thread_local! {
    /// Room for the commands and the replies of a turn.
    static COMMANDS: Cell<Vec<(Route, Command)>> = const { Cell::new(Vec::new()) };
    static REPLIES: Cell<BytesMut> = Cell::new(BytesMut::new());
}
