//! What a session asks of the rooms.

use std::sync::Arc;

use bytes::Bytes;

use crate::identity::Identity;
use crate::name::RoomName;
pub use crate::room::What;
use crate::wire::control::Mode;
use crate::wire::{Capabilities, Epoch, Handle, MemberNumber, Position, RequestId, Target};

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
    /// Receive more or less of a room.
    Receive {
        /// To answer with.
        request: RequestId,
        /// Which membership.
        handle: Handle,
        /// How much.
        what: What,
    },
    /// Tell members above a number.
    Members {
        /// To answer with.
        request: RequestId,
        /// Which membership.
        handle: Handle,
        /// The last one that is known.
        after: MemberNumber,
    },
    /// The session has a newer token: the membership is looked at anew.
    Renew {
        /// Which membership.
        handle: Handle,
        /// Whose token, and what it allows.
        identity: Arc<Identity>,
    },
    /// Send a message.
    Publish(Publish),
}

/// One hold of a handle: what was said of it must not be taken for the next one of the same handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The client's number for the room.
    pub handle: Handle,
    /// Counts the session's joins.
    pub serial: u64,
}

/// A wish to become a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinCommand {
    /// To answer with; 0 where the path of the WebSocket request asked.
    pub request: RequestId,
    /// The client's number for the room.
    pub handle: Handle,
    /// Counts the session's joins.
    pub serial: u64,
    /// The room.
    pub name: RoomName,
    /// What the member wants to do.
    pub mode: Mode,
    /// Who the client is; empty where it is anonymous.
    pub subject: Bytes,
    /// Who it has proved to be; `None` in a server that asks nobody for that.
    pub identity: Option<Arc<Identity>>,
    /// What it shows of itself.
    pub presence: Bytes,
    /// The life and position it last knew.
    pub since: Option<(Epoch, Position)>,
    /// Data for the room's logic.
    pub data: Bytes,
    /// What its session has negotiated.
    pub capabilities: Capabilities,
    /// The session was resumed and holds this handle already: it is a member that comes back.
    pub returning: bool,
}

impl JoinCommand {
    /// A join with nothing but what every join has.
    #[must_use]
    pub fn new(request: RequestId, handle: Handle, name: RoomName, mode: Mode) -> Self {
        Self {
            request,
            handle,
            serial: 0,
            name,
            mode,
            subject: Bytes::new(),
            identity: None,
            presence: Bytes::new(),
            since: None,
            data: Bytes::new(),
            capabilities: Capabilities::default(),
            returning: false,
        }
    }

    /// What it holds.
    #[must_use]
    pub const fn hold(&self) -> Hold {
        Hold { handle: self.handle, serial: self.serial }
    }
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
    /// Whether its sender wants to be told at once that it was accepted (PROTOCOL 12.3).
    pub acknowledge: bool,
    /// Whether the payload is a deflate stream (PROTOCOL 12.4).
    pub compressed: bool,
    /// The message: a slice of the read buffer, which the room copies.
    pub payload: Bytes,
}
