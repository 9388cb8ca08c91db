//! What a server granted: to the session by WELCOME, to a member by JOINED.

use std::time::Duration;

use bytes::Bytes;

use super::Batch;
use crate::wire::control::{Joined, Mode, Outcome, Welcome};
use crate::wire::extension::kind;
use crate::wire::{Capabilities, Epoch, Extensions, Handle, Kind, MemberNumber, Position, Reader, RoomId};

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
    /// How long after the connection the session may be resumed, where it may (PROTOCOL 12.2).
    pub grace: Option<Duration>,
    /// Who the server takes this client for; empty where it does not say.
    pub subject: Bytes,
}

impl Terms {
    /// What a WELCOME says to a client that has `offered` these capabilities.
    pub(super) fn new(welcome: &Welcome<'_>, offered: Capabilities) -> Self {
        let extensions = welcome.extensions;
        let grace = extensions.get(kind::GRACE).and_then(|grace| Reader::new(grace).varint().ok());
        Self {
            capabilities: welcome.capabilities.common(offered),
            grace: grace.map(Duration::from_millis),
            subject: extensions.get(kind::SUBJECT).map(Bytes::copy_from_slice).unwrap_or_default(),
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
    /// The last position before what follows: the one that was asked for where the room was recovered,
    /// the last that is lost behind a gap, else the room's own.
    pub position: Position,
    /// First and last position that are lost, where the server knows.
    pub lost: Option<(Position, Position)>,
    /// What the room's logic answered; mostly empty.
    pub answer: Bytes,
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
    pub fn new(joined: &Joined<'_>) -> Self {
        Self {
            handle: joined.handle,
            room: joined.room,
            member: joined.member,
            mode: joined.mode,
            outcome: joined.outcome,
            epoch: joined.epoch,
            position: joined.position,
            lost: two_varints(joined.extensions, kind::LOST).map(|(first, last)| (Position(first), Position(last))),
            answer: joined.extensions.get(kind::LOGIC).map(Bytes::copy_from_slice).unwrap_or_default(),
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

    /// The tick at a server time in microseconds, as a real number: half a period after tick 7 has begun it is
    /// 7.5.
    #[must_use]
    pub fn tick_at(&self, server_time: u64) -> f64 {
        let period = if self.period == 0 { 1000 } else { self.period };
        // Below 2^53, as everything on the wire is, so that nothing is lost by far.
        self.tick as f64 + (server_time as f64 - self.tick_time as f64) / period as f64
    }

    /// How long after its tick began a batch is here, at this server time in microseconds. None for
    /// what has no moment to be late for: rooms that send at once, batches that left early, snapshots,
    /// and directs, which may wait for a tick.
    #[must_use]
    pub fn lateness(&self, batch: &Batch, server_time: u64) -> Option<Duration> {
        let scheduled = matches!(batch.kind(), Kind::Event | Kind::Value | Kind::Presence);
        if scheduled { self.lateness_of(batch.tick(), batch.is_early(), server_time) } else { None }
    }

    /// The same for an event, a value or presence of this tick, which left early or not.
    #[must_use]
    pub const fn lateness_of(&self, tick: u64, early: bool, server_time: u64) -> Option<Duration> {
        if early || self.period == 0 {
            return None;
        }
        // A clock is wrong by a little: nothing is here before it was sent.
        Some(Duration::from_micros(server_time.saturating_sub(self.tick_begins(tick))))
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

/// An extension of two varints, where it is there and can be read.
pub(super) fn two_varints(extensions: Extensions<'_>, kind: u64) -> Option<(u64, u64)> {
    let mut reader = Reader::new(extensions.get(kind)?);
    Some((reader.varint().ok()?, reader.varint().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::flags;
    use crate::wire::put_extension;

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
        let drained = Membership { period: 0, ..membership.clone() };
        assert_eq!(drained.tick_begins(4), 1_151_000);
        assert!((membership.tick_at(1_175_000) - 3.5).abs() < 1e-9);
        assert!((membership.tick_at(1_100_000) - 2.0).abs() < 1e-9);
        assert!((drained.tick_at(1_150_500) - 3.5).abs() < 1e-9);
    }

    #[test]
    fn lateness_counts_from_the_beginning_of_the_tick() {
        let joined = Joined { period: 50_000, tick: 3, tick_time: 1_150_000, ..Joined::default() };
        let membership = Membership::new(&joined);
        let check = |kind, options, period, server_time, expected: Option<u64>| {
            let membership = Membership { period, ..membership.clone() };
            let batch =
                Batch { handle: Handle(1), kind, options, position: Position(1), tick: 4, records: Bytes::new() };
            assert_eq!(membership.lateness(&batch, server_time), expected.map(Duration::from_micros));
        };
        check(Kind::Event, 0, 50_000, 1_200_700, Some(700));
        check(Kind::Value, flags::MORE, 50_000, 1_200_000, Some(0));
        check(Kind::Event, 0, 50_000, 1_199_000, Some(0));
        check(Kind::Event, flags::URGENT, 50_000, 1_200_700, None);
        check(Kind::Snapshot, 0, 50_000, 1_200_700, None);
        check(Kind::Event, 0, 0, 1_200_700, None);
    }

    #[test]
    fn the_answer_and_what_is_lost_are_told() {
        let mut extensions = Vec::new();
        put_extension(kind::LOGIC, b"hello", &mut extensions);
        put_extension(kind::LOST, &[3, 0xc8, 1], &mut extensions);
        let extensions = Extensions::from_encoded(&extensions).unwrap();
        let membership = Membership::new(&Joined { extensions, ..Joined::default() });
        assert_eq!(membership.answer, &b"hello"[..]);
        assert_eq!(membership.lost, Some((Position(3), Position(200))));
        let cut_off = Extensions::from_encoded(&[4, 1, 3]).unwrap();
        assert_eq!(Membership::new(&Joined { extensions: cut_off, ..Joined::default() }).lost, None);
    }
}
