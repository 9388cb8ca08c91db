//! When a newer token is asked for, and where it stands (clients/SPEC.md 3; PROTOCOL 6.14).
//!
//! ```text
//! at ──time──> asking ──callback──> ready ──TOKEN──> sent ──DONE──> at
//!  ^              └──failed──┐                         │
//!  └───────── backoff ───────┴───────── REFUSED ───────┘
//! ```

use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::config::Tokens;
use super::error::{LinkError, TokenError};
use super::expiry::{expiry, renewal};
use crate::client::{Comeback, Token};
use crate::wire::RequestId;

/// A callback that is asked.
type Asking = Pin<Box<dyn Future<Output = Result<Option<Token>, LinkError>> + Send>>;

/// The renewal of one connection's token.
#[derive(Default)]
pub(super) struct Renewal {
    /// When to ask.
    at: Option<Instant>,
    asking: Option<Asking>,
    /// To be sent.
    ready: Option<Token>,
    /// Was sent.
    sent: Option<(RequestId, Token)>,
    failures: u32,
}

impl Renewal {
    /// Of a connection that was made with this token.
    pub(super) fn new(token: Option<&Token>) -> Self {
        let mut renewal = Self::default();
        renewal.plan(token);
        renewal
    }

    /// When to look again.
    pub(super) const fn at(&self) -> Option<Instant> {
        self.at
    }

    /// It may be time.
    pub(super) fn handle_time(&mut self, now: Instant, tokens: &Tokens) {
        if self.at.is_some_and(|at| at <= now) {
            self.at = None;
            self.asking = Some(Box::pin(ask(tokens.clone())));
        }
    }

    /// Waits for the callback, if it is asked. Cancel safe.
    pub(super) async fn answered(&mut self) -> Result<Option<Token>, LinkError> {
        match &mut self.asking {
            Some(asking) => {
                let answer = asking.await;
                self.asking = None;
                answer
            }
            None => pending().await,
        }
    }

    pub(super) fn handle_token(&mut self, token: Token) {
        self.ready = Some(token);
    }

    /// A token that is to be sent.
    pub(super) const fn take_ready(&mut self) -> Option<Token> {
        self.ready.take()
    }

    pub(super) fn handle_sent(&mut self, request: RequestId, token: Token) {
        self.sent = Some((request, token));
    }

    /// DONE came: whether it was for this.
    pub(super) fn handle_done(&mut self, request: RequestId) -> bool {
        let Some((_, token)) = self.sent.take_if(|(sent, _)| *sent == request) else { return false };
        self.failures = 0;
        self.plan(Some(&token));
        true
    }

    /// REFUSED came: whether it was for this.
    pub(super) fn handle_refused(&mut self, request: RequestId) -> bool {
        let is_it = self.sent.take_if(|(sent, _)| *sent == request).is_some();
        if is_it {
            self.handle_failure();
        }
        is_it
    }

    /// No newer token, for now.
    pub(super) fn handle_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.at = Instant::now().checked_add(Comeback::draw(self.failures));
    }

    fn plan(&mut self, token: Option<&Token>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let expires = token.and_then(|token| expiry(token.as_bytes()));
        self.at = expires.and_then(|expires| Instant::now().checked_add(renewal(expires, now)));
    }
}

/// Asks the callback. Its panic is an error.
pub(super) async fn ask(tokens: Tokens) -> Result<Option<Token>, LinkError> {
    let asked = AssertUnwindSafe(async move { tokens.ask().await }).catch_unwind().await;
    match asked {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(error)) => Err(LinkError::Token(TokenError::Callback(error.into()))),
        Err(_) => Err(LinkError::Handler),
    }
}
