//! What a connection writes: joins, questions and messages, as far as that need not wait.
//!
//! ```text
//! wishes ──> LEAVE, JOIN, RECEIVE ──┐
//! timers ──> pings, TOKEN ──────────┴─> Sender ──> queue ──> socket
//! messages that wait ──oldest first─┘
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::config::Policy;
use super::error::LinkError;
use super::log::Logged;
use super::open::{Asked, Ended, Open, Retry};
use super::room::BUSY;
use crate::client::{Error, JoinOptions, Token, What};
use crate::name::RoomName;
use crate::wire::{Capabilities, Handle, Reason};

/// Pings at the beginning, how far apart, and how far apart they are later (clients/SPEC.md 7).
const FIRST_PINGS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(super) const LATER_PAUSE: Duration = Duration::from_secs(10);

/// What is to be written.
enum Work {
    Join(RoomName, u64, JoinOptions),
    Leave(Handle),
    Pause(Handle, bool),
    Ping,
    Renew(Token),
    Publish,
}

/// What keeps the rest from being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    No,
    Queue,
    Busy,
}

impl Open<'_> {
    /// Writes, unless the writer has failed: then reading tells why.
    pub(super) async fn try_write(&mut self) -> Result<Blocked, Ended> {
        if self.is_mute {
            return Ok(Blocked::No);
        }
        match self.write().await {
            Err(Error::Ended) => {
                self.is_mute = true;
                Ok(Blocked::No)
            }
            written => written.map_err(Ended::Failed),
        }
    }

    /// Writes what there is to write, as far as it need not wait.
    async fn write(&mut self) -> Result<Blocked, Error> {
        loop {
            if !self.sender.is_ready() {
                return Ok(Blocked::Queue);
            }
            // The queue has a place, so that none of these waits.
            match self.next_work() {
                None => return Ok(Blocked::No),
                Some(Work::Join(name, generation, options)) => {
                    let joined = self.sender.join_with(name.as_str(), options).await;
                    if let Err(Error::MessageTooLarge { len, limit }) = joined {
                        self.shared.change(|state| {
                            state.error(LinkError::TooLarge { id: None, len, limit });
                            state.remove_room(&name, Reason::ARGUMENT, Reason::ARGUMENT.sentence());
                        });
                        continue;
                    }
                    let (request, handle) = joined?;
                    let asked = Asked { name, generation, request, joined: false, leaving: false, paused: false };
                    self.asked.insert(handle, asked);
                }
                Some(Work::Leave(handle)) => {
                    self.sender.leave(handle).await?;
                }
                Some(Work::Pause(handle, paused)) => {
                    let what = if paused { What::Paused } else { What::All };
                    let request = self.sender.receive(handle, what).await?;
                    self.pauses.insert(request, (handle, paused));
                }
                Some(Work::Ping) => {
                    self.sender.ping().await?;
                    self.pings += 1;
                    let pause = if self.pings < FIRST_PINGS { FIRST_PAUSE } else { LATER_PAUSE };
                    self.ping_at = Instant::now() + pause;
                }
                Some(Work::Renew(token)) => match self.sender.renew(&token).await {
                    Err(Error::MessageTooLarge { len, limit }) => {
                        self.renewal.handle_failure();
                        self.shared.change(|state| state.error(LinkError::TooLarge { id: None, len, limit }));
                    }
                    asked => self.renewal.handle_sent(asked?, token),
                },
                Some(Work::Publish) => match self.publish()? {
                    None => {}
                    Some(blocked) => return Ok(blocked),
                },
            }
        }
    }

    fn next_work(&mut self) -> Option<Work> {
        if let Some(stray) = self.strays.pop() {
            return Some(Work::Leave(stray));
        }
        let now = Instant::now();
        if self.ping_at <= now {
            return Some(Work::Ping);
        }
        if let Some(token) = self.renewal.take_ready() {
            return Some(Work::Renew(token));
        }
        self.room_work(now).or_else(|| self.going.is_none().then_some(Work::Publish))
    }

    /// What is to be said of rooms.
    fn room_work(&mut self, now: Instant) -> Option<Work> {
        let can_pause = self.receiver.terms().capabilities.has(Capabilities::RECEIVE);
        let mut state = self.shared.lock();
        let mut told = false;
        let mut current = BTreeSet::new();
        for (handle, asked) in &mut self.asked {
            if asked.leaving {
                continue;
            }
            // The next membership waits until what was published in this one has left.
            if let Some((_, waiting)) = state.draining.get(&asked.generation) {
                if !waiting.is_empty() {
                    current.insert(asked.name.clone());
                    continue;
                }
                state.draining.remove(&asked.generation);
            }
            let entry = state.rooms.get_mut(&asked.name).filter(|entry| entry.generation == asked.generation);
            match entry {
                Some(entry) if entry.wanted || !entry.waiting.is_empty() => {
                    current.insert(asked.name.clone());
                    if !asked.joined || asked.paused == entry.paused {
                        continue;
                    }
                    if can_pause {
                        asked.paused = entry.paused;
                        return Some(Work::Pause(*handle, entry.paused));
                    }
                    entry.paused = asked.paused;
                    entry.pause_refusals += 1;
                    told = true;
                }
                // LEAVE may follow a JOIN that was not answered: the server takes them in order.
                _ => {
                    asked.leaving = true;
                    return Some(Work::Leave(*handle));
                }
            }
        }
        // Another join of a room does not wait for what the one before was told.
        let is_current = |name: &RoomName, retry: &mut Retry| {
            state.rooms.get(name).is_some_and(|entry| entry.wanted && entry.generation == retry.generation)
        };
        self.retries.retain(is_current);
        let retries = &self.retries;
        let may_join = |name: &RoomName| {
            !current.contains(name) && retries.get(name).is_none_or(|retry| retry.at <= now) && self.going.is_none()
        };
        let mut rooms = state.rooms.iter();
        let next = rooms.find(|(name, entry)| entry.wanted && may_join(name));
        let work = next.map(|(name, entry)| Work::Join(name.clone(), entry.generation, entry.join_options()));
        drop(state);
        if told {
            self.shared.told.notify_waiters();
        }
        work
    }

    /// Sends the oldest message that may leave; else it says what keeps the rest, if there is one.
    fn publish(&mut self) -> Result<Option<Blocked>, Error> {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let joined = self.asked.iter().filter(|(_, asked)| asked.joined && !asked.leaving);
        let waiting = joined.filter_map(|(handle, asked)| {
            let (waiting, _) = state.waiting(&asked.name, asked.generation)?;
            let first = waiting.first()?;
            Some((first.policy == Policy::Latest, first.id, *handle))
        });
        // What is reliable leaves first; of what is, the oldest.
        let Some((_, id, handle)) = waiting.min() else { return Ok(Some(Blocked::No)) };
        if self.sender.backlog().bytes() > BUSY {
            return Ok(Some(Blocked::Busy));
        }
        let Some(asked) = self.asked.get(&handle) else { return Ok(Some(Blocked::No)) };
        let (name, is_last) = (asked.name.clone(), state.loads.messages() == 1);
        let Some((waiting, loads)) = state.waiting(&name, asked.generation) else { return Ok(Some(Blocked::No)) };
        let Some(first) = waiting.first() else { return Ok(Some(Blocked::No)) };
        let asks = is_last && first.policy != Policy::Drop;
        let sent = self.sender.try_publish(handle, first.target, first.timing, &first.payload, asks);
        let (policy, number) = match sent {
            // Until others are accepted, or the queue has a place: both are heard of by reading and writing.
            Ok(None) => return Ok(Some(if self.sender.is_ready() { Blocked::Busy } else { Blocked::Queue })),
            Ok(Some(number)) => (first.policy, number),
            Err(Error::MessageTooLarge { len, limit }) => {
                waiting.pop(loads);
                state.error(LinkError::TooLarge { id: Some(id), len, limit });
                drop(guard);
                self.shared.change(|_| ());
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let sent = waiting.pop(loads);
        if let Some(message) = sent.filter(|_| !self.sender.progress().keeps()) {
            let begun = self.sender.backlog().begun();
            // As many as the queue to the writer takes.
            self.unwritten.retain(|(number, ..)| *number > begun);
            self.unwritten.push((number, name.clone(), message));
        }
        self.log.push(Logged { number, id, room: name, policy });
        state.unaccepted = self.sender.progress().unaccepted();
        drop(guard);
        self.shared.told.notify_waiters();
        Ok(None)
    }
}
