//! A worker's time: how long it sleeps, when it looks at the clock, and what is due then.
//!
//! ```text
//! deadlines of connections ──┐
//! edges of the shard ────────┴──> sleep ──> events, or what is due
//! ```

use std::cmp::Reverse;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Context;
use std::time::Duration;

use mio::Events;

use super::{Member, Worker};
use crate::time::Time;

/// Turns after which sleeping until then and then needs no new look at the clock. 4: about 30 us.
const FEW_TURNS: usize = 4;

impl Worker {
    /// Sleeps until there is something to do.
    pub(super) fn wait(&mut self, events: &mut Events) {
        let tick = self.post.shard.tick();
        let idle = self.post.hub.sleep(tick.unwrap_or(Time::MAX));
        let next = self.timers.peek().map(|Reverse((time, _))| *time);
        let deadline = self.post.shard.wakes_at().into_iter().chain(next).min();
        let busy = !idle || self.post.touched;
        let napped = !busy && self.nap(deadline);
        let timeout = match deadline {
            _ if busy || napped => Some(Duration::ZERO),
            Some(deadline) => Some(deadline.since(self.recent())),
            None => None,
        };
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            // A bug of ours: there is no way on, and the server ends.
            Err(error) => panic!("epoll failed: {error}"),
        }
        self.post.hub.wake_up();
        let now = self.look();
        self.gathering.handle_events(events.iter().count(), napped, now);
    }

    /// Leaves the sockets alone for a while, where that pays. The time until `deadline` is not exceeded.
    fn nap(&mut self, deadline: Option<Time>) -> bool {
        let now = self.recent();
        let Some(until) = self.gathering.nap_until(deadline, now) else { return false };
        self.post.hub.nap(until.since(now));
        true
    }

    /// Looks at the clock. In between, time stands still: reading it takes longer than most of what
    /// asks for it.
    pub(super) fn look(&mut self) -> Time {
        self.now = self.clock.now();
        self.looked = self.turns;
        self.now
    }

    /// What time it is, give or take a few turns. epoll counts whole milliseconds.
    fn recent(&mut self) -> Time {
        if self.turns.wrapping_sub(self.looked) > FEW_TURNS { self.look() } else { self.now }
    }

    /// Sees to it that a connection looks at the time when it wants to.
    pub(super) fn arm(&mut self, key: usize) {
        let Some(member) = self.connections.get_mut(key) else { return };
        let deadline = member.connection.deadline(self.now);
        // A deadline moves with every frame, mostly to later. The entry that is there comes first then,
        // and finds nothing to do.
        if deadline < member.armed {
            member.armed = deadline;
            self.timers.push(Reverse((deadline, key)));
        }
    }

    pub(super) fn handle_timers(&mut self) {
        while let Some(Reverse((time, key))) = self.timers.peek().copied().filter(|next| next.0.0 <= self.now) {
            // As `arm` sees it, so that nothing falls between what is done and what is waited for.
            let now = self.now;
            self.timers.pop();
            let Some(member) = self.connections.get_mut(key).filter(|member| member.armed == time) else { continue };
            let Member { connection, waker, armed, .. } = member;
            *armed = Time::MAX;
            let mark = connection.mark();
            let mut cx = Context::from_waker(waker);
            let turn = catch_unwind(AssertUnwindSafe(|| connection.handle_time(&mut cx, now)));
            self.handle_turned(key, mark, turn);
            self.pause();
        }
        // Entries that were left behind, by deadlines that moved and connections that ended.
        if self.timers.len() > 4 * self.connections.len().max(64) {
            let connections = &self.connections;
            self.timers
                .retain(|Reverse((time, key))| connections.get(*key).is_some_and(|member| member.armed == *time));
            self.timers.shrink_to(2 * self.timers.len());
        }
    }
}
