//! A token that is being verified (PROTOCOL 15.1).
//!
//! ```text
//! HELLO, TOKEN ──> asked ──at once──> the session goes on
//!                    └──later──> polled, and nothing is read meanwhile
//! ```

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::Connection;
use crate::identity::Identity;
use crate::server::access::{Denied, LATER};
use crate::server::identify::{Identified, Identifying, Pending, server_time};
use crate::server::inbound::Stopped;
use crate::session::{Ending, Proof};
use crate::time::Time;
use crate::wire::Reason;

/// An answer that is on its way.
pub(super) struct Asked(Pending);

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked(..)")
    }
}

/// Why a token is not taken, and in how many milliseconds to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused {
    reason: Reason,
    after: Option<u64>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        // PROTOCOL 13: keys that are missing may be there then.
        let after = (reason == Reason::KEYS_MISSING).then_some(LATER.as_millis() as u64);
        Self { reason, after }
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self { reason: denied.reason(), after: Some(denied.after_millis()) }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// Has a token verified that the session waits for. False while the answer is on its way.
    pub(super) fn poll_identify(&mut self, cx: &mut Context<'_>, now: Time) -> Result<bool, Stopped> {
        let Some(token) = self.session.unproven() else { return Ok(true) };
        let asked = match self.asked.take() {
            Some(asked) => Identifying::Later(asked.0),
            None => match self.surroundings.identification.identify() {
                Some(identify) => identify.identify(token),
                // Only a server that verifies tokens has the capability.
                None => Identifying::Now(Err(Reason::TOKEN)),
            },
        };
        let answer = match asked {
            Identifying::Now(answer) => answer,
            Identifying::Later(mut answer) => match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => answer,
                Poll::Pending => {
                    self.asked = Some(Asked(answer));
                    return Ok(false);
                }
            },
        };
        let proof = answer.map_err(Refused::from).and_then(|identified| self.admit(&identified, now));
        let after = proof.as_ref().err().and_then(|refused| refused.after).filter(|_| !self.greeted);
        let proof = proof.map_err(|refused| refused.reason);
        if let Err(reason) = &proof {
            debug!(session = self.place.session.0, reason = reason.0, "a token was refused: {}", reason.sentence());
        }
        let handled = self.session.handle_proof(proof, now, &mut self.output);
        handled.map_err(|ending| Ending { reconnect: after.or(ending.reconnect), ..ending })?;
        self.handle_greeted();
        Ok(true)
    }

    /// Puts somebody down who has proved who he is, unless he has been revoked.
    fn admit(&mut self, identified: &Identified, now: Time) -> Result<Proof, Refused> {
        let Identified { identity, expires, .. } = identified;
        let too_long = |name: &[u8]| name.len() > Identity::MAX_NAME;
        let info = identity.info.len() > self.surroundings.facts.limits.max_presence_data;
        if too_long(&identity.subject) || too_long(&identity.token) || info {
            return Err(Reason::TOKEN.into());
        }
        let wall = SystemTime::now();
        // Before it is put down: a refused renewal leaves the session what it is.
        let same = self.session.identity().is_none_or(|before| before.subject == identity.subject);
        if !same {
            return Err(Reason::NOT_ALLOWED.into());
        }
        // A renewal takes no seat. Whoever is refused one is not put down, so that the token before stays what is revoked.
        let returns = self.session.waiting().is_some_and(|greeting| greeting.wanted().is_some());
        if let Some(guest) = self.guest.as_mut().filter(|_| self.session.identity().is_none()) {
            guest.identified(&identity.subject, returns, now)?;
        }
        self.place.identify(identified, wall)?;
        let expires = expires.map(|expires| server_time(expires, wall, now));
        Ok(Proof { identity: Arc::clone(identity), expires })
    }
}
