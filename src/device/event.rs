//! What a device tells its program.

use super::{RoomState, State};
use crate::wire::{DecodeError, Key, Kind, MemberNumber, Position, Presence, Reason, Target};

/// Something that has happened. `room` is the place it was joined at; bytes are the server's, or other members' (escape them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// The client's state has changed. An attempt that the server has ended with a reason is told too: connecting before, and
    /// after.
    State {
        /// What it was.
        before: State,
        /// What it is.
        after: State,
        /// Why, where there is a reason.
        reason: Option<Reason>,
        /// A text for people.
        text: &'b [u8],
        /// Where to connect instead, if the server said so.
        address: &'b [u8],
        /// Messages that will not leave.
        dropped: usize,
    },
    /// A room's state has changed.
    Room {
        /// Which.
        room: usize,
        /// What it was.
        before: RoomState,
        /// What it is.
        after: RoomState,
        /// Why, where there is a reason.
        reason: Option<Reason>,
        /// The device's own number in it.
        member: MemberNumber,
        /// Messages that will not leave.
        dropped: usize,
    },
    /// What a join that came back found, or what was lost since.
    Outcome {
        /// Of which room.
        room: usize,
        /// Everything, nothing, or all but a part.
        outcome: Outcome,
    },
    /// An event.
    Message {
        /// Where.
        room: usize,
        /// Whose.
        member: MemberNumber,
        /// The message.
        payload: &'b [u8],
        /// Of its batch.
        position: Position,
        /// The tick that had begun when it was sent.
        tick: u64,
    },
    /// A value. An empty payload deletes.
    Value {
        /// Where.
        room: usize,
        /// Who wrote it.
        member: MemberNumber,
        /// Its key and scope.
        key: Key,
        /// The value.
        payload: &'b [u8],
        /// As for events.
        tick: u64,
        /// Whether it belongs to a snapshot that has begun.
        snapshot: bool,
    },
    /// A message to this device.
    Direct {
        /// Where.
        room: usize,
        /// From whom; 0 is the room's logic.
        member: MemberNumber,
        /// Which message of this session it answers, or 0.
        answers: u64,
        /// Its number.
        number: u64,
        /// The message.
        payload: &'b [u8],
    },
    /// News of a member.
    Presence {
        /// Where.
        room: usize,
        /// Of whom.
        member: MemberNumber,
        /// What.
        presence: Presence<'b>,
        /// Whether it belongs to a snapshot that has begun.
        snapshot: bool,
    },
    /// A snapshot of values, or of members, begins, or is whole: what came between replaces everything.
    Snapshot {
        /// Where.
        room: usize,
        /// [`Kind::Snapshot`] or [`Kind::Members`].
        kind: Kind,
        /// Whether it is whole now.
        whole: bool,
    },
    /// A message was not accepted. After a resume the same may be told again.
    Refused {
        /// Which; none where it had been accepted: a direct whose receiver left (PROTOCOL 12.3).
        message: Option<Message<'b>>,
        /// Why.
        reason: Reason,
    },
    /// The session is a new one: this message may have arrived or not, and is not sent again.
    Unconfirmed {
        /// Which.
        message: Message<'b>,
    },
    /// Directs that will not come (PROTOCOL 12.2).
    LostDirects {
        /// The number of the first.
        from: u64,
        /// The number of the last.
        to: u64,
    },
    /// A message came that `input` cannot hold.
    Skipped {
        /// Where.
        room: usize,
        /// What it was.
        kind: Kind,
        /// Whose.
        member: MemberNumber,
        /// Its bytes.
        len: u64,
    },
    /// What [`pause`](super::Device::pause) asked for is done, or was refused.
    Paused {
        /// Where.
        room: usize,
        /// Why not.
        refused: Option<Reason>,
    },
    /// The token is not valid any more: say [`set_token`](super::Device::set_token), or [`close`](super::Device::close).
    TokenWanted,
    /// Something is wrong.
    Error(Error),
}

/// A message of this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    /// Where.
    pub room: usize,
    /// Event, value or direct.
    pub target: Target,
    /// The message.
    pub payload: &'b [u8],
}

/// What a join that comes back tells (clients/SPEC.md, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is lost: what was missed follows.
    Recovered,
    /// The events of these positions are lost, both included.
    Gap(Position, Position),
    /// What was known is void.
    Snapshot,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The server sent what cannot be read, or must not come.
    Protocol(Breach),
    /// The server speaks another version, or something else.
    Version,
    /// A newer token was refused; the old one goes on counting.
    Token(Reason),
}

/// What a server must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// It cannot be read.
    Decode(DecodeError),
    /// Something else than WELCOME or CLOSE came first, or WELCOME again.
    Greeting,
    /// A session was resumed that nobody asked for.
    Resumed,
    /// News of a room that was not joined.
    Room,
    /// A batch that does not follow the last one, or a recovery from elsewhere (PROTOCOL 8.3, 12.1).
    Position,
    /// Compressed, which was not offered.
    Compressed,
    /// More was accepted than was sent (PROTOCOL 12.3).
    Accepted,
}

impl From<DecodeError> for Breach {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
