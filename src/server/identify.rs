//! Who a client is: asked of somebody who verifies tokens, between the bytes and the session
//! (PROTOCOL 15.1).
//!
//! ```text
//! HELLO, TOKEN ──> Identify ──at once────────────> proof, or a reason
//!                          └─later (keys come)───> proof, or a reason
//! ```
//!
//! A server without one asks nobody: every client is anonymous and may everything, and only
//! connections from its own machine are taken.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use super::swap::Swap;
use crate::identity::Identity;
use crate::time::{Time, micros};
use crate::wire::Reason;

/// Verifies tokens. See [`Builder::identify`](super::Builder::identify).
pub trait Identify: Send + Sync + 'static {
    /// Whose token this is, and what it allows; empty where the client has none. Asked for every
    /// HELLO and every TOKEN, on the thread of the connection: what takes longer than a signature
    /// belongs into [`Identifying::Later`].
    fn identify(&self, token: &[u8]) -> Identifying;
}

/// What a token proves.
#[derive(Clone, Debug)]
pub struct Identified {
    /// Who the client is. Names above [`Identity::MAX_NAME`] bytes are refused.
    pub identity: Arc<Identity>,
    /// When the token is not valid any more; `None` for never.
    pub expires: Option<SystemTime>,
    /// When the token was made; the earliest that this can have been, where the clock of who made it may be
    /// off. One that was made after its subject was revoked is valid again.
    pub issued: Option<SystemTime>,
}

/// An answer, now or later.
pub enum Identifying {
    /// Whose token it is; or why it does not count, mostly [`Reason::TOKEN`] or
    /// [`Reason::TOKEN_EXPIRED`].
    Now(Result<Identified, Reason>),
    /// The same, when it is known. Dropped where the client is gone.
    Later(Pending),
}

/// An answer that is on its way. It is polled outside of the runtime.
pub type Pending = Pin<Box<dyn Future<Output = Result<Identified, Reason>> + Send>>;

impl fmt::Debug for Identifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// How a server learns who its clients are.
#[derive(Clone, Default)]
pub(super) struct Identification {
    /// Sessions that are there ask whoever is here now when they renew their tokens.
    identify: Arc<Swap<Option<Arc<dyn Identify>>>>,
    /// Whether the query of a request is looked at.
    pub(super) query: bool,
    /// The operator wants anonymous clients from everywhere.
    pub(super) insecure: bool,
}

impl Identification {
    /// Who verifies tokens.
    pub(super) fn identify(&self) -> Option<Arc<dyn Identify>> {
        Option::clone(&self.identify.load())
    }

    /// Whether somebody does.
    pub(super) fn asks(&self) -> bool {
        self.identify.load().is_some()
    }

    /// From now on this one verifies tokens, for all that share this.
    pub(super) fn replace(&self, identify: Arc<dyn Identify>) {
        self.identify.store(Some(identify));
    }

    /// As it is, but with one that verifies tokens. Others do not share it.
    pub(super) fn with(self, identify: Arc<dyn Identify>) -> Self {
        Self { identify: Arc::new(Swap::new(Some(identify))), ..self }
    }

    /// As it is, for a server of its own: clones of a builder make several.
    pub(super) fn separate(self) -> Self {
        Self { identify: Arc::new(Swap::new(self.identify.load())), ..self }
    }

    /// Whether clients may come in by an address: where nobody asks who they are, only those of this
    /// machine.
    pub(super) fn allows(&self, ip: IpAddr) -> bool {
        self.asks() || self.insecure || ip.to_canonical().is_loopback()
    }
}

impl fmt::Debug for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self { query, insecure, .. }, asks) = (self, self.asks());
        f.debug_struct("Identification").field("asks", &asks).field("query", query).field("insecure", insecure).finish()
    }
}

/// A moment of the wall clock as server time. Asked when a token comes, so that a wall clock that was
/// set since the server's start does no harm.
pub(super) fn server_time(moment: SystemTime, wall: SystemTime, now: Time) -> Time {
    match moment.duration_since(wall) {
        Ok(ahead) => now.after(ahead),
        Err(passed) => Time::from_micros(now.micros().saturating_sub(micros(passed.duration()))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn without_tokens_only_this_machine_comes_in() {
        let mut identification = Identification::default();
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(identification.allows(own.parse().unwrap()), "{own}");
        }
        let public = ["0.0.0.0", "::", "192.168.0.1", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1"];
        for public in public {
            assert!(!identification.allows(public.parse().unwrap()), "{public}");
        }
        identification.insecure = true;
        assert!(public.iter().all(|public| identification.allows(public.parse().unwrap())));
    }

    #[test]
    fn moments_become_server_time() {
        let (wall, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1000), Time::from_micros(5_000_000));
        let at = |secs| server_time(SystemTime::UNIX_EPOCH + Duration::from_secs(secs), wall, now).micros();
        assert_eq!((at(1007), at(1000), at(997), at(3)), (12_000_000, 5_000_000, 2_000_000, 0));
    }
}
