//! Sessions whose connection broke: they wait for another one, which takes them over (PROTOCOL 12.2).
//!
//! ```text
//! connection ──breaks──> parked ──grace──> ended: its rooms are left
//!      └──────────────────┤
//!        take over(token) └──> handover ──> the new connection
//! ```
//!
//! The task of the old connection keeps the session, or one made for that, so there is one owner at
//! every moment, and nobody else ever sees a token.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::clock::Clock;
use super::outbox::{Charge, Outbox};
use super::registry::Place;
use super::rooms::Rooms;
use crate::session::{Ending, Output, Session, Token};
use crate::wire::Reason;

/// A connection wants a session.
#[derive(Debug)]
pub(crate) struct TakeOver {
    /// What it was given for that.
    pub(super) token: Token,
    /// Who asks: a token is bound to its subject.
    pub(super) subject: Bytes,
    /// Where the session goes. Dropped, there is none.
    pub(super) reply: oneshot::Sender<Handover>,
}

/// A session without a connection, on its way to another one. Dropped on that way, because the other
/// connection broke too, it is parked again.
#[derive(Debug)]
pub(crate) struct Handover {
    parked: Option<Parked>,
}

/// A session that waits for its client.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(super) session: Session,
    pub(super) outbox: Arc<Outbox>,
    pub(super) place: Arc<Place>,
    pub(super) rooms: Rooms,
    pub(super) clock: Clock,
}

impl Parked {
    /// Waits at most the session's grace for a connection that takes it over; then it ends.
    pub(super) async fn park(mut self) {
        let Some(permit) = self.place.take_away() else {
            self.rooms.last_will = Reason::FINISHED;
            return self.end();
        };
        self.rooms.away();
        self.place.uncount();
        let waiting = poll_fn(|cx| {
            self.outbox.register(cx.waker());
            let notices = self.outbox.take(Charge::default(), 0, &mut VecDeque::new()).notices;
            let notices = notices.map(|notices| *notices).unwrap_or_default();
            let now = self.clock.now();
            for refusal in notices.refusals {
                self.session.handle_refusal_uncounted(&refusal, now, &mut Output::default());
            }
            for hold in notices.released {
                self.session.handle_left(hold, now);
            }
            let stops = |ending: Ending| [Reason::GOING_AWAY, Reason::REMOVED].contains(&ending.reason);
            if let Some(ending) = notices.ending.filter(|ending| ending.reason == Reason::REMOVED) {
                self.rooms.last_will = ending.reason;
            }
            if notices.going_away.is_some() || notices.ending.is_some_and(stops) {
                return Poll::Ready(None);
            }
            // The latest is most likely the one whose client is still there.
            let mut wanted = notices.take_overs.into_iter();
            match wanted.rfind(|wanted| self.session.accepts(wanted.token, &wanted.subject)) {
                Some(wanted) => Poll::Ready(Some(wanted.reply)),
                None => Poll::Pending,
            }
        });
        let grace = self.place.grace();
        let wanted = timeout(grace, waiting).await;
        // Whoever hears of what follows may need a place himself.
        drop(permit);
        match wanted {
            Ok(Some(reply)) => self.hand_over(reply),
            Ok(None) | Err(_) => self.end(),
        }
    }

    /// The session is over; its rooms are left.
    pub(super) fn end(self) {
        self.outbox.retire();
    }

    /// Gives the session to another connection. Its rooms are silent, and its members away, until the
    /// client joins again (PROTOCOL 12.2).
    pub(super) fn hand_over(mut self, reply: oneshot::Sender<Handover>) {
        self.rooms.away();
        self.rooms.last_will = Reason::FINISHED;
        // Where nobody takes it any more, it is dropped here, and parked.
        let _nobody = reply.send(Handover { parked: Some(self) });
    }
}

impl Handover {
    /// The session, which is the caller's now.
    pub(super) fn take(mut self) -> Option<Parked> {
        self.parked.take()
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        // Outside a runtime, or where it is shutting down, the session ends.
        if let (Some(parked), Ok(runtime)) = (self.parked.take(), Handle::try_current()) {
            runtime.spawn(parked.park());
        }
    }
}
