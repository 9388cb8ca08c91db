//! Lives of rooms: made, put down for a flush, flushed, kept within the budget, forgotten.
//!
//! ```text
//! made ──> dirty ──> flushed ──> empty: lingers ──> forgotten
//!            ^─────────┘
//! ```

use super::{Dispatcher, FEW, Outlet, RoomIndex, Slot, TEND};
use crate::limits::Over;
use crate::name::RoomName;
use crate::places::Places;
use crate::room::{Room, Thinking, Turn};
use crate::time::{Time, micros};
use crate::wire::{Epoch, Reason};

impl<H: Clone> Dispatcher<H> {
    /// The room of this name, made where there is none.
    pub(super) fn room(&mut self, name: &RoomName, now: Time) -> Result<RoomIndex, Reason> {
        if let Some(index) = self.names.get(name) {
            return Ok(*index);
        }
        if self.names.len() >= self.config.limits.max_shard_rooms {
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
        let index = match self.free_place() {
            Some((index, free)) => {
                *free = Some(Box::new(slot));
                index
            }
            None => {
                let index = RoomIndex(u32::try_from(self.rooms.len()).map_err(|_| Reason::TOO_MANY_ROOMS)?);
                self.rooms.push(Some(Box::new(slot)));
                index
            }
        };
        self.names.insert(name.clone(), index);
        Ok(index)
    }

    /// A place that a room has left.
    fn free_place(&mut self) -> Option<(RoomIndex, &mut Option<Box<Slot<H>>>)> {
        let rooms = &self.rooms;
        // Places at the end are gone when they are free, and may have come again since.
        let is_free = |index: &RoomIndex| rooms.get(index.place()).is_some_and(Option::is_none);
        let index = std::iter::from_fn(|| self.free.pop()).find(is_free)?;
        self.rooms.get_mut(index.place()).map(|place| (index, place))
    }

    pub(super) fn mark_dirty(&mut self, index: RoomIndex, now: Time) {
        let Some(slot) = self.rooms.get_mut(index.place()).and_then(Option::as_mut) else { return };
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
        let Some(slot) = self.rooms.get_mut(index.place()).and_then(Option::as_mut) else { return };
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
        let Some(slot) = self.rooms.get_mut(index.place()).and_then(Option::as_mut) else { return };
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
        let Some(slot) = self.rooms.get_mut(index.place()).and_then(Option::as_mut) else { return };
        if slot.room.is_straggling() && !std::mem::replace(&mut slot.tended, true) {
            self.straggling.push(index);
            self.tend_at.get_or_insert_with(|| now.after(TEND));
        }
    }

    /// Lets go of the oldest batches, and then of the rooms that were empty for longest, while
    /// rooms keep more than they may together.
    fn keep_to_budget(&mut self) {
        while let Some((index, epoch, position)) = self.budget.oldest_over() {
            let Some(slot) = self.rooms.get_mut(index.place()).and_then(Option::as_mut) else { continue };
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
            && let Some((_, index)) = self.lingering.pop_first()
        {
            self.forget(index);
        }
    }

    /// Forgets what the budget knows of batches that are gone.
    pub(super) fn tidy_budget(&mut self) {
        let rooms = &self.rooms;
        self.budget.tidy(|(index, epoch, position)| {
            let slot = rooms.get(index.place()).and_then(Option::as_ref);
            slot.is_some_and(|slot| slot.room.epoch() == *epoch && slot.room.keeps(*position))
        });
    }

    pub(super) fn forget(&mut self, index: RoomIndex) {
        let Some(slot) = self.rooms.get_mut(index.place()).and_then(Option::take) else { return };
        self.unlist(index, &slot);
        let Slot { room, kept, .. } = *slot;
        self.names.remove(&room.name);
        self.budget.change(kept, (0, 0), None);
        let (id, lease) = room.into_id();
        self.ids.give_back(id, lease);
        self.free.push(index);
        self.give_back_places();
    }

    /// A room is gone, and with enough others the places of rooms.
    fn give_back_places(&mut self) {
        while self.rooms.pop_if(|last| last.is_none()).is_some() {}
        if self.rooms.is_empty() {
            self.free.clear();
        }
        self.tidy_budget();
        self.rooms.give_back(FEW);
        self.free.give_back(FEW);
        self.names.give_back(FEW);
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
