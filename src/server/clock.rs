//! Server time: the one place where the server asks for it.

use tokio::time::Instant;

use crate::time::Time;

/// Microseconds since the server started, from tokio's clock, so that a paused clock in a test
/// steers sessions and rooms too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(super) fn now(self) -> Time {
        let micros = self.start.elapsed().as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The runtime's name for a moment of server time; `None` where it is too far to matter.
    pub(super) fn instant(self, time: Time) -> Option<Instant> {
        self.start.checked_add(std::time::Duration::from_micros(time.micros()))
    }
}
