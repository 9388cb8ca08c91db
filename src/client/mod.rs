//! A small asynchronous client: connects, joins, publishes, and hands out events (PROTOCOL 2, 10.2).
//!
//! ```text
//! Sender ──frames──> queue ──> writer task ──> socket          Client = Sender + Receiver
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
//! The client reconnects nothing and retries nothing.

mod clock;
mod config;
mod error;
mod event;
mod membership;
mod receiver;
mod sender;
mod session;
mod transport;
mod url;

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, timeout};

pub use self::clock::{Clock, Sample};
pub use self::config::ClientConfig;
pub use self::error::{Error, Surprise, Wait};
pub use self::event::{Batch, Closing, Event, Refusal};
pub use self::membership::{Membership, Terms};
pub use self::receiver::Receiver;
pub use self::sender::{Sender, Timing};
pub use self::url::{Scheme, Url, UrlError};

use self::session::Session;
use crate::wire::control::{Command, Hello, Mode};
use crate::wire::{Control, Handle, Key, MAGIC, MemberNumber, RequestId, VERSION};

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
        let connecting = Self::connect_unbounded(config);
        let connected = timeout(config.connect_timeout, connecting).await;
        connected.map_err(|_| Error::TimedOut(Wait::Connect))?
    }

    async fn connect_unbounded(config: &ClientConfig) -> Result<Self, Error> {
        let (mut reader, mut writer) = transport::connect(&config.url).await?;
        let start = Instant::now();
        writer.write(hello(config.url.scheme()).freeze()).await?;

        let mut session = Session::new();
        while session.terms().is_none() {
            let Some(frame) = reader.buffered()? else {
                if let transport::Filled::End(reason) = reader.fill().await? {
                    return Err(Error::Closed(Closing::without_frame(reason)));
                }
                continue;
            };
            let now = clock::micros_since(start);
            if let Some(Event::Closed(closing)) = session.handle_frame(frame, now)? {
                return Err(Error::Closed(closing));
            }
        }
        let (sender, receiver) = receiver::start(session, reader, writer, start);
        Ok(Self { sender, receiver, answer_timeout: config.answer_timeout })
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
        let (asked, _) = self.sender.join(name, mode).await?;
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

    /// Publishes an event. See [`Sender::publish`].
    ///
    /// # Errors
    /// As for [`Sender::publish`].
    pub async fn event(&mut self, handle: Handle, payload: &[u8]) -> Result<u64, Error> {
        self.sender.event(handle, payload).await
    }

    /// Sets a value; an empty payload deletes it. See [`Sender::publish`].
    ///
    /// # Errors
    /// As for [`Sender::publish`].
    pub async fn value(&mut self, handle: Handle, key: Key, payload: &[u8]) -> Result<u64, Error> {
        self.sender.value(handle, key, payload).await
    }

    /// Sends to one member. See [`Sender::publish`].
    ///
    /// # Errors
    /// As for [`Sender::publish`].
    pub async fn direct(&mut self, handle: Handle, member: MemberNumber, payload: &[u8]) -> Result<u64, Error> {
        self.sender.direct(handle, member, payload).await
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

/// What a client sends first (PROTOCOL 4.1, 6.1).
fn hello(scheme: Scheme) -> BytesMut {
    let mut out = BytesMut::new();
    if scheme == Scheme::Tcp {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION]);
    }
    // No capabilities: each needs code here that uses it.
    Control::new(RequestId(1), Command::Hello(Hello::default())).encode(&mut out);
    out
}
