//! What the handles of a link and its task share.
//!
//! ```text
//! Link, Room ──wishes, messages──> State <──what the connection brought── task
//!                                    │
//!                                    └──events──> Events
//! ```
//!
//! Handles are used in any task, and their methods answer at once, so this is locked. The lock is held for as long
//! as a frame takes to be put away, and never across an await; the only other lock taken meanwhile is the one of the
//! connection's progress, which never takes this one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::LinkConfig;
use super::entry::Entry;
use super::error::LinkError;
use super::event::{Changed, LinkEvent, LinkState, MessageId, RoomState};
use super::waiting::{Loads, Waiting};
use crate::client::Clock;
use crate::client::outgoing::Backlog;
use crate::client::session::Consumption;
use crate::name::RoomName;
use crate::wire::Reason;

#[expect(clippy::disallowed_types, reason = "see the module's paragraph on the lock")]
type Lock<T> = std::sync::Mutex<T>;

/// What the application wants of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Off,
    On,
    Closed,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Lock<State>,
    /// Wakes the task: a wish has changed, or a message waits.
    pub(super) wishes: Notify,
    /// Wakes the task: the application has taken events.
    pub(super) place: Notify,
    /// Wakes whoever waits for the state to become something.
    pub(super) told: Notify,
    /// Wakes whoever waits for an event.
    pub(super) waker: AtomicWaker,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) wish: Wish,
    pub(super) link: LinkState,
    /// How often the application has wished to disconnect: it may wish to connect again before that was done.
    pub(super) disconnects: u64,
    pub(super) rooms: BTreeMap<RoomName, Entry>,
    /// What still waits in rooms that were left and are joined anew, by the generation that was left.
    pub(super) draining: BTreeMap<u64, (RoomName, Waiting)>,
    pub(super) loads: Loads,
    /// Messages that were sent and not accepted.
    pub(super) unaccepted: usize,
    pub(super) last_id: u64,
    pub(super) generations: u64,
    /// The largest message the server takes, in bytes.
    pub(super) max_message: usize,
    /// Of the connection, while there is one.
    pub(super) backlog: Option<Arc<Backlog>>,
    pub(super) clock: Option<Clock>,
    pub(super) rtt: Option<Duration>,
    /// The server time that was told last, in microseconds: it does not go back.
    pub(super) last_time: u64,
    queue: VecDeque<Item>,
    queue_cost: usize,
    max_cost: usize,
    /// The application does not want any.
    deaf: bool,
    /// Nothing follows what is queued.
    finished: bool,
}

/// An event that waits for the application.
#[derive(Debug)]
struct Item {
    event: LinkEvent,
    cost: usize,
    /// What to tell its connection when it is taken: the bytes of its frame.
    taken: Option<(Arc<Consumption>, u64)>,
}

/// The most that a message may have in any case, in bytes: with its arguments it fits a frame.
pub(super) const MAX_MESSAGE: usize = 65_535 - 24;

impl Shared {
    pub(super) fn new(config: &LinkConfig) -> Self {
        let state = State {
            wish: Wish::Off,
            link: LinkState::Disconnected,
            disconnects: 0,
            rooms: BTreeMap::new(),
            draining: BTreeMap::new(),
            loads: Loads::new(config.queue_messages, config.queue_bytes),
            unaccepted: 0,
            last_id: 0,
            generations: 0,
            max_message: MAX_MESSAGE,
            backlog: None,
            clock: None,
            rtt: None,
            last_time: 0,
            queue: VecDeque::new(),
            queue_cost: 0,
            max_cost: config.event_bytes,
            deaf: false,
            finished: false,
        };
        let (wishes, place, told) = (Notify::new(), Notify::new(), Notify::new());
        Self { state: Lock::new(state), wishes, place, told, waker: AtomicWaker::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes everybody whom that may concern.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.waker.wake();
        self.told.notify_waiters();
        changed
    }

    /// What is wished, and how often it was to disconnect.
    pub(super) fn wish(&self) -> (Wish, u64) {
        let state = self.lock();
        (state.wish, state.disconnects)
    }

    /// Whether a connection is wished, by who knows of so many wishes to disconnect.
    pub(super) fn is_wished(&self, disconnects: u64) -> bool {
        self.wish() == (Wish::On, disconnects)
    }

    /// Whether the application has room for what comes.
    pub(super) fn has_place(&self) -> bool {
        let state = self.lock();
        state.queue_cost < state.max_cost
    }

    /// Waits until this is so. Cancel safe.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Before the look: what happens between it and the wait must wake.
            let told = self.told.notified();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            told.await;
        }
    }

    /// The next event for the application; the end where none will come.
    pub(super) fn take(&self) -> Option<Option<LinkEvent>> {
        let mut state = self.lock();
        let Some(item) = state.queue.pop_front() else { return state.finished.then_some(None) };
        state.queue_cost -= item.cost;
        let was_full = state.queue_cost + item.cost >= state.max_cost && state.queue_cost < state.max_cost;
        drop(state);
        if let Some((consumption, bytes)) = item.taken {
            consumption.handle_taken(bytes, None);
        }
        if was_full {
            self.place.notify_one();
        }
        Some(Some(item.event))
    }

    /// The application wants no events any more.
    pub(super) fn stop_listening(&self) {
        let mut state = self.lock();
        state.deaf = true;
        state.queue_cost = 0;
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        for (consumption, bytes) in queue.into_iter().filter_map(|item| item.taken) {
            consumption.handle_taken(bytes, None);
        }
        self.place.notify_one();
    }

    /// Nothing will follow.
    pub(super) fn finish(&self) {
        self.change(|state| state.finished = true);
    }
}

impl State {
    /// Queues an event.
    pub(super) fn tell(&mut self, event: LinkEvent) {
        self.tell_taken(event, None);
    }

    /// Queues the events of a frame. When the last of them is taken, the frame is.
    pub(super) fn tell_frame(&mut self, events: Vec<LinkEvent>, consumption: &Arc<Consumption>, bytes: u64) {
        let count = events.len();
        if count == 0 || self.deaf {
            consumption.handle_taken(bytes, None);
        }
        for (index, event) in events.into_iter().enumerate() {
            self.tell_taken(event, (index + 1 == count).then(|| (Arc::clone(consumption), bytes)));
        }
    }

    fn tell_taken(&mut self, event: LinkEvent, taken: Option<(Arc<Consumption>, u64)>) {
        if self.deaf || self.finished {
            return;
        }
        let cost = event.cost();
        self.queue_cost += cost;
        self.queue.push_back(Item { event, cost, taken });
    }

    pub(super) fn error(&mut self, error: LinkError) {
        self.tell(LinkEvent::Error(error));
    }

    /// The link's state changes, if it does. While there is no connection no room is joined.
    pub(super) fn set_link(&mut self, after: LinkState, reason: Reason, text: &str) {
        let before = std::mem::replace(&mut self.link, after);
        if after != LinkState::Connected {
            self.backlog = None;
            for generation in self.draining.keys().copied().collect::<Vec<_>>() {
                self.stop_draining(generation);
            }
            let names: Vec<_> = self.rooms.keys().cloned().collect();
            for name in names {
                self.handle_no_connection(&name, after == LinkState::Closed, reason, text);
            }
        }
        if before != after {
            let text = text.to_owned();
            self.tell(LinkEvent::State(Changed { before, after, reason, text }));
        }
    }

    fn handle_no_connection(&mut self, name: &RoomName, closed: bool, reason: Reason, text: &str) {
        let Some(entry) = self.rooms.get_mut(name) else { return };
        entry.is_paused = false;
        if closed || !entry.wanted {
            self.remove_room(name, reason, text);
        } else {
            self.set_room(name, RoomState::Joining, reason, text);
        }
    }

    /// A room's state changes, if it does.
    pub(super) fn set_room(&mut self, name: &RoomName, after: RoomState, reason: Reason, text: &str) {
        let Some(entry) = self.rooms.get_mut(name) else { return };
        let before = std::mem::replace(&mut entry.state, after);
        if before != after {
            let text = text.to_owned();
            self.tell(LinkEvent::Room(name.clone(), Changed { before, after, reason, text }));
        }
    }

    /// A room was left, or is refused for good. What waits for it is thrown away, and told.
    pub(super) fn remove_room(&mut self, name: &RoomName, reason: Reason, text: &str) {
        self.set_room(name, RoomState::Left, reason, text);
        if let Some(mut entry) = self.rooms.remove(name) {
            let dropped = entry.waiting.clear(&mut self.loads);
            self.tell_dropped(name.clone(), dropped);
        }
    }

    /// A room that is being left is joined anew: what waits still goes to the one that is left.
    pub(super) fn drain_room(&mut self, name: &RoomName) {
        if let Some(entry) = self.rooms.get_mut(name) {
            let (generation, waiting) = (entry.generation, std::mem::take(&mut entry.waiting));
            if !waiting.is_empty() {
                self.draining.insert(generation, (name.clone(), waiting));
            }
        }
        self.remove_room(name, Reason::FINISHED, "");
    }

    /// A room that was left and is joined anew can take nothing more.
    pub(super) fn stop_draining(&mut self, generation: u64) {
        if let Some((name, mut waiting)) = self.draining.remove(&generation) {
            let dropped = waiting.clear(&mut self.loads);
            self.tell_dropped(name, dropped);
        }
    }

    /// What waits for this membership of a room.
    pub(super) fn waiting(&mut self, name: &RoomName, generation: u64) -> Option<(&mut Waiting, &mut Loads)> {
        let entry = self.rooms.get_mut(name).filter(|entry| entry.generation == generation);
        let waiting = match entry {
            Some(entry) => &mut entry.waiting,
            None => &mut self.draining.get_mut(&generation)?.1,
        };
        Some((waiting, &mut self.loads))
    }

    fn tell_dropped(&mut self, name: RoomName, dropped: Vec<MessageId>) {
        if !dropped.is_empty() {
            self.tell(LinkEvent::Dropped(name, dropped));
        }
    }

    /// Server time now, in microseconds: as long as there is a clock, it does not go back.
    pub(super) fn server_time(&mut self) -> Option<u64> {
        let now = self.clock.as_ref()?.server_time(Instant::now())?;
        self.last_time = self.last_time.max(now);
        Some(self.last_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Timing;
    use crate::client::link::config::{Policy, RoomOptions};
    use crate::client::link::waiting::Waits;
    use crate::wire::Target;

    #[test]
    fn what_waits_in_rooms_that_are_left_is_told_when_the_connection_breaks() {
        let shared = Shared::new(&LinkConfig::to("tcp://127.0.0.1:1").unwrap());
        let name = RoomName::new(b"r").unwrap();
        let enter = |state: &mut State, generation, id| {
            let mut entry = Entry::new(RoomOptions::default(), generation);
            (entry.state, entry.wanted) = (RoomState::Joined, false);
            let message = Waits {
                id: MessageId(id),
                target: Target::Event,
                timing: Timing::Tick,
                policy: Policy::Reliable,
                payload: bytes::Bytes::from_static(b"x"),
            };
            assert!(entry.waiting.push(message, &mut state.loads));
            state.rooms.insert(name.clone(), entry);
        };
        shared.change(|state| {
            state.link = LinkState::Connected;
            enter(state, 1, 7);
            state.drain_room(&name);
            enter(state, 2, 8);
            assert_eq!(state.loads.messages(), 2);
            state.set_link(LinkState::Connecting, Reason(0), "");
            assert!(state.loads.is_empty() && state.draining.is_empty() && state.rooms.is_empty());
        });
        let events = std::iter::from_fn(|| shared.take().flatten());
        let dropped = events.filter_map(|event| match event {
            LinkEvent::Dropped(room, messages) => Some((room, messages)),
            _ => None,
        });
        assert_eq!(
            dropped.collect::<Vec<_>>(),
            [(name.clone(), vec![MessageId(7)]), (name.clone(), vec![MessageId(8)])]
        );
    }
}
