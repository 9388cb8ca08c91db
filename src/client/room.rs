//! One room as the connection knows it: which batch must come next (PROTOCOL 8.3, 12.1).

use super::{Membership, Surprise};
use crate::wire::control::{Gap, Joined, Outcome};
use crate::wire::header::flags;
use crate::wire::{Epoch, Handle, Position, ServerData};

/// What was read of a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) handle: Handle,
    epoch: Epoch,
    /// The last position that is complete (PROTOCOL 8.3).
    complete: Position,
    /// The last tick seen, to extend the next one.
    tick: u64,
    /// Whether it belongs to a resumed session and was asked for again. Until that is answered, only
    /// directs count: everything else comes again behind the answer, as the join has asked for it.
    rejoining: bool,
}

impl Room {
    /// As a JOINED says that answers a join which named this `since`.
    pub(super) fn joined(joined: &Joined<'_>, since: Option<(Epoch, Position)>) -> Result<Self, Surprise> {
        // PROTOCOL 12.1: every batch behind the one that was asked for follows.
        if let Some((epoch, asked)) = since
            && joined.outcome == Outcome::RECOVERED
            && (epoch, asked) != (joined.epoch, joined.position)
        {
            return Err(Surprise::Recovered { asked, found: joined.position });
        }
        Ok(Self {
            handle: joined.handle,
            epoch: joined.epoch,
            complete: joined.position,
            tick: joined.tick,
            rejoining: false,
        })
    }

    /// As an earlier connection has left it.
    pub(super) const fn resumed(handle: Handle, tick: u64) -> Self {
        Self { handle, epoch: Epoch([0; 8]), complete: Position(0), tick, rejoining: true }
    }

    pub(super) const fn is_rejoining(&self) -> bool {
        self.rejoining
    }

    /// PROTOCOL 8.3: numbered frames follow each other without a hole.
    pub(super) fn handle_position(&mut self, data: &ServerData<'_>) -> Result<(), Surprise> {
        let (expected, found) = (self.complete.next(), data.head.position);
        if found != expected {
            return Err(Surprise::Position { expected, found });
        }
        if data.options & flags::MORE == 0 {
            self.complete = found;
        }
        Ok(())
    }

    /// PROTOCOL 6.10: what never comes. Below, nothing is lost but values.
    pub(super) fn handle_gap(&mut self, gap: &Gap<'_>) -> Result<(), Surprise> {
        if gap.epoch != self.epoch {
            self.epoch = gap.epoch;
            self.complete = gap.to;
        } else if gap.to >= gap.from {
            let expected = self.complete.next();
            // What lies before the gap must have come.
            if gap.from > expected {
                return Err(Surprise::Position { expected, found: gap.from });
            }
            self.complete = self.complete.max(gap.to);
        }
        Ok(())
    }

    /// The whole tick of a frame that carries these low bits. A snapshot `is_old` (PROTOCOL 8.4): the
    /// next frame is not near it.
    pub(super) const fn handle_tick(&mut self, low: u16, is_old: bool) -> u64 {
        let tick = Membership::extend_tick(self.tick, low);
        if !is_old {
            self.tick = tick;
        }
        tick
    }
}
