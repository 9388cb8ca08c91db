//! What is sent and when: the load, the phases of a run, and the clock they are told by.
//!
//! ```text
//! 0 ── warm ──> slow ones begin ── 10 stop ──> they read on ──────> the last message ── settle ──> end
//!       └ baseline of memory       └──────── lateness is measured ────────┘
//! ```

use std::time::{Duration, Instant};

/// How a run is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Everybody reads.
    None,
    /// Slow sockets, and rooms that leave batches out for them.
    Skip,
    /// Slow sockets, and rooms that close them.
    Close,
    /// Sockets that always accept, and applications that take slowly.
    Browser,
}

impl Scenario {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Skip => "skip",
            Self::Close => "close",
            Self::Browser => "browser",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Skip, Self::Close, Self::Browser].into_iter().find(|scenario| scenario.name() == name)
    }

    pub(crate) fn has_slow_ones(self) -> bool {
        self != Self::None
    }
}

/// The load and its phases.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Receivers in the room, slow ones included.
    pub(crate) members: usize,
    /// Of them, how many stop for a while.
    pub(crate) stopping: usize,
    /// Of them, how many read at a tenth of the rate.
    pub(crate) slow: usize,
    /// Values of the room.
    pub(crate) keys: u64,
    /// Of them, how many are written each tick, in turns.
    pub(crate) writes: u64,
    /// Bytes of a value.
    pub(crate) value_len: usize,
    /// Events each tick, and bytes of one.
    pub(crate) events: u64,
    pub(crate) event_len: usize,
    /// The tick.
    pub(crate) period: Duration,
    /// From the first message to the last.
    pub(crate) seconds: u64,
}

impl Plan {
    /// `SO_RCVBUF` of the slow ones.
    pub(crate) const SMALL_BUFFER: u32 = 16 * 1024;
    /// Directs a tick to the one that reads nothing, and bytes of one: the last rung within seconds.
    pub(crate) const DIRECTS: u64 = 8;
    pub(crate) const DIRECT_LEN: usize = 1000;

    /// Bytes a second that each member is offered.
    pub(crate) fn rate(&self) -> u64 {
        let values = self.writes * (self.value_len as u64 + 5);
        let events = self.events * (self.event_len as u64 + 2);
        (values + events) * 1_000_000 / self.micros_per_tick()
    }

    /// Bytes a second that a slow one takes.
    pub(crate) fn slow_rate(&self) -> u64 {
        self.rate() / 10
    }

    /// Bytes of all values, as a snapshot carries them.
    pub(crate) const fn state_bytes(&self) -> u64 {
        self.keys * (self.value_len as u64 + 5)
    }

    pub(crate) fn micros_per_tick(&self) -> u64 {
        u64::try_from(self.period.as_micros()).unwrap_or(u64::MAX)
    }

    /// When the slow ones begin to be slow, in microseconds since the first message.
    pub(crate) const fn begin(&self) -> u64 {
        self.seconds * 1_000_000 / 12
    }

    /// When those who stopped read on.
    pub(crate) const fn resume(&self) -> u64 {
        self.begin() + self.seconds * 1_000_000 / 2
    }

    /// When the last message is sent.
    pub(crate) const fn last(&self) -> u64 {
        self.seconds * 1_000_000
    }

    /// The round in which a key was last written, as of `round`. Rounds count from 1; 0 is never.
    pub(crate) fn last_write(&self, key: u64, round: u64) -> u64 {
        let turns = self.keys.div_ceil(self.writes);
        let turn = key / self.writes;
        // Round r writes turn (r - 1) % turns.
        (round + turns - turn).checked_sub(1).map_or(0, |back| round.saturating_sub(back % turns))
    }

    /// The keys that a round writes.
    pub(crate) fn keys_of(&self, round: u64) -> std::ops::Range<u64> {
        let turn = (round - 1) % self.keys.div_ceil(self.writes);
        turn * self.writes..((turn + 1) * self.writes).min(self.keys)
    }
}

/// The generator's clock, in microseconds since it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this measures real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn micros(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Waits until a moment.
    pub(crate) async fn until(self, micros: u64) {
        tokio::time::sleep_until((self.0 + Duration::from_micros(micros)).into()).await;
    }
}

/// Where a run stands: what all its tasks share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) clock: Clock,
    /// When the first message is sent, by the generator's clock.
    pub(crate) start: u64,
    /// Add it to server time for the generator's time, in microseconds.
    pub(crate) offset: i64,
}

impl Course {
    /// The generator's time of a server's.
    pub(crate) const fn here(&self, server: u64) -> u64 {
        server.saturating_add_signed(self.offset)
    }

    /// Microseconds since the first message.
    pub(crate) fn now(&self) -> u64 {
        self.clock.micros().saturating_sub(self.start)
    }
}
