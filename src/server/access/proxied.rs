//! Reads a PROXY header off a socket, and not a byte more: what follows may be anything.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::proxy::{self, MAX_BINARY, ProxyError};

/// Why there is no header.
#[derive(Debug)]
pub(in crate::server) enum Unread {
    /// What came is none.
    Wrong(ProxyError),
    /// It did not come in time.
    Late,
    /// The connection broke, or ended.
    Gone(io::Error),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(error) => error.fmt(f),
            Self::Late => f.write_str("no PROXY header in time"),
            Self::Gone(error) => error.fmt(f),
        }
    }
}

/// Whom the proxy speaks for; `None` where for itself. Not cancel safe: what was read is gone.
pub(in crate::server) async fn read(stream: &mut TcpStream, within: Duration) -> Result<Option<SocketAddr>, Unread> {
    timeout(within, read_header(stream)).await.unwrap_or(Err(Unread::Late))
}

async fn read_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Unread> {
    let mut buffer = [0; MAX_BINARY];
    let mut taken = 0;
    loop {
        // Looked at first, so that what follows the header stays where it is.
        let (ours, free) = buffer.split_at_mut(taken);
        let seen = stream.peek(free).await.map_err(Unread::Gone)?;
        if seen == 0 {
            return Err(Unread::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let here = ours.len() + seen;
        let header = proxy::decode(buffer.get(..here).unwrap_or_default()).map_err(Unread::Wrong)?;
        let belongs = header.map_or(here, |header| header.len);
        let more = buffer.get_mut(taken..belongs).unwrap_or_default();
        stream.read_exact(more).await.map_err(Unread::Gone)?;
        taken = belongs;
        if let Some(header) = header {
            return Ok(header.source);
        }
    }
}
