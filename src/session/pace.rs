//! Rates of one peer: messages, their bytes, joins, pings, refusals; and what happens beyond them.
//!
//! ```text
//! token there ──> as ever
//! none ──drop──> refused          (messages, joins)
//!      ├─delay─> done all the same, and nothing more is read until the tokens would have been there
//!      └─close─> CLOSE 102, or 103 for refusals
//! ```

use core::time::Duration;

use super::{Ending, Session, Violation};
use crate::bucket::Bucket;
use crate::limits::{Limits, Over};
use crate::rejections::Rejected;
use crate::time::Time;
use crate::wire::Reason;

/// What only those have whose messages have a rate, or who have been delayed.
#[derive(Debug)]
pub(super) struct Pace {
    messages: Bucket,
    bytes: Bucket,
    /// Nothing is read before.
    until: Time,
}

impl Pace {
    /// Where messages have a rate.
    pub(super) fn of(limits: &Limits, now: Time) -> Option<Box<Self>> {
        let limited = limits.messages_per_sec > 0 || limits.bytes_per_sec > 0;
        limited.then(|| Box::new(Self::new(limits, now)))
    }

    fn new(limits: &Limits, now: Time) -> Self {
        let bytes = u32::try_from(limits.bytes_burst).unwrap_or(u32::MAX);
        let (messages, bytes) = (Bucket::full(limits.messages_burst, now), Bucket::full(bytes, now));
        Self { messages, bytes, until: Time::ZERO }
    }
}

impl Session {
    /// Whether nothing is to be read from this peer now: it was too quick. [`deadline`](Self::deadline)
    /// tells until when.
    #[must_use]
    pub fn is_delayed(&self, now: Time) -> bool {
        self.delayed_until().is_some_and(|until| until > now)
    }

    /// The rooms have it that this peer is not read for a while.
    pub fn handle_delay(&mut self, by: Duration, now: Time) {
        let pace = self.pace.get_or_insert_with(|| Box::new(Pace::new(&self.facts.limits, now)));
        pace.until = pace.until.max(now.after(by.min(Over::LONGEST)));
    }

    pub(super) fn delayed_until(&self) -> Option<Time> {
        self.pace.as_ref().map(|pace| pace.until)
    }

    /// Whether a data frame of so many bytes may be passed on.
    pub(super) fn may_send(&mut self, len: usize, now: Time) -> Result<bool, Ending> {
        let limits = &self.facts.limits;
        let Some(Pace { messages, bytes, until }) = self.pace.as_deref_mut() else { return Ok(true) };
        let (burst, per_sec) = (limits.messages_burst.into(), limits.messages_per_sec.into());
        let one = (messages, 1, burst, per_sec, Rejected::Messages);
        let all = (bytes, len as u64, limits.bytes_burst as u64, limits.bytes_per_sec as u64, Rejected::Bytes);
        for (bucket, count, burst, per_sec, rejected) in [one, all] {
            if per_sec == 0 {
                continue;
            }
            let Err(missing) = bucket.take_many(count, burst, per_sec, now) else { continue };
            self.facts.rejections.count(rejected);
            match limits.over_messages {
                Over::Drop => return Ok(false),
                Over::Close => return Err(Ending::because(Reason::RATE)),
                Over::Delay => {
                    bucket.empty();
                    *until = (*until).max(now.after(missing.wait().min(Over::LONGEST)));
                }
            }
        }
        Ok(true)
    }

    /// Whether a join may be passed on. Where that closes, [`refuse_command`](Self::refuse_command) does.
    pub(super) fn may_join(&mut self, now: Time) -> bool {
        let limits = &self.facts.limits;
        let (burst, per_sec) = (limits.joins_burst.into(), limits.joins_per_sec.into());
        let Err(missing) = self.joins.take_many(1, burst, per_sec, now) else { return true };
        self.facts.rejections.count(Rejected::Joins);
        let delays = limits.over_joins == Over::Delay;
        if delays {
            self.joins.empty();
            self.handle_delay(missing.wait(), now);
        }
        delays
    }

    pub(super) fn take_ping(&mut self, now: Time) -> Result<(), Ending> {
        let limits = &self.facts.limits;
        let (burst, per_sec) = (limits.pings_burst.into(), limits.pings_per_sec.into());
        let Err(missing) = self.pings.take_many(1, burst, per_sec, now) else { return Ok(()) };
        self.facts.rejections.count(Rejected::Pings);
        if limits.over_pings != Over::Delay {
            return Err(Violation::TooManyPings.into());
        }
        self.pings.empty();
        self.handle_delay(missing.wait(), now);
        Ok(())
    }

    pub(super) fn count_refusal(&mut self, now: Time) -> Result<(), Ending> {
        let limits = &self.facts.limits;
        let (burst, per_sec) = (limits.refusals_burst.into(), limits.refusals_per_sec.into());
        let Err(missing) = self.refusals.take_many(1, burst, per_sec, now) else { return Ok(()) };
        self.facts.rejections.count(Rejected::Refusals);
        if limits.over_refusals != Over::Delay {
            return Err(Violation::TooManyRefusals.into());
        }
        self.refusals.empty();
        self.handle_delay(missing.wait(), now);
        Ok(())
    }
}
