//! The connections that are open: how many there may be, and how all of them are reached.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::observe::Observe;
use super::outbox::Outbox;
use crate::command::SessionId;
use crate::limits::Limits;

#[expect(clippy::disallowed_types, reason = "taken when a connection begins or ends, never per message")]
type Lock<T> = std::sync::Mutex<T>;

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Registry {
    open: Lock<Open>,
    count: AtomicUsize,
    max: usize,
    greeting: Arc<Semaphore>,
    away: Arc<Semaphore>,
    grace: std::time::Duration,
    next_session: AtomicU64,
    emptied: Notify,
    observe: Arc<Observe>,
}

#[derive(Debug, Default)]
struct Open {
    outboxes: HashMap<SessionId, Weak<Outbox>>,
    /// What those are told who come while the server is going away.
    going_away: Option<(u64, u64)>,
}

/// A connection's place. Dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    pub(super) session: SessionId,
    /// Whether it counts as a connection: not while its session waits for its client.
    counted: AtomicBool,
}

impl Registry {
    pub(super) fn new(limits: &Limits, observe: Arc<Observe>) -> Arc<Self> {
        Arc::new(Self {
            open: Lock::default(),
            count: AtomicUsize::new(0),
            max: limits.max_connections,
            greeting: Arc::new(Semaphore::new(limits.max_greeting.min(Semaphore::MAX_PERMITS))),
            away: Arc::new(Semaphore::new(limits.max_away.min(Semaphore::MAX_PERMITS))),
            grace: limits.grace,
            next_session: AtomicU64::new(1),
            emptied: Notify::new(),
            observe,
        })
    }

    /// A place among those that have not said hello. Held before any buffer is allocated.
    pub(super) fn greet(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.greeting).try_acquire_owned().ok()
    }

    /// A place for a connection, unless the server is full.
    pub(super) fn take_place(self: &Arc<Self>) -> Option<Place> {
        let taken = self
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < self.max).then_some(count + 1));
        taken.ok()?;
        let session = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        Some(Place { registry: Arc::clone(self), session, counted: AtomicBool::new(true) })
    }

    /// Where connections are counted.
    pub(super) const fn observe(&self) -> &Arc<Observe> {
        &self.observe
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// How many sessions there are, with a connection or without.
    pub(super) fn sessions(&self) -> usize {
        self.lock().outboxes.len()
    }

    /// Waits until there are no connections. Cancel safe.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// The outbox of a session.
    fn outbox(&self, session: SessionId) -> Option<Arc<Outbox>> {
        self.lock().outboxes.get(&session).and_then(Weak::upgrade)
    }

    /// Everyone who has an outbox now.
    pub(super) fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.lock().outboxes.values().filter_map(Weak::upgrade).collect()
    }

    /// From now on, whoever gets an outbox is told that the server is going away. Connections that
    /// were accepted before may still be on their way, in a handshake.
    pub(super) fn tell_latecomers(&self, reconnect: u64, closes: u64) {
        self.lock().going_away = Some((reconnect, closes));
    }

    /// A connection is gone.
    fn handle_gone(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whose turn it is among so many: one after the other.
    pub(super) fn turn(&self, among: usize) -> usize {
        let turn = self.session.0.checked_rem(among as u64).unwrap_or_default();
        usize::try_from(turn).unwrap_or_default()
    }

    /// Where connections are counted.
    pub(super) fn observe(&self) -> &Arc<Observe> {
        &self.registry.observe
    }

    /// The outbox of another session of this server.
    pub(super) fn find(&self, session: SessionId) -> Option<Arc<Outbox>> {
        self.registry.outbox(session).filter(|_| session != self.session)
    }

    /// A place among the sessions that wait for their clients.
    pub(super) fn take_away(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.registry.away).try_acquire_owned().ok()
    }

    /// The session has no connection for now, so that its client finds room to come back.
    pub(super) fn uncount(&self) {
        if self.counted.swap(false, Ordering::AcqRel) {
            self.registry.handle_gone();
        }
    }

    /// The session goes on in the place of the connection that took it over.
    pub(super) fn count(&self) {
        if !self.counted.swap(true, Ordering::AcqRel) {
            self.registry.count.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// How long a session waits for its client.
    pub(super) fn grace(&self) -> std::time::Duration {
        self.registry.grace
    }

    /// Makes the connection reachable.
    pub(super) fn enter(&self, outbox: &Arc<Outbox>) {
        let mut open = self.registry.lock();
        open.outboxes.insert(self.session, Arc::downgrade(outbox));
        if let Some((reconnect, closes)) = open.going_away {
            outbox.go_away(reconnect, closes);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().outboxes.remove(&self.session);
        self.uncount();
    }
}
