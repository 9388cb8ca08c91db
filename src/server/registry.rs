//! The connections that are open: how many there may be, and how all of them are reached.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};

use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

#[cfg(feature = "tls")]
use super::access::handshakes::Handshakes;
use super::cost::HandshakeCost;
use super::drain::Latecomers;
use super::identify::Identified;
use super::observe::Observe;
use super::outbox::Outbox;
use super::revoked::{Revoke, Revoked, TooManyRevoked};
use crate::command::SessionId;
use crate::identity::Identity;
use crate::limits::Limits;
use crate::places::Places;
use crate::session::Ending;
use crate::wire::Reason;

#[expect(clippy::disallowed_types, reason = "taken when a connection begins or ends, never per message")]
type Lock<T> = std::sync::Mutex<T>;

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Registry {
    open: Lock<Open>,
    count: AtomicUsize,
    max: usize,
    /// TLS handshakes under way.
    #[cfg(feature = "tls")]
    pub(super) handshakes: Arc<Handshakes>,
    away: Arc<Semaphore>,
    grace: Duration,
    next_session: AtomicU64,
    emptied: Notify,
    cost: HandshakeCost,
    observe: Arc<Observe>,
}

#[derive(Debug, Default)]
struct Open {
    outboxes: HashMap<SessionId, Weak<Outbox>>,
    /// Who has proved to be somebody: under the lock of what is revoked, so that nobody slips in between.
    identities: HashMap<SessionId, Identified>,
    revoked: Revoked,
    /// What those are told who come while the server is going away.
    going_away: Option<Latecomers>,
}

/// Sessions, and where they get what they are sent.
pub(super) type Sessions = Vec<(SessionId, Arc<Outbox>)>;

impl Open {
    fn sessions(&self) -> Sessions {
        self.outboxes.iter().filter_map(|(session, outbox)| Some((*session, outbox.upgrade()?))).collect()
    }
}

/// Places for sessions that are kept in any case. 64: below 2 KiB.
const FEW: usize = 64;

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
            #[cfg(feature = "tls")]
            handshakes: Handshakes::new(limits),
            away: Arc::new(Semaphore::new(limits.max_away.min(Semaphore::MAX_PERMITS))),
            grace: limits.grace,
            next_session: AtomicU64::new(1),
            emptied: Notify::new(),
            cost: HandshakeCost::default(),
            observe,
        })
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
    pub(super) fn outboxes(&self) -> Sessions {
        self.lock().sessions()
    }

    /// Ends the sessions that are meant, and refuses their tokens for so long.
    pub(super) fn revoke(&self, who: Revoke<'_>, hold: Duration) -> Result<usize, TooManyRevoked> {
        let mut open = self.lock();
        let kept = open.revoked.add(who, hold, SystemTime::now());
        let Open { outboxes, identities, .. } = &*open;
        let meant =
            identities.iter().filter(|(_, identified)| who.means(&identified.identity)).map(|(session, _)| session);
        let ended: Vec<Arc<Outbox>> = meant.filter_map(|session| outboxes.get(session)?.upgrade()).collect();
        drop(open);
        for outbox in &ended {
            outbox.end(Ending::because(Reason::REMOVED));
        }
        kept.map(|()| ended.len())
    }

    /// Everyone who has an outbox now. From now on, whoever gets one is told that the server is going
    /// away: connections that were accepted before may still be on their way, in a handshake. `tell` says
    /// how many there are, to learn what those who come later are told.
    pub(super) fn go_away(&self, tell: impl FnOnce(usize) -> Latecomers) -> Sessions {
        let mut open = self.lock();
        let sessions = open.sessions();
        open.going_away = Some(tell(sessions.len()));
        sessions
    }

    /// What handshakes cost.
    pub(super) const fn handshake_cost(&self) -> &HandshakeCost {
        &self.cost
    }

    /// The sessions of those who have proved to be this.
    pub(super) fn sessions_of(&self, subject: &[u8]) -> Vec<SessionId> {
        let who = Revoke::Subject(subject);
        let open = self.lock();
        let meant = open.identities.iter().filter(|(_, identified)| who.means(&identified.identity));
        meant.map(|(session, _)| *session).collect()
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

    /// The session's peer has proved who it is.
    pub(super) fn identify(&self, identified: &Identified, now: SystemTime) -> Result<(), Reason> {
        let mut open = self.registry.lock();
        if open.revoked.has(identified, now) {
            return Err(Reason::TOKEN);
        }
        let Identity { subject, token, .. } = &*identified.identity;
        if subject.is_empty() && token.is_empty() {
            // Nobody can be meant.
            open.identities.remove(&self.session);
        } else {
            open.identities.insert(self.session, identified.clone());
        }
        Ok(())
    }

    /// The session goes on for the peer of another connection, whose token counts now.
    /// False where it has been revoked meanwhile, which the outbox that is left behind was told.
    pub(super) fn inherit(&self, other: &Self, now: SystemTime) -> bool {
        let mut open = self.registry.lock();
        let Some(identified) = open.identities.remove(&other.session) else {
            open.identities.remove(&self.session);
            return true;
        };
        let stays = !open.revoked.has(&identified, now);
        open.identities.insert(self.session, identified);
        stays
    }

    /// How long a session waits for its client.
    pub(super) fn grace(&self) -> Duration {
        self.registry.grace
    }

    /// Makes the connection reachable.
    pub(super) fn enter(&self, outbox: &Arc<Outbox>) {
        let mut open = self.registry.lock();
        open.outboxes.insert(self.session, Arc::downgrade(outbox));
        if let Some(late) = &mut open.going_away {
            outbox.go_away(late.next(Instant::now()));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.outboxes.remove(&self.session);
        open.outboxes.give_back(FEW);
        open.identities.remove(&self.session);
        drop(open);
        self.uncount();
    }
}
