//! Publishing as member 0: the room itself.
//!
//! ```text
//! publications ──by shard──> one question for each shard ──> what became of each, in their order
//! subject ──> its sessions ──shard after shard──> a direct for each
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;

use super::ApiError;
use super::ask::Rooms;
use crate::dispatcher::operate::{Operator, OwnMessage, Published};
use crate::name::RoomName;
use crate::server::Handle;
use crate::wire::{Key, MemberNumber, Reason, Target};

/// A message of a room itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The room.
    pub room: RoomName,
    /// What it is.
    pub what: What,
    /// Whether the batch leaves before its tick, where the room's class allows that (PROTOCOL 11.6).
    pub urgent: bool,
}

/// An event, or a value of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An event.
    Event(Bytes),
    /// The value of this key, below 2^52. Not empty.
    Value(u64, Bytes),
    /// No value of this key any more.
    Delete(u64),
}

impl Publication {
    /// An event.
    #[must_use]
    pub fn event(room: &RoomName, payload: impl Into<Bytes>) -> Self {
        Self { room: room.clone(), what: What::Event(payload.into()), urgent: false }
    }

    /// A value of the room.
    #[must_use]
    pub fn value(room: &RoomName, key: u64, payload: impl Into<Bytes>) -> Self {
        Self { room: room.clone(), what: What::Value(key, payload.into()), urgent: false }
    }

    fn message(&self) -> Result<OwnMessage<'_>, Reason> {
        // PROTOCOL 7.2: with its scope, a key is below 2^53.
        let value = |key: u64| if key < 1 << 52 { Ok(Target::Value(Key::room(key))) } else { Err(Reason::ARGUMENT) };
        let (target, payload) = match &self.what {
            What::Event(payload) => (Target::Event, &payload[..]),
            // An empty one would delete it.
            What::Value(_, payload) if payload.is_empty() => return Err(Reason::ARGUMENT),
            What::Value(key, payload) => (value(*key)?, &payload[..]),
            What::Delete(key) => (value(*key)?, &[][..]),
        };
        Ok(OwnMessage { target, urgent: self.urgent, payload })
    }
}

/// Messages that a question to a shard has at most. 1,000: what they take is a part of a tick.
const CHUNK: usize = 1000;

/// What became of a message.
type Outcome = Result<Published, ApiError>;

impl Handle {
    /// Publishes a message of the room itself, as member 0: its logic is not asked. The room is made where there is
    /// none, and lingers as one that everybody has left; not to delete a value. Returns when the room has taken it,
    /// which is before it is sent. Cancelled, it is done all the same.
    ///
    /// # Errors
    /// [`ApiError::Refused`] with [`Reason::MESSAGE_TOO_LARGE`], [`Reason::BATCH_FULL`], [`Reason::VALUES_FULL`],
    /// [`Reason::TOO_MANY_ROOMS`], [`Reason::ARGUMENT`] or [`Reason::NOT_ALLOWED`]; [`ApiError::NoSuchRoom`],
    /// [`ApiError::Busy`] and [`ApiError::Gone`].
    pub async fn publish(&self, publication: Publication) -> Outcome {
        let room = publication.room.clone();
        self.ask_room(&room, move |rooms, _, operator| publish(rooms, operator, &publication)).await?
    }

    /// Publishes many messages. Those of a room keep their order. What became of each, in the order that they were
    /// given; otherwise as [`publish`](Self::publish).
    pub async fn publish_all(&self, publications: Vec<Publication>) -> Vec<Outcome> {
        let mut outcomes = vec![Err(ApiError::Busy); publications.len()];
        let mut by_shard: BTreeMap<usize, Vec<(usize, Publication)>> = BTreeMap::new();
        for (index, publication) in publications.into_iter().enumerate() {
            by_shard.entry(self.shard(&publication.room)).or_default().push((index, publication));
        }
        for (shard, mut publications) in by_shard {
            while !publications.is_empty() {
                let rest = publications.split_off(publications.len().min(CHUNK));
                let chunk = std::mem::replace(&mut publications, rest);
                let places: Vec<usize> = chunk.iter().map(|(index, _)| *index).collect();
                let answer = self.ask(shard, move |mut rooms, operator| {
                    let outcome =
                        |(_, publication): &(usize, Publication)| publish(rooms.again(), operator, publication);
                    chunk.iter().map(outcome).collect::<Vec<Outcome>>()
                });
                let answer = answer.await;
                for (order, index) in places.into_iter().enumerate() {
                    let Some(outcome) = outcomes.get_mut(index) else { continue };
                    *outcome = match &answer {
                        Ok(answers) => answers.get(order).copied().unwrap_or(Err(ApiError::Gone)),
                        Err(error) => Err(*error),
                    };
                }
            }
        }
        outcomes
    }

    /// Sends a direct of a room to every session of a subject, once each, in one of the rooms that it is in; in `room`
    /// alone, where one is named. How many it is sent to: sessions that are in no room cannot be reached.
    ///
    /// # Errors
    /// [`ApiError::Refused`] with [`Reason::MESSAGE_TOO_LARGE`] or [`Reason::NOT_ALLOWED`]; [`ApiError::Busy`] and
    /// [`ApiError::Gone`], where some may have got it.
    pub async fn direct(
        &self,
        subject: &[u8],
        room: Option<&RoomName>,
        payload: Bytes,
        urgent: bool,
    ) -> Result<usize, ApiError> {
        let mut sessions = self.registry.sessions_of(subject);
        let all = sessions.len();
        let shards = match room {
            Some(room) => self.shard(room)..self.shard(room) + 1,
            None => 0..self.surroundings().mailboxes.len(),
        };
        for (asked, shard) in shards.enumerate() {
            // One is asked in any case: whether this may be done at all.
            if sessions.is_empty() && asked > 0 {
                break;
            }
            let (room, payload) = (room.cloned(), payload.clone());
            let answer = self.ask(shard, move |rooms, operator| {
                let Rooms { dispatcher, out, now } = rooms;
                let target = Target::Direct(MemberNumber::ROOM);
                let message = OwnMessage { target, urgent, payload: &payload };
                dispatcher
                    .direct_to_sessions(operator, &mut sessions, room.as_ref(), message, now, out)
                    .map(|()| sessions)
            });
            sessions = answer.await??;
        }
        Ok(all - sessions.len())
    }
}

fn publish(rooms: Rooms<'_>, operator: &Operator, publication: &Publication) -> Outcome {
    let Rooms { dispatcher, out, now } = rooms;
    let published = dispatcher.publish_as_room(operator, &publication.room, publication.message()?, now, out)?;
    published.ok_or(ApiError::NoSuchRoom)
}
