//! Going away: everything that was accepted leaves, and nothing moves after it (PROTOCOL 6.9).
//!
//! ```text
//! dirty rooms ──flush──> receivers ──> positions are final ──> messages, joins, presence: refused
//! ```

use super::{Dispatcher, Outlet, RoomIndex, Schedule, SessionId};
use crate::room::Turn;
use crate::time::Time;
#[cfg(doc)]
use crate::wire::Reason;
use crate::wire::{Position, RoomId};

impl<H: Clone> Dispatcher<H> {
    /// The server is going away. Rooms send what they have gathered, now; from then on messages, joins and
    /// presence are refused with [`Reason::GOING_AWAY`], and that somebody leaves is told nobody. So what is
    /// returned is final: for every membership that receives, its session, the room and the room's position.
    ///
    /// Receivers that are behind are still told what they missed, as far as they take it. Again, it only
    /// tells the positions.
    pub fn handle_going_away(&mut self, now: Time, out: &mut impl Outlet<H>) -> Vec<(SessionId, RoomId, Position)> {
        if !self.going_away {
            self.settle_all(now, out);
            for index in 0..u32::try_from(self.rooms.len()).unwrap_or(u32::MAX) {
                self.flush_scheduled(RoomIndex(index), now, out);
            }
            self.drained.clear();
            self.schedule = Schedule::default();
            self.going_away = true;
        }
        self.rooms.iter().flat_map(|slot| slot.room.final_positions()).collect()
    }

    /// Has a room send what it has. Its logic is asked once, and what it orders then is the last.
    fn flush_scheduled(&mut self, index: RoomIndex, now: Time, out: &mut impl Outlet<H>) {
        let slot = self.rooms.get(index);
        if slot.is_some_and(|slot| slot.scheduled || slot.room.is_dirty()) {
            self.flush(index, false, now, out);
        }
        // The flush may have closed the room, or its logic removed a member.
        let Some(slot) = self.rooms.get_mut(index) else { return };
        slot.scheduled = false;
        if slot.room.is_dirty() {
            let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
            slot.room.flush(false, &mut self.scratch, &mut turn);
            let kept = (slot.room.kept_bytes(), slot.room.kept_batches());
            self.budget.change(std::mem::replace(&mut slot.kept, kept), kept, None);
            self.mark_straggling(index, now);
        }
    }
}
