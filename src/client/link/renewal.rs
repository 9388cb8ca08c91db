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
    /// When the callback was asked last.
    asked: Option<Instant>,
}

/// The least time between two renewals of one connection. 10 s: a callback that gives tokens which it has kept until
/// they are nearly over is not asked at the speed of the round trip.
const LEAST_APART: Duration = Duration::from_secs(10);

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
            (self.at, self.asked) = (None, Some(now));
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
        if expires.is_some_and(|expires| expires <= now) {
            // It is over already, or a clock is wrong.
            return self.handle_failure();
        }
        self.failures = 0;
        let at = expires.and_then(|expires| Instant::now().checked_add(renewal(expires, now)));
        let least = self.asked.and_then(|asked| asked.checked_add(LEAST_APART));
        self.at = at.map(|at| least.map_or(at, |least| at.max(least)));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A token that expires so many seconds from now.
    fn token(seconds: i64) -> Token {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = format!("{{\"exp\":{}}}", now.saturating_add_signed(seconds));
        let mut encoded = String::new();
        for chunk in claims.as_bytes().chunks(3) {
            let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
            let digits = (0..=chunk.len()).map(|digit| char::from(ALPHABET[bits >> (18 - 6 * digit) & 63]));
            encoded.extend(digits);
        }
        Token::new(format!("e30.{encoded}.c2ln"))
    }

    /// Asks, is given this token, and sends it with success.
    fn renew(renewal: &mut Renewal, token: Token) {
        let tokens = Tokens::new(|| async { Ok(None) });
        renewal.handle_time(Instant::now(), &tokens);
        assert!(renewal.asking.take().is_some(), "it was time");
        renewal.handle_sent(RequestId(2), token);
        assert!(renewal.handle_done(RequestId(2)));
    }

    fn next(renewal: &Renewal) -> Duration {
        renewal.at().unwrap() - Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_are_over_are_renewed_ever_less_often() {
        let mut renewal = Renewal::new(Some(&token(-60)));
        for failures in 1..40 {
            let wait = next(&renewal);
            assert!(wait >= Duration::from_millis(500) && wait <= Duration::from_secs(20), "{failures}: {wait:?}");
            assert_eq!(renewal.failures, failures);
            tokio::time::advance(wait).await;
            renew(&mut renewal, token(-60));
        }
        tokio::time::advance(next(&renewal)).await;
        renew(&mut renewal, token(3600));
        assert!(next(&renewal) > Duration::from_secs(3500));
        assert_eq!(renewal.failures, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_renewal_is_in_time_and_later_ones_are_apart() {
        let mut renewal = Renewal::new(Some(&token(4)));
        assert!(next(&renewal) <= Duration::from_secs(3));
        tokio::time::advance(next(&renewal)).await;
        // The callback gives one that it had kept.
        renew(&mut renewal, token(5));
        assert_eq!(next(&renewal), LEAST_APART);
    }
}
