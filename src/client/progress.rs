//! How far a session has come, on both sides: what is left of it when a connection breaks (PROTOCOL 12.2).
//!
//! ```text
//! Sender ──sent, joined──> Progress <──read, taken── Receiver
//!                             │
//!                             └──> ResumePoint ──> Client::resume
//! ```
//!
//! What was *taken* by the application counts here, not what was read: events that still wait in a
//! client are lost with it, and must come again.
//!
//! Both halves of a client and whoever resumes it need this, in different tasks and after either half
//! has gone, so it is shared and locked. The lock is held for a few instructions and never across an
//! await; each connection has its own, so that at most two tasks meet there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use bytes::Bytes;
use tokio::sync::Notify;

use super::event::{Batch, Event};
use super::resume::{PointRoom, ResumePoint};
use super::unaccepted::{Bounds, Unaccepted};
use super::{Error, JoinOptions, Surprise, Token};
use crate::name::RoomName;
use crate::wire::control::Mode;
use crate::wire::header::flags;
use crate::wire::{Epoch, Handle, Kind, Position, Reason, RequestId, RoomId};

#[expect(clippy::disallowed_types, reason = "see the module's paragraph on the lock")]
type Lock<T> = std::sync::Mutex<T>;

/// Refusals remembered, so that one that is told again is heard once. 4096: more than a server tells
/// between two accepted numbers, unless it refuses everything.
const MAX_REFUSALS: usize = 4096;

/// What both halves of a client know.
#[derive(Debug)]
pub(super) struct Progress {
    state: Lock<State>,
    /// Wakes a sender that waits for a place.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    /// Messages numbered so far (PROTOCOL 12.3).
    sent: u64,
    unaccepted: Unaccepted,
    refused: BTreeSet<u64>,
    rooms: BTreeMap<Handle, RoomProgress>,
    /// Nothing will come any more.
    ended: bool,
    /// The session ended as asked: there is nothing to come back to.
    finished: bool,
}

/// One room, from its JOIN until LEFT or REFUSED.
#[derive(Clone, Debug)]
struct RoomProgress {
    /// None where the address named it, and not this client.
    name: Option<RoomName>,
    /// As the last JOIN had it.
    options: JoinOptions,
    /// Of that JOIN.
    request: RequestId,
    /// Whether that JOIN was answered.
    joined: bool,
    /// Whether LEAVE was sent.
    leaving: bool,
    room: Option<RoomId>,
    /// The last position the application has taken whole.
    taken: Option<(Epoch, Position)>,
    tick: u64,
}

impl Progress {
    pub(super) const fn new(token: Option<Token>, keep: Option<Bounds>) -> Self {
        let state = State {
            token,
            sent: 0,
            unaccepted: Unaccepted::new(keep),
            refused: BTreeSet::new(),
            rooms: BTreeMap::new(),
            ended: false,
            finished: false,
        };
        Self { state: Lock::new(state), changed: Notify::const_new() }
    }

    /// Goes on where another connection has stopped.
    pub(super) fn continued(token: Option<Token>, sent: u64, unaccepted: Unaccepted, refused: BTreeSet<u64>) -> Self {
        let progress = Self::new(token, None);
        {
            let mut state = progress.lock();
            state.sent = sent;
            state.unaccepted = unaccepted;
            state.refused = refused;
        }
        progress
    }

    /// Waits until a message of so many bytes may be sent. Cancel safe.
    pub(super) async fn has_place(&self, len: usize) -> Result<(), Error> {
        loop {
            {
                let state = self.lock();
                if state.ended {
                    return Err(Error::Ended);
                }
                if state.unaccepted.has_place(len) {
                    return Ok(());
                }
            }
            // A wake-up between the look and this wait is kept: there is one sender.
            self.changed.notified().await;
        }
    }

    /// Whether a message of so many bytes may be sent without waiting.
    pub(super) fn may_send(&self, len: usize) -> bool {
        let state = self.lock();
        state.ended || state.unaccepted.has_place(len)
    }

    /// A message goes out: its number, and its frame. It asks to be accepted at once where the caller `asks`, or
    /// where it is time to.
    pub(super) fn handle_sent(
        &self,
        len: usize,
        asks: bool,
        encode: impl FnOnce(u8) -> Bytes,
    ) -> Result<(u64, Bytes), Error> {
        let mut state = self.lock();
        if state.ended {
            return Err(Error::Ended);
        }
        // PROTOCOL 12.3: numbered from 1, without the number being sent.
        state.sent += 1;
        let number = state.sent;
        let asks = state.unaccepted.asks_after(len) || (asks && state.unaccepted.keeps());
        let frame = encode(if asks { flags::ACKNOWLEDGE } else { 0 });
        state.unaccepted.push(number, frame.clone(), asks);
        Ok((number, frame))
    }

    /// The server tells an accepted number: whether it is news.
    pub(super) fn handle_accepted(&self, number: u64) -> Result<bool, Surprise> {
        let mut state = self.lock();
        if !state.unaccepted.keeps() {
            // PROTOCOL 10.3: 0 everywhere; another number means nothing.
            return Ok(false);
        }
        if number > state.sent {
            return Err(Surprise::Accepted { sent: state.sent, found: number });
        }
        let news = state.unaccepted.handle_accepted(number);
        drop(state);
        if news {
            self.changed.notify_one();
        }
        Ok(news)
    }

    /// Messages numbered so far.
    pub(super) fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// The highest accepted number.
    pub(super) fn accepted(&self) -> u64 {
        self.lock().unaccepted.accepted()
    }

    /// Whether messages are kept until they are accepted: the server tells it.
    pub(super) fn keeps(&self) -> bool {
        self.lock().unaccepted.keeps()
    }

    /// How many messages are kept that were not accepted.
    pub(super) fn unaccepted(&self) -> usize {
        self.lock().unaccepted.iter().count()
    }

    /// The frame of a message that was not accepted yet.
    pub(super) fn kept(&self, number: u64) -> Option<Bytes> {
        self.lock().unaccepted.iter().find_map(|(kept, frame)| (kept == number).then(|| frame.clone()))
    }

    /// Every message that is not known to be accepted, with its frame.
    pub(super) fn all_kept(&self) -> Vec<(u64, Bytes)> {
        self.lock().unaccepted.iter().map(|(number, frame)| (number, frame.clone())).collect()
    }

    /// The rooms that were asked for: the request, the handle, and whether it was to be left again.
    pub(super) fn asked(&self) -> Vec<(RequestId, Handle, RoomName)> {
        let state = self.lock();
        let rooms = state.rooms.iter().filter(|(_, room)| !room.leaving);
        rooms.filter_map(|(handle, room)| Some((room.request, *handle, room.name.clone()?))).collect()
    }

    /// Whether the client is in this room, and has not asked to leave it.
    pub(super) fn is_joined(&self, handle: Handle) -> bool {
        self.lock().rooms.get(&handle).is_some_and(|room| room.joined && !room.leaving)
    }

    /// Whether this refusal was heard before.
    pub(super) fn knows_refusal(&self, number: u64) -> bool {
        number > 0 && self.lock().refused.contains(&number)
    }

    /// A JOIN goes out.
    pub(super) fn handle_join(&self, handle: Handle, name: RoomName, options: JoinOptions, request: RequestId) {
        let room = RoomProgress::new(Some(name), options, request);
        self.lock().rooms.insert(handle, room);
    }

    /// A JOIN goes out for a room of an earlier connection, or the LEAVE that it was about.
    pub(super) fn handle_rejoin(&self, room: PointRoom, request: RequestId) {
        let PointRoom { handle, name, options, leaving, room, taken, tick } = room;
        let room = RoomProgress { leaving, room, taken, tick, ..RoomProgress::new(name, options, request) };
        self.lock().rooms.insert(handle, room);
    }

    /// A LEAVE goes out.
    pub(super) fn handle_leave(&self, handle: Handle) {
        if let Some(room) = self.lock().rooms.get_mut(&handle) {
            room.leaving = true;
        }
    }

    /// Other members will see this from now on; they shall after a rejoin as well.
    pub(super) fn handle_presence(&self, handle: Handle, data: Bytes) {
        if let Some(room) = self.lock().rooms.get_mut(&handle) {
            room.options.presence = data;
        }
    }

    /// A JOINED was read: from where on its JOIN wanted batches.
    pub(super) fn handle_joined(&self, handle: Handle, room: RoomId) -> Option<(Epoch, Position)> {
        let mut state = self.lock();
        // PROTOCOL 4.2: the room in the address. Of others that nobody asked for nothing is kept.
        if handle == Handle(0) {
            let named = || RoomProgress::new(None, JoinOptions::new(Mode::BOTH), RequestId(0));
            state.rooms.entry(handle).or_insert_with(named);
        }
        let entry = state.rooms.get_mut(&handle)?;
        entry.room = Some(room);
        entry.options.since
    }

    /// The room of a JOIN that was refused, if this request was one.
    pub(super) fn handle_join_refused(&self, request: RequestId) -> Option<Handle> {
        let mut state = self.lock();
        let is_it = |room: &RoomProgress| request.0 != 0 && room.request == request && !room.joined;
        let handle = state.rooms.iter().find_map(|(handle, room)| is_it(room).then_some(*handle))?;
        state.rooms.remove(&handle);
        Some(handle)
    }

    /// The application takes an event.
    pub(super) fn handle_taken(&self, event: &Event) {
        let mut state = self.lock();
        match event {
            Event::Joined { membership, .. } => {
                if let Some(room) = state.rooms.get_mut(&membership.handle) {
                    room.joined = true;
                    room.tick = membership.tick;
                    room.taken = Some((membership.epoch, membership.position));
                }
            }
            Event::Batch(batch) | Event::Presence(batch) => {
                if let Some(room) = state.rooms.get_mut(&batch.room()) {
                    room.handle_batch(batch);
                }
            }
            Event::Gap { handle, epoch, from, to } => {
                if let Some(room) = state.rooms.get_mut(handle) {
                    let position = room.taken.map_or(*to, |(known, position)| {
                        // PROTOCOL 6.10: below, nothing is lost; in another life, everything is new.
                        if known != *epoch || to >= from { *to } else { position }
                    });
                    room.taken = Some((*epoch, position));
                }
            }
            // What has ended is not the membership that a JOIN on its way asks for.
            Event::Left { handle, .. } if state.rooms.get(handle).is_some_and(|room| room.joined || room.leaving) => {
                state.rooms.remove(handle);
            }
            // Only a session that is resumed hears it again.
            Event::Refused(refusal) if refusal.number > 0 && state.token.is_some() => {
                state.refused.insert(refusal.number);
                if state.refused.len() > MAX_REFUSALS {
                    state.refused.pop_first();
                }
            }
            Event::Closed(closing) => {
                state.finished |= closing.reason == Some(Reason::FINISHED);
            }
            _ => {}
        }
    }

    /// Nothing will come any more. Who waits for a place is told.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// The last position of a room that the application has taken whole.
    pub(super) fn position(&self, handle: Handle) -> Option<(Epoch, Position)> {
        self.lock().rooms.get(&handle)?.taken
    }

    /// What another connection needs to go on, with the highest direct that was taken.
    pub(super) fn resume_point(&self, directs: u64) -> Option<ResumePoint> {
        let state = self.lock();
        // Without accepted numbers nobody knows which messages arrived, and so how they are numbered on.
        if state.finished || (state.sent > 0 && !state.unaccepted.keeps()) {
            return None;
        }
        let rooms = state.rooms.iter().map(|(handle, room)| room.point(*handle));
        Some(ResumePoint {
            token: state.token.clone()?,
            directs,
            sent: state.sent,
            unaccepted: state.unaccepted.clone(),
            refused: state.refused.clone(),
            rooms: rooms.collect(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RoomProgress {
    const fn new(name: Option<RoomName>, options: JoinOptions, request: RequestId) -> Self {
        Self { name, options, request, joined: false, leaving: false, room: None, taken: None, tick: 0 }
    }

    fn handle_batch(&mut self, batch: &Batch) {
        if batch.kind() != Kind::Members {
            self.tick = batch.tick();
        }
        // PROTOCOL 8.3: complete with the last of its numbered frames.
        if let Some((_, position)) = &mut self.taken
            && batch.kind().is_numbered()
            && !batch.has_more()
        {
            *position = batch.position();
        }
    }

    fn point(&self, handle: Handle) -> PointRoom {
        PointRoom {
            handle,
            name: self.name.clone(),
            options: self.options.clone(),
            leaving: self.leaving,
            room: self.room,
            taken: self.taken,
            tick: self.tick,
        }
    }
}
