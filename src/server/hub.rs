//! How others reach a worker: arrivals, wakes and mail, and a bell that rings only while it sleeps.
//!
//! ```text
//! listener ──arrival──┐
//! outbox ────wake─────┼──> hub ──bell, where the worker sleeps──> worker
//! mailbox ───mail─────┘
//! ```

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use super::connection::Connection;

#[expect(clippy::disallowed_types, reason = "held to append to a list or to take it, and for nothing else")]
type Lock<T> = std::sync::Mutex<T>;

/// A connection that comes to a worker.
pub(super) type Arrival = Connection<std::net::TcpStream>;

/// A worker, for everyone else.
#[derive(Debug)]
pub(super) struct Hub {
    bell: mio::Waker,
    /// Whether the worker looks here before it sleeps.
    awake: AtomicBool,
    /// Whether the mailbox has something.
    mail: AtomicBool,
    stopped: AtomicBool,
    /// The keys of connections that are to have a turn. Each is here once, so they are bounded.
    woken: Lock<Vec<usize>>,
    arrivals: Lock<Vec<Arrival>>,
}

impl Hub {
    pub(super) fn new(bell: mio::Waker) -> Arc<Self> {
        Arc::new(Self {
            bell,
            awake: AtomicBool::new(true),
            mail: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
            woken: Lock::default(),
            arrivals: Lock::default(),
        })
    }

    /// Gives the worker a connection.
    pub(super) fn arrive(&self, arrival: Arrival) {
        let mut arrivals = lock(&self.arrivals);
        if self.is_stopped() {
            return;
        }
        arrivals.push(arrival);
        drop(arrivals);
        self.rouse();
    }

    /// Tells the worker to end. Its connections end without a word.
    pub(super) fn stop(&self) {
        let mut arrivals = lock(&self.arrivals);
        self.stopped.store(true, Ordering::SeqCst);
        let turned_away = std::mem::take(&mut *arrivals);
        drop(arrivals);
        drop(turned_away);
        self.rouse();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Whether the mailbox has something.
    pub(super) fn has_mail(&self) -> bool {
        self.mail.load(Ordering::Acquire)
    }

    /// As [`has_mail`](Self::has_mail), by who will look.
    pub(super) fn take_mail(&self) -> bool {
        self.has_mail() && self.mail.swap(false, Ordering::AcqRel)
    }

    /// There is more in the mailbox than was taken.
    pub(super) fn leave_mail(&self) {
        self.mail.store(true, Ordering::Release);
    }

    /// Connections that came, appended to `into`.
    pub(super) fn take_arrivals(&self, into: &mut Vec<Arrival>) {
        into.append(&mut lock(&self.arrivals));
    }

    /// The connections to have a turn. `into` is empty.
    pub(super) fn take_woken(&self, into: &mut Vec<usize>) {
        std::mem::swap(&mut *lock(&self.woken), into);
    }

    /// The worker is about to sleep. False where there is something to do first.
    pub(super) fn sleep(&self) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        // Whoever comes after this sees that the worker sleeps; who came before is seen here.
        let idle = !self.mail.load(Ordering::SeqCst)
            && !self.is_stopped()
            && lock(&self.woken).is_empty()
            && lock(&self.arrivals).is_empty();
        if !idle {
            self.wake_up();
        }
        idle
    }

    /// The worker does not sleep any more.
    pub(super) fn wake_up(&self) {
        self.awake.store(true, Ordering::SeqCst);
    }

    fn rouse(&self) {
        if !self.awake.swap(true, Ordering::SeqCst)
            && let Err(error) = self.bell.wake()
        {
            // It looks here at its next tick or event.
            tracing::error!("a worker cannot be woken: {error}");
        }
    }
}

/// Wakes one connection of a worker.
#[derive(Debug)]
pub(super) struct Rouser {
    hub: Arc<Hub>,
    key: usize,
    queued: AtomicBool,
}

impl Rouser {
    pub(super) fn new(hub: &Arc<Hub>, key: usize) -> Arc<Self> {
        Arc::new(Self { hub: Arc::clone(hub), key, queued: AtomicBool::new(false) })
    }

    /// Its turn has come: from here on, whoever wakes asks for another one.
    pub(super) fn begin_turn(&self) {
        self.queued.store(false, Ordering::SeqCst);
    }
}

impl Wake for Rouser {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            lock(&self.hub.woken).push(self.key);
            self.hub.rouse();
        }
    }
}

/// Tells a worker that its mailbox has something.
#[derive(Debug)]
struct Postman(Arc<Hub>);

impl Wake for Postman {
    fn wake(self: Arc<Self>) {
        self.0.mail.store(true, Ordering::SeqCst);
        self.0.rouse();
    }
}

/// What wakes a worker for its mailbox.
pub(super) fn postman(hub: &Arc<Hub>) -> Waker {
    Arc::new(Postman(Arc::clone(hub))).into()
}

/// A worker's poll, and how others reach it.
pub(super) fn new_poll(bell: mio::Token) -> io::Result<(mio::Poll, Arc<Hub>)> {
    let poll = mio::Poll::new()?;
    let hub = Hub::new(mio::Waker::new(poll.registry(), bell)?);
    Ok((poll, hub))
}

/// Nothing under these locks panics; should it, what they hold is still whole.
fn lock<T>(lock: &Lock<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
