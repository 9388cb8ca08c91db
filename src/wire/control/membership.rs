//! RECEIVE, PRESENCE, MEMBERS and PAGE: what a member asks of its room (PROTOCOL 6.11, 6.13, 6.15, 6.16).

use super::Body;
use crate::wire::{DecodeError, Extensions, Handle, MemberNumber, Position, Put, Reader, put_string, put_varint};

/// Asks to receive more or less of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receive<'a> {
    /// The client's number for the room.
    pub handle: Handle,
    /// 0 all, 1 presence and events, 2 nothing.
    pub what: u8,
    /// 1 in this version.
    pub divisor: u64,
    /// 0 in this version.
    pub area: u64,
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Receive<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: Handle(reader.varint()?),
            what: reader.u8()?,
            divisor: reader.varint()?,
            area: reader.varint()?,
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.handle.0, out);
        out.put_u8(self.what);
        put_varint(self.divisor, out);
        put_varint(self.area, out);
        out.put(self.extensions.encoded());
    }
}

/// Replaces the data that a member shows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetPresence<'a> {
    /// The client's number for the room.
    pub handle: Handle,
    /// The new data.
    pub data: &'a [u8],
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for SetPresence<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { handle: Handle(reader.varint()?), data: reader.string()?, extensions: Extensions::decode(reader)? })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.handle.0, out);
        put_string(self.data, out);
        out.put(self.extensions.encoded());
    }
}

/// Asks for a page of members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Members<'a> {
    /// The client's number for the room.
    pub handle: Handle,
    /// Only members with a higher number; 0 to start.
    pub after: MemberNumber,
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Members<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: Handle(reader.varint()?),
            after: MemberNumber(reader.varint()?),
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.handle.0, out);
        put_varint(self.after.0, out);
        out.put(self.extensions.encoded());
    }
}

/// A page of members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page<'a> {
    /// The client's number for the room.
    pub handle: Handle,
    /// The position the list describes.
    pub position: Position,
    /// The `after` of the next page; 0 at the end.
    pub next: MemberNumber,
    /// Presence records.
    pub records: &'a [u8],
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Page<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: Handle(reader.varint()?),
            position: Position(reader.varint()?),
            next: MemberNumber(reader.varint()?),
            records: reader.string()?,
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.handle.0, out);
        put_varint(self.position.0, out);
        put_varint(self.next.0, out);
        put_string(self.records, out);
        out.put(self.extensions.encoded());
    }
}
