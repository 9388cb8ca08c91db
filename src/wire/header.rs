//! The header of every frame (PROTOCOL 5).
//!
//! ```text
//! +----------+-------------------------+-----------+
//! | type: u8 | payload length: u16, BE | flags: u8 |
//! +----------+-------------------------+-----------+
//! ```

use super::{DecodeError, Put};

/// The first four bytes of a frame, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub frame_type: FrameType,
    /// Bytes of payload, without this header.
    pub payload_len: u16,
    /// Flags, by type.
    pub flags: u8,
}

impl Header {
    /// The header's own length in bytes.
    pub const LEN: usize = 4;

    /// Reads a header that `sender` sent; `max_payload` is the limit in bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnknownType`], [`DecodeError::FrameTooLarge`] or
    /// [`DecodeError::ReservedFlags`], looked for in this order.
    #[inline]
    pub fn decode(bytes: [u8; Self::LEN], max_payload: usize, sender: Sender) -> Result<Self, DecodeError> {
        let [first, high, low, flags] = bytes;
        let frame_type = FrameType::from_u8(first).ok_or(DecodeError::UnknownType(first))?;
        let payload_len = u16::from_be_bytes([high, low]);
        // PROTOCOL 5: refused as soon as the four bytes are there, before anything is reserved.
        if usize::from(payload_len) > max_payload {
            return Err(DecodeError::FrameTooLarge { announced: payload_len.into(), limit: max_payload });
        }
        // PROTOCOL 5: a client ignores reserved flags, a server does not take them.
        if sender == Sender::Client && flags & frame_type.reserved_from_client() != 0 {
            return Err(DecodeError::ReservedFlags(flags));
        }
        Ok(Self { frame_type, payload_len, flags })
    }

    /// The four bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> [u8; Self::LEN] {
        let [high, low] = self.payload_len.to_be_bytes();
        [self.frame_type as u8, high, low, self.flags]
    }

    /// Appends the four bytes.
    #[inline]
    pub fn encode(self, out: &mut impl Put) {
        out.put(&self.bytes());
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// Messages.
    Data = 0x01,
    /// A command.
    Control = 0x02,
    /// A ping or its answer.
    Ping = 0x03,
}

impl FrameType {
    const fn from_u8(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Data),
            0x02 => Some(Self::Control),
            0x03 => Some(Self::Ping),
            _ => None,
        }
    }

    /// Flags that a client must leave zero.
    const fn reserved_from_client(self) -> u8 {
        match self {
            Self::Data => flags::MORE | 0x80,
            Self::Control => 0xff,
            Self::Ping => !flags::ANSWER,
        }
    }
}

/// Which side sent a frame: layouts and strictness differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client.
    Client,
    /// A server.
    Server,
}

/// The kind of a data frame, in bits 1 to 3 of its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A message every member must see, in order.
    Event = 0,
    /// A message with a key: the latest counts.
    Value = 1,
    /// Who came, changed or left.
    Presence = 2,
    /// A message to one member.
    Direct = 3,
    /// The latest values, for a newcomer.
    Snapshot = 4,
    /// The members, for a newcomer who asked.
    Members = 5,
}

impl Kind {
    /// The kind in a data frame's flags, or the reserved number found there.
    ///
    /// # Errors
    /// The number, where it is reserved.
    pub const fn from_flags(flags: u8) -> Result<Self, u8> {
        match (flags >> 1) & 7 {
            0 => Ok(Self::Event),
            1 => Ok(Self::Value),
            2 => Ok(Self::Presence),
            3 => Ok(Self::Direct),
            4 => Ok(Self::Snapshot),
            5 => Ok(Self::Members),
            reserved => Err(reserved),
        }
    }

    /// The kind as flag bits.
    #[must_use]
    pub const fn flags(self) -> u8 {
        (self as u8) << 1
    }

    /// Whether records of this kind have a key field (PROTOCOL 8.2).
    #[must_use]
    pub const fn has_key(self) -> bool {
        matches!(self, Self::Value | Self::Direct | Self::Snapshot)
    }

    /// Whether frames of this kind carry the number of their batch (PROTOCOL 8.3).
    #[must_use]
    pub const fn is_numbered(self) -> bool {
        matches!(self, Self::Event | Self::Presence)
    }
}

/// Single flag bits.
pub mod flags {
    /// Data: what follows the head is compressed.
    pub const COMPRESSED: u8 = 0x01;
    /// Data: flush at once, or: was flushed early.
    pub const URGENT: u8 = 0x10;
    /// Data from a client: tell at once that this was accepted.
    pub const ACKNOWLEDGE: u8 = 0x20;
    /// Data from a server: more frames follow.
    pub const MORE: u8 = 0x40;
    /// Ping: this is an answer.
    pub const ANSWER: u8 = 0x01;
    /// WELCOME: the session was resumed.
    pub const RESUMED: u8 = 0x01;
}
