//! One room as a device knows it.
//!
//! ```text
//! None ──JOIN──> Asked ──JOINED──> In ──LEAVE──> Leaving ──LEFT──> None
//!                  └─────────┴─ the connection breaks ─┴──> Held ──JOIN, LEAVE──> ..
//! ```

use super::{Breach, JoinOptions, Outcome, RoomState};
use crate::wire::control::{self, Gap, Joined, Mode};
use crate::wire::{Epoch, MemberNumber, Position, Reason, RoomId};

/// A place for a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room<'a> {
    pub(super) name: &'a str,
    pub(super) options: JoinOptions<'a>,
    /// Between `join` and `leave`.
    pub(super) wanted: bool,
    /// A LEAVE has to go out before anything else.
    pub(super) leave: bool,
    pub(super) phase: Phase,
    pub(super) state: RoomState,
    pub(super) told: RoomState,
    pub(super) reason: Option<Reason>,
    pub(super) dropped: usize,
    /// To be told.
    pub(super) outcome: Option<Outcome>,
    pub(super) id: Option<RoomId>,
    pub(super) member: MemberNumber,
    /// The last complete position, and of which life; none before the first join.
    pub(super) since: Option<(Epoch, Position)>,
    pub(super) tick: u64,
    /// Records of the next position that were shown, and that came on this connection: a batch that was shown in part goes on
    /// where it broke off (clients/SPEC.md, 4).
    pub(super) seen: u32,
    pub(super) run: u32,
    /// A snapshot has begun.
    pub(super) collecting: bool,
    /// What RECEIVE is to ask for, and has asked for (PROTOCOL 6.11).
    pub(super) what: u8,
    pub(super) asked: u8,
    pub(super) tries: u32,
    pub(super) retry_at: u64,
}

/// How far a JOIN has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    None,
    /// A session that may be resumed still has it (PROTOCOL 12.2).
    Held,
    Asked,
    In,
    Leaving,
}

impl<'a> Room<'a> {
    pub(super) const EMPTY: Self = Self {
        name: "",
        options: JoinOptions { mode: Mode(0), echo: false, presence: &[] },
        wanted: false,
        leave: false,
        phase: Phase::None,
        state: RoomState::Left,
        told: RoomState::Left,
        reason: None,
        dropped: 0,
        outcome: None,
        id: None,
        member: MemberNumber::ROOM,
        since: None,
        tick: 0,
        seen: 0,
        run: 0,
        collecting: false,
        what: 0,
        asked: 0,
        tries: 0,
        retry_at: 0,
    };

    pub(super) const fn want(&mut self, name: &'a str, options: JoinOptions<'a>) {
        self.name = name;
        self.options = options;
        self.wanted = true;
        self.state = RoomState::Joining;
        self.reason = None;
        self.retry_at = 0;
        self.tries = 0;
        self.what = 0;
    }

    pub(super) const fn unwant(&mut self) {
        self.wanted = false;
        self.leave = !matches!(self.phase, Phase::None | Phase::Leaving);
        self.state = RoomState::Left;
        self.reason = Some(Reason::FINISHED);
        self.outcome = None;
        self.since = None;
    }

    /// Whether it may be spoken in, and its news are for the program.
    pub(super) fn is_in(&self) -> bool {
        self.wanted && !self.leave && self.phase == Phase::In
    }

    /// Whether directs in it are for the program.
    pub(super) fn takes_directs(&self) -> bool {
        self.wanted && !self.leave && self.phase != Phase::Leaving
    }

    /// The server has it no more.
    pub(super) const fn forget(&mut self) {
        self.phase = Phase::None;
        self.id = None;
    }

    /// The last complete position.
    pub(super) fn position(&self) -> Position {
        self.since.map_or(Position(0), |(_, position)| position)
    }

    /// PROTOCOL 12.1: JOINED came.
    pub(super) fn handle_joined(&mut self, joined: &Joined<'_>) -> Result<(), Breach> {
        (self.id, self.member, self.tick) = (Some(joined.room), joined.member, joined.tick);
        (self.phase, self.collecting, self.run) = (Phase::In, false, 0);
        if !self.is_in() {
            return Ok(());
        }
        let outcome = match self.since {
            Some(since) if joined.outcome == control::Outcome::RECOVERED => {
                // PROTOCOL 12.1: every batch behind the one that was asked for follows.
                if since != (joined.epoch, joined.position) {
                    return Err(Breach::Position);
                }
                Outcome::Recovered
            }
            Some((epoch, position))
                if joined.outcome == control::Outcome::GAP && epoch == joined.epoch && joined.position > position =>
            {
                Outcome::Gap(position.next(), joined.position)
            }
            _ => Outcome::Snapshot,
        };
        if outcome != Outcome::Recovered {
            self.seen = 0;
        }
        self.outcome = Some(outcome);
        // Without receiving there is nothing to miss.
        let receives = self.options.mode.has(Mode::RECEIVE);
        self.since = receives.then_some((joined.epoch, joined.position));
        (self.state, self.reason, self.tries) = (RoomState::Joined, None, 0);
        Ok(())
    }

    /// PROTOCOL 6.10: what never comes. Below, nothing is lost but values.
    pub(super) fn handle_gap(&mut self, gap: &Gap<'_>) -> Result<(), Breach> {
        self.collecting = false;
        self.outcome = Some(Outcome::Snapshot);
        let Some((epoch, position)) = self.since else { return Ok(()) };
        let mut to = gap.to;
        if gap.epoch == epoch {
            if gap.to < gap.from {
                return Ok(());
            }
            // What lies before the gap must have come.
            if gap.from > position.next() {
                return Err(Breach::Position);
            }
            self.outcome = Some(Outcome::Gap(gap.from, gap.to));
            to = to.max(position);
        }
        self.since = Some((gap.epoch, to));
        (self.seen, self.run) = (0, 0);
        Ok(())
    }

    /// A batch is complete.
    pub(super) const fn handle_complete(&mut self, found: Position) {
        if let Some((_, position)) = &mut self.since {
            *position = found;
        }
        self.seen = 0;
        self.run = 0;
    }

    /// The connection is gone.
    pub(super) fn handle_lost(&mut self) {
        self.leave |= self.phase == Phase::Leaving;
        if self.phase != Phase::None {
            self.phase = Phase::Held;
        }
        if self.state == RoomState::Joined {
            self.state = RoomState::Joining;
        }
        self.outcome = None;
    }

    /// The whole tick of a frame with these low bits. Within 32767 ticks of the last one there is one answer (PROTOCOL 18).
    pub(super) const fn handle_tick(&mut self, low: u16) {
        let ahead = low.wrapping_sub((self.tick & 0xffff) as u16).cast_signed();
        self.tick = self.tick.saturating_add_signed(ahead as i64);
    }
}
