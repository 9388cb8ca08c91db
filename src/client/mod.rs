//! A small asynchronous client: connects, joins, publishes, and hands out events (PROTOCOL 2, 10.2).
//!
//! ```text
//! Sender ──frames──> queue ──> Outgoing ──> socket             Client = Sender + Receiver
//!                      ^
//!                      └── answers to pings
//! Receiver <──events── Session <──frames── transport <── socket
//! ```
//!
//! The session is plain code that knows the protocol; the transport moves bytes. Nothing
//! is read while nobody asks for the next event, so that a slow application is seen by the server
//! and not hidden by a queue; it also means that pings are answered only then. Whoever holds a
//! connection open keeps calling [`Client::next`].
//!
//! What a server may offer beyond the minimum (PROTOCOL 10.3, 12), and what this client makes of it:
//!
//! | capability | here |
//! |---|---|
//! | `resume` | [`Client::resume_point`] is what is left of a broken connection, [`Client::resume`] goes on with it |
//! | `history` | [`JoinOptions::since`] with what [`Client::position`] told: [`Membership::outcome`] is recovered or gap |
//! | `deflate` | compressed batches are inflated, to at most 64 KiB each |
//! | `receive` | [`Client::receive`] asks for all, for events only, or for nothing |
//! | `accepted` | messages are kept until they are accepted, within bounds; [`Event::Accepted`] tells |
//! | `pages` | [`Client::members`] lists the members of a room |
//!
//! All are offered; [`ClientConfig::capabilities`] offers fewer. The server's clock comes with every
//! answer to a ping ([`Clock`]), and [`Membership::lateness`] tells how late a batch is by it.
//!
//! Who publishes several messages within a tick can let them leave together, which costs a server
//! less: [`ClientConfig::gather`].
//!
//! With the feature `tls`, an address with `wss://` or `tls://` is spoken to under TLS: [`ClientConfig::trust`].
//!
//! Back ends that publish from many tasks borrow connections from a [`Pool`](pool::Pool).
//!
//! This client reconnects nothing and retries nothing by itself: a [`Link`](link::Link) is built on it, and does.

mod clock;
mod comeback;
mod config;
mod directs;
mod error;
mod event;
mod greeting;
mod headers;
mod inflate;
pub mod link;
mod members;
mod membership;
mod options;
mod outgoing;
pub mod pool;
mod progress;
mod receiver;
mod resume;
mod room;
mod sender;
mod session;
mod stream;
mod token;
mod transport;
#[cfg(feature = "tls")]
mod trust;
mod unaccepted;
mod url;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::{Instant, timeout};

pub use self::clock::{Clock, Sample};
pub use self::comeback::Comeback;
pub use self::config::ClientConfig;
pub use self::error::{Error, Surprise, Wait};
pub use self::event::{Batch, Closing, Event, Refusal};
pub use self::headers::{HeaderError, Headers};
pub use self::members::{Member, MembersPage};
pub use self::membership::{Membership, Terms};
pub use self::options::{JoinOptions, What};
pub use self::receiver::Receiver;
pub use self::resume::{ResumePoint, Resumed, Unconfirmed};
pub use self::sender::{Sender, Timing};
pub use self::stream::ByteStream;
pub use self::token::Token;
#[cfg(feature = "tls")]
pub use self::trust::{NoRoots, Trust};
pub use self::url::{Scheme, Url, UrlError};

use self::greeting::Greeting;
use self::resume::Beginning;
use crate::wire::control::Mode;
use crate::wire::{Capabilities, Epoch, Handle, Key, MemberNumber, Position, Reason, RequestId, Target};

/// A connection whose hello was accepted.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    receiver: Receiver,
    answer_timeout: Duration,
}

impl Client {
    /// Connects, says hello, and waits for the answer.
    ///
    /// Must be called inside a tokio runtime: a task is started that writes. Dropping the future
    /// drops the connection.
    ///
    /// # Errors
    /// Where there is nobody, or somebody who does not want this client. [`Error::Closed`] has the
    /// server's reason.
    pub async fn connect(config: &ClientConfig) -> Result<Self, Error> {
        let connecting = Self::connect_unbounded(config, None);
        let connected = timeout(config.connect_timeout, connecting).await;
        connected.map_err(|_| Error::TimedOut(Wait::Connect))?.map(|(client, _)| client)
    }

    /// Connects, and goes on from `point` where there is one.
    async fn connect_unbounded(config: &ClientConfig, point: Option<&ResumePoint>) -> Result<(Self, Resumed), Error> {
        let mut offered = config.capabilities.common(ClientConfig::CAPABILITIES);
        if point.is_some() {
            // A session cannot go on without what it rests on.
            offered = offered.with(Capabilities::RESUME).with(Capabilities::ACCEPTED);
        }
        let resume = point.map(|point| (&point.token, point.directs));
        let hello = greeting::hello(config, offered, resume)?;
        let (mut reader, mut writer) = transport::connect(config).await?;
        let start = Instant::now();
        writer.write(hello).await?;

        let greeted = greet(&mut reader, offered, start).await;
        let begun = greeted.and_then(|greeting| Ok(Beginning::new(&greeting, config, point)?));
        if let Err(Error::Decode(_) | Error::Surprise(_)) = &begun {
            // PROTOCOL 6: a broken server is told so; whether it listens changes nothing here.
            let _ = writer.write(sender::close(Reason::MALFORMED)).await;
        }
        let (sender, receiver, resumed) = receiver::start(begun?, reader, writer, start, config.gather);
        Ok((Self { sender, receiver, answer_timeout: config.answer_timeout }, resumed))
    }

    /// Joins a room and waits until the server has answered. Events that come meanwhile are kept
    /// for [`next`](Self::next).
    ///
    /// When the future is dropped early, the room may be joined nevertheless; its
    /// [`Event::Joined`] then comes out of [`next`](Self::next).
    ///
    /// # Errors
    /// [`Error::Refused`] where the server does not want it, and whatever ends a connection.
    pub async fn join(&mut self, name: &str, mode: Mode) -> Result<Membership, Error> {
        self.join_with(name, JoinOptions::new(mode)).await
    }

    /// Joins a room with everything a join can say, and waits until the server has answered. See
    /// [`join`](Self::join).
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub async fn join_with(&mut self, name: &str, options: JoinOptions) -> Result<Membership, Error> {
        let (asked, _) = self.sender.join_with(name, options).await?;
        let event = self.answer(asked, |event| matches!(event, Event::Joined { request, .. } if *request == asked));
        match event.await? {
            Event::Joined { membership, .. } => Ok(membership),
            other => Err(Error::unexpected(other)),
        }
    }

    /// Leaves a room and waits until the server has answered: after that nothing of the room comes.
    /// As for cancelling, see [`join`](Self::join).
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub async fn leave(&mut self, handle: Handle) -> Result<(), Error> {
        let asked = self.sender.leave(handle).await?;
        self.answer(asked, |event| matches!(event, Event::Left { request, .. } if *request == asked)).await?;
        Ok(())
    }

    /// Asks for more or less of a room, and waits until the server has answered; needs the capability
    /// `receive`. As for cancelling, see [`join`](Self::join).
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub async fn receive(&mut self, handle: Handle, what: What) -> Result<(), Error> {
        let asked = self.sender.receive(handle, what).await?;
        self.answer(asked, |event| matches!(event, Event::Done { request } if *request == asked)).await?;
        Ok(())
    }

    /// Sends a newer token for the same subject, and waits until the server has answered: see
    /// [`Sender::renew`]. As for cancelling, see [`join`](Self::join).
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub async fn renew(&mut self, token: &Token) -> Result<(), Error> {
        let asked = self.sender.renew(token).await?;
        self.answer(asked, |event| matches!(event, Event::Done { request } if *request == asked)).await?;
        Ok(())
    }

    /// The room's life and the last position that was taken whole by [`next`](Self::next), for
    /// [`JoinOptions::since`]. See [`Receiver::position`].
    #[must_use]
    pub fn position(&self, handle: Handle) -> Option<(Epoch, Position)> {
        self.receiver.position(handle)
    }

    /// Measures round trip and clock offset. As for cancelling, see [`join`](Self::join).
    ///
    /// # Errors
    /// Whatever ends a connection.
    pub async fn ping(&mut self) -> Result<Sample, Error> {
        self.sender.ping().await?;
        match self.answer(RequestId(0), |event| matches!(event, Event::Pong(_))).await? {
            Event::Pong(sample) => Ok(sample),
            other => Err(Error::unexpected(other)),
        }
    }

    /// Publishes. Where it must wait until other messages are accepted, it reads meanwhile, and keeps
    /// what comes for [`next`](Self::next). Cancel safe: a future that is dropped early has sent
    /// nothing. See [`Sender::publish`].
    ///
    /// # Errors
    /// As for [`Sender::publish`]; where it had to wait, [`Error::TooMuchWaiting`] and whatever ends a
    /// connection.
    pub async fn publish(
        &mut self,
        handle: Handle,
        target: Target,
        timing: Timing,
        payload: &[u8],
    ) -> Result<u64, Error> {
        while !self.sender.may_publish(handle, target, payload) {
            self.receiver.set_aside().await?;
        }
        self.sender.publish(handle, target, timing, payload).await
    }

    /// Publishes an event. See [`publish`](Self::publish).
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn event(&mut self, handle: Handle, payload: &[u8]) -> Result<u64, Error> {
        self.publish(handle, Target::Event, Timing::Tick, payload).await
    }

    /// Sets a value; an empty payload deletes it. See [`publish`](Self::publish).
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn value(&mut self, handle: Handle, key: Key, payload: &[u8]) -> Result<u64, Error> {
        self.publish(handle, Target::Value(key), Timing::Tick, payload).await
    }

    /// Sends to one member. See [`publish`](Self::publish).
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn direct(&mut self, handle: Handle, member: MemberNumber, payload: &[u8]) -> Result<u64, Error> {
        self.publish(handle, Target::Direct(member), Timing::Tick, payload).await
    }

    /// What happens next. Cancel safe: no event is lost when the future is dropped.
    ///
    /// # Errors
    /// Where the connection failed, or the server broke the protocol. Nothing follows then, nor
    /// after [`Event::Closed`]: [`Error::Ended`].
    pub async fn next(&mut self) -> Result<Event, Error> {
        self.receiver.next().await
    }

    /// Ends the session as asked, and waits until the server has agreed. What was published before
    /// has been read by the server then.
    ///
    /// # Errors
    /// Where the connection failed before. Not cancel safe: it consumes the client.
    pub async fn close(mut self) -> Result<(), Error> {
        self.sender.close().await?;
        let closed = async {
            // Events that nobody will ask for any more are dropped, so that the answer is reached.
            while !matches!(self.receiver.next().await?, Event::Closed(_)) {}
            Ok(())
        };
        timeout(self.answer_timeout, closed).await.map_err(|_| Error::TimedOut(Wait::Answer))?
    }

    /// The server's clock as seen from here.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        self.receiver.clock()
    }

    /// What the server said in its WELCOME.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        self.receiver.terms()
    }

    /// The sending half, for what has no method of its own here.
    pub const fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// Two halves for two tasks. The receiving half must be asked for events: it answers pings.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// The server broke the protocol in a way that only the caller could see.
    fn break_off(&mut self, surprise: Surprise) -> Error {
        self.receiver.break_off();
        surprise.into()
    }

    /// Waits for the event that answers `asked`, or for its refusal.
    async fn answer(&mut self, asked: RequestId, wanted: impl Fn(&Event) -> bool) -> Result<Event, Error> {
        let refused =
            |event: &Event| matches!(event, Event::Refused(refusal) if asked.0 != 0 && refusal.request == asked);
        let waiting = self.receiver.wait_for(|event| wanted(event) || refused(event));
        match timeout(self.answer_timeout, waiting).await {
            Ok(Ok(Event::Refused(refusal))) => Err(Error::Refused(refusal)),
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut(Wait::Answer)),
        }
    }
}

/// Reads until WELCOME.
async fn greet(reader: &mut transport::FrameReader, offered: Capabilities, start: Instant) -> Result<Greeting, Error> {
    loop {
        match reader.buffered()? {
            Some(frame) => {
                if let Some(greeting) = Greeting::read(&frame, offered, clock::micros_since(start))? {
                    return Ok(greeting);
                }
            }
            None => {
                if let transport::Filled::End(reason) = reader.fill().await? {
                    return Err(Error::Closed(Closing::without_frame(reason)));
                }
            }
        }
    }
}
