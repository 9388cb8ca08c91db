//! How a connection ends, and when there is another (clients/SPEC.md, 2; PROTOCOL 14).
//!
//! ```text
//! None ──Action::Open──> Opening ──opened──> Open ──CLOSE out──> Closing ──2 s, or its end──> None
//!                           └──── lost ────────┴── broken, CLOSE in ──> Shut ──lost──> None
//! ```

use super::{Action, Breach, Device, Error, RoomState, State};
use crate::wire::{Advice, Reason};

/// The connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    None,
    Opening,
    Open,
    /// CLOSE is to go out with a reason, or has gone out; what comes is thrown away.
    Closing(Option<Reason>),
    /// The caller is to end it.
    Shut,
}

/// An attempt without WELCOME has failed after this. 10 s (clients/SPEC.md, 2).
const ATTEMPT: u64 = 10_000;

/// How long the server may take to end a connection after CLOSE: what it takes itself (PROTOCOL 4.3).
const CLOSING: u64 = 2000;

/// A connection that stood so long was none that failed. 5 s.
const STOOD: u64 = 5000;

/// The least and the most that the backoff waits.
const LEAST_WAIT: u32 = 500;
const MOST_WAIT: u32 = 20_000;

/// No server keeps a device away for longer. A day.
const LONGEST: u64 = 86_400_000;

impl<const ROOMS: usize> Device<'_, ROOMS> {
    /// Tells the time, in milliseconds of a clock that never goes back. To be called in every round of the caller's loop.
    pub fn poll(&mut self, now: u64) -> Action {
        self.time.now = now;
        match self.link {
            Link::None => {
                let due = self.state == State::Connecting && self.told == self.state && now >= self.time.at;
                if !due || self.token.wanted {
                    return Action::Nothing;
                }
                self.link = Link::Opening;
                self.time.dead_at = now + ATTEMPT;
                return Action::Open;
            }
            Link::Opening | Link::Open | Link::Closing(_) if now < self.time.dead_at => {}
            Link::Open if self.session.welcomed && self.time.has_slept() => self.time.handle_sleep(),
            Link::Opening | Link::Open => self.end(None, None, None),
            Link::Closing(_) => self.link = Link::Shut,
            Link::Shut => {}
        }
        if self.link == Link::Shut { Action::Shut } else { Action::Nothing }
    }

    /// Milliseconds until there is something to do without the server: [`poll`](Self::poll) by itself, or 0 where
    /// [`next_event`](Self::next_event) can go on, such as behind a ping whose answer has left. At most a minute.
    #[must_use]
    pub fn wait(&self) -> u64 {
        if self.session.pong.is_none() && self.intake.is_unread() {
            return 0;
        }
        let time = &self.time;
        let mut until = time.now + 60_000;
        if self.link == Link::None {
            if self.state == State::Connecting && !self.token.wanted {
                until = until.min(time.at);
            }
        } else {
            until = until.min(time.dead_at);
            if self.session.welcomed {
                until = until.min(time.ping_at);
                let retries = self.rooms.iter().filter(|room| room.is_waiting()).map(|room| room.retry_at);
                until = retries.fold(until, u64::min);
            }
        }
        until.saturating_sub(time.now)
    }

    /// The connection that [`Action::Open`] asked for is there.
    pub const fn opened(&mut self) {
        if matches!(self.link, Link::Opening) {
            self.link = Link::Open;
        }
    }

    /// The connection is gone, or there was none to be had.
    pub fn lost(&mut self) {
        let broke = matches!(self.link, Link::Opening | Link::Open);
        self.link = Link::None;
        if broke {
            self.end(None, None, None);
        }
    }

    /// The session is over, as the server or the line will have it. `told` is in milliseconds; `say` goes out with CLOSE.
    pub(super) fn end(&mut self, reason: Option<Reason>, told: Option<u64>, say: Option<Reason>) {
        self.hang_up(say);
        // PROTOCOL 12.2: a session that was closed is over, but for these.
        if say.is_some() || !matches!(reason, None | Some(Reason::PONG_TIMEOUT | Reason::SLOW)) {
            self.resume_len = 0;
        }
        if !matches!(self.state, State::Connecting | State::Connected) {
            return;
        }
        self.state = State::Connecting;
        self.reason = reason;
        let asks = matches!(reason, Some(Reason::TOKEN | Reason::TOKEN_EXPIRED));
        if asks && self.options.renews && !self.token.asked {
            (self.token.asked, self.token.wanted, self.token.tell) = (true, true, true);
            self.time.at = self.time.now;
            return;
        }
        let mut tries = self.tries;
        let at = self.again(reason, told, &mut tries);
        self.tries = tries;
        match (at, reason) {
            (None, Some(reason)) => self.give_up(reason),
            (at, _) => self.time.at = at.unwrap_or(self.time.now),
        }
    }

    /// The server sent what it must not.
    pub(super) fn break_off(&mut self, breach: Breach) {
        self.error = Some(Error::Protocol(breach));
        self.end(None, None, Some(Reason::MALFORMED));
    }

    /// Forgets what belonged to this connection.
    pub(super) fn hang_up(&mut self, say: Option<Reason>) {
        // Within a frame there is no place for another.
        let cut = !self.session.hello || self.queue.is_within_frame() || self.control_len > 0;
        self.link = match (self.link, say) {
            (Link::None, _) => Link::None,
            (Link::Open, Some(reason)) if !cut => Link::Closing(Some(reason)),
            (Link::Closing(said), _) => Link::Closing(said),
            _ => Link::Shut,
        };
        if self.session.welcomed && self.time.now - self.time.up_at >= STOOD {
            self.tries = 0;
        }
        self.time.dead_at = self.time.now + CLOSING;
        (self.session.hello, self.session.welcomed, self.session.pong) = (false, false, None);
        (self.control_len, self.control_at) = (0, 0);
        self.token.renew = false;
        self.intake.clear();
        self.current = None;
        self.dropped += self.queue.handle_lost();
        self.rooms.iter_mut().for_each(super::room::Room::handle_lost);
    }

    /// For good: leaves the rooms, and gives up what waits.
    pub(super) fn give_up(&mut self, reason: Reason) {
        self.state = State::Closed;
        self.reason = Some(reason);
        self.dropped += self.queue.give_up();
        for room in &mut self.rooms {
            (room.wanted, room.state, room.reason) = (false, RoomState::Left, Some(reason));
        }
    }

    /// When to try again after this reason; None: never.
    pub(super) fn again(&mut self, reason: Option<Reason>, told: Option<u64>, tries: &mut u32) -> Option<u64> {
        let wait = match (reason.map_or(Advice::Retry, Reason::advice), told) {
            (Advice::Never, _) => return None,
            (Advice::Later, Some(told)) => told.min(LONGEST),
            (Advice::Later, None) => 10_000 + self.random(10_000),
            // All of it random but the first part, so that many devices come back as a slope.
            (Advice::Retry, _) => {
                let most = if *tries < 6 { LEAST_WAIT << *tries } else { MOST_WAIT };
                *tries += 1;
                (u64::from(LEAST_WAIT) + self.random(most)).min(MOST_WAIT.into())
            }
        };
        Some(self.time.now.saturating_add(wait))
    }

    /// A number from 0 to `most`: xorshift, for nothing secret hangs on it.
    fn random(&mut self, most: u32) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        u64::from(self.random % (most + 1))
    }
}
