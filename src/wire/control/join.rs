//! JOIN, JOINED, LEAVE and LEFT: how a membership begins and ends (PROTOCOL 6.3 to 6.6).

use super::Body;
use crate::wire::{
    DecodeError, Epoch, Extensions, Handle, MemberNumber, Position, Put, Reader, Reason, RoomId, put_string, put_varint,
};

/// What a member does in a room, as bits. Reserved bits are kept, for the session to refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode(
    /// The bits on the wire.
    pub u8,
);

impl Mode {
    /// The member publishes.
    pub const PUBLISH: Self = Self(1);
    /// The member receives batches.
    pub const RECEIVE: Self = Self(2);
    /// The member publishes and receives.
    pub const BOTH: Self = Self(3);
    /// The member wants the list of members first.
    pub const MEMBERS: Self = Self(4);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both modes together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// PROTOCOL 6.3: no reserved bit, and at least one of publish and receive.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 & !0b111 == 0 && self.0 & Self::BOTH.0 != 0
    }
}

/// Asks to become a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Join<'a> {
    /// The client's own number for the room.
    pub handle: Handle,
    /// Publish, receive, list members.
    pub mode: Mode,
    /// The room's name, not yet checked.
    pub name: &'a [u8],
    /// Data for the logic, since, presence data.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Join<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: Handle(reader.varint()?),
            mode: Mode(reader.u8()?),
            name: reader.string()?,
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.handle.0, out);
        out.put_u8(self.mode.0);
        put_string(self.name, out);
        out.put(self.extensions.encoded());
    }
}

/// Whether a newcomer who named its last position has missed something (PROTOCOL 12.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome(
    /// The number on the wire.
    pub u8,
);

impl Outcome {
    /// It named none.
    pub const FRESH: Self = Self(0);
    /// Nothing is missing.
    pub const RECOVERED: Self = Self(1);
    /// Something is missing.
    pub const GAP: Self = Self(2);
}

/// The answer to a join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joined<'a> {
    /// The client's number for the room.
    pub handle: Handle,
    /// The server's number for the room.
    pub room: RoomId,
    /// The client's number in the room.
    pub member: MemberNumber,
    /// What was granted.
    pub mode: Mode,
    /// Fresh, recovered or gap.
    pub outcome: Outcome,
    /// The room's present life.
    pub epoch: Epoch,
    /// The last position before what will be received live.
    pub position: Position,
    /// The room's period, in microseconds.
    pub period: u64,
    /// The number of the current tick.
    pub tick: u64,
    /// Server time at which that tick began, in microseconds.
    pub tick_time: u64,
    /// The logic's answer, lost positions.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Joined<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: Handle(reader.varint()?),
            room: RoomId(reader.varint()?),
            member: MemberNumber(reader.varint()?),
            mode: Mode(reader.u8()?),
            outcome: Outcome(reader.u8()?),
            epoch: Epoch(reader.array()?),
            position: Position(reader.varint()?),
            period: reader.varint()?,
            tick: reader.varint()?,
            tick_time: reader.varint()?,
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.handle.0, out);
        put_varint(self.room.0, out);
        put_varint(self.member.0, out);
        out.put(&[self.mode.0, self.outcome.0]);
        out.put(&self.epoch.0);
        put_varint(self.position.0, out);
        put_varint(self.period, out);
        put_varint(self.tick, out);
        put_varint(self.tick_time, out);
        out.put(self.extensions.encoded());
    }
}

/// Asks to end a membership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leave<'a> {
    /// The client's number for the room.
    pub handle: Handle,
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Leave<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { handle: Handle(reader.varint()?), extensions: Extensions::decode(reader)? })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.handle.0, out);
        out.put(self.extensions.encoded());
    }
}

/// A membership has ended; nothing of that room follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left<'a> {
    /// The client's number for the room.
    pub handle: Handle,
    /// Why.
    pub reason: Reason,
    /// None in this version.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Left<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: Handle(reader.varint()?),
            reason: Reason(reader.varint()?),
            extensions: Extensions::decode(reader)?,
        })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.handle.0, out);
        put_varint(self.reason.0, out);
        out.put(self.extensions.encoded());
    }
}
