//! What a turn of the shard leaves to write, and what is read meanwhile.
//!
//! ```text
//! shard ──who got something──> writes ── 16 of them ──> writes ──> ...
//!   ^                                          │ rooms of period 0
//!   └───────────── flush <── turns <── events <┘
//! ```
//!
//! A hundred writes take a quarter of a millisecond. In rooms of period 0 the next message has often come by then: it is read
//! between the writes, and who has not had the one before gets both in one write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Context;
use std::time::Duration;

use mio::Events;

use super::{TURNS, Worker};
use crate::server::shard::TurnEnded;
use crate::time::Time;

/// Connections that have a turn between two writes, at most. 64: about as long as two runs of writes.
pub(super) const BETWEEN: usize = 64;

/// Writes that must be left to make it worth to look for what has come. 32: about 100 us.
const MANY_WRITES: usize = 32;

impl Worker {
    /// Flushes what is due, and gives those a turn who got something.
    pub(super) fn end_turn(&mut self) {
        let due = self.is_due();
        if self.post.touched || due {
            // What was done since the last look is no part of the flush.
            let begun = if due { self.look() } else { self.now };
            let ended = self.flush(begun);
            self.write_all(ended.drained);
            // Who got something from what was read meanwhile. There may be no end of that, and others wait for their turns.
            self.write_all(false);
            if ended.ticked {
                let written = self.look();
                self.post.shard.handle_flushed(begun, written);
            }
        }
        self.post.hub.take_writing(&mut self.writing);
        self.write_all(false);
    }

    /// Whether the shard has something to do, whatever comes.
    fn is_due(&self) -> bool {
        self.post.shard.wakes_at().is_some_and(|deadline| deadline <= self.now)
    }

    /// Has the shard flush, and lists who got something.
    fn flush(&mut self, now: Time) -> TurnEnded {
        let Self { post, writing, elsewhere, gathering, .. } = self;
        post.touched = false;
        let index = post.index;
        let ended = post.shard.end_turn(now, |outbox| match outbox.home() {
            Some((worker, key)) if worker == index => writing.push(key),
            Some((worker, key)) if worker < elsewhere.len() => elsewhere[worker].1.push(key),
            _ => outbox.wake(),
        });
        // The others begin to write while we do.
        for (hub, keys) in elsewhere.iter_mut().filter(|(_, keys)| !keys.is_empty()) {
            hub.have_written(keys);
        }
        if ended.prompt {
            gathering.handle_prompt(now);
        }
        ended
    }

    /// Gives everyone a turn who is listed as having something to write; `reads` says whether senders may have one in between.
    fn write_all(&mut self, reads: bool) {
        let spare = std::mem::take(&mut self.spare);
        let mut writing = std::mem::replace(&mut self.writing, spare);
        let count = writing.len();
        for (done, key) in writing.drain(..).enumerate() {
            if done % TURNS == TURNS - 1 {
                self.look();
                if reads && count - done >= MANY_WRITES {
                    self.read_between();
                }
            }
            self.write(key);
        }
        self.spare = writing;
    }

    /// Lets a connection write what it got.
    fn write(&mut self, key: usize) {
        let Some(member) = self.connections.get_mut(key) else { return };
        let mark = member.connection.mark();
        let mut cx = Context::from_waker(&member.waker);
        let turn = catch_unwind(AssertUnwindSafe(|| member.connection.poll_write(&mut cx, self.now)));
        self.handle_turned(key, mark, turn);
    }

    /// Gives those a turn who have sent something, and flushes what does not wait for a tick. A tick that is due meanwhile
    /// waits for the writes, as it would without this.
    fn read_between(&mut self) {
        let mut events = std::mem::replace(&mut self.between, Events::with_capacity(0));
        // Should this fail, `wait` will meet the same.
        if self.poll.poll(&mut events, Some(Duration::ZERO)).is_ok() {
            events.iter().for_each(|event| self.handle_event(event));
        }
        self.between = events;
        if self.post.touched && !self.is_due() {
            self.flush(self.now);
        }
    }
}
