//! The sending half of a client.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::clock::Clock;
use super::error::Error;
use super::outgoing::{Backlog, Chunk};
use super::progress::Progress;
use super::resume::Beginning;
use super::session::Consumption;
use super::{ClientConfig, JoinOptions, ResumePoint, What};
use crate::name::RoomName;
use crate::wire::control::{Close, Command, Join, Leave, Members, Mode, Receive, SetPresence, Token as Renewal};
use crate::wire::header::flags;
use crate::wire::{ClientData, Control, Extensions, Handle, Key, MemberNumber, Reason, Record, RequestId, Target};

/// Sends commands and messages. What it sends waits in a bounded queue, so that a method waits
/// where the server does not read.
///
/// Where the server tells which messages it has accepted (PROTOCOL 12.3), messages are kept until then,
/// within the bounds of the [`ClientConfig`](super::ClientConfig); [`publish`](Self::publish) waits for
/// a place. Somebody must ask the other half for events meanwhile: it hears what is accepted.
///
/// Every method is cancel safe: a future that is dropped early has sent nothing.
#[derive(Debug)]
pub struct Sender {
    queue: mpsc::Sender<Chunk>,
    consumption: Arc<Consumption>,
    progress: Arc<Progress>,
    backlog: Arc<Backlog>,
    /// The task that writes.
    writer: Option<AbortHandle>,
    clock: Clock,
    /// How long messages may wait for others.
    gather: Option<Duration>,
    max_message: usize,
    requests: u64,
    handles: u64,
}

/// When a message is to leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// With its room's tick. Where the configuration says so, it waits for others first: see
    /// [`ClientConfig::gather`].
    #[default]
    Tick,
    /// At once (PROTOCOL 11.6).
    Urgent,
}

impl Sender {
    pub(super) fn new(
        queue: mpsc::Sender<Chunk>,
        beginning: &Beginning,
        backlog: Arc<Backlog>,
        clock: Clock,
        gather: Option<Duration>,
    ) -> Self {
        let session = &beginning.session;
        let terms = session.terms();
        // Whatever the server says: with its arguments, a message must fit the 16 bits of a length.
        let largest = u64::from(u16::MAX).min(terms.max_frame) - terms.max_frame.min(Record::MAX_OVERHEAD as u64);
        Self {
            queue,
            consumption: Arc::clone(&session.consumption),
            progress: Arc::clone(&session.progress),
            backlog,
            writer: None,
            clock,
            // What is added to a time must not leave its range.
            gather: gather.map(|gather| gather.min(ClientConfig::MAX_GATHER)),
            max_message: usize::try_from(terms.max_message.min(largest)).unwrap_or(0),
            requests: beginning.requests,
            handles: beginning.handles,
        }
    }

    /// Asks to join a room. [`Event::Joined`](super::Event::Joined) or
    /// [`Event::Refused`](super::Event::Refused) answers with the same request; the handle may be
    /// published to before.
    ///
    /// # Errors
    /// [`Error::RoomName`], or [`Error::Ended`].
    pub async fn join(&mut self, name: &str, mode: Mode) -> Result<(RequestId, Handle), Error> {
        self.join_with(name, JoinOptions::new(mode)).await
    }

    /// Asks to join a room, with everything a join can say. See [`join`](Self::join).
    ///
    /// # Errors
    /// As for [`join`](Self::join), and [`Error::MessageTooLarge`] where the data certainly is.
    pub async fn join_with(&mut self, name: &str, options: JoinOptions) -> Result<(RequestId, Handle), Error> {
        let name = RoomName::new(name.as_bytes()).ok_or(Error::RoomName)?;
        let handle = Handle(self.handles + 1);
        let encoded = options.extensions();
        if !encoded.is_empty() {
            // The name and the numbers need a place in the frame as well.
            self.check_len(encoded.len() + RoomName::MAX_LEN)?;
        }
        let extensions = Extensions::from_encoded(&encoded)?;
        let join = Join { handle, mode: options.mode, name: name.as_str().as_bytes(), extensions };
        let known = name.clone();
        let note = |progress: &Progress, request| progress.handle_join(handle, known, options, request);
        let request = self.ask_and_note(Command::Join(join), note).await?;
        self.handles = handle.0;
        Ok((request, handle))
    }

    /// Asks to leave a room. [`Event::Left`](super::Event::Left) answers.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn leave(&mut self, handle: Handle) -> Result<RequestId, Error> {
        let leave = Leave { handle, extensions: Extensions::NONE };
        self.ask_and_note(Command::Leave(leave), |progress, _| progress.handle_leave(handle)).await
    }

    /// Asks for more or less of a room; needs the capability `receive`. [`Event::Done`](super::Event::Done)
    /// answers; behind more, a gap and a snapshot follow.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn receive(&mut self, handle: Handle, what: What) -> Result<RequestId, Error> {
        // PROTOCOL 6.11: in this version the divisor is 1 and the area 0.
        let receive = Receive { handle, what: what as u8, divisor: 1, area: 0, extensions: Extensions::NONE };
        self.ask(Command::Receive(receive)).await
    }

    /// Asks for a page of members with higher numbers than `after`; needs the capability `pages`.
    /// [`Event::Page`](super::Event::Page) answers.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn members(&mut self, handle: Handle, after: MemberNumber) -> Result<RequestId, Error> {
        self.ask(Command::Members(Members { handle, after, extensions: Extensions::NONE })).await
    }

    /// Replaces what this member shows of itself. [`Event::Done`](super::Event::Done) answers.
    ///
    /// # Errors
    /// [`Error::Ended`], and [`Error::MessageTooLarge`] where the data certainly is.
    pub async fn set_presence(&mut self, handle: Handle, data: &[u8]) -> Result<RequestId, Error> {
        self.check_len(data.len())?;
        let presence = SetPresence { handle, data, extensions: Extensions::NONE };
        let note = |progress: &Progress, _| progress.handle_presence(handle, Bytes::copy_from_slice(data));
        self.ask_and_note(Command::SetPresence(presence), note).await
    }

    /// Sends a newer token for the same subject, before the old one expires; needs the capability
    /// `token`. [`Event::Done`](super::Event::Done) answers, or [`Event::Refused`](super::Event::Refused),
    /// after which the old one goes on counting. Memberships that it does not allow end (PROTOCOL 6.14).
    ///
    /// # Errors
    /// [`Error::Ended`], and [`Error::MessageTooLarge`] where the token certainly is.
    pub async fn renew(&mut self, token: &super::Token) -> Result<RequestId, Error> {
        self.check_len(token.as_bytes().len())?;
        self.ask(Command::Token(Renewal { token: token.as_bytes(), extensions: Extensions::NONE })).await
    }

    /// Publishes. The result is the message's number, by which a
    /// [`Refusal`](super::Refusal) and [`Event::Accepted`](super::Event::Accepted) name it.
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`], or [`Error::Ended`].
    pub async fn publish(
        &mut self,
        handle: Handle,
        target: Target,
        timing: Timing,
        payload: &[u8],
    ) -> Result<u64, Error> {
        self.check_len(payload.len())?;
        let options = match timing {
            Timing::Tick => 0,
            Timing::Urgent => flags::URGENT,
        };
        let data = ClientData { handle, target, options, payload };
        let len = data.encoded_len();
        self.progress.has_place(len).await?;
        let permit = self.queue.reserve().await.map_err(|_| Error::Ended)?;
        // From here on nothing waits: what has a number is on its way.
        let (number, chunk) = self.number(data, timing, false)?;
        permit.send(chunk);
        Ok(number)
    }

    /// Publishes where that need not wait; else it has sent nothing, and there is no number. A message that `asks` is
    /// to be accepted at once, where the server tells that at all.
    pub(super) fn try_publish(
        &self,
        handle: Handle,
        target: Target,
        timing: Timing,
        payload: &[u8],
        asks: bool,
    ) -> Result<Option<u64>, Error> {
        self.check_len(payload.len())?;
        let options = if timing == Timing::Urgent { flags::URGENT } else { 0 };
        let data = ClientData { handle, target, options, payload };
        if !self.progress.may_send(data.encoded_len()) {
            return Ok(None);
        }
        let permit = match self.queue.try_reserve() {
            Ok(permit) => permit,
            Err(mpsc::error::TrySendError::Full(())) => return Ok(None),
            Err(mpsc::error::TrySendError::Closed(())) => return Err(Error::Ended),
        };
        let (number, chunk) = self.number(data, timing, asks)?;
        permit.send(chunk);
        Ok(Some(number))
    }

    /// Numbers a message that is on its way.
    fn number(&self, data: ClientData<'_>, timing: Timing, asks: bool) -> Result<(u64, Chunk), Error> {
        let len = data.encoded_len();
        let (number, frame) = self.progress.handle_sent(len, asks, |asks| {
            let mut out = BytesMut::with_capacity(len);
            ClientData { options: data.options | asks, ..data }.encode(&mut out);
            out.freeze()
        })?;
        self.backlog.handle_queued(frame.len());
        let chunk = match self.gather {
            Some(gather) if timing == Timing::Tick => Chunk::waiting(frame, Instant::now() + gather),
            _ => Chunk::at_once(frame),
        };
        Ok((number, chunk.message(number)))
    }

    pub(super) fn set_writer(&mut self, writer: AbortHandle) {
        self.writer = Some(writer);
    }

    /// Writes nothing more, no end either: as if the cable were cut, so that the session can be resumed
    /// (PROTOCOL 12.2).
    pub(super) fn break_off(&self) {
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }

    /// Waits until a command or a message can be sent without waiting. Cancel safe.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        self.queue.reserve().await.map(drop).map_err(|_| Error::Ended)
    }

    /// Whether one can be sent now.
    pub(super) fn is_ready(&self) -> bool {
        self.queue.capacity() > 0
    }

    /// What is known of messages on their way to the socket.
    pub(super) const fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }

    /// What was sent, joined and accepted.
    pub(super) const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The largest message that the server takes, in bytes.
    pub(super) const fn max_message(&self) -> usize {
        self.max_message
    }

    /// Whether a message of so many bytes need not wait until others are accepted.
    pub(super) fn may_publish(&self, handle: Handle, target: Target, payload: &[u8]) -> bool {
        // What is too large is refused, and does not wait.
        let is_too_large = self.check_len(payload.len()).is_err();
        is_too_large || self.progress.may_send(ClientData { handle, target, options: 0, payload }.encoded_len())
    }

    /// The highest number up to which every message was accepted, or refused by a refusal of its own; 0
    /// where the server does not tell.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.progress.accepted()
    }

    /// What another connection needs to go on with this session. See
    /// [`Client::resume_point`](super::Client::resume_point); while the receiving half still hands out
    /// events, they are not all in it.
    #[must_use]
    pub fn resume_point(&self) -> Option<ResumePoint> {
        self.progress.resume_point(self.consumption.directs())
    }

    /// Publishes an event with the next tick.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn event(&mut self, handle: Handle, payload: &[u8]) -> Result<u64, Error> {
        self.publish(handle, Target::Event, Timing::Tick, payload).await
    }

    /// Sets a value; an empty payload deletes it.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn value(&mut self, handle: Handle, key: Key, payload: &[u8]) -> Result<u64, Error> {
        self.publish(handle, Target::Value(key), Timing::Tick, payload).await
    }

    /// Sends to one member.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn direct(&mut self, handle: Handle, member: MemberNumber, payload: &[u8]) -> Result<u64, Error> {
        self.publish(handle, Target::Direct(member), Timing::Tick, payload).await
    }

    /// Asks for the server's time. [`Event::Pong`](super::Event::Pong) answers.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn ping(&mut self) -> Result<(), Error> {
        let permit = self.queue.reserve().await.map_err(|_| Error::Ended)?;
        let mut out = BytesMut::new();
        // The time is read when there is a place in the queue, so that waiting for one does not count.
        self.consumption.encode_ping(self.clock.now(), false, &mut out);
        permit.send(Chunk::at_once(out.freeze()));
        Ok(())
    }

    /// Asks to end the session. [`Event::Closed`](super::Event::Closed) answers.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn close(&mut self) -> Result<(), Error> {
        self.ask(Command::Close(Close { reason: Reason::FINISHED, extensions: Extensions::NONE })).await?;
        Ok(())
    }

    async fn ask(&mut self, command: Command<'_>) -> Result<RequestId, Error> {
        self.ask_and_note(command, |_, _| {}).await
    }

    async fn ask_and_note(
        &mut self,
        command: Command<'_>,
        note: impl FnOnce(&Progress, RequestId),
    ) -> Result<RequestId, Error> {
        let permit = self.queue.reserve().await.map_err(|_| Error::Ended)?;
        self.requests += 1;
        let request = RequestId(self.requests);
        let mut out = BytesMut::new();
        Control::new(request, command).encode(&mut out);
        // First: the answer may be read before this returns.
        note(&self.progress, request);
        permit.send(Chunk::at_once(out.freeze()));
        Ok(request)
    }

    const fn check_len(&self, len: usize) -> Result<(), Error> {
        if len > self.max_message {
            return Err(Error::MessageTooLarge { len, limit: self.max_message });
        }
        Ok(())
    }
}

/// CLOSE, unasked.
pub(super) fn close(reason: Reason) -> Bytes {
    let mut out = BytesMut::new();
    Control::new(RequestId(0), Command::Close(Close { reason, extensions: Extensions::NONE })).encode(&mut out);
    out.freeze()
}
