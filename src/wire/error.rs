//! What can be wrong with bytes, and the one table from there to reasons.

use super::Reason;

/// Why bytes are not a frame. "Not enough yet" is not an error: decoders return `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A frame ended inside one of its fields.
    Truncated,
    /// A varint was longer than it had to be.
    VarintNotMinimal,
    /// A varint was 2^53 or more.
    VarintTooLarge,
    /// Extension types did not ascend.
    ExtensionOrder,
    /// The frame type is none of the three.
    UnknownType(u8),
    /// The header announced more than the limit.
    FrameTooLarge {
        /// Payload bytes announced.
        announced: usize,
        /// Payload bytes allowed.
        limit: usize,
    },
    /// A flag that must be zero was set.
    ReservedFlags(u8),
    /// A WebSocket message ended inside a frame.
    PartialFrame,
    /// The kind of this data frame is only for servers to send.
    KindNotForClients(u8),
    /// The command is unknown.
    UnknownCommand(u8),
}

impl DecodeError {
    /// The reason that is told to the peer (PROTOCOL 14).
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Truncated | Self::VarintNotMinimal | Self::VarintTooLarge | Self::ExtensionOrder => Reason::MALFORMED,
            Self::UnknownType(_) => Reason::UNKNOWN_TYPE,
            Self::FrameTooLarge { .. } => Reason::FRAME_TOO_LARGE,
            Self::ReservedFlags(_) => Reason::RESERVED_FLAG,
            Self::PartialFrame => Reason::PARTIAL_FRAME,
            Self::KindNotForClients(_) => Reason::KIND_NOT_FOR_CLIENTS,
            Self::UnknownCommand(_) => Reason::UNKNOWN_COMMAND,
        }
    }

    /// Whether the stream can no longer be trusted. The others are refused, and the stream goes on.
    #[must_use]
    pub const fn closes(self) -> bool {
        !matches!(self, Self::KindNotForClients(_) | Self::UnknownCommand(_))
    }
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Truncated => f.write_str("the frame ended inside a field"),
            Self::VarintNotMinimal => f.write_str("an integer was longer than it had to be"),
            Self::VarintTooLarge => f.write_str("an integer was 2^53 or more"),
            Self::ExtensionOrder => f.write_str("extension types did not ascend"),
            Self::UnknownType(byte) => write!(f, "unknown frame type {byte:#04x}"),
            Self::FrameTooLarge { announced, limit } => {
                write!(f, "a frame of {announced} bytes was announced, {limit} are allowed")
            }
            Self::ReservedFlags(flags) => write!(f, "reserved flags in {flags:#04x}"),
            Self::PartialFrame => f.write_str("a message ended inside a frame"),
            Self::KindNotForClients(kind) => write!(f, "data of kind {kind} is not for clients"),
            Self::UnknownCommand(command) => write!(f, "unknown command {command:#04x}"),
        }
    }
}

impl core::error::Error for DecodeError {}
