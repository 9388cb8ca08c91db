//! When a client connects again (PROTOCOL 6.9, 14).
//!
//! ```text
//! GOING_AWAY, CLOSE with a time ──────> at that time, which was chosen for this client
//! CLOSE that may be tried again ──┐
//! broken, or could not connect ───┴──> half of 1 s, 2 s, 4 s ... 30 s, and a random part of the other half
//! CLOSE that may not ─────────────────> never
//! ```

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::{Closing, Error, Event};
use crate::wire::Advice;

/// Keeps to what the server says of coming back, and else waits longer each time.
///
/// ```no_run
/// # use tickwire::client::{Client, ClientConfig, Comeback, Error};
/// # async fn example(config: &ClientConfig) -> Result<(), Error> {
/// let mut comeback = Comeback::default();
/// loop {
///     match Client::connect(config).await {
///         Ok(mut client) => {
///             comeback.handle_connected();
///             // Joins, and then:
///             while let Ok(event) = client.next().await {
///                 if comeback.handle_event(&event) {
///                     break;
///                 }
///             }
///         }
///         Err(error) => comeback.handle_error(&error),
///     }
///     if !comeback.wait().await {
///         return Ok(());
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Comeback {
    /// The time that the server has chosen.
    slot: Option<Instant>,
    /// Attempts in a row that led to nothing.
    failures: u32,
    /// The server wants no other attempt.
    never: bool,
}

/// The first wait without a word of the server. 1 s.
const FIRST: Duration = Duration::from_secs(1);

/// The longest. 30 s: who has been away for minutes does not mind.
const LONGEST: Duration = Duration::from_secs(30);

impl Comeback {
    /// The client is connected, and has been heard.
    pub fn handle_connected(&mut self) {
        *self = Self::default();
    }

    /// What the server said. True where this client should leave now: it was told that the server goes away,
    /// behind all that it was to get, or the session has ended.
    pub fn handle_event(&mut self, event: &Event) -> bool {
        match event {
            Event::GoingAway { reconnect, .. } => {
                self.slot = Instant::now().checked_add(*reconnect);
                true
            }
            Event::Closed(closing) => {
                self.handle_closing(closing);
                true
            }
            _ => false,
        }
    }

    /// An attempt to connect, or the connection, has failed.
    pub fn handle_error(&mut self, error: &Error) {
        if let Error::Closed(closing) = error {
            return self.handle_closing(closing);
        }
        self.fail();
    }

    /// When to connect; `None` where the server wants no other attempt. Each call draws anew where the
    /// server has chosen no time.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        match self.slot {
            _ if self.never => None,
            Some(slot) => Some(slot),
            None => {
                let doubled = FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(LONGEST);
                // The seeds of a new hasher are random enough, and need no feature.
                let part = RandomState::new().hash_one(0_u8) >> 32;
                let chance = doubled.as_secs_f64() / 2.0 * (part as f64 / f64::from(u32::MAX));
                Instant::now().checked_add(doubled / 2 + Duration::from_secs_f64(chance))
            }
        }
    }

    /// Waits until it is time. False where the server wants no other attempt. Cancel safe, but the
    /// draw is another.
    pub async fn wait(&mut self) -> bool {
        let Some(at) = self.next() else { return false };
        tokio::time::sleep_until(at).await;
        // It is for one attempt.
        self.slot = None;
        true
    }

    fn handle_closing(&mut self, closing: &Closing) {
        match (closing.after, closing.reason) {
            (Some(after), _) => self.slot = Instant::now().checked_add(after),
            // PROTOCOL 14: by range.
            (None, Some(reason)) if reason.advice() == Advice::Never => self.never = true,
            (None, _) => self.fail(),
        }
    }

    fn fail(&mut self) {
        // A slot that was told is still the server's choice.
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reason;

    fn closing(reason: u64, after: Option<u64>) -> Closing {
        Closing { reason: Some(Reason(reason)), text: String::new(), after: after.map(Duration::from_millis) }
    }

    fn going_away(millis: u64) -> Event {
        let reconnect = Duration::from_millis(millis);
        Event::GoingAway { reconnect, closes: Duration::from_secs(2), positions: Vec::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_slot_is_kept_and_is_for_one_attempt() {
        let (mut comeback, began) = (Comeback::default(), Instant::now());
        assert!(comeback.handle_event(&going_away(3725)));
        // A connection that breaks meanwhile changes nothing.
        comeback.handle_error(&Error::Closed(Closing::without_frame(None)));
        assert!(comeback.wait().await);
        // The timer counts whole milliseconds.
        let waited = began.elapsed();
        assert!((3725..=3726).contains(&waited.as_millis()), "{waited:?}");
        comeback.handle_error(&Error::Closed(closing(100, None)));
        let next = comeback.next().unwrap() - Instant::now();
        assert!(next <= Duration::from_secs(2) && next >= Duration::from_millis(500), "{next:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_word_waits_grow_to_a_bound_and_differ() {
        let mut comeback = Comeback::default();
        let mut draws = Vec::new();
        for attempt in 1..=12_u32 {
            comeback.handle_error(&Error::Closed(closing(3, None)));
            let next = comeback.next().unwrap() - Instant::now();
            let most = Duration::from_secs(1 << (attempt - 1).min(5)).min(LONGEST);
            assert!(next >= most / 2 && next <= most, "{attempt}: {next:?}");
            draws.push(next);
        }
        let last = &draws[draws.len() - 6..];
        assert!(last.windows(2).any(|pair| pair[0] != pair[1]), "{draws:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn reasons_decide() {
        for (reason, after, comes) in [
            (100, Some(10), true),
            (100, None, true),
            (3, None, true),
            (241, None, false),
            (901, None, true),
            (961, None, false),
            (241, Some(5), true),
        ] {
            let mut comeback = Comeback::default();
            assert!(comeback.handle_event(&Event::Closed(closing(reason, after))));
            assert_eq!(comeback.wait().await, comes, "{reason}");
            comeback.handle_connected();
            assert!(comeback.next().is_some());
        }
    }
}
