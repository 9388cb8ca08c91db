//! When a peer must have said something: hello, answers to pings, and a room to be in (PROTOCOL 9, 13).
//!
//! ```text
//! silence >= ping interval ──ask──> unanswered ──45 s──> CLOSE 3
//!                         <──answer──
//! ```

use super::Ending;
use crate::limits::Limits;
use crate::time::Time;
use crate::wire::Reason;

/// The clocks of one session.
#[derive(Clone, Debug)]
pub(super) struct Liveness {
    /// Until when hello must be accepted; `None` once it was.
    hello_until: Option<Time>,
    heard: Time,
    asked: Time,
    /// The oldest question without an answer.
    unanswered: Option<Question>,
    roomless_since: Option<Time>,
    /// While the server itself does not read, an answer cannot be heard.
    paused_since: Option<Time>,
    resumed: Time,
}

/// A ping that the peer has not answered.
#[derive(Clone, Copy, Debug)]
struct Question {
    /// The time it carries, which its answer repeats.
    time: Time,
    /// From when the peer's time to answer counts: later than `time` where the server did not read.
    since: Time,
}

impl Liveness {
    pub(super) fn new(connected: Time, limits: &Limits) -> Self {
        Self {
            hello_until: Some(connected.after(limits.hello_timeout)),
            heard: connected,
            asked: connected,
            unanswered: None,
            roomless_since: None,
            paused_since: None,
            resumed: connected,
        }
    }

    /// When something came last.
    pub(super) const fn heard(&self) -> Time {
        self.heard
    }

    /// Hello was accepted, also where it continues a session: what the connection before was asked,
    /// nobody will answer any more.
    pub(super) const fn handle_open(&mut self, now: Time) {
        self.hello_until = None;
        self.roomless_since = Some(now);
        self.heard = now;
        self.asked = now;
        self.unanswered = None;
        self.paused_since = None;
        self.resumed = now;
    }

    pub(super) const fn handle_heard(&mut self, now: Time) {
        self.heard = now;
    }

    /// A client repeated the time of the question it answers.
    pub(super) fn handle_answer(&mut self, time: u64) {
        let answered = Time::from_micros(time);
        // An answer to nothing, or to an older question than the last, proves no more than it says.
        if self.unanswered.is_some_and(|oldest| answered >= oldest.time && answered <= self.asked) {
            let last = Question { time: self.asked, since: self.asked.max(self.resumed) };
            self.unanswered = (answered < self.asked).then_some(last);
        }
    }

    pub(super) fn handle_rooms(&mut self, rooms: usize, now: Time) {
        self.roomless_since = (rooms == 0).then(|| self.roomless_since.unwrap_or(now));
    }

    pub(super) fn handle_paused(&mut self, now: Time) {
        self.paused_since.get_or_insert(now);
    }

    pub(super) fn handle_resumed(&mut self, now: Time) {
        let Some(since) = self.paused_since.take() else { return };
        // PROTOCOL 9: the time to answer stands still while the server does not read.
        let paused = now.since(since);
        if let Some(question) = &mut self.unanswered {
            question.since = question.since.after(paused).min(now);
        }
        self.heard = self.heard.after(paused).min(now);
        self.resumed = now;
    }

    /// Whether a ping is due because something is being sent.
    pub(super) fn busy_ping_due(&self, limits: &Limits, now: Time) -> bool {
        now >= self.asked.after(limits.busy_ping_interval)
    }

    pub(super) fn handle_asked(&mut self, now: Time) {
        self.asked = now;
        self.unanswered.get_or_insert(Question { time: now, since: now });
    }

    pub(super) fn deadline(&self, limits: &Limits) -> Time {
        if let Some(until) = self.hello_until {
            return until;
        }
        let idle = self.roomless_since.map(|since| since.after(limits.idle_timeout));
        if self.paused_since.is_some() {
            return idle.unwrap_or(Time::from_micros(u64::MAX));
        }
        let pong = self.unanswered.map(|question| question.since.after(limits.pong_timeout));
        let ping = self.heard.max(self.asked).after(limits.ping_interval);
        [idle, pong].into_iter().flatten().fold(ping, Time::min)
    }

    /// What is overdue, or whether to ask.
    pub(super) fn check(&self, limits: &Limits, now: Time) -> Result<bool, Ending> {
        if let Some(until) = self.hello_until {
            return if now >= until { Err(Ending::because(Reason::HELLO_TIMEOUT)) } else { Ok(false) };
        }
        if self.roomless_since.is_some_and(|since| now >= since.after(limits.idle_timeout)) {
            return Err(Ending::because(Reason::IDLE));
        }
        if self.paused_since.is_some() {
            return Ok(false);
        }
        if self.unanswered.is_some_and(|question| now >= question.since.after(limits.pong_timeout)) {
            return Err(Ending::because(Reason::PONG_TIMEOUT));
        }
        Ok(now >= self.heard.max(self.asked).after(limits.ping_interval))
    }
}
