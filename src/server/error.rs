//! What can go wrong with a server as a whole. What goes wrong with one peer never gets here.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::api::BadKey;

/// Why a server did not start, or stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An address could not be bound.
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Neither WebSocket nor TCP has an address.
    NoAddress,
    /// Nobody asks who clients are, and others than this machine's could come in by this address.
    Anonymous(SocketAddr),
    /// Limits contradict each other.
    Limits(&'static str),
    /// What was decided of who may connect contradicts itself.
    Access(&'static str),
    /// Keys of operators cannot be told apart, or are too many.
    ApiKeys(BadKey),
    /// A room class has a period that cannot be used.
    Period,
    /// A pattern of room names cannot be read.
    Pattern,
    /// The number of shards is zero or above 1,024.
    Shards(usize),
    /// The system gave no thread or event queue for a worker.
    Workers(io::Error),
    /// A shard died, and its rooms with it: an error of ours.
    ShardDied,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { addr, source } if source.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "{addr} is in use by another program: stop it, or choose another address")
            }
            Self::Bind { addr, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "{addr} may not be bound by this user: choose a port above 1023")
            }
            Self::Bind { addr, source } => write!(f, "{addr} cannot be bound: {source}"),
            Self::NoAddress => f.write_str("there is nothing to listen on: give an address for WebSocket or for TCP"),
            Self::Anonymous(addr) => write!(
                f,
                "{addr} can be reached from other machines, and nobody asks who clients are: give keys for their \
                 tokens, serve on 127.0.0.1, or allow anonymous clients explicitly"
            ),
            Self::Limits(what) => write!(f, "the limits contradict each other: {what}"),
            Self::Access(what) => write!(f, "access: {what}"),
            Self::ApiKeys(what) => write!(f, "keys of operators: {what}"),
            Self::Period => f.write_str("a tick is 0, or between 1 ms and 60 s"),
            Self::Pattern => f.write_str("a pattern is 1 to 64 bytes of A-Z a-z 0-9 _ . : / @ - and *"),
            Self::Shards(count) => write!(f, "{count} shards: choose 1 to 1024, best as many as there are cores"),
            Self::Workers(source) => write!(f, "the system gives no thread or event queue: {source}"),
            Self::ShardDied => f.write_str("a shard died and took its rooms with it; this is a bug in the server"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Workers(source) => Some(source),
            _ => None,
        }
    }
}
