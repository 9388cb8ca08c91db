//! What handshakes cost: how many a second this server can be asked for.
//!
//! ```text
//! poll ─┐ poll ─┐     poll ─┐
//! ──────┘       └── wait ───┘ ──> time in polls, of those that succeeded ──> mean ──> a quarter of all cores
//! ```
//!
//! Time that a handshake waits for its peer costs nothing and is not counted; a core that others have
//! meanwhile is, so that a busy server asks for less.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What the latest handshakes cost.
#[derive(Debug, Default)]
pub(super) struct HandshakeCost {
    /// Nanoseconds.
    spent: AtomicU64,
    done: AtomicU64,
}

/// Handshakes that count. 4,096: then older ones weigh half, so that another key or machine shows soon.
const MANY: u64 = 4096;

/// Below so many nobody knows. 16.
const FEW: u64 = 16;

/// Handshakes a second where nobody knows. 1,000: a millisecond of one core each, as a small server has.
const UNKNOWN: u64 = 1000;

/// Of the time of all cores, one part in so many is for handshakes. 4: the kernel, hello, joins and
/// snapshots cost a client's return about as much again, and half is for those who are back.
const SHARE: u64 = 4;

/// A second asks for no fewer, so that 10,000 clients are back in less than two minutes.
const FEWEST: u64 = 100;

/// And for no more: accepting has its own price.
const MOST: u64 = 5000;

impl HandshakeCost {
    /// One more succeeded, which took so long.
    pub(super) fn count(&self, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX / 2 / MANY);
        self.spent.fetch_add(spent, Ordering::Relaxed);
        if self.done.fetch_add(1, Ordering::Relaxed) + 1 == MANY {
            // Others that count meanwhile may be lost: this is an estimate.
            self.spent.store(self.spent.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            self.done.store(MANY / 2, Ordering::Relaxed);
        }
    }

    /// How many clients may return in a second, where there are so many cores.
    pub(super) fn per_second(&self, cores: usize) -> u64 {
        let (spent, done) = (self.spent.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed));
        if done < FEW {
            return UNKNOWN;
        }
        let mean = (spent / done).max(1);
        (1_000_000_000 / SHARE * cores as u64 / mean).clamp(FEWEST, MOST)
    }
}

/// What came of a future, and the time that its polls took. Cancel safe where the future is.
pub(super) async fn timed<F: Future>(future: F) -> (F::Output, Duration) {
    let (mut future, mut spent) = (pin!(future), Duration::ZERO);
    poll_fn(|cx| {
        let begun = Instant::now();
        let polled = future.as_mut().poll(cx);
        spent += begun.elapsed();
        polled.map(|output| (output, spent))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_what_handshakes_cost() {
        let check = |micros: u64, count: u64, cores: usize, expected: u64| {
            let cost = HandshakeCost::default();
            (0..count).for_each(|_| cost.count(Duration::from_micros(micros)));
            assert_eq!(cost.per_second(cores), expected, "{count} of {micros} us on {cores}");
        };
        check(10_000, FEW - 1, 2, UNKNOWN);
        check(1000, FEW, 2, 500);
        check(1000, FEW, 8, 2000);
        check(1, FEW, 2, MOST);
        check(0, FEW, 2, MOST);
        check(1_000_000, FEW, 2, FEWEST);
        // Old ones are forgotten half by half.
        let cost = HandshakeCost::default();
        (0..MANY).for_each(|_| cost.count(Duration::from_micros(100)));
        (0..10 * MANY).for_each(|_| cost.count(Duration::from_micros(1000)));
        let rate = cost.per_second(2);
        assert!((500..=505).contains(&rate), "{rate}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_time_in_polls_counts() {
        let mut polls = 0;
        let work = poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            // The clock moves between polls, not in them.
            if polls == 3 { std::task::Poll::Ready(7) } else { std::task::Poll::Pending }
        });
        let mut timed = pin!(timed(work));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..2 {
            assert!(timed.as_mut().poll(&mut cx).is_pending());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(timed.await, (7, Duration::ZERO));
    }
}
