//! The receivers of a room in a row, and how each of them stands.
//!
//! ```text
//!              owes too much             owes far too much
//! current ──────────────────> behind ─────────────────────> lost      (what it missed is told later)
//!    ^                          │ drained                    │ drained: GAP
//!    │ values that changed      v                            v
//!    │                        waiting for a snapshot <───────┘<── replaying <── join with since
//!    │                          v
//!    └───────────────────────── a snapshot, frame by frame
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::rights::Sight;
use crate::wire::{MemberNumber, Position};

/// A member that receives.
#[derive(Debug)]
pub(super) struct Receiver<H> {
    pub(super) number: MemberNumber,
    pub(super) outlet: H,
    pub(super) standing: Standing,
    /// What it asked for (PROTOCOL 6.11).
    pub(super) what: What,
    pub(super) traits: Traits,
    /// Whether the list of stragglers has it.
    pub(super) waits: bool,
}

/// How a receiver is sent what it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    pub(super) sight: Sight,
    /// Whether it can read compressed frames.
    pub(super) inflates: bool,
    /// Whether it is told the members after a gap.
    pub(super) listed: bool,
}

/// What a receiver has been sent so far.
#[derive(Debug)]
pub(super) enum Standing {
    /// Everything.
    Current,
    /// All numbered batches; values as of that flush.
    Behind { since: u64 },
    /// No batch from this position on, and nobody has told it.
    Lost { from: Position },
    /// Batches up to the one before `next`; the others come from history.
    Replaying { next: Position },
    /// All numbered batches; a snapshot is to come when there is room for one more. `void`: it was
    /// sent a part of an earlier one, and has to be told.
    Waiting { void: bool },
    /// All numbered batches; a snapshot is on its way.
    Sending(Box<Cursor>),
}

/// A place in a snapshot's frames, which are shared by all who are sent it.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) frames: Arc<[Bytes]>,
    /// Frames that were sent.
    pub(super) sent: usize,
    /// The flush it describes.
    pub(super) flush: u64,
}

/// What a receiver asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum What {
    /// Everything.
    #[default]
    All,
    /// Presence and events, no values.
    Events,
    /// Nothing, for now.
    Paused,
}

impl What {
    /// The number on the wire (PROTOCOL 6.11).
    #[must_use]
    pub const fn from_wire(what: u8) -> Option<Self> {
        match what {
            0 => Some(Self::All),
            1 => Some(Self::Events),
            2 => Some(Self::Paused),
            _ => None,
        }
    }
}

impl<H> Receiver<H> {
    /// Whether something is to be told to it later, when it has drained.
    pub(super) const fn is_straggler(&self) -> bool {
        !matches!(self.standing, Standing::Current) && !matches!(self.what, What::Paused)
    }

    /// Puts it down to be told something later, where it is to be.
    pub(super) fn wait(&mut self, stragglers: &mut Vec<MemberNumber>) {
        if self.is_straggler() && !std::mem::replace(&mut self.waits, true) {
            stragglers.push(self.number);
        }
    }
}
