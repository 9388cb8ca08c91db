//! What time brings to a shard: rooms flush at their edges, lagging receivers are looked after, empty rooms are forgotten.
//!
//! ```text
//! edge:     0         1         2         3
//! tick      |=flush=| |====flush====|=flush=|      1 took long: what came meanwhile is read and leaves at once,
//!                              edge 2 ──────^      and not with 3
//! ```

use super::{Dispatcher, FEW, TEND};
use crate::places::Places;
use crate::room::{Outlet, Turn};
use crate::time::Time;

impl<H: Clone> Dispatcher<H> {
    /// The mailbox is empty: rooms of period 0 flush.
    pub fn handle_drained(&mut self, now: Time, out: &mut impl Outlet<H>) {
        self.settle_all(now, out);
        // A flush may put its room down again, where logic removes a member. It ends, since each time a
        // membership has ended.
        while !self.drained.is_empty() {
            let mut rooms = std::mem::take(&mut self.drained);
            let used = rooms.len();
            for room in rooms.drain(..) {
                self.flush(room, false, now, out);
            }
            if self.drained.is_empty() {
                // For the next time, its memory.
                rooms.give_back_after(used, FEW);
                self.drained = rooms;
                break;
            }
        }
    }

    /// Time has passed: rooms whose tick has come flush, rooms that lingered long enough are
    /// forgotten. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Time, out: &mut impl Outlet<H>) {
        self.settle_all(now, out);
        let mut rooms = std::mem::take(&mut self.due);
        self.schedule.take_due(now, &mut rooms);
        let used = rooms.len();
        for room in rooms.drain(..) {
            #[cfg(test)]
            (self.looks += 1);
            self.flush(room, false, now, out);
        }
        if used > 0 {
            rooms.give_back_after(used, FEW);
        }
        self.due = rooms;
        self.tend(now, out);
        while let Some((until, room)) = self.lingering.pop_due(now) {
            self.forget_lingering(until, room);
        }
        self.rest(now);
    }

    /// Looks after receivers that wait for something.
    fn tend(&mut self, now: Time, out: &mut impl Outlet<H>) {
        if self.tend_at.is_none_or(|at| now < at) {
            return;
        }
        self.tend_at = None;
        let Self { rooms, config, tools, resting, .. } = self;
        let mut turn = Turn { now, limits: &config.limits, out, tools };
        self.straggling.retain(|index| {
            let Some(slot) = rooms.get_mut(*index) else { return false };
            let _count = slot.room.tend(&mut turn);
            #[cfg(test)]
            (self.looks += _count);
            slot.keep_warm(*index, now, resting);
            slot.tended = slot.room.is_straggling();
            slot.tended
        });
        self.straggling.give_back(FEW);
        if !self.straggling.is_empty() {
            self.tend_at = Some(now.after(TEND));
        }
    }

    /// What [`handle_timeout`](Self::handle_timeout) sent for a tick is written now. An edge that has passed meanwhile can
    /// be made up for by [`catch_up`](Self::catch_up); without this call it is left out.
    pub fn handle_written(&mut self, now: Time) {
        self.schedule.handle_written(now);
    }

    /// What had come while a tick was written has been handled. Where an edge has passed by then, it is due now, and does not
    /// wait for the next one (PROTOCOL 11.6).
    pub fn catch_up(&mut self) {
        self.schedule.catch_up();
    }

    /// The next moment at which [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.schedule.deadline().into_iter().chain(self.lingering.first()).chain(self.tend_at).min()
    }

    /// The next moment at which a room flushes because of its tick.
    #[must_use]
    pub fn next_tick(&self) -> Option<Time> {
        self.schedule.deadline()
    }
}
