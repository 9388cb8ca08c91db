//! What a client tells its application.

use std::time::Duration;

use bytes::Bytes;

use super::{MembersPage, Membership, Sample};
use crate::wire::header::flags;
use crate::wire::{Epoch, Handle, Kind, MemberNumber, Position, Presence, Reason, Record, Records, RequestId};

/// Something that happened. Payloads share the read buffer: copy what you keep for long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A room was joined.
    Joined {
        /// The join it answers; 0 for the room in the address.
        request: RequestId,
        /// What the server granted.
        membership: Membership,
    },
    /// Events or values of a room, one segment or a part of it.
    Batch(Batch),
    /// Who came, changed or left; of kind [`Kind::Members`], who is there.
    Presence(Batch),
    /// The room's latest values, or a part of them: they replace what is known when
    /// [`Batch::has_more`] is false.
    Snapshot(Batch),
    /// Messages for this client alone. [`Batch::position`] is the number of the first one.
    Direct(Batch),
    /// A command was not obeyed, or a message not accepted.
    Refused(Refusal),
    /// A membership has ended.
    Left {
        /// The LEAVE it answers; 0 where the server ended it.
        request: RequestId,
        /// The room.
        handle: Handle,
        /// Why.
        reason: Reason,
    },
    /// Batches of a room that will never come. A snapshot follows.
    Gap {
        /// The room.
        handle: Handle,
        /// Its present life.
        epoch: Epoch,
        /// The first that is lost.
        from: Position,
        /// The last that is lost; below `from` where none is.
        to: Position,
    },
    /// A command was obeyed.
    Done {
        /// Which.
        request: RequestId,
    },
    /// A page of members.
    Page {
        /// The question it answers.
        request: RequestId,
        /// The members.
        page: MembersPage,
    },
    /// Every message up to this number was accepted, or refused by a [`Refusal`] of its own
    /// (PROTOCOL 12.3). Told where it is news; [`Sender::accepted`](super::Sender::accepted) always knows.
    Accepted(u64),
    /// A ping of this client was answered.
    Pong(Sample),
    /// The server is about to stop.
    GoingAway {
        /// When this client should reconnect, from now. [`Comeback`](super::Comeback) keeps to it.
        reconnect: Duration,
        /// When the connection closes at the latest, from now.
        closes: Duration,
        /// The last position of each room that this client receives: nothing comes behind it.
        positions: Vec<(Handle, Position)>,
        /// Where to reconnect, if it is elsewhere: a host, or a whole address. It may hold anything.
        address: Option<String>,
    },
    /// The session has ended. Nothing follows.
    Closed(Closing),
}

impl Event {
    /// What it costs to keep the event, in bytes; `wire` is what its frame had.
    pub(super) fn cost(&self, wire: u64) -> u64 {
        // Compressed records have become more than their frame.
        let inflated = match self {
            Self::Batch(batch) | Self::Presence(batch) | Self::Snapshot(batch) | Self::Direct(batch) => {
                batch.records.len() as u64
            }
            Self::Page { page, .. } => page.cost() as u64,
            Self::GoingAway { positions, .. } => size_of_val(positions.as_slice()) as u64,
            _ => 0,
        };
        wire.max(inflated).saturating_add(size_of::<Self>() as u64)
    }
}

/// One data frame of a room, whose records can all be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub(super) handle: Handle,
    pub(super) kind: Kind,
    pub(super) options: u8,
    pub(super) position: Position,
    pub(super) tick: u64,
    pub(super) records: Bytes,
}

impl Batch {
    /// The room, by this client's own number.
    #[must_use]
    pub const fn room(&self) -> Handle {
        self.handle
    }

    /// What the records are.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The batch's position, or what stands in its place for this kind (PROTOCOL 8.1).
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The whole number of the tick, of which 16 bits travel.
    #[must_use]
    pub const fn tick(&self) -> u64 {
        self.tick
    }

    /// Whether the room flushed before its time.
    #[must_use]
    pub const fn is_early(&self) -> bool {
        self.options & flags::URGENT != 0
    }

    /// Whether more frames of this batch or snapshot follow (PROTOCOL 8.3).
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.options & flags::MORE != 0
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        // They were read once before this was made, so that nothing is left out here.
        Records::new(self.kind, &self.records).map_while(Result::ok)
    }

    /// The records of presence, read. Unknown states are left out.
    pub fn changes(&self) -> impl Iterator<Item = (MemberNumber, Presence<'_>)> {
        let present = matches!(self.kind, Kind::Presence | Kind::Members).then(|| self.records());
        present.into_iter().flatten().filter_map(|record| match Presence::decode(record.payload) {
            Ok(Presence::Unknown(_)) | Err(_) => None,
            Ok(presence) => Some((record.member, presence)),
        })
    }
}

/// What the server did not do (PROTOCOL 6.7).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The command; 0 where it was a message.
    pub request: RequestId,
    /// The message, counted from 1 as [`Sender::publish`](super::Sender::publish) does; 0 where it was a command.
    pub number: u64,
    /// Why.
    pub reason: Reason,
    /// The server's words, for people. It may hold anything: escape it before you show it.
    pub text: String,
    /// When to try again.
    pub after: Option<Duration>,
}

/// How a session ended (PROTOCOL 6.8).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closing {
    /// Why, where the server said so; a connection may also just end.
    pub reason: Option<Reason>,
    /// The server's words, for people. It may hold anything: escape it before you show it.
    pub text: String,
    /// When to reconnect.
    pub after: Option<Duration>,
    /// Where, if it is elsewhere: a host, or a whole address. It may hold anything.
    pub address: Option<String>,
}

impl Closing {
    /// The connection ended without CLOSE; a WebSocket code may have told the reason.
    pub(super) const fn without_frame(reason: Option<Reason>) -> Self {
        Self { reason, text: String::new(), after: None, address: None }
    }
}
