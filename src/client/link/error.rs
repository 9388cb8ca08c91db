//! What can go wrong with a link (clients/SPEC.md 8).

use std::fmt;
use std::sync::Arc;

use super::event::{MessageId, escaped};
use crate::client::Error;
use crate::name::RoomName;
use crate::wire::Reason;

/// Why something did not work.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LinkError {
    /// An attempt to connect has failed. It is tried again unless the state is `closed`.
    Connect(Arc<Error>),
    /// The server sent what cannot be read, or must not come.
    Protocol(Arc<Error>),
    /// The server sent more than may be kept for a room.
    TooMuch(RoomName),
    /// Somebody answers who does not speak this version of the protocol.
    Version(Arc<Error>),
    /// There was no token, or the server did not take a newer one.
    Token(TokenError),
    /// The server does not want this client in a room.
    Refused {
        /// The room.
        room: RoomName,
        /// Why.
        reason: Reason,
        /// The server's words, escaped.
        text: String,
    },
    /// The server cannot do what was asked: a capability is missing (PROTOCOL 10.3).
    Unable,
    /// A room's name has bytes that no name has, or too many.
    RoomName,
    /// As many messages wait as may. Nothing was queued.
    QueueFull,
    /// A message is larger than the server takes.
    TooLarge {
        /// Which, where it had been queued before that was known.
        id: Option<MessageId>,
        /// Its bytes.
        len: usize,
        /// The most that the server takes.
        limit: usize,
    },
    /// Code of the application has panicked.
    Handler,
    /// The link is closed, or the room was left.
    Closed,
}

/// What is wrong with a token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TokenError {
    /// The application's callback has failed.
    Callback(Arc<dyn std::error::Error + Send + Sync>),
    /// The callback says that there is none.
    None,
    /// The server did not take the newer one; the old one goes on counting.
    Refused(Reason),
}

/// What kind of error it is: the same word in the clients of all languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// `connect`
    Connect,
    /// `protocol`
    Protocol,
    /// `version`
    Version,
    /// `token`
    Token,
    /// `refused`
    Refused,
    /// `queue-full`
    QueueFull,
    /// `too-large`
    TooLarge,
    /// `handler`
    Handler,
    /// `closed`
    Closed,
}

impl LinkError {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect(_) => ErrorKind::Connect,
            Self::Protocol(_) | Self::TooMuch(_) => ErrorKind::Protocol,
            Self::Version(_) => ErrorKind::Version,
            Self::Token(_) => ErrorKind::Token,
            Self::Refused { .. } | Self::Unable | Self::RoomName => ErrorKind::Refused,
            Self::QueueFull => ErrorKind::QueueFull,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Handler => ErrorKind::Handler,
            Self::Closed => ErrorKind::Closed,
        }
    }
}

impl ErrorKind {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Protocol => "protocol",
            Self::Version => "version",
            Self::Token => "token",
            Self::Refused => "refused",
            Self::QueueFull => "queue-full",
            Self::TooLarge => "too-large",
            Self::Handler => "handler",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) | Self::Protocol(error) => error.fmt(f),
            Self::TooMuch(room) => write!(f, "the server sent more of {room} than can be kept"),
            Self::Version(error) => write!(f, "whoever answers does not speak this version of Tickwire: {error}"),
            Self::Token(error) => error.fmt(f),
            Self::Refused { room, reason, text } if text.is_empty() => write!(f, "{room} was refused, {reason}"),
            Self::Refused { room, reason, text } => write!(f, "{room} was refused, {reason} It says: {text}"),
            Self::Unable => f.write_str("the server does not offer what this needs"),
            Self::RoomName => f.write_str("a room name is 1 to 64 bytes of A-Z a-z 0-9 _ . : / @ and -"),
            Self::QueueFull => f.write_str("as many messages wait as may"),
            Self::TooLarge { len, limit, .. } => write!(f, "the message has {len} bytes, the server takes {limit}"),
            Self::Handler => f.write_str("code of the application has panicked"),
            Self::Closed => f.write_str("the link is closed, or the room was left"),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // An error of the application may hold what a server of its own has said.
            Self::Callback(error) => write!(f, "no token was to be had: {}", escaped(&error.to_string())),
            Self::None => f.write_str("there is no token"),
            Self::Refused(reason) => write!(f, "the server did not take the newer token, {reason}"),
        }
    }
}

impl std::error::Error for LinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Protocol(error) | Self::Version(error) => Some(error.as_ref()),
            Self::Token(error) => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for TokenError {}
