//! The bounded queue to one peer: what shards append and its connection writes.
//!
//! ```text
//! shard ──push──┐                       ┌── take ──> connection ──vectored write──> socket
//! shard ──push──┴─> | frame | frame | ──┘              └── settle: bytes are charged until written
//! ```
//!
//! The queue only appends. What a batch may take depends on the peer's lag, of which the connection
//! tells what is sent and not consumed ([`Batch::admit`] has the rule). A peer for whom answers and
//! directs alone are too much is closed: what is queued is dropped, and from then on nothing is taken
//! but the reason.
//!
//! # A session that goes on
//!
//! When another connection resumes the session, it gets an outbox of its own, the *successor*. Rooms
//! keep the old one until the client has joined again: batches for it are dropped, refusals and
//! directs go on to the successor.
//!
//! # The lock
//!
//! Several shards append to one queue, and the connection takes from it, so something must be
//! shared. A lock that is held for an append or a swap of two pointers is cheaper than a lock-free
//! list whose nodes are allocated, and it keeps bytes, counts and state consistent without further
//! thought. It is never held across a write, a wake or an await, and no code of others runs under
//! it. Only the directs' lock is taken under an outbox's, and an outbox's under no other.

mod chunks;
mod notices;

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use smallvec::SmallVec;

use self::chunks::Chunk;
pub(crate) use self::notices::{GoingAway, Notices};
use super::directs::Directs;
use crate::dispatcher::{Batch, Direct, Lag, Taken};
use crate::session::{Ending, Facts};
use crate::wire::Reason;

#[expect(clippy::disallowed_types, reason = "see the module's paragraph on the lock")]
pub(super) type Lock<T> = std::sync::Mutex<T>;

/// The shared half of a connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Lock<State>,
    waker: AtomicWaker,
    home: Home,
    facts: Arc<Facts>,
    lasting: Arc<Lasting>,
}

/// What goes on with a session's next outbox.
#[derive(Debug, Default)]
struct Lasting {
    /// Chunks of this session that wait in mailboxes.
    chunks: AtomicUsize,
    /// Most sessions never get one.
    directs: Lock<Option<Box<Directs>>>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    /// Bytes and frames that are queued or being written.
    charged: Charge,
    /// Bytes that were written and that the peer's application has not taken.
    unconsumed: usize,
    /// Whether somebody will wake the connection, so that it is woken once per flush.
    marked: bool,
    /// Closing absorbs: whatever comes after this is dropped.
    closed: bool,
    successor: Option<Arc<Outbox>>,
    /// Outboxes of this session's earlier connections that somebody still has: they all know the
    /// latest one, so that there is never a chain of them.
    predecessors: Vec<Weak<Outbox>>,
    notices: Option<Box<Notices>>,
    /// The session is over: nobody looks here any more.
    over: bool,
    /// The peer waits to be told what was accepted.
    awaited: bool,
    /// Chunks with data frames that shards are not done with.
    under_way: SmallVec<[Chunk; 1]>,
    tickets: u64,
}

/// What a connection takes beside frames.
#[derive(Debug, Default)]
pub(crate) struct Taking {
    /// What it is told, where it is told anything.
    pub(crate) notices: Option<Box<Notices>>,
    /// The first data frame that a shard is not done with.
    pub(crate) oldest: Option<u64>,
}

/// Places for frames that an empty queue keeps, however few it needs. 8: a tick of a few rooms.
const KEPT_PLACES: usize = 8;

/// Places for frames of a new connection: the answer to a join, a list and a snapshot.
const FIRST_PLACES: usize = 3;

/// Bytes and frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
}

/// Where a connection lives that a worker runs: the worker in the upper half and the connection's key
/// in the lower one, each one more than it is. 0: nowhere.
#[derive(Debug, Default)]
struct Home(AtomicU64);

/// What came of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// The caller has to [`wake`](Outbox::wake), later.
    pub(crate) wakes: bool,
    /// It was too much: the connection closes.
    pub(crate) closes: bool,
}

impl Outbox {
    pub(crate) fn new(facts: &Arc<Facts>) -> Self {
        // Room for the first frames; the others' threads would take it from where their rooms are.
        let queue = VecDeque::with_capacity(FIRST_PLACES);
        Self {
            state: Lock::new(State { queue, ..State::default() }),
            waker: AtomicWaker::new(),
            home: Home::default(),
            facts: Arc::clone(facts),
            lasting: Arc::default(),
        }
    }

    /// The outbox of a connection that resumes this session, whose client has seen all directs up to
    /// `seen`; and the directs that are lost.
    pub(crate) fn succeed(self: &Arc<Self>, seen: u64) -> (Arc<Self>, Option<(u64, u64)>) {
        let mut state = self.lock();
        let mut predecessors = std::mem::take(&mut state.predecessors);
        predecessors.retain(|before| before.strong_count() > 0);
        let mut queued = State { predecessors: predecessors.clone(), ..State::default() };
        queued.predecessors.push(Arc::downgrade(self));
        // What came after the last connection has looked, nobody has told yet.
        queued.notices = state.notices.take().map(|notices| {
            let Notices { refusals, released, take_overs, .. } = *notices;
            Box::new(Notices { refusals, released, take_overs, ..Notices::default() })
        });
        let lost = self.with_directs(|directs| {
            directs.confirm(seen);
            for frame in directs.unconfirmed() {
                queued.charged.bytes += frame.len();
                queued.charged.frames += 1;
                queued.queue.push_back(frame.clone());
            }
            directs.lost(seen)
        });
        let successor = Arc::new(Self {
            state: Lock::new(queued),
            waker: AtomicWaker::new(),
            home: Home::default(),
            facts: Arc::clone(&self.facts),
            lasting: Arc::clone(&self.lasting),
        });
        state.successor = Some(Arc::clone(&successor));
        drop(state);
        for before in predecessors.iter().filter_map(Weak::upgrade) {
            before.lock().successor = Some(Arc::clone(&successor));
        }
        (successor, lost)
    }

    /// Appends a frame, whatever the peer owes.
    pub(crate) fn push(&self, frame: &Bytes) -> Pushed {
        let mut state = self.lock();
        self.append(&mut state, frame.clone())
    }

    /// Appends what of a batch the peer's lag allows.
    pub(crate) fn push_batch(&self, batch: &Batch<'_>) -> (Taken, bool) {
        let mut state = self.lock();
        if state.closed {
            return (Taken::All, false);
        }
        let taken = batch.admit(state.lag(), &self.facts.limits);
        if taken == Taken::Nothing {
            return (taken, false);
        }
        for (index, frame) in batch.frames.iter().enumerate() {
            if taken == Taken::All && batch.wants_values || !batch.values.contains(&index) {
                state.charged.bytes += frame.len();
                state.charged.frames += 1;
                state.queue.push_back(frame.clone());
            }
        }
        (taken, !std::mem::replace(&mut state.marked, true))
    }

    /// What the peer owes.
    pub(crate) fn lag(&self) -> Lag {
        self.lock().lag()
    }

    /// What is queued or being written.
    pub(crate) fn charged(&self) -> Charge {
        self.lock().charged
    }

    /// Numbers a direct and appends it as a frame of its own.
    pub(crate) fn push_direct(&self, direct: &Direct) -> Pushed {
        let mut state = self.lock();
        if let Some(successor) = &state.successor {
            let successor = Arc::clone(successor);
            drop(state);
            let pushed = successor.push_direct(direct);
            return successor.wake_for(pushed);
        }
        let frame = self.with_directs(|directs| directs.push(direct, &self.facts.limits));
        self.append(&mut state, frame)
    }

    /// The peer's application has taken all directs up to this one.
    pub(crate) fn confirm_directs(&self, number: u64) {
        self.with_directs(|directs| directs.confirm(number));
    }

    /// Directs are kept from now on, until they are confirmed.
    pub(crate) fn keep_directs(&self) {
        self.with_directs(Directs::keep);
    }

    /// Wakes the connection.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// The connection lives with a worker, where it has a key; or with none.
    pub(crate) fn settle(&self, home: Option<(usize, usize)>) {
        let half = |number: usize| u32::try_from(number).ok()?.checked_add(1).map(u64::from);
        // Beyond what fits, the waker finds it.
        let packed = home.and_then(|(worker, key)| Some(half(worker)? << 32 | half(key)?));
        self.home.0.store(packed.unwrap_or_default(), Ordering::Relaxed);
    }

    /// The worker with whom the connection lives, and its key there.
    pub(crate) fn home(&self) -> Option<(usize, usize)> {
        let packed = self.home.0.load(Ordering::Relaxed);
        let half = |half: u64| usize::try_from(half.checked_sub(1)?).ok();
        Some((half(packed >> 32)?, half(packed & u64::from(u32::MAX))?))
    }

    /// Looks at fields all over it, so that they are near when they are needed.
    #[inline]
    pub(crate) fn warm(&self) {
        black_box((Arc::as_ptr(&self.facts), self.state.is_poisoned(), self.home.0.load(Ordering::Relaxed)));
    }

    /// The connection's task, which is to be woken.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Takes back what was written, and gives what is queued and was noticed. `unconsumed` is what
    /// was written and not consumed, in bytes.
    pub(crate) fn take(&self, written: Charge, unconsumed: usize, queue: &mut VecDeque<Bytes>) -> Taking {
        let mut state = self.lock();
        let state = &mut *state;
        state.marked = false;
        state.charged.bytes = state.charged.bytes.saturating_sub(written.bytes);
        state.charged.frames = state.charged.frames.saturating_sub(written.frames);
        state.unconsumed = unconsumed;
        if queue.is_empty() {
            // The places of a long queue go when they are not needed any more; and of two empty queues
            // one is enough, where the next frame is put.
            let needed = KEPT_PLACES.max(4 * written.frames.max(state.queue.len()));
            let spare = state.queue.is_empty() && state.queue.capacity() > 0;
            if spare || queue.capacity() > needed {
                *queue = VecDeque::new();
            }
            if !spare {
                std::mem::swap(queue, &mut state.queue);
            }
        } else {
            queue.append(&mut state.queue);
        }
        let oldest = state.under_way.iter().map(|chunk| chunk.first).min();
        Taking { oldest, notices: state.notices.take() }
    }

    /// The connection has ended on its own: nothing more is queued.
    pub(crate) fn absorb(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue = VecDeque::new();
    }

    /// The session is over: whoever wants it is told that there is none.
    pub(crate) fn retire(&self) {
        let mut state = self.lock();
        state.over = true;
        let unheard = state.notices.take();
        drop(state);
        drop(unheard);
    }

    fn with_directs<R>(&self, work: impl FnOnce(&mut Directs) -> R) -> R {
        work(lock(&self.lasting.directs).get_or_insert_default())
    }

    fn append(&self, state: &mut State, frame: Bytes) -> Pushed {
        if state.closed {
            return Pushed { wakes: false, closes: false };
        }
        let limits = &self.facts.limits;
        let charged = Charge { bytes: state.charged.bytes + frame.len(), frames: state.charged.frames + 1 };
        let closes = charged.bytes > limits.outbox_bytes || charged.frames > limits.outbox_frames;
        if closes {
            Self::close(state, Ending::because(Reason::SLOW));
        } else {
            state.charged = charged;
            state.queue.push_back(frame);
        }
        Pushed { wakes: !std::mem::replace(&mut state.marked, true), closes }
    }

    fn close(state: &mut State, ending: Ending) {
        state.closed = true;
        state.queue = VecDeque::new();
        let first = state.notices().ending.get_or_insert(ending);
        // Who is removed does not wait for its client, whatever came first.
        if ending.reason == Reason::REMOVED {
            *first = ending;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn notices(&mut self) -> &mut Notices {
        self.notices.get_or_insert_default()
    }

    const fn lag(&self) -> Lag {
        Lag { bytes: self.charged.bytes + self.unconsumed, frames: self.charged.frames }
    }
}

/// Nothing under these locks panics; should it, what they hold is still whole.
fn lock<T>(lock: &Lock<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
