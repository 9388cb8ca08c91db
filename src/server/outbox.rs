//! The bounded queue to one peer: what shards append and its connection writes.
//!
//! ```text
//! shard ──push──┐                       ┌── take ──> connection ──vectored write──> socket
//! shard ──push──┴─> | frame | frame | ──┘              └── settle: bytes are charged until written
//! ```
//!
//! The queue only appends. A peer whose queue is full is a slow consumer: what is queued is
//! dropped, and from then on nothing is taken but the reason. Snapshots have a bound of their own,
//! since one may be larger than all that a receiver may owe. (A kinder answer, by frame class, has
//! its place in [`Outbox::push`].)
//!
//! # The lock
//!
//! Several shards append to one queue, and the connection takes from it, so something must be
//! shared. A lock that is held for an append or a swap of two pointers is cheaper than a lock-free
//! list whose nodes are allocated, and it keeps bytes, counts and state consistent without further
//! thought. It is never held across a write, a wake or an await, and no code of others runs under it.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;

use crate::dispatcher::{Direct, FrameClass};
use crate::limits::Limits;
use crate::session::Ending;
use crate::wire::header::flags;
use crate::wire::{Handle, Head, Kind, Position, Reason, Record, encode_server_header};

#[expect(clippy::disallowed_types, reason = "see the module's paragraph on the lock")]
type Lock<T> = std::sync::Mutex<T>;

/// The shared half of a connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Lock<State>,
    waker: AtomicWaker,
    /// Chunks of this connection that wait in mailboxes.
    chunks: AtomicUsize,
    max_chunks: usize,
    max_bytes: usize,
    max_frames: usize,
    max_snapshots: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    /// Bytes and frames that are queued or being written.
    charged: Charge,
    /// What snapshots may take beside the bounds: those that were queued since less than half of
    /// the bounds was taken.
    snapshots: Charge,
    /// Directs so far: they are numbered here, since a session's rooms live on several shards.
    directs: u64,
    /// Whether somebody will wake the connection, so that it is woken once per flush.
    marked: bool,
    /// Closing absorbs: whatever comes after this is dropped.
    closed: bool,
    notices: Notices,
}

/// What a connection is told beside frames.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// The session must end.
    pub(crate) ending: Option<Ending>,
    /// The server is going away: reconnect and close, in milliseconds.
    pub(crate) going_away: Option<(u64, u64)>,
    /// Refusals that shards sent.
    pub(crate) refusals: u32,
    /// Handles that are free again.
    pub(crate) released: Vec<Handle>,
}

/// Bytes and frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
}

impl Outbox {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: Lock::default(),
            waker: AtomicWaker::new(),
            chunks: AtomicUsize::new(0),
            max_chunks: limits.connection_chunks,
            max_bytes: limits.outbox_bytes,
            max_frames: limits.outbox_frames,
            max_snapshots: limits.outbox_snapshots,
        }
    }

    /// Appends a frame. True where the caller is the one who has to [`wake`](Self::wake), later.
    pub(crate) fn push(&self, class: FrameClass, frame: &Bytes) -> bool {
        let mut state = self.lock();
        if class == FrameClass::Snapshot && state.snapshots.bytes + frame.len() <= self.max_snapshots {
            state.snapshots.bytes += frame.len();
            state.snapshots.frames += 1;
        }
        self.append(&mut state, frame.clone())
    }

    /// Numbers a direct and appends it as a frame of its own.
    pub(crate) fn push_direct(&self, direct: &Direct) -> bool {
        let mut state = self.lock();
        state.directs += 1;
        let head = Head { room: direct.room, position: Position(state.directs), tick: direct.tick };
        let record = Record { member: direct.from, key: Some(direct.answers), payload: &direct.payload };
        let mut frame = BytesMut::with_capacity(32 + record.encoded_len());
        let options = if direct.urgent { flags::URGENT } else { 0 };
        encode_server_header(Kind::Direct, options, &head, record.encoded_len(), &mut frame);
        record.encode(&mut frame);
        self.append(&mut state, frame.freeze())
    }

    /// A shard refused something; where it was a join, its handle is free.
    pub(crate) fn refused(&self, joining: Option<Handle>, avoidable: bool) -> bool {
        let mut state = self.lock();
        state.notices.refusals += u32::from(avoidable);
        // Bounded: a session has at most so many joins under way, and takes this before it sends more.
        state.notices.released.extend(joining);
        !std::mem::replace(&mut state.marked, true)
    }

    /// Tells the connection to say that the server is going away. Times are in milliseconds.
    pub(crate) fn go_away(&self, reconnect: u64, closes: u64) {
        self.lock().notices.going_away = Some((reconnect, closes));
        self.wake();
    }

    /// Tells the connection to end.
    pub(crate) fn end(&self, ending: Ending) {
        Self::close(&mut self.lock(), ending);
        self.wake();
    }

    /// Wakes the connection.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// The connection's task, which is to be woken.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Takes back what was written, and gives what is queued and was noticed.
    pub(crate) fn take(&self, written: Charge, queue: &mut VecDeque<Bytes>) -> Notices {
        let mut state = self.lock();
        let state = &mut *state;
        state.marked = false;
        state.charged.bytes = state.charged.bytes.saturating_sub(written.bytes);
        state.charged.frames = state.charged.frames.saturating_sub(written.frames);
        // What is left fits the bounds without them, so the snapshots count as gone.
        if state.charged.bytes <= self.max_bytes / 2 && state.charged.frames <= self.max_frames / 2 {
            state.snapshots = Charge::default();
        }
        if queue.is_empty() {
            std::mem::swap(queue, &mut state.queue);
        } else {
            queue.append(&mut state.queue);
        }
        std::mem::take(&mut state.notices)
    }

    /// The connection has ended on its own: nothing more is queued.
    pub(crate) fn absorb(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue = VecDeque::new();
    }

    /// A chunk goes to a mailbox.
    pub(crate) fn chunk_sent(&self) {
        self.chunks.fetch_add(1, Ordering::Relaxed);
    }

    /// A shard has dealt with a chunk.
    pub(crate) fn chunk_done(&self) {
        // The reader registered its waker before it looked, so one of the two sees the other.
        if self.chunks.fetch_sub(1, Ordering::SeqCst) == self.max_chunks {
            self.wake();
        }
    }

    /// Whether as many chunks wait as may: then the socket is not read.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.chunks.load(Ordering::SeqCst) >= self.max_chunks
    }

    fn append(&self, state: &mut State, frame: Bytes) -> bool {
        if state.closed {
            return false;
        }
        let charged = Charge { bytes: state.charged.bytes + frame.len(), frames: state.charged.frames + 1 };
        let max_bytes = self.max_bytes + state.snapshots.bytes;
        let max_frames = self.max_frames + state.snapshots.frames;
        if charged.bytes > max_bytes || charged.frames > max_frames {
            Self::close(state, Ending::because(Reason::SLOW));
        } else {
            state.charged = charged;
            state.queue.push_back(frame);
        }
        !std::mem::replace(&mut state.marked, true)
    }

    fn close(state: &mut State, ending: Ending) {
        state.closed = true;
        state.queue = VecDeque::new();
        state.notices.ending.get_or_insert(ending);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing under the lock panics; should it, the queue is still a queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(bytes: usize, frames: usize) -> Outbox {
        let mut limits = Limits::default();
        (limits.outbox_bytes, limits.outbox_frames) = (bytes, frames);
        Outbox::new(&limits)
    }

    fn push(outbox: &Outbox, len: usize) -> bool {
        outbox.push(FrameClass::Numbered, &Bytes::from(vec![0; len]))
    }

    #[test]
    fn bytes_are_charged_until_they_are_written() {
        let outbox = outbox(100, 10);
        let mut queue = VecDeque::new();
        push(&outbox, 60);
        assert!(outbox.take(Charge::default(), &mut queue).ending.is_none());
        queue.clear();
        push(&outbox, 60);
        let slow = outbox.take(Charge::default(), &mut queue).ending;
        assert_eq!(slow.map(|ending| ending.reason), Some(Reason::SLOW));
        assert!(queue.is_empty());
        // Closing absorbs.
        push(&outbox, 1);
        outbox.take(Charge { bytes: 60, frames: 1 }, &mut queue);
        assert!(queue.is_empty());
    }

    #[test]
    fn small_frames_are_bounded_by_their_number() {
        let outbox = outbox(1000, 3);
        for _ in 0..3 {
            push(&outbox, 1);
        }
        let mut queue = VecDeque::new();
        assert!(outbox.take(Charge::default(), &mut queue).ending.is_none());
        push(&outbox, 1);
        assert!(outbox.take(Charge::default(), &mut queue).ending.is_some());
    }

    #[test]
    fn a_snapshot_has_room_of_its_own_until_it_is_written() {
        let mut limits = Limits::default();
        (limits.outbox_bytes, limits.outbox_frames, limits.outbox_snapshots) = (100, 2, 1000);
        let outbox = Outbox::new(&limits);
        let snapshot = Bytes::from(vec![0; 500]);
        outbox.push(FrameClass::Snapshot, &snapshot);
        outbox.push(FrameClass::Snapshot, &snapshot);
        push(&outbox, 100);
        let mut queue = VecDeque::new();
        assert!(outbox.take(Charge::default(), &mut queue).ending.is_none());
        assert_eq!(queue.len(), 3);
        // Written, its room is gone.
        assert!(outbox.take(Charge { bytes: 1050, frames: 2 }, &mut queue).ending.is_none());
        push(&outbox, 51);
        assert!(outbox.take(Charge::default(), &mut queue).ending.is_some());
    }

    #[test]
    fn only_the_first_of_a_flush_has_to_wake() {
        let outbox = outbox(100, 10);
        assert_eq!([push(&outbox, 1), push(&outbox, 1)], [true, false]);
        outbox.take(Charge::default(), &mut VecDeque::new());
        assert!(push(&outbox, 1));
    }

    #[test]
    fn directs_are_numbered_over_all_rooms() {
        let outbox = outbox(100, 10);
        let direct = |room: u64| Direct {
            room: crate::wire::RoomId(room),
            tick: 1,
            from: crate::wire::MemberNumber(2),
            answers: 0,
            payload: Bytes::from_static(b"x"),
            urgent: false,
        };
        outbox.push_direct(&direct(7));
        outbox.push_direct(&direct(8));
        let mut queue = VecDeque::new();
        outbox.take(Charge::default(), &mut queue);
        assert_eq!(queue, [&[1, 0, 8, 6, 7, 1, 0, 1, 1, 2, 0, b'x'][..], &[1, 0, 8, 6, 8, 2, 0, 1, 1, 2, 0, b'x']]);
    }
}
