//! The room of the figures: publishes what the sampler gives, and tells it whether somebody is there.
//!
//! ```text
//! sampler ──Published──> FeedLogic ──flush──> values of the room
//!    ^─────watchers─────────┘ joined, left
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::{FEED, NOW, ROOMS};
use crate::class::{HistoryBounds, PresenceMode, RoomClass, RoomClasses};
use crate::logic::{Context, Idle, Logics, RoomLogic, Tick};
use crate::name::Pattern;
use crate::wire::{MemberNumber, Reason};

/// Between flushes. 250 ms: what figures wait at most; a flush without news sends nothing.
const PERIOD: Duration = Duration::from_millis(250);

/// How long the last points stay without anybody. As long as all of them together took.
const LINGER: Duration = Duration::from_secs(super::EVERY.as_secs() * super::KEPT);

/// What the room and the sampler share.
#[derive(Clone, Debug)]
pub(in crate::server) struct Feed {
    /// Members of the room.
    watchers: watch::Sender<usize>,
    published: watch::Sender<Published>,
}

/// Values of the room, by key.
pub(super) type Published = Arc<[(u64, Bytes)]>;

impl Feed {
    /// The room among the others of a server. Its class and its rules come first, so that no pattern takes it.
    pub(in crate::server) fn among(classes: RoomClasses, logics: Logics) -> (Self, RoomClasses, Logics) {
        let feed = Self { watchers: watch::Sender::new(0), published: watch::Sender::new(Arc::default()) };
        let classes = Self::among_classes(classes);
        // It is a name, and so a pattern.
        let Some(pattern) = Pattern::new(FEED) else { return (feed, classes, logics) };
        let shared = feed.clone();
        let make = move |_: &_| FeedLogic { feed: shared.clone(), published: shared.published.subscribe() };
        (feed, classes, logics.with_first(pattern, make))
    }

    /// The room's class before those of an operator.
    pub(in crate::server) fn among_classes(mut classes: RoomClasses) -> RoomClasses {
        let class = RoomClass {
            period: PERIOD,
            presence: PresenceMode::Off,
            linger: LINGER,
            urgent: false,
            history: HistoryBounds::NONE,
            ..RoomClass::default()
        };
        classes.by_pattern.splice(0..0, Pattern::new(FEED).map(|pattern| (pattern, class)));
        classes
    }

    /// How many look on, from now on.
    pub(super) fn watchers(&self) -> watch::Receiver<usize> {
        self.watchers.subscribe()
    }

    /// Gives the room new values. What it has not taken yet is lost.
    pub(super) fn publish(&self, values: Published) {
        self.published.send_replace(values);
    }
}

/// The room's rules.
struct FeedLogic {
    feed: Feed,
    published: watch::Receiver<Published>,
}

impl FeedLogic {
    fn count(&self, watchers: usize) {
        self.feed.watchers.send_if_modified(|last| std::mem::replace(last, watchers) != watchers);
    }
}

impl RoomLogic for FeedLogic {
    fn joined(&mut self, _member: MemberNumber, _data: &[u8], room: &mut Context<'_>) -> Result<Bytes, Reason> {
        if room.member_count() == 1 {
            // What waits is from before: what is now comes in a moment.
            self.published.mark_unchanged();
        }
        self.count(room.member_count());
        Ok(Bytes::new())
    }

    fn left(&mut self, _member: MemberNumber, _reason: Reason, room: &mut Context<'_>) {
        self.count(room.member_count());
        if room.member_count() == 0 {
            // Who comes later is not to take them for those of now. What charts show says when it was.
            let _gone = room.delete(NOW).and_then(|()| room.delete(ROOMS));
        }
    }

    fn flush(&mut self, _tick: Tick, room: &mut Context<'_>) {
        // Also where a join was refused behind our back.
        self.count(room.member_count());
        if !self.published.has_changed().unwrap_or_default() {
            return;
        }
        let published = Published::clone(&self.published.borrow_and_update());
        for (key, value) in published.iter() {
            // Where the operator has made values fewer or smaller, charts are shorter.
            let _full = room.set(*key, value);
        }
    }

    fn idle(&mut self, _room: &Context<'_>) -> Idle {
        self.count(0);
        Idle::Linger
    }
}

/// The room was closed, or its life has ended.
impl Drop for FeedLogic {
    fn drop(&mut self) {
        self.count(0);
    }
}
