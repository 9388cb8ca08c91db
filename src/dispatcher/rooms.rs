//! Lives of rooms: made, put down for a flush, flushed, kept within the budget, forgotten.
//!
//! ```text
//! made ──> dirty ──> flushed ──> empty: lingers ──> forgotten
//!            ^─────────┘
//! ```

use super::{Dispatcher, Outlet, RoomIndex, Slot, TEND};
use crate::limits::Over;
use crate::name::RoomName;
use crate::room::{Room, Thinking, Turn};
use crate::time::{Time, micros};
use crate::wire::{Epoch, Reason};

impl<H: Clone> Dispatcher<H> {
    /// The room of this name, made where there is none.
    pub(super) fn room(&mut self, name: &RoomName, now: Time) -> Result<RoomIndex, Reason> {
        if let Some(index) = self.rooms.find(name) {
            return Ok(index);
        }
        if self.rooms.count() >= self.config.limits.max_shard_rooms {
            return Err(Reason::TOO_MANY_ROOMS);
        }
        let limits = &self.config.limits;
        let (burst, per_sec) = (limits.rooms_burst.into(), limits.rooms_per_sec.into());
        if let Err(missing) = self.making.take_many(1, burst, per_sec, now) {
            self.tools.counters.rooms_refused += 1;
            self.beyond_rooms = Some((limits.over_rooms, missing.wait()));
            // Beyond the longest delay even who is delayed is refused: a debt must not grow without end.
            if limits.over_rooms != Over::Delay || missing.wait() > Over::LONGEST {
                return Err(Reason::TOO_MANY_ROOMS);
            }
            self.making.owe(missing, now);
        }
        let logic = self.make_logic(name)?;
        let place = self.config.classes.place(name);
        let class = self.classes.get(place).cloned().ok_or(Reason::INTERNAL)?;
        let start = match micros(class.period) {
            0 => now,
            period => self.schedule.edge(period, self.config.shard, self.config.shards, now),
        };
        let epoch = self.epoch();
        let mut room = Room::new(self.ids.take(), name.clone(), class, epoch, start);
        if let Some(logic) = logic {
            room.set_logic(logic);
        }
        let slot = Slot {
            room,
            scheduled: false,
            tended: false,
            lingers_until: None,
            flushed: now,
            warm: false,
            ages_at: None,
            kept: (0, 0),
        };
        self.rooms.insert(slot).ok_or(Reason::TOO_MANY_ROOMS)
    }

    pub(super) fn mark_dirty(&mut self, index: RoomIndex, now: Time) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        if slot.scheduled || self.going_away {
            return;
        }
        slot.scheduled = true;
        match micros(slot.room.class.period) {
            0 => self.drained.push(index),
            period => self.schedule.push(period, self.config.shard, self.config.shards, index, now),
        }
    }

    pub(super) fn flush(&mut self, index: RoomIndex, urgent: bool, now: Time, out: &mut impl Outlet<H>) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        slot.scheduled = false;
        self.flush_early_or_due(index, urgent, now, out);
    }

    /// The room stays scheduled: at its tick there may be nothing more to do, which is cheap.
    pub(super) fn flush_early(&mut self, index: RoomIndex, now: Time, out: &mut impl Outlet<H>) {
        self.flush_early_or_due(index, true, now, out);
    }

    fn flush_early_or_due(&mut self, index: RoomIndex, urgent: bool, now: Time, out: &mut impl Outlet<H>) {
        if self.going_away {
            return;
        }
        let Some(slot) = self.rooms.get_mut(index) else { return };
        slot.room.allow_growth(self.budget.allows_growth());
        slot.room.before_flush(Thinking { now, limits: &self.config.limits, counters: &mut self.tools.counters });
        if slot.room.is_dirty() {
            let position = slot.room.position();
            let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
            slot.room.flush(urgent, &mut self.scratch, &mut turn);
            let added = slot.room.position() != position && slot.room.kept_batches() > 0;
            let entry = added.then(|| (index, slot.room.epoch(), slot.room.position()));
            let kept = (slot.room.kept_bytes(), slot.room.kept_batches());
            self.budget.change(std::mem::replace(&mut slot.kept, kept), kept, entry);
            slot.keep_warm(index, now, &mut self.resting);
        }
        self.settle(index, now, out);
        self.linger(index, now);
        self.mark_straggling(index, now);
        self.keep_to_budget();
    }

    /// Puts a room down to be looked after, where receivers of it wait for something.
    pub(super) fn mark_straggling(&mut self, index: RoomIndex, now: Time) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        if slot.room.is_straggling() && !std::mem::replace(&mut slot.tended, true) {
            self.straggling.push(index);
            self.tend_at.get_or_insert_with(|| now.after(TEND));
        }
    }

    /// Lets go of the oldest batches, and then of the rooms that were empty for longest, while
    /// rooms keep more than they may together.
    fn keep_to_budget(&mut self) {
        while let Some((index, epoch, position)) = self.budget.oldest_over() {
            let Some(slot) = self.rooms.get_mut(index) else { continue };
            if slot.room.epoch() == epoch {
                let batches = slot.room.kept_batches();
                slot.room.evict_through(position, &mut self.tools);
                let kept = (slot.room.kept_bytes(), slot.room.kept_batches());
                self.tools.counters.evicted += (batches - kept.1) as u64;
                self.budget.change(std::mem::replace(&mut slot.kept, kept), kept, None);
            }
        }
        self.tidy_budget();
        while !self.budget.allows_growth()
            && let Some((until, index)) = self.lingering.pop()
        {
            self.forget_lingering(until, index);
        }
    }

    /// Forgets what the budget knows of batches that are gone.
    pub(super) fn tidy_budget(&mut self) {
        let rooms = &self.rooms;
        self.budget.tidy(|(index, epoch, position)| {
            let slot = rooms.get(*index);
            slot.is_some_and(|slot| slot.room.epoch() == *epoch && slot.room.keeps(*position))
        });
    }

    /// Forgets a room that was to linger until then, where it is so still.
    pub(super) fn forget_lingering(&mut self, until: Time, index: RoomIndex) {
        match self.rooms.get_mut(index).filter(|slot| slot.lingers_until == Some(until)) {
            Some(slot) => {
                slot.lingers_until = None;
                self.forget(index);
            }
            None => self.lingering.handle_void(),
        }
    }

    /// An empty room is kept until then.
    pub(super) fn linger_until(&mut self, index: RoomIndex, until: Time) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        slot.lingers_until = Some(until);
        self.lingering.push(until, index);
        let rooms = &self.rooms;
        self.lingering.tidy(|until, index| rooms.get(index).is_some_and(|slot| slot.lingers_until == Some(until)));
    }

    pub(super) fn forget(&mut self, index: RoomIndex) {
        let Some(slot) = self.rooms.remove(index) else { return };
        self.unlist(index, &slot);
        let Slot { room, kept, .. } = slot;
        self.budget.change(kept, (0, 0), None);
        let (id, lease) = room.into_id();
        self.ids.give_back(id, lease);
        self.tidy_budget();
    }

    /// The next epoch: SplitMix64, whose numbers do not repeat in its period. An epoch is no secret.
    fn epoch(&mut self) -> Epoch {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Epoch((mixed ^ (mixed >> 31)).to_be_bytes())
    }
}
