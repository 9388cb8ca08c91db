//! What a connection is told beside frames: refusals, the server's going, and its own end.
//!
//! ```text
//! shard, server, another connection ──> Notices ──with the next take──> connection
//!                      └── a session that goes on: to the successor
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Outbox, Pushed};
use crate::command::Hold;
use crate::dispatcher::Refusal;
use crate::server::parking::TakeOver;
use crate::session::Ending;
use crate::wire::Reason;

/// What a connection is told beside frames.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// The session must end.
    pub(crate) ending: Option<Ending>,
    /// The server is going away.
    pub(crate) going_away: Option<GoingAway>,
    /// It sends too much: nothing more is read from it for so long.
    pub(crate) delay: Option<Duration>,
    /// What shards refused.
    pub(crate) refusals: Vec<Refusal>,
    /// Handles whose membership a room has ended.
    pub(crate) released: Vec<Hold>,
    /// Other connections want this session. One each, so they are bounded by the connections.
    pub(crate) take_overs: Vec<TakeOver>,
}

/// That the server is going away (PROTOCOL 6.9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GoingAway {
    /// Milliseconds from now until the client is to come back.
    pub(crate) reconnect: u64,
    /// Milliseconds from now until the connection is closed.
    pub(crate) closes: u64,
    /// Rooms and their last positions, as they are told.
    pub(crate) positions: Box<[u8]>,
}

impl Outbox {
    /// A shard refused something. The session says so, and counts it.
    pub(crate) fn refuse(&self, refusal: &Refusal) -> Pushed {
        let mut state = self.lock();
        if let Some(successor) = &state.successor {
            let successor = Arc::clone(successor);
            drop(state);
            let pushed = successor.refuse(refusal);
            return successor.wake_for(pushed);
        }
        // Bounded by the commands under way: the connection takes these before it sends more.
        state.notices().refusals.push(refusal.clone());
        Pushed { wakes: !std::mem::replace(&mut state.marked, true), closes: false }
    }

    /// The session sends too much: its connection is not to be read for so long.
    pub(crate) fn delay(&self, by: Duration) -> bool {
        let mut state = self.lock();
        if let Some(successor) = &state.successor {
            let successor = Arc::clone(successor);
            drop(state);
            if successor.delay(by) {
                successor.wake();
            }
            return false;
        }
        let notices = state.notices();
        notices.delay = notices.delay.max(Some(by));
        !std::mem::replace(&mut state.marked, true)
    }

    /// A room has ended a membership: its handle is free again, and `left` says so.
    pub(crate) fn released(&self, hold: Hold, left: &Bytes) -> Pushed {
        let mut state = self.lock();
        if let Some(successor) = &state.successor {
            let successor = Arc::clone(successor);
            drop(state);
            let pushed = successor.released(hold, left);
            return successor.wake_for(pushed);
        }
        state.notices().released.push(hold);
        let pushed = self.append(&mut state, left.clone());
        Pushed { wakes: pushed.wakes || !std::mem::replace(&mut state.marked, true), ..pushed }
    }

    /// Tells the connection to say that the server is going away, behind all that is queued.
    pub(crate) fn go_away(&self, notice: GoingAway) {
        self.lock().notices().going_away = Some(notice);
        self.wake();
    }

    /// Tells the connection that another one wants its session.
    pub(crate) fn take_over(&self, take_over: TakeOver) {
        let mut state = self.lock();
        if let Some(successor) = &state.successor {
            let successor = Arc::clone(successor);
            drop(state);
            return successor.take_over(take_over);
        }
        if state.over {
            return;
        }
        state.notices().take_overs.push(take_over);
        drop(state);
        self.wake();
    }

    /// Tells the connection to end.
    pub(crate) fn end(&self, ending: Ending) {
        Self::close(&mut self.lock(), ending);
        self.wake();
    }

    /// As [`end`](Self::end), for who wakes later.
    pub(crate) fn close_with(&self, reason: Reason) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        Self::close(&mut state, Ending::because(reason));
        !std::mem::replace(&mut state.marked, true)
    }

    /// Something went to this outbox by way of the one before, whose caller would wake that one.
    pub(super) fn wake_for(&self, pushed: Pushed) -> Pushed {
        if pushed.wakes {
            self.wake();
        }
        Pushed { wakes: false, ..pushed }
    }
}
