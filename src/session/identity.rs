//! Who the peer is: told by somebody outside who verifies tokens (PROTOCOL 15.1).
//!
//! ```text
//! HELLO ──> unproven ──proof──> the session it asks for, or WELCOME
//!                   └─refused──> CLOSE 241, 242
//! TOKEN ──> unproven ──proof──> DONE, and every membership is looked at anew
//!                   └─refused──> REFUSED, and the old token goes on counting
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::{Ending, Output, Session, State, Violation};
use crate::command::Command;
use crate::identity::Identity;
use crate::time::Time;
use crate::wire::control::{Command as Tell, Done};
use crate::wire::{Capabilities, Control, Extensions, Reason, RequestId};

/// What somebody found in a token.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Who the peer is.
    pub identity: Arc<Identity>,
    /// When the token is not valid any more; `None` for never.
    pub expires: Option<Time>,
}

/// A token that is being verified.
#[derive(Debug)]
pub(super) struct Unproven {
    /// The HELLO or TOKEN that brought it.
    pub(super) request: RequestId,
    /// The token; empty where there was none.
    pub(super) token: Bytes,
}

impl Session {
    /// The request brought a token (PROTOCOL 4.2), which counts where HELLO brings none.
    #[must_use]
    pub fn with_credential(mut self, token: Option<Bytes>) -> Self {
        if token.is_some() {
            self.early.get_or_insert_default().credential = token;
        }
        self
    }

    /// Its owner knows already who the peer is: no token of it is asked for.
    #[must_use]
    pub fn with_identity(mut self, identity: Arc<Identity>) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Who the peer has proved to be; `None` before, and in a server that asks nobody for that.
    #[must_use]
    pub const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// Who the peer is; empty where it is anonymous.
    #[must_use]
    pub fn subject(&self) -> &Bytes {
        /// Nobody.
        static ANONYMOUS: Bytes = Bytes::new();
        self.identity.as_ref().map_or(&ANONYMOUS, |identity| &identity.subject)
    }

    /// A token that the owner is to verify, and to answer with [`handle_proof`](Self::handle_proof);
    /// empty where the peer has none. Frames wait until then.
    #[must_use]
    pub fn unproven(&self) -> Option<&Bytes> {
        self.early.as_ref()?.unproven.as_ref().map(|unproven| &unproven.token)
    }

    /// Whether frames wait: for a token that is being verified, or a session that is looked for.
    #[inline]
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.early.as_ref().is_some_and(|early| early.unproven.is_some() || self.state == State::Waiting)
    }

    /// The token was verified.
    ///
    /// # Errors
    /// Where a HELLO is not accepted, or too much had to be refused.
    pub fn handle_proof(&mut self, proof: Result<Proof, Reason>, now: Time, output: &mut Output) -> Result<(), Ending> {
        let Some(Unproven { request, .. }) = self.early.as_mut().and_then(|early| early.unproven.take()) else {
            return Ok(());
        };
        if self.state != State::Waiting {
            self.early = None;
            return self.handle_renewal(request, proof, now, output);
        }
        let proof = proof.map_err(|reason| Ending { request, ..Ending::because(reason) })?;
        (self.identity, self.expires) = (Some(proof.identity), proof.expires);
        match self.waiting() {
            Some(greeting) if greeting.wanted().is_none() => self.open(&greeting, now, output),
            _ => Ok(()),
        }
    }

    fn handle_renewal(
        &mut self,
        request: RequestId,
        proof: Result<Proof, Reason>,
        now: Time,
        output: &mut Output,
    ) -> Result<(), Ending> {
        let same =
            |proof: Proof| if proof.identity.subject == *self.subject() { Ok(proof) } else { Err(Reason::NOT_ALLOWED) };
        let Proof { identity, expires } = match proof.and_then(same) {
            Ok(proof) => proof,
            Err(reason) => return self.refuse(request, 0, reason, now, output),
        };
        Control::new(request, Tell::Done(Done { extensions: Extensions::NONE })).encode(&mut output.replies);
        // PROTOCOL 12.2: those that are away are looked at when their client joins again; what it may say
        // before that is looked at now.
        self.renew_rooms(&identity, output);
        (self.identity, self.expires) = (Some(identity), expires);
        Ok(())
    }

    /// A TOKEN came: it counts like a join, since verifying costs as much.
    pub(super) fn renew(&mut self, request: RequestId, token: Bytes, now: Time) -> Result<(), Reason> {
        let limits = &self.facts.limits;
        if !self.joins.take(limits.joins_burst, limits.joins_per_sec, now) {
            return Err(Reason::RATE);
        }
        if token.len() > limits.max_token || token.is_empty() {
            return Err(Reason::TOKEN);
        }
        self.early.get_or_insert_default().unproven = Some(Unproven { request, token });
        Ok(())
    }

    /// The token of a HELLO, where it has to be verified: its own, or the request's.
    pub(super) fn take_credential(
        &mut self,
        request: RequestId,
        brought: Option<Bytes>,
    ) -> Result<Option<Unproven>, Ending> {
        if !self.facts.capabilities.has(Capabilities::TOKEN) || self.identity.is_some() {
            return Ok(None);
        }
        let credential = self.early.as_mut().and_then(|early| early.credential.take());
        let token = brought.or(credential).unwrap_or_default();
        if token.len() > self.facts.limits.max_token {
            return Err(Ending { request, ..Violation::TokenTooLong.into() });
        }
        Ok(Some(Unproven { request, token }))
    }

    /// The client of this session is here again, with a token of its own: that one counts now.
    /// Its rooms look at its memberships anew before anything that it says: it may speak before it joins again.
    pub fn handle_client(&mut self, returned: &Self, output: &mut Output) {
        // A token that was on its way came over the connection that is gone (PROTOCOL 12.2).
        self.early = None;
        self.identity.clone_from(&returned.identity);
        self.expires = returned.expires;
        if let Some(identity) = self.identity.clone() {
            self.renew_rooms(&identity, output);
        }
    }

    /// Memberships get what a newer token allows.
    fn renew_rooms(&self, identity: &Arc<Identity>, output: &mut Output) {
        output.commands.extend(self.rooms.iter().map(|held| {
            let identity = Arc::clone(identity);
            (held.route, Command::Renew { handle: held.hold.handle, identity })
        }));
    }

    /// Whether the token is not valid any more: then nothing new begins.
    pub(super) fn has_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// When the session ends because of its token.
    pub(super) fn expiry_deadline(&self) -> Option<Time> {
        self.expires.map(|expires| expires.after(self.facts.limits.token_grace))
    }

    /// What is shown of the peer, whatever it says itself.
    pub(super) fn info(&self) -> Option<&Bytes> {
        self.identity.as_ref().map(|identity| &identity.info).filter(|info| !info.is_empty())
    }
}
