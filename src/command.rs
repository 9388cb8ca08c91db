//! What a session asks of the rooms.

use bytes::Bytes;

use crate::name::RoomName;
use crate::wire::control::Mode;
use crate::wire::{Epoch, Handle, Position, RequestId, Target};

/// One peer, for the life of the process: never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(
    /// A counter.
    pub u64,
);

/// A command, checked as far as the session can, on its way to the shard of its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Become a member.
    Join(Box<JoinCommand>),
    /// Stop being a member.
    Leave {
        /// To answer with.
        request: RequestId,
        /// Which membership.
        handle: Handle,
    },
    /// Show other data of oneself.
    SetPresence {
        /// To answer with.
        request: RequestId,
        /// Which membership.
        handle: Handle,
        /// The data.
        data: Bytes,
    },
    /// Send a message.
    Publish(Publish),
}

/// A wish to become a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinCommand {
    /// To answer with; 0 where the path of the WebSocket request asked.
    pub request: RequestId,
    /// The client's number for the room.
    pub handle: Handle,
    /// The room.
    pub name: RoomName,
    /// What the member wants to do.
    pub mode: Mode,
    /// Who the client is; empty where it is anonymous.
    pub subject: Bytes,
    /// What it shows of itself.
    pub presence: Bytes,
    /// The life and position it last knew.
    pub since: Option<(Epoch, Position)>,
}

/// A message on its way into a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Which membership.
    pub handle: Handle,
    /// The number of the data frame in its session, from 1.
    pub number: u64,
    /// Event, value or direct.
    pub target: Target,
    /// Whether to flush at once.
    pub urgent: bool,
    /// The message: a slice of the read buffer, which the room copies.
    pub payload: Bytes,
}
