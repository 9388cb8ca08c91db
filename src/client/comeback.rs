//! When a client connects again (PROTOCOL 6.9, 14; clients/SPEC.md 2).
//!
//! ```text
//! GOING_AWAY, CLOSE or HTTP with a time ──> at that time, which was chosen for this client
//! CLOSE that says later, without one ─────> after 10 to 20 s
//! CLOSE that may be tried again ──┐
//! broken, or could not connect ───┴───────> 500 ms, and a random part of 500 ms, 1 s, 2 s ...: at most 20 s
//! CLOSE that may not ─────────────────────> never
//! ```

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::{Closing, Error, Event};
use crate::wire::{Advice, Reason};

/// Keeps to what the server says of coming back, and else waits longer each time.
///
/// A [`Link`](super::link::Link) does all of this by itself.
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
///             let ended = loop {
///                 match client.next().await {
///                     Ok(event) if comeback.handle_event(&event) => break Ok(()),
///                     Ok(_) => {}
///                     Err(error) => break Err(error),
///                 }
///             };
///             if let Err(error) = ended {
///                 comeback.handle_error(&error);
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
    /// Attempts in a row that led to nothing, or to a connection that did not last.
    failures: u32,
    /// Since when there is a connection.
    connected: Option<Instant>,
    /// The server wants no other attempt.
    never: bool,
}

/// The shortest wait without a word of the server, and the random part of the first. 500 ms: what a person
/// hardly notices, and a server that restarts survives.
const FIRST: Duration = Duration::from_millis(500);

/// The longest. 20 s: who has been away for a minute does not mind.
const LONGEST: Duration = Duration::from_secs(20);

/// The least where the server says *later*, and not when. 10 s.
const LATER: Duration = Duration::from_secs(10);

/// How long a connection stands until the attempts before it are forgotten. 5 s: a server that welcomes and
/// then fails must not be asked twice a second.
const STABLE: Duration = Duration::from_secs(5);

impl Comeback {
    /// The longest that a server may put this client off. A day: it is added to moments.
    pub(super) const MOST: Duration = Duration::from_secs(24 * 60 * 60);

    /// The client is connected, and has been heard. Attempts before are forgotten when the connection has
    /// stood for 5 s.
    pub fn handle_connected(&mut self) {
        self.slot = None;
        self.never = false;
        self.connected = Some(Instant::now());
    }

    /// What the server said. True where this client should leave now: it was told that the server goes away,
    /// behind all that it was to get, or the session has ended.
    pub fn handle_event(&mut self, event: &Event) -> bool {
        match event {
            Event::GoingAway { reconnect, .. } => {
                self.set_slot(*reconnect);
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
        match error {
            Error::Closed(closing) => self.handle_closing(closing),
            Error::Http { status: 408 | 429 | 500..=599, after } => {
                self.fail();
                if let Some(after) = after {
                    self.set_slot(*after);
                }
            }
            Error::Http { .. } => self.never = true,
            _ => self.fail(),
        }
    }

    /// When to connect; `None` where the server wants no other attempt. Each call draws anew where the
    /// server has chosen no time.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        match self.slot {
            _ if self.never => None,
            Some(slot) => Some(slot),
            None => Instant::now().checked_add(Self::draw(self.failures)),
        }
    }

    /// Waits until it is time. False where the server wants no other attempt. Cancel safe, but the
    /// draw is another.
    pub async fn wait(&mut self) -> bool {
        let Some(at) = self.next() else { return false };
        tokio::time::sleep_until(at).await;
        self.handle_attempt();
        true
    }

    /// The connection has ended as the server announced, which has chosen a time.
    pub(super) const fn handle_moved(&mut self) {
        self.connected = None;
        self.failures = 0;
    }

    /// Whether there is a connection that has stood for 5 s.
    pub(super) fn has_stood(&self) -> bool {
        self.connected.is_some_and(|since| since.elapsed() >= STABLE)
    }

    /// Another attempt is due at once.
    pub(super) fn handle_now(&mut self) {
        self.connected = None;
        self.slot = Some(Instant::now());
    }

    /// An attempt begins: a slot is for one.
    pub(super) const fn handle_attempt(&mut self) {
        self.slot = None;
    }

    /// How long to wait after so many failures in a row, drawn anew by each call.
    pub(super) fn draw(failures: u32) -> Duration {
        let doubled = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST);
        (FIRST + random(doubled)).min(LONGEST)
    }

    fn handle_closing(&mut self, closing: &Closing) {
        match closing.reason.map_or(Advice::Retry, Reason::advice) {
            Advice::Never => self.never = true,
            // A slot that was told is still the server's choice.
            Advice::Retry => self.fail(),
            Advice::Later => {
                let told = closing.after.unwrap_or_else(|| LATER + random(LATER));
                self.fail();
                // The one of GOING_AWAY is told again when the connection closes, and is the same.
                if self.slot.is_none() {
                    self.set_slot(told);
                }
            }
        }
    }

    fn fail(&mut self) {
        let stood = self.has_stood();
        self.connected = None;
        self.failures = if stood { 0 } else { self.failures.saturating_add(1) };
    }

    fn set_slot(&mut self, wait: Duration) {
        self.slot = Instant::now().checked_add(wait.min(Self::MOST));
    }
}

/// A random part of a time.
fn random(most: Duration) -> Duration {
    // The seeds of a new hasher are random enough, and need no feature.
    let part = RandomState::new().hash_one(0_u8) >> 32;
    most.mul_f64(part as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closing(reason: u64, after: Option<u64>) -> Closing {
        let after = after.map(Duration::from_millis);
        Closing { after, ..Closing::without_frame(Some(Reason(reason))) }
    }

    fn going_away(millis: u64) -> Event {
        let reconnect = Duration::from_millis(millis);
        Event::GoingAway { reconnect, closes: Duration::from_secs(2), positions: Vec::new(), address: None }
    }

    fn next(comeback: &Comeback) -> Duration {
        comeback.next().unwrap() - Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_slot_is_kept_and_is_for_one_attempt() {
        let (mut comeback, began) = (Comeback::default(), Instant::now());
        assert!(comeback.handle_event(&going_away(3725)));
        // A connection that breaks meanwhile changes nothing, nor the reason that follows.
        comeback.handle_error(&Error::Closed(Closing::without_frame(None)));
        comeback.handle_error(&Error::Closed(closing(100, Some(9000))));
        assert!(comeback.wait().await);
        // The timer counts whole milliseconds.
        let waited = began.elapsed();
        assert!((3725..=3726).contains(&waited.as_millis()), "{waited:?}");
        comeback.handle_error(&Error::Closed(closing(3, None)));
        let next = next(&comeback);
        assert!(next <= Duration::from_millis(4500) && next >= FIRST, "{next:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_word_waits_grow_to_a_bound_and_differ() {
        let mut comeback = Comeback::default();
        let mut draws = Vec::new();
        for attempt in 0..12_u32 {
            comeback.handle_error(&Error::Closed(closing(3, None)));
            let next = next(&comeback);
            let most = (FIRST + FIRST * (2 << attempt.min(6)).min(40)).min(LONGEST);
            assert!(next >= FIRST && next <= most, "{attempt}: {next:?}");
            draws.push(next);
        }
        let last = &draws[draws.len() - 6..];
        assert!(last.windows(2).any(|pair| pair[0] != pair[1]), "{draws:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_stands_begins_anew() {
        for (stood, most) in [(4999, 20_000), (5000, 1000)] {
            let mut comeback = Comeback::default();
            for _ in 0..8 {
                comeback.handle_error(&Error::Silent);
            }
            comeback.handle_connected();
            tokio::time::advance(Duration::from_millis(stood)).await;
            comeback.handle_error(&Error::Silent);
            let draws: Vec<_> = (0..64).map(|_| next(&comeback)).collect();
            assert!(draws.iter().all(|draw| *draw <= Duration::from_millis(most)), "{stood}: {draws:?}");
            let is_short = draws.iter().all(|draw| *draw <= Duration::from_secs(1));
            assert_eq!(is_short, stood >= 5000, "{draws:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reasons_decide() {
        for (reason, after, expected) in [
            (100, Some(10), Some(10..=10)),
            (100, None, Some(10_000..=20_000)),
            (930, None, Some(10_000..=20_000)),
            (3, None, Some(500..=1500)),
            (901, None, Some(500..=1500)),
            (500, None, Some(500..=1500)),
            (1000, None, Some(500..=1500)),
            (241, None, None),
            (961, None, None),
            (241, Some(5), None),
        ] {
            let mut comeback = Comeback::default();
            assert!(comeback.handle_event(&Event::Closed(closing(reason, after))));
            let next = comeback.next().map(|next| (next - Instant::now()).as_millis());
            assert_eq!(next.is_some(), expected.is_some(), "{reason}");
            assert!(next.zip(expected).is_none_or(|(next, range)| range.contains(&next)), "{reason}: {next:?}");
            comeback.handle_connected();
            assert!(comeback.next().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn http_decides() {
        for (status, after, expected) in [
            (503, Some(1), Some(1000..=1000)),
            (503, None, Some(500..=1500)),
            (429, Some(3), Some(3000..=3000)),
            (408, None, Some(500..=1500)),
            (404, Some(1), None),
            (200, None, None),
        ] {
            let mut comeback = Comeback::default();
            comeback.handle_error(&Error::Http { status, after: after.map(Duration::from_secs) });
            let next = comeback.next().map(|next| (next - Instant::now()).as_millis());
            assert_eq!(next.is_some(), expected.is_some(), "{status}");
            assert!(next.zip(expected).is_none_or(|(next, range)| range.contains(&next)), "{status}: {next:?}");
        }
    }
}
