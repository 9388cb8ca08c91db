//! HELLO, WELCOME and TOKEN: how a session begins and renews itself (PROTOCOL 6.1, 6.2, 6.14).

use super::Body;
use crate::wire::{Capabilities, DecodeError, Extensions, Put, Reader, put_string, put_varint};

/// The first frame of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hello<'a> {
    /// What the client supports.
    pub capabilities: Capabilities,
    /// The largest message it takes, in bytes; 0 for any.
    pub max_record: u64,
    /// The largest frame payload it takes, in bytes; 0 for any.
    pub max_frame: u64,
    /// Token, software, resume.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Hello<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            capabilities: Capabilities(reader.varint()?),
            max_record: reader.varint()?,
            max_frame: reader.varint()?,
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.capabilities.0, out);
        put_varint(self.max_record, out);
        put_varint(self.max_frame, out);
        out.put(self.extensions.encoded());
    }
}

/// The answer to a hello.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// What both sides support.
    pub capabilities: Capabilities,
    /// Bit 0: the session was resumed.
    pub flags: u8,
    /// Names the server's clock.
    pub clock: u32,
    /// Server time, in microseconds.
    pub time: u64,
    /// What to add to server time for microseconds since 1970.
    pub wall: u64,
    /// The largest message the server takes, in bytes.
    pub max_message: u64,
    /// The largest frame payload the server takes, in bytes.
    pub max_frame: u64,
    /// How many rooms a session may be in.
    pub max_rooms: u64,
    /// Milliseconds of silence after which the server pings.
    pub ping: u64,
    /// The highest accepted data frame.
    pub accepted: u64,
    /// Resume token, grace, lost directs, subject.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Welcome<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            capabilities: Capabilities(reader.varint()?),
            flags: reader.u8()?,
            clock: u32::from_be_bytes(reader.array()?),
            time: reader.varint()?,
            wall: reader.varint()?,
            max_message: reader.varint()?,
            max_frame: reader.varint()?,
            max_rooms: reader.varint()?,
            ping: reader.varint()?,
            accepted: reader.varint()?,
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.capabilities.0, out);
        out.put_u8(self.flags);
        out.put(&self.clock.to_be_bytes());
        for number in [self.time, self.wall, self.max_message, self.max_frame, self.max_rooms, self.ping, self.accepted]
        {
            put_varint(number, out);
        }
        out.put(self.extensions.encoded());
    }
}

/// A newer token for the same subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token<'a> {
    /// The token.
    pub token: &'a [u8],
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Token<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { token: reader.string()?, extensions: Extensions::decode(reader)? })
    }

    fn encode(&self, out: &mut impl Put) {
        put_string(self.token, out);
        out.put(self.extensions.encoded());
    }
}
