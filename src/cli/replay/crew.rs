//! The publishers of a replay: who speaks for which recorded member, and how much may be under way.
//!
//! ```text
//! member 3 ──> connection 0        a member keeps its connection, so its messages keep their order
//! member 8 ──> connection 1
//! member 9 ──> connection 0        beyond the bound, members share
//! ```

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tickwire::client::{ClientConfig, Error};
use tickwire::wire::{Key, MemberNumber, Reason, Record, Target};
use tokio::time::timeout;

use super::connection::{Connection, Heard};
use crate::cli::{Failure, connect};

/// Connections made at the same time. 32: far below what servers let wait for hello.
const CONNECT_AT_ONCE: usize = 32;

/// Bytes under way before it is awaited that they were handled, all connections together. 64 KiB:
/// half of what a room gathers for a flush.
const WINDOW_BYTES: usize = 64 * 1024;

/// Messages of one connection under way. 48: below the refusals a session may meet at once.
const WINDOW_MESSAGES: usize = 48;

/// Connections with something under way. 128: each adds a direct, and a room gathers 256 of them.
const WINDOW_CONNECTIONS: usize = 128;

/// What a message takes in its room beside its payload. 64 bytes: what a value is counted for.
const MESSAGE_OVERHEAD: usize = 64;

/// How long a room may take to handle what is under way. 65 s: the longest tick, and some more.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(65);

/// How long all connections together may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Keys whose last writer is remembered, to notice collisions. 65,536: sixteen full rooms.
const MAX_KEYS: usize = 65_536;

/// All publishers.
#[derive(Debug)]
pub(super) struct Crew {
    connections: Vec<Connection>,
    heard: Rc<Heard>,
    /// The connections of the first members; there are as many as connections at most.
    places: HashMap<MemberNumber, usize>,
    /// Whether there are more members than connections.
    shared: bool,
    /// Where connections are shared, who wrote a connection's key last.
    writers: HashMap<(usize, Key), MemberNumber>,
    /// Values that replaced one of another member on the same connection.
    collisions: u64,
    /// Bytes under way.
    bytes: usize,
    /// Connections with something under way.
    dirty: Vec<usize>,
}

impl Crew {
    /// Opens so many connections for so many members, and joins each to publish.
    pub(super) async fn connect(
        config: &ClientConfig,
        room: &str,
        connections: usize,
        members: usize,
    ) -> Result<Self, Failure> {
        let heard = Rc::new(Heard::default());
        let connecting =
            (0..connections).map(|_| async { Connection::join(connect(config).await?, room, Rc::clone(&heard)).await });
        let connections: Vec<_> = stream::iter(connecting).buffered(CONNECT_AT_ONCE).try_collect().await?;
        let shared = members > connections.len();
        let (places, writers, dirty) = (HashMap::new(), HashMap::new(), Vec::new());
        Ok(Self { connections, heard, places, shared, writers, collisions: 0, bytes: 0, dirty })
    }

    /// How many connections there are.
    pub(super) const fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whether members share connections, and how many values replaced another member's by that.
    pub(super) fn collisions(&self) -> Option<u64> {
        self.shared.then_some(self.collisions)
    }

    /// Messages that were refused.
    pub(super) fn refused(&self) -> u64 {
        self.heard.refused.borrow().values().map(|(_, count)| count).sum()
    }

    /// The same by reason.
    pub(super) fn refusals(&self) -> Vec<(Reason, u64)> {
        self.heard.refused.borrow().values().copied().collect()
    }

    /// Fails where a connection has ended.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match &*self.heard.ended.borrow() {
            Some(why) => Err(Failure::Runtime(format!("the replay has ended: {why}"))),
            None => Ok(()),
        }
    }

    /// Waits until a message may be sent without being too much for one flush of the room.
    pub(super) async fn make_room(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let place = self.place(record.member);
        let waiting = self.connections.get(place).map_or(0, |connection| connection.waiting);
        let full = waiting >= WINDOW_MESSAGES
            || (waiting == 0 && self.dirty.len() >= WINDOW_CONNECTIONS)
            || (self.bytes > 0 && self.bytes + record.payload.len() + MESSAGE_OVERHEAD > WINDOW_BYTES);
        if full { self.settle().await } else { Ok(()) }
    }

    /// Publishes for the record's member. `false` where the message is larger than the server takes.
    pub(super) async fn publish(&mut self, record: &Record<'_>, target: Target) -> Result<bool, Failure> {
        let place = self.place(record.member);
        if let Target::Value(key) = target {
            self.notice_collision(place, key, record);
        }
        let Some(connection) = self.connections.get_mut(place) else { return Ok(false) };
        let settled = connection.waiting == 0;
        match connection.publish(target, record.payload).await {
            Ok(()) => {
                self.dirty.extend(settled.then_some(place));
                self.bytes = self.bytes.saturating_add(record.payload.len() + MESSAGE_OVERHEAD);
                Ok(true)
            }
            Err(Error::MessageTooLarge { .. }) => Ok(false),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Waits until the room has handled everything that was published.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        let dirty = std::mem::take(&mut self.dirty);
        for places in dirty.chunks(WINDOW_CONNECTIONS) {
            for place in places {
                let Some(connection) = self.connections.get_mut(*place) else { continue };
                if let Err(error) = connection.start_settling(&self.heard).await {
                    return Err(self.explain(error));
                }
            }
            let late = |_| Failure::Runtime("the server has not handled what was published in time".into());
            timeout(SETTLE_TIMEOUT, self.settled()).await.map_err(late)??;
        }
        self.bytes = 0;
        Ok(())
    }

    async fn settled(&self) -> Result<(), Failure> {
        loop {
            self.check()?;
            if self.heard.unsettled.get() == 0 {
                return Ok(());
            }
            // A notice that comes before this is kept.
            self.heard.changed.notified().await;
        }
    }

    /// Ends all connections. What members set goes with them.
    pub(super) async fn close(mut self) {
        self.heard.closing.set(true);
        let closed = async {
            for connection in &mut self.connections {
                connection.close().await;
            }
            for connection in &mut self.connections {
                // It ends, or has panicked and is gone too.
                let _ = (&mut connection.reading).await;
            }
        };
        // Everything was handled; a server that does not say goodbye changes nothing.
        let _ = timeout(CLOSE_TIMEOUT, closed).await;
    }

    /// The connection that speaks for a member.
    fn place(&mut self, member: MemberNumber) -> usize {
        let (known, all) = (self.places.len(), self.connections.len());
        match self.places.get(&member) {
            Some(place) => *place,
            None if known < all => {
                self.places.insert(member, known);
                known
            }
            // Members are numbered one after the other, so this goes round, and needs no memory.
            None => usize::try_from(member.0 % (all as u64).max(1)).unwrap_or(0),
        }
    }

    fn notice_collision(&mut self, place: usize, key: Key, record: &Record<'_>) {
        // Room values have no owner to be mixed up.
        if !self.shared || key.is_room() {
            return;
        }
        let at = (place, key);
        match self.writers.get(&at) {
            Some(writer) if *writer != record.member => self.collisions += 1,
            _ => {}
        }
        if record.payload.is_empty() {
            self.writers.remove(&at);
        } else if self.writers.len() < MAX_KEYS || self.writers.contains_key(&at) {
            self.writers.insert(at, record.member);
        }
    }

    /// A connection did not take a message: what was heard says more.
    fn explain(&self, error: Error) -> Failure {
        self.check().err().unwrap_or_else(|| Failure::from(error))
    }
}
