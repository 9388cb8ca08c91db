//! Time of this process in nanoseconds, and waiting.
//!
//! ```text
//! |----0.25 ms----|----0.25 ms----|     the generator sends and polls on this grid, and never blocks
//! send poll nap   send poll nap         in between: no server pays for waking it up
//! ```

use std::sync::LazyLock;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a load generator runs on the real clock")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The generator's grid, in nanoseconds. Receive times are up to this much late.
pub(crate) const QUANTUM: u64 = 250_000;

/// Nanoseconds since this process first asked.
pub(crate) fn now() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Waits for the next point of the grid.
pub(crate) fn nap() {
    wait(Duration::from_nanos(QUANTUM - now() % QUANTUM));
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "a load generator keeps a schedule")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Asks the kernel to end a nap on time rather than together with others, where it lets us.
pub(crate) fn sharpen() {
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
}
