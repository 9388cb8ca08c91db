//! What the peer's application has taken of what was sent (PROTOCOL 9, 12.5).
//!
//! ```text
//! sent:      ───────────────┬─ ask ─────────────────────────────────> stream
//!                           │ (offset)             answer: consumed
//! backlog at the answer = offset - consumed: what lies in buffers that we cannot see
//! ```
//!
//! Measured against the place of the question in the stream, so that what is on its way counts for
//! nothing: a long line is not a slow reader. Only where a question stays open too long, everything
//! sent since counts too.

use crate::limits::Limits;
use crate::time::Time;

/// How far the peer's application is behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Consumption {
    /// The most it has ever said; 0 where it does not report.
    consumed: u64,
    /// The question that is open: when it was asked, and what had been sent before it.
    open: Option<(Time, u64)>,
    /// What was not consumed at the last answer.
    backlog: u64,
    /// What had been sent when the last question was asked, and when that was.
    asked: (u64, Time),
}

impl Consumption {
    /// Between questions while something is known to lie around. 100 ms: a receiver that was behind
    /// is seen to have caught up within two ticks.
    const RECHECK: core::time::Duration = core::time::Duration::from_millis(100);

    /// What the application says it has taken.
    pub(super) const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The peer said how much it has taken; that only grows.
    pub(super) fn handle_report(&mut self, consumed: u64) {
        let more = consumed.saturating_sub(self.consumed);
        self.consumed = self.consumed.max(consumed);
        self.backlog = self.backlog.saturating_sub(more);
    }

    /// A question goes out behind `sent` bytes.
    pub(super) fn handle_asked(&mut self, sent: u64, now: Time) {
        self.open.get_or_insert((now, sent));
        self.asked = (sent, now);
    }

    /// The question asked at `time`, or a later one, was answered.
    pub(super) fn handle_answer(&mut self, time: u64) {
        let Some((asked, sent)) = self.open.filter(|(asked, _)| asked.micros() <= time) else { return };
        debug_assert!(asked.micros() <= time);
        self.open = None;
        self.backlog = if self.consumed == 0 { 0 } else { sent.saturating_sub(self.consumed) };
    }

    /// Whether to ask, since so much has been sent or so long nothing was heard.
    pub(super) fn is_due(&self, sent: u64, now: Time, limits: &Limits) -> bool {
        let (asked_sent, asked) = self.asked;
        let enough = sent.saturating_sub(asked_sent) >= limits.ping_bytes as u64;
        self.open.is_none() && (enough || self.backlog > 0 && now >= asked.after(Self::RECHECK))
    }

    /// Bytes that were sent and that the application has not taken, as far as that is known.
    pub(super) fn unconsumed(&self, sent: u64, now: Time, limits: &Limits) -> u64 {
        let overdue = self.open.filter(|(asked, _)| now >= asked.after(limits.busy_ping_interval));
        self.backlog + overdue.map_or(0, |(_, before)| sent.saturating_sub(before))
    }

    /// When there is something to ask or to see again, if nothing is heard or sent.
    pub(super) fn deadline(&self, now: Time, limits: &Limits) -> Option<Time> {
        match self.open {
            Some((asked, _)) => Some(asked.after(limits.busy_ping_interval)).filter(|overdue| *overdue > now),
            None => (self.backlog > 0).then(|| self.asked.1.after(Self::RECHECK)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    #[test]
    fn a_long_line_is_not_a_slow_reader() {
        let limits = Limits::default();
        let mut consumption = Consumption::default();
        consumption.handle_report(1);
        // 1 MB/s at a round trip of 300 ms: the answer comes when 300 KB more are on their way.
        consumption.handle_asked(1_000_000, at(0));
        assert_eq!(consumption.unconsumed(1_300_000, at(300), &limits), 0);
        consumption.handle_report(1_000_000);
        consumption.handle_answer(at(0).micros());
        assert_eq!(consumption.unconsumed(1_300_000, at(300), &limits), 0);
    }

    #[test]
    fn what_the_application_has_not_taken_counts() {
        let limits = Limits::default();
        let mut consumption = Consumption::default();
        consumption.handle_asked(500_000, at(0));
        consumption.handle_report(100_000);
        consumption.handle_answer(at(0).micros());
        assert_eq!(consumption.unconsumed(500_000, at(10), &limits), 400_000);
        // It is asked again though nothing is sent.
        assert_eq!(consumption.deadline(at(10), &limits), Some(at(100)));
        assert!(!consumption.is_due(500_000, at(99), &limits));
        assert!(consumption.is_due(500_000, at(100), &limits));
        consumption.handle_report(450_000);
        assert_eq!(consumption.unconsumed(500_000, at(10), &limits), 50_000);
    }

    #[test]
    fn an_open_question_counts_after_a_while() {
        let limits = Limits::default();
        let mut consumption = Consumption::default();
        consumption.handle_asked(10_000, at(0));
        assert_eq!(consumption.unconsumed(90_000, at(999), &limits), 0);
        assert_eq!(consumption.deadline(at(999), &limits), Some(at(1000)));
        assert_eq!(consumption.unconsumed(90_000, at(1000), &limits), 80_000);
        // Who does not report is quick once it answers.
        consumption.handle_answer(at(0).micros());
        assert_eq!(consumption.unconsumed(90_000, at(1000), &limits), 0);
    }
}
