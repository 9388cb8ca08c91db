//! What a link tells its application (clients/SPEC.md 1, 4, 6, 8).
//!
//! ```text
//! State   connecting ──> connected          Message Message ... Tick       what a batch brought
//! Room    joining ──> joined                Outcome, Snapshot              what is known of a room from here on
//! ```

use bytes::Bytes;

use super::error::LinkError;
use crate::client::{Member, Timing};
use crate::name::RoomName;
use crate::wire::{Key, MemberNumber, Position, Reason, Target};

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The link's state has changed.
    State(Changed<LinkState>),
    /// A room's state has changed.
    Room(RoomName, Changed<RoomState>),
    /// What is known of a room from here on. A room that comes back tells it once, and one that was too slow or
    /// paused whenever it goes on.
    Outcome(RoomName, Outcome),
    /// A message.
    Message(Message),
    /// The messages of a batch are through. Told once for each batch that comes whole, also for one that holds
    /// presence only.
    Tick {
        /// The room.
        room: RoomName,
        /// Its tick.
        tick: u64,
        /// The batch.
        position: Position,
    },
    /// These values have replaced all of the room's.
    Snapshot {
        /// The room.
        room: RoomName,
        /// The tick they are of; 0 where there was none.
        tick: u64,
        /// The batch they follow.
        position: Position,
        /// The values, each with its last writer.
        values: Vec<Value>,
    },
    /// Somebody came, changed or left.
    Presence(PresenceChange),
    /// The server did not take a message. It was in no batch.
    Refused(RefusedMessage),
    /// Messages that may have arrived or not: the session was lost, and nobody knows. They are not sent again.
    Unconfirmed(Vec<Unsent>),
    /// Messages that waited and were thrown away unsent: their room was left or is refused for good, or the server has
    /// closed the link. Those of [`Link::close`](super::Link::close) it counts itself.
    Dropped(RoomName, Vec<MessageId>),
    /// Directs that will not come: the first and the last, as the session numbers them.
    DirectsLost(u64, u64),
    /// Something went wrong. Where it matters for the state, a [`LinkEvent::State`] follows.
    Error(LinkError),
}

/// A state before and after, and why it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed<S> {
    /// The state before.
    pub before: S,
    /// The state now.
    pub after: S,
    /// Why; 0 where nobody gave a reason.
    pub reason: Reason,
    /// Why, for people. What a server said in it is escaped.
    pub text: String,
}

/// A link's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Nothing is tried: the beginning, and after [`Link::disconnect`](super::Link::disconnect).
    Disconnected,
    /// An attempt is under way, or waited for.
    Connecting,
    /// The server has welcomed this client.
    Connected,
    /// For good.
    Closed,
}

/// A room's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomState {
    /// Not wanted, or refused for good.
    Left,
    /// Wanted; the server has not answered, or there is no connection.
    Joining,
    /// A member, on this connection.
    Joined,
}

/// What is known of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything: what was missed follows in order.
    Recovered,
    /// The batches from the first to the last position are lost; what is behind them follows.
    Gap(Position, Position),
    /// Nothing: what was known is void, and a snapshot follows.
    Snapshot,
}

/// A message of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The room.
    pub room: RoomName,
    /// Who sent it; 0 is the room itself. For a room value who wrote it last.
    pub member: MemberNumber,
    /// What it is.
    pub content: Content,
    /// The message. It shares the bytes of the frame it came in, which live as long as it does: copy what you keep
    /// for long. An empty value is a deleted one.
    pub payload: Bytes,
    /// The tick it left with.
    pub tick: u64,
    /// Its batch, or what stands in its place (PROTOCOL 8.1).
    pub position: Position,
    /// Whether the room flushed before its time.
    pub early: bool,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Every member sees it, in one order.
    Event,
    /// The latest of this key.
    Value(Key),
    /// For this client alone; it may answer a message of this client.
    Direct(Option<MessageId>),
}

/// A value that a room has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Value {
    /// Who wrote it last; the owner of a member value.
    pub member: MemberNumber,
    /// Its key.
    pub key: Key,
    /// What it is.
    pub payload: Bytes,
}

/// Who came, changed or left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceChange {
    /// The room.
    pub room: RoomName,
    /// The tick it happened in.
    pub tick: u64,
    /// The batch.
    pub position: Position,
    /// What happened.
    pub change: Presence,
}

/// What a presence record says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// A member is here, came back, or has new data.
    Here(Member),
    /// Its connection is gone, its place is kept.
    Away(MemberNumber),
    /// It is no longer a member.
    Left(MemberNumber, Reason),
    /// The room only tells how many there are.
    Count(u64),
}

/// A message's own number, from 1, over all connections of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u64);

/// A message that the server did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedMessage {
    /// Which.
    pub id: MessageId,
    /// The room it was for.
    pub room: RoomName,
    /// Why.
    pub reason: Reason,
    /// The server's words, escaped.
    pub text: String,
}

/// A message that may have arrived or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent {
    /// Which.
    pub id: MessageId,
    /// The room it was for.
    pub room: RoomName,
    /// What kind of message.
    pub target: Target,
    /// When it was to leave.
    pub timing: Timing,
    /// The message.
    pub payload: Bytes,
}

impl LinkEvent {
    /// What it costs to keep, in bytes.
    pub(super) fn cost(&self) -> usize {
        let more = match self {
            Self::Message(message) => message.payload.len(),
            Self::Snapshot { values, .. } => {
                size_of_val(values.as_slice()) + values.iter().map(|value| value.payload.len()).sum::<usize>()
            }
            Self::Presence(PresenceChange { change: Presence::Here(member), .. }) => {
                member.subject.len() + member.data.len()
            }
            Self::Unconfirmed(messages) => {
                size_of_val(messages.as_slice()) + messages.iter().map(|message| message.payload.len()).sum::<usize>()
            }
            Self::Dropped(_, messages) => size_of_val(messages.as_slice()),
            Self::State(changed) => changed.text.len(),
            Self::Room(_, changed) => changed.text.len(),
            Self::Refused(refused) => refused.text.len(),
            _ => 0,
        };
        size_of::<Self>() + more
    }
}

/// Words of a server, so that no terminal interprets them (PROTOCOL 15), and not too many of them.
pub(super) fn escaped(text: &str) -> String {
    /// Characters shown. 500: a sentence or two.
    const MOST: usize = 500;
    text.chars().take(MOST).flat_map(char::escape_debug).collect()
}
