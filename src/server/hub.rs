//! How others reach a worker: arrivals, wakes and mail, and a bell that rings only while it sleeps.
//!
//! ```text
//! listener ──arrival──┐
//! outbox ────wake─────┼──> hub ──bell, where the worker sleeps──> worker
//! sessions ──mail─────┘
//! ```
//!
//! Mail for a tick need not wake anybody: the worker reads it when it wakes for that tick. A bell costs
//! both sides more than the message does.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::Wake;
use std::thread::{self, Thread};
use std::time::Duration;

use super::connection::Connection;
use super::mailbox::{Mail, ShardGone};
use super::stream::Stream;
use crate::time::Time;

#[expect(clippy::disallowed_types, reason = "held to append to a list or to take it, and for nothing else")]
type Lock<T> = std::sync::Mutex<T>;

/// A connection that comes to a worker.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) connection: Connection<Stream<std::net::TcpStream>>,
    /// Made by who sends it: what lasts as long as a connection is best not mixed with what lasts as long
    /// as its rooms, or neither's memory can be given back.
    pub(super) rouser: Arc<Rouser>,
}

/// A worker, for everyone else.
#[derive(Debug)]
pub(super) struct Hub {
    bell: mio::Waker,
    /// Whether the worker naps, and has no ear for the bell; and its thread.
    naps: AtomicBool,
    thread: OnceLock<Thread>,
    /// Whether the worker looks here before it sleeps.
    awake: AtomicBool,
    /// When it wakes by itself, in server time; the end of time where it does not.
    wakes: AtomicU64,
    /// Whether `mail` has something.
    has_mail: AtomicBool,
    /// From sessions that live elsewhere: each has a bound of its own (`Limits::connection_chunks`).
    mail: Lock<VecDeque<Mail>>,
    stopped: AtomicBool,
    /// The keys of connections that are to have a turn. Each is here once, so they are bounded.
    woken: Tray<usize>,
    /// As `woken`, for those who only have something to write: a flush elsewhere gave it to them. A
    /// flush names nobody twice, and the worker reads this before its connections can get more.
    writing: Tray<usize>,
    arrivals: Tray<Arrival>,
}

/// A list that others fill. Looking whether there is anything takes no lock: the worker looks at each of its
/// trays after every sleep, and mostly finds nothing.
#[derive(Debug)]
struct Tray<T> {
    list: Lock<Vec<T>>,
    /// Set after the list has something, and cleared before it is taken: so it may be set for nothing, and is
    /// never clear while something is there for good.
    filled: AtomicBool,
}

impl<T> Tray<T> {
    /// Something was put into the list.
    fn fill(&self) {
        self.filled.store(true, Ordering::SeqCst);
    }

    fn is_filled(&self) -> bool {
        self.filled.load(Ordering::SeqCst)
    }

    /// What is there, into `into`, which is empty.
    fn take(&self, into: &mut Vec<T>) {
        if self.is_filled() {
            let mut list = lock(&self.list);
            self.filled.store(false, Ordering::SeqCst);
            std::mem::swap(&mut *list, into);
        }
    }
}

impl<T> Default for Tray<T> {
    fn default() -> Self {
        Self { list: Lock::default(), filled: AtomicBool::new(false) }
    }
}

impl Hub {
    pub(super) fn new(bell: mio::Waker) -> Arc<Self> {
        Arc::new(Self {
            bell,
            naps: AtomicBool::new(false),
            thread: OnceLock::new(),
            awake: AtomicBool::new(true),
            wakes: AtomicU64::new(u64::MAX),
            has_mail: AtomicBool::new(false),
            mail: Lock::default(),
            stopped: AtomicBool::new(false),
            woken: Tray::default(),
            writing: Tray::default(),
            arrivals: Tray::default(),
        })
    }

    /// Gives the worker a connection.
    pub(super) fn arrive(self: &Arc<Self>, connection: Connection<Stream<std::net::TcpStream>>) {
        let arrival = Arrival { connection, rouser: Rouser::new(self) };
        let mut arrivals = lock(&self.arrivals.list);
        if self.is_stopped() {
            return;
        }
        arrivals.push(arrival);
        drop(arrivals);
        self.arrivals.fill();
        self.rouse();
    }

    /// Tells the worker to end. Its connections end without a word.
    pub(super) fn stop(&self) {
        let mut arrivals = lock(&self.arrivals.list);
        self.stopped.store(true, Ordering::SeqCst);
        let turned_away = std::mem::take(&mut *arrivals);
        drop(arrivals);
        drop(turned_away);
        self.rouse();
    }

    /// The worker has ended: what waits for it is dropped, which may hold the hub itself.
    pub(super) fn close(&self) {
        self.stop();
        let mail = std::mem::take(&mut *lock(&self.mail));
        drop(mail);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Puts mail into the worker's mailbox, to be read by the time `by`.
    pub(super) fn post(&self, mail: Mail, by: Time) -> Result<(), ShardGone> {
        let mut waiting = lock(&self.mail);
        if self.is_stopped() {
            return Err(ShardGone);
        }
        waiting.push_back(mail);
        drop(waiting);
        self.has_mail.store(true, Ordering::SeqCst);
        // Asleep it says truly when it wakes, and awake it looks here before it sleeps.
        if !self.awake.load(Ordering::SeqCst) && self.wakes.load(Ordering::SeqCst) > by.micros() {
            self.rouse();
        }
        Ok(())
    }

    /// How much mail waits.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.mail).len()
    }

    /// The mail that is here, into `into`, which is empty.
    pub(super) fn take_mail(&self, into: &mut VecDeque<Mail>) {
        if !self.has_mail.load(Ordering::Acquire) {
            return;
        }
        let mut mail = lock(&self.mail);
        self.has_mail.store(false, Ordering::SeqCst);
        std::mem::swap(&mut *mail, into);
    }

    /// Connections that came. `into` is empty.
    pub(super) fn take_arrivals(&self, into: &mut Vec<Arrival>) {
        self.arrivals.take(into);
    }

    /// Connections that got something from a flush of another worker. Leaves `keys` empty.
    pub(super) fn have_written(&self, keys: &mut Vec<usize>) {
        lock(&self.writing.list).append(keys);
        self.writing.fill();
        self.rouse();
    }

    /// The connections that have something to write. `into` is empty.
    pub(super) fn take_writing(&self, into: &mut Vec<usize>) {
        self.writing.take(into);
    }

    /// The connections to have a turn. `into` is empty.
    pub(super) fn take_woken(&self, into: &mut Vec<usize>) {
        self.woken.take(into);
    }

    /// The worker is about to sleep, and reads its mail at the time `wakes` at the latest. False where
    /// there is something to do first.
    pub(super) fn sleep(&self, wakes: Time) -> bool {
        self.wakes.store(wakes.micros(), Ordering::SeqCst);
        self.awake.store(false, Ordering::SeqCst);
        // Whoever comes after this sees that the worker sleeps; who came before is seen here.
        let idle = !self.has_mail.load(Ordering::SeqCst)
            && !self.is_stopped()
            && !self.woken.is_filled()
            && !self.writing.is_filled()
            && !self.arrivals.is_filled();
        if !idle {
            self.wake_up();
        }
        idle
    }

    /// The worker does not sleep any more.
    pub(super) fn wake_up(&self) {
        self.awake.store(true, Ordering::SeqCst);
    }

    /// The worker sleeps for so long, whatever comes to its sockets; whoever else would ring the bell wakes it.
    /// Between [`sleep`](Self::sleep) and [`wake_up`](Self::wake_up).
    pub(super) fn nap(&self, duration: Duration) {
        let _known = self.thread.set(thread::current());
        self.naps.store(true, Ordering::SeqCst);
        if !self.awake.load(Ordering::SeqCst) {
            thread::park_timeout(duration);
        }
        self.naps.store(false, Ordering::SeqCst);
    }

    fn rouse(&self) {
        if self.awake.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.naps.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        } else if let Err(error) = self.bell.wake() {
            // It looks here at its next tick or event, and others may have more luck before.
            self.awake.store(false, Ordering::SeqCst);
            tracing::error!("a worker cannot be woken: {error}");
        }
    }
}

/// Wakes one connection of a worker.
#[derive(Debug)]
pub(super) struct Rouser {
    hub: Arc<Hub>,
    key: AtomicUsize,
    queued: AtomicBool,
}

impl Rouser {
    fn new(hub: &Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { hub: Arc::clone(hub), key: AtomicUsize::new(usize::MAX), queued: AtomicBool::new(false) })
    }

    /// The connection's key. Nobody can wake it before it has one.
    pub(super) fn settle(&self, key: usize) {
        self.key.store(key, Ordering::Release);
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
            lock(&self.hub.woken.list).push(self.key.load(Ordering::Acquire));
            self.hub.woken.fill();
            self.hub.rouse();
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::SessionId;

    const BELL: mio::Token = mio::Token(7);

    fn rings(poll: &mut mio::Poll) -> bool {
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().any(|event| event.token() == BELL)
    }

    fn mail() -> Mail {
        Mail::Away { session: SessionId(1) }
    }

    #[test]
    fn mail_for_a_tick_wakes_nobody_who_wakes_in_time_for_it() {
        let (mut poll, hub) = new_poll(BELL).unwrap();
        assert!(hub.sleep(Time::from_micros(1000)));
        hub.post(mail(), Time::from_micros(1000)).unwrap();
        assert!(!rings(&mut poll));
        hub.post(mail(), Time::from_micros(999)).unwrap();
        assert!(rings(&mut poll));
        let mut taken = VecDeque::new();
        hub.take_mail(&mut taken);
        assert_eq!(taken.len(), 2);
    }

    #[test]
    fn whoever_is_awake_is_not_rung_for_and_does_not_fall_asleep_over_what_came() {
        let (mut poll, hub) = new_poll(BELL).unwrap();
        let rouser = Rouser::new(&hub);
        rouser.settle(3);
        let come: [&dyn Fn(); 3] =
            [&|| hub.post(mail(), Time::ZERO).unwrap(), &|| rouser.wake_by_ref(), &|| hub.have_written(&mut vec![3])];
        for come in come {
            come();
            assert!(!rings(&mut poll));
            assert!(!hub.sleep(Time::MAX));
            hub.take_mail(&mut VecDeque::new());
            hub.take_woken(&mut Vec::new());
            hub.take_writing(&mut Vec::new());
            assert!(hub.sleep(Time::MAX));
            hub.wake_up();
            rouser.begin_turn();
        }
    }

    #[test]
    fn who_naps_is_woken_without_the_bell() {
        let (mut poll, hub) = new_poll(BELL).unwrap();
        assert!(hub.sleep(Time::MAX));
        let other = Arc::clone(&hub);
        let worker = thread::spawn(move || {
            other.nap(Duration::from_secs(3600));
            other.wake_up();
        });
        while hub.thread.get().is_none() || !hub.naps.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        hub.post(mail(), Time::ZERO).unwrap();
        worker.join().unwrap();
        assert!(!rings(&mut poll));
    }

    #[test]
    fn nobody_naps_over_what_came_before() {
        let (mut poll, hub) = new_poll(BELL).unwrap();
        assert!(hub.sleep(Time::MAX));
        hub.post(mail(), Time::ZERO).unwrap();
        hub.nap(Duration::from_secs(3600));
        assert!(rings(&mut poll));
    }

    #[test]
    fn one_wake_a_turn_is_enough() {
        let (mut poll, hub) = new_poll(BELL).unwrap();
        let rouser = Rouser::new(&hub);
        rouser.settle(3);
        assert!(hub.sleep(Time::MAX));
        rouser.wake_by_ref();
        rouser.wake_by_ref();
        assert!(rings(&mut poll));
        let mut keys = Vec::new();
        hub.take_woken(&mut keys);
        assert_eq!(keys, [3]);
        rouser.begin_turn();
        rouser.wake_by_ref();
        let mut again = Vec::new();
        hub.take_woken(&mut again);
        assert_eq!(again, [3]);
    }

    #[test]
    fn who_has_stopped_takes_no_more() {
        let (_poll, hub) = new_poll(BELL).unwrap();
        hub.post(mail(), Time::ZERO).unwrap();
        hub.close();
        assert!(hub.post(mail(), Time::ZERO).is_err());
        assert!(!hub.sleep(Time::MAX), "it ends instead");
        let mut taken = VecDeque::new();
        hub.take_mail(&mut taken);
        assert!(taken.is_empty());
    }
}
