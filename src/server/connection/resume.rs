//! A session that goes on over another connection (PROTOCOL 12.2).
//!
//! ```text
//! HELLO with a token ──> take over ──> the old connection lets go ──> handover ──> WELCOME
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::Connection;
use crate::command::SessionId;
use crate::server::inbound::Stopped;
use crate::server::parking::{Handover, Parked, TakeOver};
use crate::session::{Ending, Token};
use crate::time::Time;
use crate::wire::Reason;

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// Looks for the session that hello asked for. False while it is on its way.
    pub(super) fn poll_resume(&mut self, cx: &mut Context<'_>, now: Time) -> Result<bool, Stopped> {
        let Some((token, seen)) = self.session.waiting().and_then(|greeting| greeting.wanted()) else {
            return Ok(true);
        };
        if self.resuming.is_none()
            && let Some(outbox) = self.place.find(SessionId(token.session()))
        {
            let (reply, answer) = oneshot::channel();
            outbox.take_over(TakeOver { token, subject: self.session.subject().clone(), reply });
            self.resuming = Some(answer);
        }
        let found = match &mut self.resuming {
            None => None,
            Some(answer) => match Pin::new(answer).poll(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(found) => found.ok(),
            },
        };
        match found {
            Some(handover) => self.go_on_with(handover, seen, now)?,
            None => {
                if let Some(Err(denied)) = self.guest.as_ref().map(|guest| guest.check_seat()) {
                    let ending = Ending::because(denied.reason());
                    return Err(Ending { reconnect: Some(denied.after_millis()), ..ending }.into());
                }
                self.session.handle_not_resumed(now, &mut self.output)?;
            }
        }
        self.handle_greeted();
        // It may be another one than when this turn began.
        self.outbox.register(cx.waker());
        Ok(true)
    }

    /// Continues another connection's session on this one.
    fn go_on_with(&mut self, handover: Handover, seen: u64, now: Time) -> Result<(), Stopped> {
        let Some(Parked { session, outbox, place, rooms, .. }) = handover.take() else { return Ok(()) };
        let fresh = std::mem::replace(&mut self.session, session);
        let Some(greeting) = fresh.waiting() else { return Ok(()) };
        self.session.handle_client(&fresh, &mut self.output);
        let (successor, lost) = outbox.succeed(seen);
        successor.settle(self.outbox.home());
        (self.outbox, self.awaits, self.told) = (successor, false, 0);
        // Its own place is given back for it.
        place.count();
        let fresh_place = std::mem::replace(&mut self.place, place);
        self.place.enter(&self.outbox);
        let stays = self.place.inherit(&fresh_place, SystemTime::now());
        self.rooms = rooms;
        self.mailed = true;
        if !stays {
            return Err(Ending::because(Reason::REMOVED).into());
        }
        let Some(token) = token(self.place.session) else { return Ok(()) };
        self.session.handle_returned(&greeting, token, lost, now, &mut self.output);
        Ok(())
    }
}

/// A token for a session; `None` where the system has no random numbers: then nothing is resumed.
pub(super) fn token(session: SessionId) -> Option<Token> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).ok()?;
    Some(Token::new(session.0, secret))
}
