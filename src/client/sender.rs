//! The sending half of a client.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::Terms;
use super::clock::Clock;
use super::error::Error;
use super::session::Consumption;
use crate::name::RoomName;
use crate::wire::control::{Close, Command, Join, Leave, Mode, SetPresence};
use crate::wire::header::flags;
use crate::wire::{ClientData, Control, Extensions, Handle, Key, MemberNumber, Reason, Record, RequestId, Target};

/// Sends commands and messages. What it sends waits in a bounded queue, so that a method waits
/// where the server does not read.
///
/// Every method is cancel safe: a future that is dropped early has sent nothing.
#[derive(Debug)]
pub struct Sender {
    queue: mpsc::Sender<Bytes>,
    consumption: Arc<Consumption>,
    clock: Clock,
    max_message: usize,
    requests: u64,
    handles: u64,
    data_frames: u64,
}

/// When a message is to leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// With its room's tick.
    #[default]
    Tick,
    /// At once (PROTOCOL 11.6).
    Urgent,
}

impl Sender {
    pub(super) fn new(queue: mpsc::Sender<Bytes>, consumption: Arc<Consumption>, clock: Clock, terms: &Terms) -> Self {
        // Whatever the server says: with its arguments, a message must fit the 16 bits of a length.
        let largest = u64::from(u16::MAX).min(terms.max_frame) - terms.max_frame.min(Record::MAX_OVERHEAD as u64);
        let max_message = usize::try_from(terms.max_message.min(largest)).unwrap_or(0);
        // Request 1 was hello.
        Self { queue, consumption, clock, max_message, requests: 1, handles: 0, data_frames: 0 }
    }

    /// Asks to join a room. [`Event::Joined`](super::Event::Joined) or
    /// [`Event::Refused`](super::Event::Refused) answers with the same request; the handle may be
    /// published to before.
    ///
    /// # Errors
    /// [`Error::RoomName`], or [`Error::Ended`].
    pub async fn join(&mut self, name: &str, mode: Mode) -> Result<(RequestId, Handle), Error> {
        let name = RoomName::new(name.as_bytes()).ok_or(Error::RoomName)?;
        let handle = Handle(self.handles + 1);
        let join = Join { handle, mode, name: name.as_str().as_bytes(), extensions: Extensions::NONE };
        let request = self.ask(Command::Join(join)).await?;
        self.handles = handle.0;
        Ok((request, handle))
    }

    /// Asks to leave a room. [`Event::Left`](super::Event::Left) answers.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn leave(&mut self, handle: Handle) -> Result<RequestId, Error> {
        self.ask(Command::Leave(Leave { handle, extensions: Extensions::NONE })).await
    }

    /// Replaces what this member shows of itself. [`Event::Done`](super::Event::Done) answers.
    ///
    /// # Errors
    /// [`Error::Ended`], and [`Error::MessageTooLarge`] where the data certainly is.
    pub async fn set_presence(&mut self, handle: Handle, data: &[u8]) -> Result<RequestId, Error> {
        self.check(data)?;
        self.ask(Command::SetPresence(SetPresence { handle, data, extensions: Extensions::NONE })).await
    }

    /// Publishes. The result is the message's number, by which a
    /// [`Refusal`](super::Refusal) names it.
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
        self.check(payload)?;
        let options = match timing {
            Timing::Tick => 0,
            Timing::Urgent => flags::URGENT,
        };
        let data = ClientData { handle, target, options, payload };
        let permit = self.queue.reserve().await.map_err(|_| Error::Ended)?;
        let mut out = BytesMut::with_capacity(data.encoded_len());
        data.encode(&mut out);
        permit.send(out.freeze());
        // PROTOCOL 12.3: numbered from 1, without the number being sent.
        self.data_frames += 1;
        Ok(self.data_frames)
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
        permit.send(out.freeze());
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
        let permit = self.queue.reserve().await.map_err(|_| Error::Ended)?;
        self.requests += 1;
        let request = RequestId(self.requests);
        let mut out = BytesMut::new();
        Control::new(request, command).encode(&mut out);
        permit.send(out.freeze());
        Ok(request)
    }

    const fn check(&self, payload: &[u8]) -> Result<(), Error> {
        if payload.len() > self.max_message {
            return Err(Error::MessageTooLarge { len: payload.len(), limit: self.max_message });
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
