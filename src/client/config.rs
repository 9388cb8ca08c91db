//! What an application decides about a connection.

use std::time::Duration;

#[cfg(feature = "tls")]
use super::Trust;
use super::{HeaderError, Headers, Token, Url};
use crate::wire::Capabilities;

/// Where to connect, and how long to wait. Start from [`ClientConfig::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The server.
    pub url: Url,
    /// Whose certificates are taken, where the server speaks TLS. None: the public authorities'.
    #[cfg(feature = "tls")]
    pub trust: Option<Trust>,
    /// Who this client is, where the server wants to know (PROTOCOL 6.1). None.
    pub token: Option<Token>,
    /// What stands in the WebSocket request as `Authorization: Bearer` (PROTOCOL 4.2), such as the key of a
    /// server's operator. None. Only visible ASCII can stand there; over TCP there is no request.
    pub bearer: Option<Token>,
    /// What else stands in the WebSocket request: what a proxy or the server's application wants to see. None.
    pub headers: Headers,
    /// What is offered (PROTOCOL 10.3). All that this client can do; fewer to save memory or to
    /// behave like a small client. Others are never offered.
    pub capabilities: Capabilities,
    /// From the start until the server has welcomed us. 10 s: two lost packets on a bad network.
    pub connect_timeout: Duration,
    /// Until a command is answered. 10 s: a server that is busy longer is as good as gone.
    pub answer_timeout: Duration,
    /// Bytes of messages kept until the server has accepted them (PROTOCOL 12.3), at least 256 KiB.
    /// 1 MiB: half a second of a fast sender. Beyond, publishing waits.
    pub unaccepted_bytes: usize,
    /// Messages kept until the server has accepted them, at least 16. 4096: of 16 bytes, what the
    /// bytes allow is twice as many.
    pub unaccepted_messages: usize,
    /// How long messages with [`Timing::Tick`](super::Timing::Tick) wait for others, to leave with
    /// them in one write, and on WebSocket in one message (PROTOCOL 4.2). None: each leaves at once.
    ///
    /// Every chunk that a server reads wakes it, is read, and is passed on, which costs more than the
    /// messages in it. Set it where several messages are published within a tick, to a part of
    /// the tick, such as 5 ms of 50: it comes on top of the latency, and what waits when the room
    /// flushes goes with the tick after. Counted in milliseconds, and to at most
    /// [`MAX_GATHER`](Self::MAX_GATHER).
    ///
    /// The time begins with the first message that waits. Earlier leaves what fills a write (16 KiB, or
    /// the largest message the server takes), and everything that is followed by an urgent
    /// message, a command, a ping, an answer or the end, in order and together with it.
    pub gather: Option<Duration>,
}

impl ClientConfig {
    /// What this client can do, and offers by default.
    pub const CAPABILITIES: Capabilities = Capabilities::IMPLEMENTED.with(Capabilities::TOKEN);

    /// The longest that messages wait for others. A minute: far beyond every tick.
    pub const MAX_GATHER: Duration = Duration::from_secs(60);

    /// The defaults, for this server.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            #[cfg(feature = "tls")]
            trust: None,
            token: None,
            bearer: None,
            headers: Headers::default(),
            capabilities: Self::CAPABILITIES,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(10),
            unaccepted_bytes: 1024 * 1024,
            unaccepted_messages: 4096,
            gather: None,
        }
    }

    /// Sets whose certificates are taken.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Sets who this client is.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Sets what stands in the WebSocket request.
    #[must_use]
    pub fn bearer(mut self, bearer: Token) -> Self {
        self.bearer = Some(bearer);
        self
    }

    /// Adds a header to the WebSocket request.
    ///
    /// ```
    /// # use tickwire::client::{ClientConfig, HeaderError};
    /// let config = ClientConfig::new("ws://localhost:7070/ws".parse()?).header("x-tenant", "blue")?;
    /// assert_eq!(ClientConfig::header(config, "host", "other").unwrap_err(), HeaderError::Own);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Headers::add`].
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HeaderError> {
        self.headers.add(name, value.as_bytes())?;
        Ok(self)
    }

    /// Sets what is offered.
    #[must_use]
    pub const fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Sets how long connecting may take.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long an answer may take.
    #[must_use]
    pub const fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Sets how much is kept until it is accepted: bytes and messages.
    #[must_use]
    pub const fn unaccepted(mut self, bytes: usize, messages: usize) -> Self {
        self.unaccepted_bytes = bytes;
        self.unaccepted_messages = messages;
        self
    }

    /// Sets how long messages wait for others. See the field [`gather`](#structfield.gather).
    #[must_use]
    pub const fn gather(mut self, time: Duration) -> Self {
        self.gather = Some(time);
        self
    }
}
