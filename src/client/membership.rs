//! What a server granted: to the session by WELCOME, to a member by JOINED.

use std::time::Duration;

use crate::wire::control::{Joined, Mode, Outcome, Welcome};
use crate::wire::{Capabilities, Epoch, Handle, MemberNumber, Position, RoomId};

/// What the server said in its WELCOME (PROTOCOL 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// What both sides support.
    pub capabilities: Capabilities,
    /// Names the server's clock.
    pub clock: u32,
    /// Server time when it was said, in microseconds.
    pub time: u64,
    /// What to add to server time for microseconds since 1970.
    pub wall: u64,
    /// The largest message the server takes, in bytes.
    pub max_message: u64,
    /// The largest frame payload the server takes, in bytes.
    pub max_frame: u64,
    /// How many rooms a session may be in.
    pub max_rooms: u64,
    /// Silence after which the server pings.
    pub ping: Duration,
}

impl Terms {
    pub(super) const fn new(welcome: &Welcome<'_>) -> Self {
        Self {
            capabilities: welcome.capabilities,
            clock: welcome.clock,
            time: welcome.time,
            wall: welcome.wall,
            max_message: welcome.max_message,
            max_frame: welcome.max_frame,
            max_rooms: welcome.max_rooms,
            ping: Duration::from_millis(welcome.ping),
        }
    }

    /// PROTOCOL 9: silence after which a client should take the connection for dead. At most a day,
    /// whatever the server says: it is added to moments.
    pub(super) fn patience(&self) -> Duration {
        self.ping.saturating_mul(2).saturating_add(Duration::from_secs(5)).min(Duration::from_secs(24 * 60 * 60))
    }
}

/// What the server said in a JOINED (PROTOCOL 6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Membership {
    /// The room, by this client's own number.
    pub handle: Handle,
    /// The room, by the server's number.
    pub room: RoomId,
    /// This client's number in the room.
    pub member: MemberNumber,
    /// What was granted.
    pub mode: Mode,
    /// Fresh, recovered or gap.
    pub outcome: Outcome,
    /// The room's present life.
    pub epoch: Epoch,
    /// The last position before what comes live.
    pub position: Position,
    /// The room's period, in microseconds.
    pub period: u64,
    /// The tick that was the current one.
    pub tick: u64,
    /// Server time at which that tick began, in microseconds.
    pub tick_time: u64,
}

impl Membership {
    /// What a JOINED says.
    #[must_use]
    pub const fn new(joined: &Joined<'_>) -> Self {
        Self {
            handle: joined.handle,
            room: joined.room,
            member: joined.member,
            mode: joined.mode,
            outcome: joined.outcome,
            epoch: joined.epoch,
            position: joined.position,
            period: joined.period,
            tick: joined.tick,
            tick_time: joined.tick_time,
        }
    }

    /// Server time at which a tick begins, in microseconds (PROTOCOL 6.4). It stops at both ends of
    /// what can be counted.
    #[must_use]
    pub const fn tick_begins(&self, tick: u64) -> u64 {
        let period = if self.period == 0 { 1000 } else { self.period };
        if tick >= self.tick {
            self.tick_time.saturating_add((tick - self.tick).saturating_mul(period))
        } else {
            self.tick_time.saturating_sub((self.tick - tick).saturating_mul(period))
        }
    }

    /// The whole tick nearest to `near` that has these low 16 bits (PROTOCOL 8.1, 18.12).
    #[must_use]
    pub const fn extend_tick(near: u64, low: u16) -> u64 {
        // Differences below half the range lie ahead, the others behind.
        let ahead = low.wrapping_sub(near as u16);
        if ahead < 0x8000 {
            near.saturating_add(ahead as u64)
        } else {
            // Where nothing lies behind, it can only be ahead.
            match near.checked_sub(0x1_0000 - ahead as u64) {
                Some(behind) => behind,
                None => near.saturating_add(ahead as u64),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_extended_to_the_nearest() {
        assert_eq!(Membership::extend_tick(0, 0), 0);
        assert_eq!(Membership::extend_tick(70_000, 0x1170), 70_000);
        assert_eq!(Membership::extend_tick(70_000, 0x1171), 70_001);
        assert_eq!(Membership::extend_tick(70_000, 0x116f), 69_999);
        assert_eq!(Membership::extend_tick(0xffff, 0), 0x1_0000);
        assert_eq!(Membership::extend_tick(0x1_0000, 0xffff), 0xffff);
        assert_eq!(Membership::extend_tick(3, 0xffff), 0xffff, "nothing lies behind");
    }

    #[test]
    fn ticks_begin_a_period_apart() {
        let joined = Joined { period: 50_000, tick: 3, tick_time: 1_150_000, ..Joined::default() };
        let membership = Membership::new(&joined);
        assert_eq!(membership.tick_begins(4), 1_200_000);
        assert_eq!(membership.tick_begins(1), 1_050_000);
        assert_eq!(membership.tick_begins(u64::MAX), u64::MAX);
        let drained = Membership { period: 0, ..membership };
        assert_eq!(drained.tick_begins(4), 1_151_000);
    }
}
