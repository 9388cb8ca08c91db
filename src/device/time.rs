//! A device's time, and the server's (PROTOCOL 9).

/// How long a server that was asked may be silent. 5 s (clients/SPEC.md, 2).
const PATIENCE: u64 = 5000;

/// Milliseconds of the caller's clock, and how far the server's is ahead.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Time {
    pub(super) now: u64,
    /// When the next attempt is.
    pub(super) at: u64,
    /// When the connection is taken for dead.
    pub(super) dead_at: u64,
    /// The server was asked whether it is there, and has not said anything since.
    asked: bool,
    /// When WELCOME came.
    pub(super) up_at: u64,
    pub(super) ping_at: u64,
    /// The server's interval in milliseconds.
    ping: u64,
    pings: u8,
    /// Microseconds to add to one's own.
    offset: i64,
    best: u64,
    samples: u8,
    last: u64,
}

impl Time {
    /// Microseconds of the caller's clock.
    pub(super) const fn micros(&self) -> u64 {
        self.now.saturating_mul(1000)
    }

    /// WELCOME came, with the server's time and its ping interval.
    pub(super) const fn handle_welcome(&mut self, time: u64, ping: u64) {
        self.offset = time.cast_signed().wrapping_sub(self.micros().cast_signed());
        // Ten minutes at most, so that nothing overflows.
        self.ping = if ping < 600_000 { ping } else { 600_000 };
        (self.best, self.samples, self.pings, self.last) = (u64::MAX, 0, 0, 0);
        (self.up_at, self.ping_at) = (self.now, self.now);
        self.handle_bytes();
    }

    /// Something came.
    pub(super) const fn handle_bytes(&mut self) {
        // PROTOCOL 9: twice its interval and 5 s.
        self.dead_at = self.now + 2 * self.ping + PATIENCE;
        self.asked = false;
    }

    /// Whether it was this program that slept, and not the server: its timer is late. Once, until the server says something.
    pub(super) const fn has_slept(&self) -> bool {
        !self.asked && self.now.saturating_sub(self.dead_at) >= PATIENCE
    }

    /// The server gets 5 s to answer a ping (clients/SPEC.md, 2).
    pub(super) const fn handle_sleep(&mut self) {
        self.asked = true;
        self.ping_at = self.now;
        self.dead_at = self.now + PATIENCE;
    }

    /// Whether a ping is due: four within two seconds for the clock, then one every 10 s (clients/SPEC.md, 7).
    pub(super) const fn is_ping_due(&mut self) -> bool {
        let due = self.now >= self.ping_at;
        if due {
            self.pings = self.pings.saturating_add(1);
            self.ping_at = self.now + if self.pings < 4 { 500 } else { 10_000 };
        }
        due
    }

    /// A ping was answered: of eight, the one with the shortest way counts.
    pub(super) const fn handle_pong(&mut self, asked: u64, received: u64, sent: u64) {
        let heard = self.micros();
        // Of what was never asked, nothing is learned.
        let (Some(both), Some(there)) = (heard.checked_sub(asked), sent.checked_sub(received)) else { return };
        let Some(trip) = both.checked_sub(there) else { return };
        self.samples += 1;
        if trip <= self.best || self.samples >= 8 {
            (self.best, self.samples) = (trip, 0);
            let ahead = received.cast_signed().wrapping_sub(asked.cast_signed());
            let behind = sent.cast_signed().wrapping_sub(heard.cast_signed());
            // Half of both; a division of 64 bits would be a routine of a kilobyte.
            self.offset = ahead.wrapping_add(behind) >> 1;
        }
    }

    /// The server's time in microseconds, which does not go back.
    pub(super) fn server(&mut self, is_known: bool) -> u64 {
        if is_known {
            self.last = self.last.max(self.micros().saturating_add_signed(self.offset));
        }
        self.last
    }
}
