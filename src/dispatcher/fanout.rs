//! What one sender may cause in outgoing bytes: a message counts once for each of its receivers.
//!
//! ```text
//! paid off at ──+ price of bytes x receivers──> later; at most `burst` ahead of the clock
//! ```
//!
//! One number a session: the moment at which all that it has caused is paid off. So a message costs a
//! product and a comparison, and nothing is filled.

use core::time::Duration;

use crate::limits::{Limits, Over};
use crate::time::Time;
use crate::wire::Reason;

/// The moment when a session has paid off what it caused, in nanoseconds of server time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paid(u64);

/// The prices of a shard, and the sender whose turn it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fanout {
    /// Nanoseconds of a byte, with [`POINT`] bits behind the point. 0 where there is no limit.
    price: u64,
    /// How far ahead of the clock a session may be, in nanoseconds.
    most: u64,
    over: Option<Over>,
    /// Of the sender whose message is looked at.
    pub(crate) paid: Paid,
    /// It is beyond, and by how much.
    pub(crate) beyond: Option<(Over, Duration)>,
}

/// Bits behind the point of a price. 16: a byte at a gigabyte a second costs one nanosecond.
const POINT: u32 = 16;

const SECOND: u64 = 1_000_000_000;

impl Fanout {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (burst, per_sec) = (limits.fanout_burst as u64, limits.fanout_per_sec as u64);
        let price = (SECOND << POINT).checked_div(per_sec).unwrap_or_default();
        let fanout = Self { price, over: Some(limits.over_fanout), ..Self::default() };
        Self { most: fanout.nanos(burst), ..fanout }
    }

    /// What the sender owes after so many bytes to so many receivers. It is told to [`pay`](Self::pay)
    /// when the message was taken.
    ///
    /// # Errors
    /// Where the message is not to be taken.
    #[inline]
    pub(crate) fn ask(&mut self, bytes: usize, receivers: usize, now: Time) -> Result<Paid, Reason> {
        let now = now.micros().saturating_mul(1000);
        let cost = self.nanos((bytes as u64).saturating_mul(receivers as u64));
        let paid = self.paid.0.max(now).saturating_add(cost);
        let ahead = paid - now;
        if ahead > self.most && self.price > 0 {
            return self.refuse(Paid(paid), ahead - self.most);
        }
        Ok(Paid(paid))
    }

    /// The message was taken.
    #[inline]
    pub(crate) const fn pay(&mut self, paid: Paid) {
        self.paid = paid;
    }

    #[cold]
    fn refuse(&mut self, paid: Paid, beyond: u64) -> Result<Paid, Reason> {
        self.beyond = self.over.map(|over| (over, Duration::from_nanos(beyond)));
        // Beyond the longest delay even who is delayed is refused: a debt must not grow without end.
        let is_delayed = self.over == Some(Over::Delay) && beyond <= Over::LONGEST.as_nanos() as u64;
        if is_delayed { Ok(paid) } else { Err(Reason::RATE) }
    }

    const fn nanos(&self, bytes: u64) -> u64 {
        let nanos = (bytes as u128 * self.price as u128) >> POINT;
        if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fanout(burst: usize, per_sec: usize, over: Over) -> Fanout {
        let mut limits = Limits::default();
        (limits.fanout_burst, limits.fanout_per_sec, limits.over_fanout) = (burst, per_sec, over);
        Fanout::new(&limits)
    }

    /// Sends so many bytes to ten receivers. Whether they were taken.
    fn send(fanout: &mut Fanout, bytes: usize, millis: u64) -> bool {
        let asked = fanout.ask(bytes, 10, Time::from_micros(millis * 1000));
        asked.inspect(|paid| fanout.pay(*paid)).is_ok()
    }

    #[test]
    fn a_sender_has_its_burst_and_then_its_rate() {
        let mut fanout = fanout(10_000, 1000, Over::Drop);
        assert!(send(&mut fanout, 600, 0) && send(&mut fanout, 399, 0));
        assert!(!send(&mut fanout, 100, 0));
        assert_eq!(fanout.beyond.map(|(over, _)| over), Some(Over::Drop));
        // What was refused costs nothing.
        assert!(!send(&mut fanout, 100, 900) && send(&mut fanout, 100, 1000));
        assert!(send(&mut fanout, 999, 1_000_000) && !send(&mut fanout, 999, 1_000_000));
    }

    #[test]
    fn a_sender_that_is_delayed_waits_for_what_it_took() {
        let mut fanout = fanout(1000, 1000, Over::Delay);
        assert!(send(&mut fanout, 300, 0));
        let (over, beyond) = fanout.beyond.unwrap();
        assert_eq!((over, beyond.as_millis()), (Over::Delay, 2000));
    }

    #[test]
    fn without_a_rate_there_is_no_limit_and_nothing_overflows() {
        let mut free = fanout(0, 0, Over::Drop);
        assert!(send(&mut free, usize::MAX, 0) && send(&mut free, usize::MAX, 0));
        let mut least = fanout(1, 1, Over::Drop);
        assert!(!send(&mut least, usize::MAX, 0));
    }
}
