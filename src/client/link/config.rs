//! What an application decides about a link.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::client::{ClientConfig, Timing, Token, UrlError};
use crate::wire::control::Mode;

/// Where to connect, and how much may wait. Start from [`LinkConfig::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// The server, and how each connection is made. A room that the address names is left out of it: rooms are
    /// [joined](super::Link::join).
    pub client: ClientConfig,
    /// Who makes tokens, where one for all connections is not enough. None.
    pub tokens: Option<Tokens>,
    /// Reliable messages that wait until they can leave. 1000; beyond, publishing fails with
    /// [`LinkError::QueueFull`](super::LinkError::QueueFull).
    pub queue_messages: usize,
    /// Bytes of them. 256 KiB.
    pub queue_bytes: usize,
    /// Bytes of events that wait for the application. 1 MiB; beyond, nothing is read, so that the server sees
    /// that the application is slow.
    pub event_bytes: usize,
}

impl LinkConfig {
    /// The defaults.
    #[must_use]
    pub const fn new(client: ClientConfig) -> Self {
        Self { client, tokens: None, queue_messages: 1000, queue_bytes: 256 * 1024, event_bytes: 1024 * 1024 }
    }

    /// The defaults, for the server at this address.
    ///
    /// ```
    /// use tickwire::client::link::LinkConfig;
    ///
    /// let config = LinkConfig::to("ws://127.0.0.1:7070/ws")?.queue(100, 16 * 1024);
    /// assert_eq!(config.queue_messages, 100);
    /// # Ok::<(), tickwire::client::UrlError>(())
    /// ```
    ///
    /// # Errors
    /// Where it is none.
    pub fn to(address: &str) -> Result<Self, UrlError> {
        Ok(Self::new(ClientConfig::new(address.parse()?)))
    }

    /// Sets who makes tokens: asked before every attempt to connect, and for every renewal.
    #[must_use]
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Sets how much may wait until it can leave: messages and their bytes.
    #[must_use]
    pub const fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.queue_messages = messages;
        self.queue_bytes = bytes;
        self
    }

    /// Sets how much may wait for the application, in bytes.
    #[must_use]
    pub const fn events(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }
}

/// What a callback for tokens gives: a token, nothing where this client has no right to connect, or an error where
/// it does not know, which is an attempt that failed.
pub type TokenResult = Result<Option<Token>, Box<dyn std::error::Error + Send + Sync>>;

type Asking = Pin<Box<dyn Future<Output = TokenResult> + Send>>;

/// Who makes tokens. It may take its time.
///
/// ```
/// use tickwire::client::Token;
/// use tickwire::client::link::Tokens;
///
/// let tokens = Tokens::new(|| async { Ok(Some(Token::new("from your own server"))) });
/// ```
#[derive(Clone)]
pub struct Tokens(Arc<dyn Fn() -> Asking + Send + Sync>);

impl Tokens {
    /// Asks this callback. One that panics counts as one that failed.
    pub fn new<F>(callback: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = TokenResult> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(callback())))
    }

    pub(super) fn ask(&self) -> Asking {
        (self.0)()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// How to be in a room. Start from [`RoomOptions::default`], which publishes, receives, and knows the members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomOptions {
    /// Whether it publishes. True.
    pub publish: bool,
    /// Whether it receives. True.
    pub receive: bool,
    /// Whether it wants to know the members, where the room tells them and this client receives. True; where the
    /// list is too long for one answer, it goes without.
    pub members: bool,
    /// Whether its own messages are shown to it, in their place in the order. False.
    pub echo: bool,
    /// Data for the room's logic; a server takes 1024 bytes by default. Empty.
    pub data: Bytes,
    /// What other members see of this one; a server takes 256 bytes by default. Empty.
    pub presence: Bytes,
}

impl Default for RoomOptions {
    fn default() -> Self {
        let (data, presence) = (Bytes::new(), Bytes::new());
        Self { publish: true, receive: true, members: true, echo: false, data, presence }
    }
}

impl RoomOptions {
    /// Publishes, and receives nothing but directs.
    #[must_use]
    pub fn publisher() -> Self {
        Self { receive: false, ..Self::default() }
    }

    /// Receives, and publishes nothing.
    #[must_use]
    pub fn receiver() -> Self {
        Self { publish: false, ..Self::default() }
    }

    /// Shows its own messages to it.
    #[must_use]
    pub const fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Sets whether it wants to know the members.
    #[must_use]
    pub const fn members(mut self, members: bool) -> Self {
        self.members = members;
        self
    }

    /// Sets the data for the room's logic.
    #[must_use]
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.data = data.into();
        self
    }

    /// Sets what other members see.
    #[must_use]
    pub fn presence(mut self, presence: impl Into<Bytes>) -> Self {
        self.presence = presence.into();
        self
    }

    /// What JOIN says; the list of members only where it `may` be asked for.
    pub(super) const fn mode(&self, may: bool) -> Mode {
        let mode = Mode(((self.publish as u8) * Mode::PUBLISH.0) | ((self.receive as u8) * Mode::RECEIVE.0));
        // Without receiving, nothing would keep the list current.
        if self.members && self.receive && may { mode.with(Mode::MEMBERS) } else { mode }
    }
}

/// What becomes of a message that cannot leave now: its room is not joined, or more than 64 KiB wait for the
/// socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It waits, in order; where too much waits, publishing fails. The default of events and directs.
    Reliable,
    /// It waits, and only the last one of its room and key does. The default of values.
    Latest,
    /// It is thrown away, and the call says so.
    Drop,
}

/// How a message is sent. The default is what fits its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// What becomes of it where it cannot leave now. None: what is usual for its target.
    pub policy: Option<Policy>,
    /// When it leaves. With the tick.
    pub timing: Timing,
}

impl SendOptions {
    /// Sets what becomes of it where it cannot leave now.
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Makes it leave at once (PROTOCOL 11.6).
    #[must_use]
    pub const fn urgent(mut self) -> Self {
        self.timing = Timing::Urgent;
        self
    }
}
