//! The `[[class]]` of a file: how rooms behave whose names fit a pattern.
//!
//! ```toml
//! [[class]]
//! pattern = "lobby/**"
//! tick = "200ms"
//! presence = "counts"
//! ```

use std::collections::BTreeMap;

use tickwire::class::{RoomClass, RoomClasses};
use tickwire::name::Pattern;

use super::Config;
use super::key::{Key, key};
use super::section::Section;

/// What a class may say beside its pattern. What it leaves out is as for other rooms.
pub(in crate::cli) const CLASS: &[Key<RoomClass>] = &[
    key!(RoomClass: Tick "tick" period, NewRooms, "Time between flushes, from 1ms to 60s; 0 flushes at once."),
    key!(RoomClass: Presence "presence" presence, NewRooms, "What members are told of each other."),
    key!(RoomClass: Time "linger" linger, NewRooms, "How long an empty room keeps its position and values."),
    key!(RoomClass: Switch "urgent" urgent, NewRooms, "Whether members may flush early."),
    key!(RoomClass: Slow "slow" slow, NewRooms, "A receiver who owes too much skips batches, or is closed."),
    key!(RoomClass: Switch "compress" compress, NewRooms, "Whether batches are compressed for those who can read that."),
    key!(RoomClass: Count "history_batches" history.batches, NewRooms, "Batches of the past that are kept; 0 keeps none."),
    key!(RoomClass: Bytes "history_bytes" history.bytes, NewRooms, "Bytes of the past that are kept."),
    key!(RoomClass: Time "history_age" history.age, NewRooms, "How long the past is kept."),
];

/// Of the pattern, for the reference.
pub(in crate::cli) const PATTERN: &str =
    "Names of rooms; * stands for anything within a / part, ** crosses parts. The first class that fits decides.";

/// Reads the classes in their order.
pub(super) fn read(root: &Section<'_>, config: &mut Config) {
    let default = config.default_class();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for section in root.sections("class") {
        let pattern = section.get("pattern", |value| {
            let hint = "a pattern is a room name with * for a part and ** for several, such as \"game/*\"";
            Pattern::new(value.text()?).ok_or_else(|| hint.into())
        });
        let mut class = default.clone();
        let all_known = section.read(CLASS, &["pattern"], &mut class);
        let Some(pattern) = pattern else {
            if all_known && section.layers.origin(&format!("{}pattern", section.path)).is_none() {
                section.problem("a class needs a pattern, such as pattern = \"game/*\"");
            }
            continue;
        };
        if let Some(before) = seen.insert(pattern.as_str().to_owned(), section.begins().to_string()) {
            section.problem(&format!("there is a class for {:?} already, at {before}", pattern.as_str()));
        }
        config.classes.push((pattern, class));
    }
}

impl Config {
    /// Of rooms that fit no pattern.
    pub(super) fn default_class(&self) -> RoomClass {
        let mut default = RoomClass::default();
        default.period = self.tick;
        default
    }

    /// All classes.
    pub(in crate::cli) fn room_classes(&self) -> RoomClasses {
        RoomClasses { default: self.default_class(), by_pattern: self.classes.clone() }
    }
}
