//! Why something ended or was refused: a number in one of three ranges, with a sentence (PROTOCOL 14).
//!
//! ```text
//! 1 .. 99   900 .. 929    retry
//! 100 .. 199   930 .. 959    retry later or elsewhere
//! 200 .. 299   960 .. 999    do not retry
//! ```

/// A reason code. Codes this version does not know keep their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(
    /// The number on the wire; below 2^53. Those above 999 are reserved, and are read all the same.
    pub u64,
);

/// What a client should do after a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Try the same again, soon.
    Retry,
    /// Try later, or at the address that was given.
    Later,
    /// Do not try the same again.
    Never,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $sentence:literal;)+) => {
        impl Reason {
            $(#[doc = $sentence] pub const $name: Self = Self($code);)+

            /// Every reason of this version.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The reason's name, for machines: that of its constant. All reasons of applications share one,
            /// and so do those that this version does not know.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($code => stringify!($name),)+
                    900..=999 => "APPLICATION",
                    _ => "UNKNOWN",
                }
            }

            /// What the reason says, for people.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self.0 {
                    $($code => $sentence,)+
                    900..=999 => "The application gave a reason of its own.",
                    _ => "A reason this version does not know.",
                }
            }
        }
    };
}

reasons! {
    INTERNAL = 1, "The server made a mistake.";
    HELLO_TIMEOUT = 2, "No hello came in time.";
    PONG_TIMEOUT = 3, "A ping was not answered in time.";
    IDLE = 4, "The session was in no room for too long.";
    SLOW = 5, "The client reads too slowly: more is queued for it than allowed.";
    ROOM_FAILED = 6, "The room's logic failed.";
    ROOM_CLOSED = 7, "The room was closed.";
    GOING_AWAY = 100, "The server is going away.";
    SERVER_FULL = 101, "The server has as many connections as it may.";
    RATE = 102, "Too many messages, pings or connections for the rate allowed.";
    TOO_MANY_REFUSALS = 103, "Too many commands or messages had to be refused.";
    ROOM_FULL = 104, "The room has as many members as it may.";
    BATCH_FULL = 105, "The room has gathered as much for this tick as it may.";
    VALUES_FULL = 106, "The room holds as many values as it may.";
    TOO_MANY_ROOMS = 107, "The server has as many rooms as it may.";
    ELSEWHERE = 108, "The room lives on another server.";
    MEMORY = 109, "The server is short of memory.";
    KEYS_MISSING = 110, "The token cannot be verified for now.";
    FINISHED = 200, "The session or membership ended as asked.";
    MALFORMED = 201, "A frame could not be read.";
    UNKNOWN_TYPE = 202, "The frame type is unknown.";
    FRAME_TOO_LARGE = 203, "The frame is larger than allowed.";
    PARTIAL_FRAME = 204, "A WebSocket message ended inside a frame.";
    TEXT_MESSAGE = 205, "A WebSocket message was text; only binary is understood.";
    NOT_TICKWIRE = 206, "This is not the Tickwire protocol.";
    VERSION = 207, "This protocol version is not spoken here.";
    HELLO_EXPECTED = 208, "The first frame must be a hello.";
    HELLO_TWICE = 209, "Hello was said twice.";
    RESERVED_FLAG = 210, "A reserved flag was set.";
    WEBSOCKET = 211, "The WebSocket protocol was violated.";
    UNKNOWN_COMMAND = 220, "The command is unknown.";
    SERVER_COMMAND = 221, "The command is only for servers to send.";
    UNKNOWN_EXTENSION = 222, "An extension that must be understood is unknown.";
    CAPABILITY = 223, "The capability was not negotiated.";
    ARGUMENT = 224, "An argument is outside what is allowed.";
    KIND_NOT_FOR_CLIENTS = 225, "This kind of data is not for clients to send.";
    INFLATE = 226, "The compressed payload could not be read.";
    ROOM_NAME = 230, "A room name is 1 to 64 bytes of A-Z a-z 0-9 _ . : / @ and -.";
    HANDLE_IN_USE = 231, "The handle is in use.";
    NOT_JOINED = 232, "The handle names no room this client is in.";
    ALREADY_JOINED = 233, "The client is already in that room.";
    TOO_MANY_JOINS = 234, "The client is in as many rooms as it may be.";
    CLIENT_TOO_SMALL = 235, "The room may send more than the client said it can take.";
    MESSAGE_TOO_LARGE = 236, "The message is larger than allowed.";
    NOT_PUBLISHING = 237, "The client did not join to publish.";
    NO_SUCH_MEMBER = 238, "There is no such member.";
    NOT_ALLOWED = 240, "This is not allowed.";
    TOKEN = 241, "The token is missing or not valid.";
    TOKEN_EXPIRED = 242, "The token has expired.";
    REMOVED = 243, "The client was removed.";
    TAKEN_OVER = 244, "The session was taken over by another connection.";
}

impl Reason {
    /// The range this reason lies in. Numbers outside every range say nothing, and mean "retry".
    #[must_use]
    pub const fn advice(self) -> Advice {
        match self.0 {
            100..=199 | 930..=959 => Advice::Later,
            200..=299 | 960..=999 => Advice::Never,
            _ => Advice::Retry,
        }
    }

    /// The WebSocket close code that goes with this reason (PROTOCOL 4.3).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "compared with 999 first")]
    pub const fn close_code(self) -> u16 {
        // Reasons end at 999, so the sum stays in the private range of RFC 6455.
        4000 + if self.0 <= 999 { self.0 as u16 } else { 999 }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.0, self.sentence())
    }
}
