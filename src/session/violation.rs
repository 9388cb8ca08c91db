//! What can be read but is forbidden now, and the one table from there to reasons.

use crate::wire::{DecodeError, Reason, RequestId};

/// A frame that can be read, but must not come in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A frame before hello.
    HelloExpected,
    /// A second hello.
    HelloTwice,
    /// More refusals than a session may cause.
    TooManyRefusals,
    /// More pings than a session may send.
    TooManyPings,
    /// A token above the limit.
    TokenTooLong,
    /// An extension of hello whose content cannot be read.
    Argument,
    /// An odd extension of hello that this version does not know.
    UnknownExtension,
    /// A TCP stream that does not start with the magic.
    WrongMagic,
    /// A version that is not spoken here.
    Version(u8),
}

impl Violation {
    /// The reason that is told to the peer (PROTOCOL 14).
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::HelloExpected => Reason::HELLO_EXPECTED,
            Self::HelloTwice => Reason::HELLO_TWICE,
            Self::TooManyRefusals => Reason::TOO_MANY_REFUSALS,
            Self::TooManyPings => Reason::RATE,
            Self::TokenTooLong => Reason::TOKEN,
            Self::Argument => Reason::ARGUMENT,
            Self::UnknownExtension => Reason::UNKNOWN_EXTENSION,
            Self::WrongMagic => Reason::NOT_TICKWIRE,
            Self::Version(_) => Reason::VERSION,
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version} is not spoken here"),
            other => f.write_str(other.reason().sentence()),
        }
    }
}

/// How a session ends: the reason, and the request that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub reason: Reason,
    /// The hello or close that asked for it; 0 otherwise.
    pub request: RequestId,
    /// When the client should come back, in milliseconds, where that is known.
    pub reconnect: Option<u64>,
}

impl Ending {
    /// An ending that nobody asked for.
    #[must_use]
    pub const fn because(reason: Reason) -> Self {
        Self { reason, request: RequestId(0), reconnect: None }
    }
}

impl From<DecodeError> for Ending {
    fn from(error: DecodeError) -> Self {
        Self::because(error.reason())
    }
}

impl From<Violation> for Ending {
    fn from(violation: Violation) -> Self {
        Self::because(violation.reason())
    }
}
