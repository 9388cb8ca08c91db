//! What an application can get instead of an event.

use std::fmt;
use std::io;
use std::time::Duration;

use super::event::Event;
use super::{Closing, HeaderError, Refusal};
use crate::wire::{DecodeError, Position, RoomId};

/// Why something did not work.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There was no connection to be had.
    Connect(io::Error),
    /// The connection failed later.
    Io(io::Error),
    /// The server answered the WebSocket request with an HTTP response.
    Http {
        /// Its status.
        status: u16,
        /// What its `Retry-After` says, where it has one in seconds.
        after: Option<Duration>,
    },
    /// A header for the WebSocket request was not taken.
    Header(HeaderError),
    /// The WebSocket protocol was not kept.
    WebSocket(Box<dyn std::error::Error + Send + Sync>),
    /// Something did not come in time.
    TimedOut(Wait),
    /// Nothing has come for so long that the connection must be dead (PROTOCOL 9).
    Silent,
    /// The server ended the session while something was waited for.
    Closed(Closing),
    /// The session has ended before.
    Ended,
    /// The server sent bytes that are not frames.
    Decode(DecodeError),
    /// The server sent a frame that must not come now.
    Surprise(Surprise),
    /// The server did not do what was asked.
    Refused(Refusal),
    /// A room's name has bytes that no name has, or too many.
    RoomName,
    /// The message is larger than the server takes.
    MessageTooLarge {
        /// Its bytes.
        len: usize,
        /// The most the server takes.
        limit: usize,
    },
    /// So much came while an answer was waited for that the rest is left where it is.
    TooMuchWaiting,
    /// A room has more members than are gathered at once.
    TooManyMembers,
}

impl Error {
    /// An answer that `wait_for` does not let through.
    pub(super) fn unexpected(event: Event) -> Self {
        debug_assert!(false, "{event:?} answers something else");
        Self::Ended
    }
}

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A connection and its welcome.
    Connect,
    /// The answer to a command.
    Answer,
}

/// Frames that can be read and must not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Surprise {
    /// Something else than WELCOME or CLOSE came first.
    NotWelcome,
    /// A second WELCOME came.
    WelcomeTwice,
    /// Data of a room this client is not in.
    UnknownRoom(RoomId),
    /// A batch that does not follow the last one (PROTOCOL 8.3).
    Position {
        /// What had to come.
        expected: Position,
        /// What came.
        found: Position,
    },
    /// A direct that does not follow the last one (PROTOCOL 8.6).
    DirectNumber {
        /// What had to come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Compressed data, which was not negotiated.
    Compressed,
    /// Compressed data that is not exactly one deflate stream (PROTOCOL 12.4).
    Corrupt,
    /// Compressed data of more than 64 KiB (PROTOCOL 12.4).
    Inflated,
    /// More rooms than were ever asked for.
    TooManyRooms,
    /// A session was resumed that nobody wanted to resume (PROTOCOL 12.2).
    ResumedUnasked,
    /// A room was recovered from another place than it was asked for (PROTOCOL 12.1).
    Recovered {
        /// The last position this client has.
        asked: Position,
        /// The one that the server goes on from; maybe in another life of the room.
        found: Position,
    },
    /// A message was accepted that was not sent, or one is not accepted any more (PROTOCOL 12.3).
    Accepted {
        /// The highest that was sent.
        sent: u64,
        /// The number that came.
        found: u64,
    },
    /// A page of members that does not follow the one before (PROTOCOL 6.16).
    Page,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Http { status, .. } => {
                write!(f, "the server answered with HTTP status {status} instead of a WebSocket")
            }
            Self::Header(error) => error.fmt(f),
            Self::WebSocket(error) => write!(f, "the WebSocket protocol was not kept: {error}"),
            Self::TimedOut(Wait::Connect) => f.write_str("the server did not welcome this client in time"),
            Self::TimedOut(Wait::Answer) => f.write_str("the server did not answer in time"),
            Self::Silent => f.write_str("nothing has come for so long that the connection must be dead"),
            Self::Closed(Closing { reason: Some(reason), .. }) => write!(f, "the server closed the session, {reason}"),
            Self::Closed(_) => f.write_str("the server closed the connection without a reason"),
            Self::Ended => f.write_str("the session has ended"),
            Self::Decode(error) => write!(f, "the server sent bytes that are not frames: {error}"),
            Self::Surprise(surprise) => write!(f, "the server broke the protocol: {surprise}"),
            Self::Refused(refusal) => write!(f, "the server refused, {}", refusal.reason),
            Self::RoomName => f.write_str("a room name is 1 to 64 bytes of A-Z a-z 0-9 _ . : / @ and -"),
            Self::MessageTooLarge { len, limit } => {
                write!(f, "the message has {len} bytes, the server takes {limit}")
            }
            Self::TooMuchWaiting => f.write_str("too many events came while an answer was waited for"),
            Self::TooManyMembers => f.write_str("the room has more members than can be gathered"),
        }
    }
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWelcome => f.write_str("something else than a welcome came first"),
            Self::WelcomeTwice => f.write_str("a second welcome came"),
            Self::UnknownRoom(room) => write!(f, "data came of room {room}, which was not joined"),
            Self::Position { expected, found } => {
                write!(f, "position {found} came where {expected} had to")
            }
            Self::DirectNumber { expected, found } => {
                write!(f, "direct {found} came where {expected} had to")
            }
            Self::Compressed => f.write_str("compressed data came, which was not negotiated"),
            Self::Corrupt => f.write_str("compressed data came that cannot be inflated"),
            Self::Inflated => f.write_str("compressed data came that inflates to more than 64 KiB"),
            Self::TooManyRooms => f.write_str("more rooms were joined than were asked for"),
            Self::ResumedUnasked => f.write_str("a session was resumed that nobody wanted to resume"),
            Self::Recovered { asked, found } => {
                write!(f, "a room was recovered from position {found} where {asked} was asked for")
            }
            Self::Accepted { sent, found } => {
                write!(f, "message {found} is the last accepted one, of {sent} that were sent")
            }
            Self::Page => f.write_str("a page of members came that does not follow the one before"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Io(error) => Some(error),
            Self::WebSocket(error) => Some(error.as_ref()),
            Self::Decode(error) => Some(error),
            Self::Header(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<HeaderError> for Error {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

impl From<Surprise> for Error {
    fn from(surprise: Surprise) -> Self {
        Self::Surprise(surprise)
    }
}
