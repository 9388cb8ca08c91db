//! REFUSED, DONE, GAP and ACCEPTED: what a server tells of single commands and messages
//! (PROTOCOL 6.7, 6.10, 6.12, 6.17).

use super::Body;
use crate::wire::{DecodeError, Epoch, Extensions, Position, Put, Reader, Reason, RoomId, put_varint};

/// A command was not obeyed, or a message not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Which data frame of the session, counted from 1; 0 where it was a command.
    pub number: u64,
    /// Why.
    pub reason: Reason,
    /// Text, time to wait, address.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Refused<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { number: reader.varint()?, reason: Reason(reader.varint()?), extensions: Extensions::decode(reader)? })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.number, out);
        put_varint(self.reason.0, out);
        out.put(self.extensions.encoded());
    }
}

/// A command was obeyed, and there is nothing more to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done<'a> {
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Done<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { extensions: Extensions::decode(reader)? })
    }

    fn encode(&self, out: &mut impl Put) {
        out.put(self.extensions.encoded());
    }
}

/// Batches that will never come; a snapshot follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap<'a> {
    /// The room.
    pub room: RoomId,
    /// Its present life.
    pub epoch: Epoch,
    /// The first position that is lost.
    pub from: Position,
    /// The last position that is lost; below `from` where none is.
    pub to: Position,
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Gap<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            room: RoomId(reader.varint()?),
            epoch: Epoch(reader.array()?),
            from: Position(reader.varint()?),
            to: Position(reader.varint()?),
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.room.0, out);
        out.put(&self.epoch.0);
        put_varint(self.from.0, out);
        put_varint(self.to.0, out);
        out.put(self.extensions.encoded());
    }
}

/// Every data frame up to a number was accepted, or refused by its own REFUSED.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The highest such number.
    pub number: u64,
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Accepted<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { number: reader.varint()?, extensions: Extensions::decode(reader)? })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.number, out);
        out.put(self.extensions.encoded());
    }
}
