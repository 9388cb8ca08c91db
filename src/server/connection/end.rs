//! How a connection ends: what is said, and what becomes of its session.
//!
//! ```text
//! stopped ──nobody to tell, nothing to keep──> dropped
//!    ├─────broken, and can be resumed────────> closing and parked
//!    ├─────taken over────────────────────────> handed over, closing
//!    └───────────────────────────────────────> closing
//! ```

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::Connection;
use crate::server::closing;
use crate::server::inbound::Stopped;
use crate::server::outbox::Notices;
use crate::server::parking::Parked;
use crate::session::{Ending, Output};
use crate::wire::Reason;

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// What ends the session, or is about to.
    pub(super) fn handle_end(&mut self, notices: Notices) -> Result<(), Stopped> {
        let mut wanted = notices.take_overs.into_iter();
        if let Some(wanted) = wanted.rfind(|wanted| self.session.accepts(wanted.token, &wanted.subject)) {
            self.taken_by = Some(wanted.reply);
            return Err(Ending::because(Reason::TAKEN_OVER).into());
        }
        if let Some(notice) = notices.going_away {
            let mut said = Output::default();
            self.session.handle_going_away(notice.reconnect, notice.closes, &notice.positions, &mut said);
            // PROTOCOL 6.9: behind everything that was accepted before it, which was taken with it.
            self.writer.push_behind(said.replies.freeze());
        }
        notices.ending.map_or(Ok(()), |ending| Err(ending.into()))
    }

    /// Whether there is nobody to tell that this stops, and nothing to keep: then it may be dropped.
    pub(in crate::server) fn just_ends(&self, stopped: &Stopped) -> bool {
        *stopped == Stopped::Gone && !self.session.is_resumable()
    }

    /// Ends where there is nobody to tell.
    pub(in crate::server) fn end(self) {
        debug!(session = self.place.session.0, "session ended: the connection is gone");
        self.outbox.absorb();
        self.outbox.retire();
    }

    /// Says why, and leaves; or keeps the session for another connection.
    pub(in crate::server) async fn close(mut self, stopped: Stopped) {
        let framing = self.writer.framing();
        self.outbox.absorb();
        let ending = match stopped {
            Stopped::Ending(ending) | Stopped::WebSocket(ending, _) => Some(ending),
            Stopped::Left(_) | Stopped::Deaf | Stopped::Gone => None,
        };
        let reason = ending.map_or(Reason::FINISHED, |ending| ending.reason);
        let peer = self.guest.as_ref().map(|guest| guest.address());
        debug!(session = self.place.session.0, reason = reason.0, ?peer, "session ended: {}", reason.sentence());
        self.writer.drop_queued();
        // Answers that precede the end are still sent: they were asked for before.
        if !self.output.replies.is_empty() {
            self.writer.push_answers(self.output.replies.split().freeze());
        }
        let now = self.surroundings.clock.now();
        if let Some(guest) = &mut self.guest {
            guest.greeted();
            // A token that is not valid any more was none that somebody guessed.
            if !self.greeted {
                guest.ended(reason, now);
            }
        }
        let Self { mut io, surroundings, session, outbox, writer, place, mut rooms, taken_by, guest, .. } = self;
        rooms.last_will = reason;
        let limits = &surroundings.facts.limits;
        let parks = stopped == Stopped::Gone || [Reason::PONG_TIMEOUT, Reason::SLOW].contains(&reason);
        let resumable = session.is_resumable();
        let parked = Parked { session, outbox, place, rooms, clock: surroundings.clock };
        match taken_by {
            Some(reply) => parked.hand_over(reply),
            None if parks && resumable => {
                // Its client is to find room at its address to come back.
                drop(guest);
                // Another connection need not wait for the end of this one.
                let closing = async move { closing::run(&mut io, writer, stopped, framing, limits).await };
                // Few are parked: the others need not take the place of that.
                tokio::join!(closing, Box::pin(parked.park()));
                return;
            }
            None => parked.end(),
        }
        closing::run(&mut io, writer, stopped, framing, limits).await;
    }
}
