//! Receivers that are to be told something later: they are looked at every few milliseconds, and told
//! as much as their lag leaves room for.
//!
//! ```text
//! lost ──drained──> GAP ──> snapshot, a few frames at a time ──┐         (waits where many are on their way)
//! behind ──drained──> values that changed ─────────────────────┴──> current
//!                └──> snapshot, where they are too many
//! replaying ──> batches from history ──> snapshot
//! ```

use bytes::Bytes;

use super::receivers::{Cursor, Standing, Traits, What};
use super::{FrameClass, Lag, Outlet, Room, Turn};
use crate::limits::Limits;
use crate::rights::{Shown, Sight};
use crate::wire::{MemberNumber, Position};

/// Values looked at in one round to find what changed for receivers that were behind. 65,536: below
/// a millisecond; who comes later in the round gets the snapshot, which is shared.
const CHANGES: usize = 65_536;

impl<H: Clone> Room<H> {
    /// Whether [`tend`](Self::tend) has something to do.
    pub(crate) fn is_straggling(&self) -> bool {
        self.members.has_stragglers()
    }

    /// Looks after all receivers that wait for something, and at nobody else. Returns at how many.
    pub(crate) fn tend(&mut self, turn: &mut Turn<'_, impl Outlet<H>>) -> usize {
        let (stragglers, mut budget) = (self.members.take_stragglers(), CHANGES);
        for number in &stragglers {
            if let Some(place) = self.members.place(*number) {
                self.tend_at(place, &mut budget, turn);
            }
        }
        stragglers.len()
    }

    /// Looks after one receiver.
    pub(super) fn tend_one(&mut self, number: MemberNumber, turn: &mut Turn<'_, impl Outlet<H>>) {
        if let Some(place) = self.members.place(number) {
            self.tend_at(place, &mut CHANGES.clone(), turn);
        }
    }

    fn tend_at(&mut self, place: usize, budget: &mut usize, turn: &mut Turn<'_, impl Outlet<H>>) {
        let Some(receiver) = self.members.receivers().get_mut(place) else { return };
        let outlet = receiver.outlet.clone();
        let (what, traits) = (receiver.what, receiver.traits);
        let mut standing = std::mem::replace(&mut receiver.standing, Standing::Current);
        let mut lag = turn.out.lag(&outlet);
        // Each round goes one step further; it ends where the receiver has enough for now.
        loop {
            standing = match standing {
                Standing::Current => break,
                Standing::Lost { from } if what != What::Paused && lag.has_drained(turn.limits) => {
                    self.gap(&outlet, from, self.position, turn);
                    self.send_list(&outlet, traits.listed, turn);
                    lag = turn.out.lag(&outlet);
                    turn.tools.counters.caught_up_by_snapshot += 1;
                    self.begin_snapshot(traits.inflates, turn)
                }
                Standing::Waiting { void } if what != What::Paused && lag.has_drained(turn.limits) => {
                    match self.begin_snapshot(traits.inflates, turn) {
                        Standing::Sending(cursor) => {
                            // PROTOCOL 6.10: what it has of the earlier one is void, and nothing is lost.
                            if void {
                                self.gap(&outlet, self.position.next(), self.position, turn);
                            }
                            Standing::Sending(cursor)
                        }
                        _full => {
                            standing = Standing::Waiting { void };
                            break;
                        }
                    }
                }
                Standing::Behind { .. } if what == What::Events => Standing::Current,
                Standing::Behind { since } if lag.has_drained(turn.limits) => {
                    self.catch_up(&outlet, traits, since, &mut lag, budget, turn)
                }
                Standing::Sending(cursor) if lag.has_room(turn.limits) => {
                    self.send_on(&outlet, traits, cursor, &mut lag, turn)
                }
                Standing::Replaying { next } if self.may_replay(next, traits, lag, turn.limits) => {
                    self.replay(&outlet, traits, next, &mut lag, turn)
                }
                waiting => {
                    standing = waiting;
                    break;
                }
            };
        }
        let (receivers, stragglers) = self.members.receivers_and_stragglers();
        if let Some(receiver) = receivers.get_mut(place) {
            receiver.standing = standing;
            receiver.wait(stragglers);
        }
    }

    /// Sends the values that changed since a flush, or begins a snapshot.
    fn catch_up(
        &mut self,
        outlet: &H,
        traits: Traits,
        since: u64,
        lag: &mut Lag,
        budget: &mut usize,
        turn: &mut Turn<'_, impl Outlet<H>>,
    ) -> Standing {
        let values = &self.gathering.values;
        if since == values.flushes() {
            return Standing::Current;
        }
        let changes = budget.checked_sub(values.len()).and_then(|left| {
            *budget = left;
            values.changes(since, turn.limits.max_frame)
        });
        let frames = changes.map(|changes| changes.freeze_alone(&self.snapshot_head()));
        let most = turn.limits.low_water.min(turn.limits.outbox_batches().saturating_sub(lag.bytes));
        match frames.filter(|frames| frames.iter().map(Bytes::len).sum::<usize>() <= most) {
            Some(frames) => {
                for frame in &frames {
                    show(outlet, traits.sight, FrameClass::Values, frame, lag, turn);
                }
                turn.tools.counters.caught_up_by_changes += 1;
                Standing::Current
            }
            // What changed is as much as what there is: the snapshot is shared.
            None => {
                turn.tools.counters.caught_up_by_snapshot += 1;
                self.begin_snapshot(traits.inflates, turn)
            }
        }
    }

    /// Sends a frame of a snapshot.
    fn send_on(
        &self,
        outlet: &H,
        traits: Traits,
        mut cursor: Box<Cursor>,
        lag: &mut Lag,
        turn: &mut Turn<'_, impl Outlet<H>>,
    ) -> Standing {
        if let Some(frame) = cursor.frames.get(cursor.sent) {
            show(outlet, traits.sight, FrameClass::Snapshot, frame, lag, turn);
            cursor.sent += 1;
            return Standing::Sending(cursor);
        }
        // Values that changed while it was on its way come behind it.
        if cursor.flush == self.gathering.values.flushes() {
            Standing::Current
        } else {
            Standing::Behind { since: cursor.flush }
        }
    }

    /// Whether the next step of a replay fits what the receiver owes: a batch, or the list of members
    /// behind the last one, which is sent at once.
    fn may_replay(&mut self, next: Position, traits: Traits, lag: Lag, limits: &Limits) -> bool {
        match self.history.get(next) {
            Some(frames) => lag.has_drained(limits) || lag.has_room(limits) && fits(frames, lag, limits),
            None if next > self.position && traits.listed => lag.has_drained(limits),
            None => lag.has_room(limits),
        }
    }

    /// Sends a batch from history.
    fn replay(
        &mut self,
        outlet: &H,
        traits: Traits,
        next: Position,
        lag: &mut Lag,
        turn: &mut Turn<'_, impl Outlet<H>>,
    ) -> Standing {
        if next > self.position {
            self.send_list(outlet, traits.listed, turn);
            *lag = turn.out.lag(outlet);
            return self.begin_snapshot(traits.inflates, turn);
        }
        let Some(frames) = self.history.get(next) else {
            // It was let go of meanwhile.
            let last = self.history.first().map_or(self.position, |first| Position(first.0 - 1));
            self.gap(outlet, next, last, turn);
            return Standing::Replaying { next: last.next() };
        };
        if !fits(frames.clone(), *lag, turn.limits) {
            // It is too much even for one who has drained, as it was when it was sent.
            self.gap(outlet, next, next, turn);
            return Standing::Replaying { next: next.next() };
        }
        for frame in frames {
            show(outlet, traits.sight, FrameClass::Numbered, frame, lag, turn);
        }
        turn.tools.counters.replayed += 1;
        Standing::Replaying { next: next.next() }
    }
}

/// Whether a batch may be queued for a receiver that owes so much: the second rung (PROTOCOL 12.5).
fn fits<'a>(frames: impl ExactSizeIterator<Item = &'a Bytes>, lag: Lag, limits: &Limits) -> bool {
    let count = frames.len();
    lag.fits(frames.map(Bytes::len).sum(), count, limits)
}

/// Sends a frame as far as the receiver may see it.
pub(super) fn show<H, O: Outlet<H>>(
    outlet: &H,
    sight: Sight,
    class: FrameClass,
    frame: &Bytes,
    lag: &mut Lag,
    turn: &mut Turn<'_, O>,
) {
    match if sight == Sight::ALL { Shown::Whole } else { sight.show(frame) } {
        Shown::Whole => turn.out.frame(outlet, class, frame),
        Shown::Blank(blank) => turn.out.frame(outlet, class, &blank),
        Shown::Nothing => return,
    }
    lag.add(frame);
}
