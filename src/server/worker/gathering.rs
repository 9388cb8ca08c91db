//! How long a worker leaves what peers send in their sockets, to read it together.
//!
//! ```text
//! event ──> turns ──> much comes, nobody waits ── nap ──> events ──> turns
//!                └──> otherwise: asleep until the next event
//! ```
//!
//! What is sent for a tick gains nothing by being read before it, and each wake-up costs as much as several
//! reads. So where events come closer together than a nap takes, and nothing was sent outside of a tick
//! lately, a worker naps after its turns and finds several of them at once. A nap ends at the next tick, and
//! what has come by then is read first, so no message is late for its batch. What does wait is the first
//! urgent message after a while, an answer, and a clock's question (PROTOCOL 9): at most for one nap.

use std::time::Duration;

use crate::time::Time;

/// When a worker naps.
#[derive(Clone, Debug)]
pub(super) struct Gathering {
    /// The longest nap. 0: none.
    longest: Duration,
    /// When events were last found.
    found: Time,
    /// Events come so close together that a nap finds several.
    dense: bool,
    /// Until then somebody may wait for what peers send.
    prompt_until: Time,
}

/// How long there are no naps after something was sent outside of a tick. 250 ms: a game with urgent messages has
/// several a second.
const PROMPT: Duration = Duration::from_millis(250);

/// Events that a nap must have found to be worth another one. 2: one alone comes cheaper by waking up for it.
const WORTHWHILE: usize = 2;

impl Gathering {
    /// Naps up to so long; 0 for none.
    pub(super) const fn new(longest: Duration) -> Self {
        Self { longest, found: Time::ZERO, dense: false, prompt_until: Time::ZERO }
    }

    /// Until when to nap before looking for events, which is not beyond `tick`. `None`: the events themselves
    /// should wake the worker.
    pub(super) fn nap_until(&self, tick: Option<Time>, now: Time) -> Option<Time> {
        if !self.dense || now < self.prompt_until {
            return None;
        }
        let until = self.found.after(self.longest).min(tick.unwrap_or(Time::MAX));
        (until > now).then_some(until)
    }

    /// Events were looked for: after a nap, or because they woke the worker.
    pub(super) fn handle_events(&mut self, count: usize, napped: bool, now: Time) {
        if napped {
            self.dense = count >= WORTHWHILE;
        } else if count > 0 {
            self.dense = now.since(self.found) < self.longest;
        }
        if count > 0 {
            self.found = now;
        }
    }

    /// Something was sent outside of a tick.
    pub(super) fn handle_prompt(&mut self, now: Time) {
        self.prompt_until = now.after(PROMPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(2);

    const fn at(micros: u64) -> Time {
        Time::from_micros(1_000_000 + micros)
    }

    /// Events have come twice within a nap.
    fn dense() -> Gathering {
        let mut gathering = Gathering::new(LONGEST);
        gathering.handle_events(1, false, at(0));
        gathering.handle_events(1, false, at(1000));
        gathering
    }

    #[test]
    fn a_lone_event_is_followed_by_none() {
        let mut gathering = Gathering::new(LONGEST);
        gathering.handle_events(1, false, at(0));
        assert_eq!(gathering.nap_until(None, at(10)), None);
        gathering.handle_events(1, false, at(2000));
        assert_eq!(gathering.nap_until(None, at(2010)), None);
    }

    #[test]
    fn a_nap_follows_events_that_come_close_together_and_ends_at_the_tick() {
        let gathering = dense();
        assert_eq!(gathering.nap_until(None, at(1010)), Some(at(3000)));
        assert_eq!(gathering.nap_until(Some(at(1500)), at(1010)), Some(at(1500)));
        assert_eq!(gathering.nap_until(Some(at(1010)), at(1010)), None);
        assert_eq!(gathering.nap_until(None, at(3000)), None, "turns have taken as long: there is no time for one");
    }

    #[test]
    fn naps_end_where_they_find_little() {
        let mut gathering = dense();
        gathering.handle_events(2, true, at(3000));
        assert_eq!(gathering.nap_until(None, at(3010)), Some(at(5000)));
        gathering.handle_events(1, true, at(5000));
        assert_eq!(gathering.nap_until(None, at(5010)), None);
        // The next one is not taken for close: it would have been found.
        gathering.handle_events(1, false, at(7500));
        assert_eq!(gathering.nap_until(None, at(7510)), None);
    }

    #[test]
    fn a_wake_up_for_something_else_changes_nothing() {
        let mut gathering = dense();
        gathering.handle_events(0, false, at(1200));
        assert_eq!(gathering.nap_until(None, at(1210)), Some(at(3000)));
    }

    #[test]
    fn nobody_naps_while_somebody_waits() {
        let mut gathering = dense();
        gathering.handle_prompt(at(1000));
        assert_eq!(gathering.nap_until(None, at(1010)), None);
        gathering.handle_events(1, false, at(250_500));
        gathering.handle_events(1, false, at(250_900));
        assert_eq!(gathering.nap_until(None, at(250_999)), None);
        assert!(gathering.nap_until(None, at(251_000)).is_some());
    }

    #[test]
    fn none_at_all_is_a_setting() {
        let mut gathering = Gathering::new(Duration::ZERO);
        gathering.handle_events(9, false, at(0));
        gathering.handle_events(9, false, at(0));
        assert_eq!(gathering.nap_until(None, at(0)), None);
    }
}
