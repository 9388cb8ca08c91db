//! What an operator decides of who may connect.

use super::{Network, Origin};

/// Who may connect, and who is believed to speak for others. How much they may is in
/// [`Limits`](crate::limits::Limits).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessConfig {
    /// Web pages that may connect. None by default, which means: pages of the host that they connect to;
    /// and where the server listens on loopback, pages of loopback instead, on any port. Clients that are no
    /// browsers send no `Origin`, and are not asked.
    pub origins: Vec<Origin>,
    /// Proxies that are believed when they say whom they speak for. Nobody by default: anybody can write
    /// such a header.
    pub trusted_proxies: Vec<Network>,
    /// Where [`trusted_proxies`](Self::trusted_proxies) begin with a PROXY header, version 1 or 2. There it
    /// must come; elsewhere, and from others, it must not.
    pub proxy_protocol: ProxyProtocol,
    /// Addresses without limits of their own: monitors, load generators, proxies that say nothing. This
    /// machine by default, since it is where a proxy would be of which nobody has told us.
    pub exempt: Vec<Network>,
}

/// The ports on which listed proxies begin with a PROXY header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// That of HTTP and WebSocket.
    pub websocket: bool,
    /// That of TCP.
    pub tcp: bool,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            trusted_proxies: Vec::new(),
            proxy_protocol: ProxyProtocol::default(),
            exempt: Network::loopback().into(),
        }
    }
}

impl AccessConfig {
    /// What is wrong with this taken together, in a sentence.
    ///
    /// # Errors
    /// The sentence.
    pub const fn check(&self) -> Result<(), &'static str> {
        let ProxyProtocol { websocket, tcp } = self.proxy_protocol;
        if (websocket || tcp) && self.trusted_proxies.is_empty() {
            return Err(
                "proxy_protocol and proxy_protocol_tcp need trusted_proxies: a PROXY header is believed from nobody else",
            );
        }
        Ok(())
    }
}
