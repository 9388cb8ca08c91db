//! What an application decides about a connection.

use std::time::Duration;

use super::Url;

/// Where to connect, and how long to wait. Start from [`ClientConfig::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The server.
    pub url: Url,
    /// From the start until the server has welcomed us. 10 s: two lost packets on a bad network.
    pub connect_timeout: Duration,
    /// Until a command is answered. 10 s: a server that is busy longer is as good as gone.
    pub answer_timeout: Duration,
}

impl ClientConfig {
    /// The defaults, for this server.
    #[must_use]
    pub const fn new(url: Url) -> Self {
        Self { url, connect_timeout: Duration::from_secs(10), answer_timeout: Duration::from_secs(10) }
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
}
