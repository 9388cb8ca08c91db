//! Where a room's output goes, and what a receiver that lags still takes.
//!
//! ```text
//! lag:   0 ........ low water ................. kept for answers and directs ... outbox bound
//!        │ everything │ no values: behind │ no batches: lost │ answers, directs  │ close
//! ```

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::command::Hold;
use crate::limits::Limits;
use crate::wire::control::{Command as Tell, Refused};
use crate::wire::{Control, Extensions, MemberNumber, Reason, RequestId, RoomId};

/// Where a room's output goes. Nothing here may block or wait for a peer.
pub trait Outlet<H> {
    /// A whole frame for one session, whatever it owes; `frame` is shared by all who get it.
    fn frame(&mut self, to: &H, class: FrameClass, frame: &Bytes);

    /// What one flush sends, for one receiver: as much of it as the receiver's lag allows. Whoever
    /// knows the lag asks [`Batch::admit`]; this default takes every receiver for a quick one.
    fn batch(&mut self, to: &H, batch: &Batch<'_>) -> Taken {
        for (index, frame) in batch.frames.iter().enumerate() {
            let is_value = batch.values.contains(&index);
            if batch.wants_values || !is_value {
                self.frame(to, if is_value { FrameClass::Values } else { FrameClass::Numbered }, frame);
            }
        }
        Taken::All
    }

    /// What the receiver owes now.
    fn lag(&mut self, to: &H) -> Lag {
        let _quick = to;
        Lag::default()
    }

    /// A direct for one session, which numbers it (PROTOCOL 8.6).
    fn direct(&mut self, to: &H, direct: &Direct);

    /// Something the session asked for was refused.
    fn refuse(&mut self, to: &H, refusal: &Refusal);

    /// A membership has ended that the session did not end: `left` says so, and the hold of the handle
    /// is free again. The session must know it before its client can, also where it goes on over
    /// another connection by now.
    fn released(&mut self, to: &H, hold: Hold, left: &Bytes);

    /// The session sends too much: nothing more should be read from it for so long. Whoever cannot do
    /// that has nothing to do.
    fn delay(&mut self, to: &H, by: Duration) {
        let _ignored = (to, by);
    }

    /// The room has no use for this receiver any more: its connection must end.
    fn close(&mut self, to: &H, reason: Reason);
}

/// What a frame is to a receiver that lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameClass {
    /// Answers: never left out.
    Control,
    /// Presence and events: left out only with a gap.
    Numbered,
    /// Values: replaced by later ones, or by a snapshot.
    Values,
    /// The latest values, or the members.
    Snapshot,
}

/// The frames of one flush of one room, in their order.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// All of them.
    pub frames: &'a [Bytes],
    /// Which of them are values.
    pub values: Range<usize>,
    /// Whether this receiver wants those.
    pub wants_values: bool,
    /// Bytes of the numbered frames.
    pub numbered_bytes: usize,
    /// Bytes of the value frames.
    pub value_bytes: usize,
}

impl Batch<'_> {
    /// What of it a receiver takes that owes so much: the first two rungs of the ladder (PROTOCOL 12.5).
    #[must_use]
    pub fn admit(&self, lag: Lag, limits: &Limits) -> Taken {
        let numbered = self.frames.len() - self.values.len();
        let fits = |bytes: usize, frames: usize| lag.fits(bytes, frames, limits);
        let all = self.numbered_bytes.saturating_add(self.value_bytes);
        if self.wants_values && lag.bytes <= limits.low_water && fits(all, self.frames.len()) {
            Taken::All
        } else if numbered == 0 || fits(self.numbered_bytes, numbered) {
            Taken::Numbered
        } else {
            Taken::Nothing
        }
    }
}

/// What a receiver took of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// All that it wanted.
    All,
    /// Presence and events, without values.
    Numbered,
    /// Nothing.
    Nothing,
}

/// What a receiver owes: queued for it, or sent and not yet consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of frames.
    pub bytes: usize,
    /// Frames that are queued.
    pub frames: usize,
}

impl Lag {
    /// Whether the receiver has caught up, and may be told what it missed.
    #[must_use]
    pub const fn has_drained(self, limits: &Limits) -> bool {
        self.bytes <= limits.low_water / 2 && self.frames <= limits.outbox_frames / 4
    }

    /// Whether there is room for a further frame of a snapshot or of history.
    #[must_use]
    pub const fn has_room(self, limits: &Limits) -> bool {
        self.bytes < limits.low_water && self.frames < limits.outbox_frames / 2
    }

    /// Whether batches may take so much more: a quarter is kept for answers and directs.
    pub(super) const fn fits(self, bytes: usize, frames: usize, limits: &Limits) -> bool {
        let (most_bytes, most_frames) = (limits.outbox_batches(), limits.outbox_frames / 4 * 3);
        self.bytes.saturating_add(bytes) <= most_bytes && self.frames.saturating_add(frames) <= most_frames
    }

    pub(super) const fn add(&mut self, frame: &Bytes) {
        self.bytes = self.bytes.saturating_add(frame.len());
        self.frames = self.frames.saturating_add(1);
    }
}

/// A message for one member, on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// The room.
    pub room: RoomId,
    /// The low 16 bits of the tick.
    pub tick: u16,
    /// Who sent it.
    pub from: MemberNumber,
    /// The receiver's data frame that this answers, or 0.
    pub answers: u64,
    /// The message.
    pub payload: Bytes,
    /// Whether it left early.
    pub urgent: bool,
}

/// What was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The command; 0 where a data frame is meant.
    pub request: RequestId,
    /// The data frame; 0 where a command is meant.
    pub number: u64,
    /// Why.
    pub reason: Reason,
    /// The handle that is free again, where a join was refused.
    pub joining: Option<Hold>,
    /// Whether the peer could have known better: then its session counts it.
    pub avoidable: bool,
}

impl Refusal {
    /// The REFUSED frame (PROTOCOL 6.7).
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let refused = Refused { number: self.number, reason: self.reason, extensions: Extensions::NONE };
        super::encode(Control::new(self.request, Tell::Refused(refused)))
    }
}
