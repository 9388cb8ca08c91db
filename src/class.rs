//! Room classes: what an operator decides for rooms, by their names.

use core::time::Duration;

use crate::name::{Pattern, RoomName};

/// How rooms of a class behave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomClass {
    /// Between flushes. 50 ms; shorter for fast games, longer to save. Zero flushes as soon as the
    /// shard's mailbox is drained.
    pub period: Duration,
    /// What members are told of each other.
    pub presence: PresenceMode,
    /// How long an empty room keeps its epoch, position and values. 60 s: longer than a reconnect takes.
    pub linger: Duration,
    /// Whether members may flush early. Yes.
    pub urgent: bool,
    /// What is kept of the past.
    pub history: HistoryBounds,
    /// What happens to a receiver who owes more than its outbox takes.
    pub slow: SlowPolicy,
    /// Whether batches are compressed for those who can read that. Yes; see PROTOCOL 15 for what the
    /// length of a compressed batch can tell.
    pub compress: bool,
}

impl RoomClass {
    /// The shortest period that is not zero. 1 ms: below it a tick is mostly timers.
    pub const MIN_PERIOD: Duration = Duration::from_millis(1);

    /// The longest period. 60 s: beyond it a room looks dead.
    pub const MAX_PERIOD: Duration = Duration::from_secs(60);

    /// Whether `period` can be used.
    #[must_use]
    pub fn is_valid_period(period: Duration) -> bool {
        period.is_zero() || (Self::MIN_PERIOD..=Self::MAX_PERIOD).contains(&period)
    }
}

impl Default for RoomClass {
    fn default() -> Self {
        Self {
            period: Duration::from_millis(50),
            presence: PresenceMode::Full,
            linger: Duration::from_secs(60),
            urgent: true,
            history: HistoryBounds::default(),
            slow: SlowPolicy::default(),
            compress: true,
        }
    }
}

/// How much of the past a room keeps: as long as all three allow it (PROTOCOL 12.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryBounds {
    /// Batches. 1,024: 51 s of the default period, more than the grace of a session. 0 keeps none.
    pub batches: usize,
    /// Bytes. 256 KiB: what a receiver's outbox holds.
    pub bytes: usize,
    /// Age. 60 s: twice the grace of a session.
    pub age: Duration,
}

impl HistoryBounds {
    /// Nothing is kept.
    pub const NONE: Self = Self { batches: 0, bytes: 0, age: Duration::ZERO };
}

impl Default for HistoryBounds {
    fn default() -> Self {
        Self { batches: 1024, bytes: 256 * 1024, age: Duration::from_secs(60) }
    }
}

/// What happens to a receiver who owes more than its outbox takes (PROTOCOL 12.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowPolicy {
    /// It is told which batches it has lost, and goes on with the latest state.
    #[default]
    Skip,
    /// Its connection is closed with a reason; it may resume its session.
    Close,
}

/// What members are told of each other (PROTOCOL 11.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceMode {
    /// Nothing.
    Off,
    /// Only how many they are.
    Counts,
    /// Everyone who comes, changes or leaves.
    #[default]
    Full,
}

/// The classes of a server: the first pattern that fits decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomClasses {
    /// For names that fit no pattern.
    pub default: RoomClass,
    /// In the order they are tried.
    pub by_pattern: Vec<(Pattern, RoomClass)>,
}

impl RoomClasses {
    /// The class of a room.
    #[must_use]
    pub fn of(&self, name: &RoomName) -> &RoomClass {
        self.by_pattern.get(self.place(name)).map_or(&self.default, |(_, class)| class)
    }

    /// Which of the patterns decides; as many as there are for the default.
    pub(crate) fn place(&self, name: &RoomName) -> usize {
        let fitting = self.by_pattern.iter().position(|(pattern, _)| pattern.matches(name));
        fitting.unwrap_or(self.by_pattern.len())
    }
}
