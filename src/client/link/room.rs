//! A room of a link: what the application does with it, and asks of it.

use std::fmt;

use bytes::Bytes;

use super::config::{Policy, SendOptions};
use super::error::LinkError;
use super::event::{LinkState, MessageId, RoomState, Value};
use super::waiting::Waits;
use super::{Guard, Shared};
use crate::client::{Member, Membership};
use crate::name::RoomName;
use crate::wire::{Key, MemberNumber, Reason, Target};

/// The transport is busy above so many bytes that were not written. 64 KiB: clients/SPEC.md 5.
pub(super) const BUSY: usize = 64 * 1024;

/// A room that was joined. Clones are cheap, and mean the same.
///
/// Methods that publish answer at once: what cannot leave now waits, within bounds, as its [`Policy`] says. Every
/// `async` method is cancel safe: dropped early, it has changed nothing but what it had asked for.
#[derive(Clone)]
pub struct Room {
    pub(super) name: RoomName,
    pub(super) guard: Guard,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// It leaves, or waits: its number.
    Queued(MessageId),
    /// It was thrown away, as its policy says.
    Dropped,
}

impl Room {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> RoomState {
        self.shared().lock().rooms.get(&self.name).map_or(RoomState::Left, |entry| entry.state)
    }

    /// Publishes an event: every member sees it, in one order.
    ///
    /// # Errors
    /// [`LinkError::QueueFull`], [`LinkError::TooLarge`], or [`LinkError::Closed`] where the room was left.
    pub fn publish(&self, payload: impl Into<Bytes>) -> Result<Sent, LinkError> {
        self.publish_with(Target::Event, payload, SendOptions::default())
    }

    /// Sets this member's value of a key, or the room's ([`Key::room`]). An empty one deletes it.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn set(&self, key: Key, payload: impl Into<Bytes>) -> Result<Sent, LinkError> {
        self.publish_with(Target::Value(key), payload, SendOptions::default())
    }

    /// Deletes a value.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn delete(&self, key: Key) -> Result<Sent, LinkError> {
        self.set(key, Bytes::new())
    }

    /// Sends to one member.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn send(&self, member: MemberNumber, payload: impl Into<Bytes>) -> Result<Sent, LinkError> {
        self.publish_with(Target::Direct(member), payload, SendOptions::default())
    }

    /// Publishes with everything that can be said of it.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn publish_with(
        &self,
        target: Target,
        payload: impl Into<Bytes>,
        options: SendOptions,
    ) -> Result<Sent, LinkError> {
        let usual = if matches!(target, Target::Value(_)) { Policy::Latest } else { Policy::Reliable };
        let (payload, policy) = (payload.into(), options.policy.unwrap_or(usual));
        let mut state = self.shared().lock();
        let (len, limit) = (payload.len(), state.max_message);
        let is_busy = state.backlog.as_ref().is_none_or(|backlog| backlog.bytes() > BUSY);
        let id = MessageId(state.last_id + 1);
        let state = &mut *state;
        let entry = state.rooms.get_mut(&self.name).filter(|entry| entry.wanted).ok_or(LinkError::Closed)?;
        if len > limit {
            return Err(LinkError::TooLarge { id: None, len, limit });
        }
        if policy == Policy::Drop
            && (entry.state != RoomState::Joined || is_busy || !state.loads.has_place(payload.len()))
        {
            return Ok(Sent::Dropped);
        }
        let message = Waits { id, target, timing: options.timing, policy, payload };
        if !entry.waiting.push(message, &mut state.loads) {
            return Err(LinkError::QueueFull);
        }
        state.last_id = id.0;
        self.shared().wishes.notify_one();
        Ok(Sent::Queued(id))
    }

    /// Waits until a reliable message of so many bytes has a place in the queue. Of several that wait, one may find
    /// it taken again.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the room was left, and [`LinkError::TooLarge`] where there never is one.
    pub async fn has_place(&self, bytes: usize) -> Result<(), LinkError> {
        let look = |state: &mut super::State| {
            let limit = state.max_message.min(state.loads.most.bytes);
            if !state.rooms.get(&self.name).is_some_and(|entry| entry.wanted) {
                return Some(Err(LinkError::Closed));
            }
            if bytes > limit {
                return Some(Err(LinkError::TooLarge { id: None, len: bytes, limit }));
            }
            state.loads.has_place(bytes).then_some(Ok(()))
        };
        self.shared().until(look).await
    }

    /// Waits until the room is joined.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where it was left, or is refused for good: its event says why.
    pub async fn joined(&self) -> Result<Membership, LinkError> {
        let look = |state: &mut super::State| match state.rooms.get(&self.name) {
            None => Some(Err(LinkError::Closed)),
            Some(entry) if entry.state == RoomState::Joined => entry.membership.clone().map(Ok),
            Some(_) => None,
        };
        self.shared().until(look).await
    }

    /// Leaves the room. What was published before goes first where the room is joined; where it is not, or its
    /// connection breaks meanwhile, it is thrown away and [told](super::LinkEvent::Dropped). A `join` later begins
    /// anew.
    pub fn leave(&self) {
        let shared = self.shared();
        shared.change(|state| {
            let is_here = state.link == LinkState::Connected;
            let Some(entry) = state.rooms.get_mut(&self.name) else { return };
            entry.wanted = false;
            // What the server has said to be joined is left when the server says so.
            if entry.state != RoomState::Joined || !is_here {
                state.remove_room(&self.name, Reason::FINISHED, "");
            }
        });
        shared.wishes.notify_one();
    }

    /// Asks for nothing of this room but directs, and waits until the server has agreed. It stays so over other
    /// connections.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the room was left, [`LinkError::Unable`] where the server cannot or will not.
    pub async fn pause(&self) -> Result<(), LinkError> {
        self.set_paused(true).await
    }

    /// Asks for everything again, and waits until the server has agreed. A [gap or a
    /// snapshot](super::Outcome) tells what was missed.
    ///
    /// # Errors
    /// As for [`pause`](Self::pause).
    pub async fn unpause(&self) -> Result<(), LinkError> {
        self.set_paused(false).await
    }

    async fn set_paused(&self, paused: bool) -> Result<(), LinkError> {
        let refusals = {
            let mut state = self.shared().lock();
            let entry = state.rooms.get_mut(&self.name).ok_or(LinkError::Closed)?;
            entry.paused = paused;
            entry.pause_refusals
        };
        self.shared().wishes.notify_one();
        let look = |state: &mut super::State| match state.rooms.get(&self.name) {
            None => Some(Err(LinkError::Closed)),
            Some(entry) if entry.pause_refusals != refusals => Some(Err(LinkError::Unable)),
            Some(entry) => (entry.state == RoomState::Joined && entry.is_paused == paused).then_some(Ok(())),
        };
        self.shared().until(look).await
    }

    /// What the server granted, while the room is joined.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        let state = self.shared().lock();
        let entry = state.rooms.get(&self.name).filter(|entry| entry.state == RoomState::Joined)?;
        entry.membership.clone()
    }

    /// This client's number in the room, while it is joined.
    #[must_use]
    pub fn member(&self) -> Option<MemberNumber> {
        self.membership().map(|membership| membership.member)
    }

    /// The latest value of the room's key, as far as it came: it may be ahead of the events that wait.
    #[must_use]
    pub fn latest(&self, key: u64) -> Option<Bytes> {
        self.known(|known| known.latest(Key::room(key), MemberNumber::ROOM))?
    }

    /// The latest value of a member's key. See [`latest`](Self::latest).
    #[must_use]
    pub fn latest_of(&self, member: MemberNumber, key: u64) -> Option<Bytes> {
        self.known(|known| known.latest(Key::member(key), member))?
    }

    /// All values. See [`latest`](Self::latest).
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        self.known(super::known::Known::values).unwrap_or_default()
    }

    /// The members, by number, where the room tells them and [`RoomOptions::members`](super::RoomOptions::members)
    /// asked for them. See [`latest`](Self::latest).
    #[must_use]
    pub fn members(&self) -> Option<Vec<Member>> {
        self.known(super::known::Known::members)?
    }

    /// How many members there are, where the room tells that.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.known(super::known::Known::count)?
    }

    /// The room's tick now, as a real number: half a period after tick 7 has begun it is 7.5. None without a
    /// membership, or before the server's time is known.
    #[must_use]
    pub fn tick(&self) -> Option<f64> {
        let mut state = self.shared().lock();
        let now = state.server_time()?;
        let entry = state.rooms.get(&self.name)?;
        Some(entry.membership.as_ref()?.tick_at(now))
    }

    fn known<T>(&self, look: impl FnOnce(&super::known::Known) -> T) -> Option<T> {
        self.shared().lock().rooms.get(&self.name).map(|entry| look(&entry.known))
    }

    fn shared(&self) -> &Shared {
        &self.guard.0.shared
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("name", &self.name).finish_non_exhaustive()
    }
}
