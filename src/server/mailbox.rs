//! The mailboxes of shards: what reaches a shard from connections of other workers, and from the rest of the server.
//!
//! ```text
//! session ──Mail──> Mailboxes ──by its room──> Door ──> hub of the worker, or channel of the task
//! ```

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::{mpsc, oneshot};

use super::api::{QUESTIONS, Question};
use super::errand::Errand;
use super::hub::Hub;
use super::observe::Asked;
use super::outbox::Outbox;
use super::registry::Place;
use super::reload::Rules;
use crate::class::RoomClasses;
use crate::command::{Command, SessionId};
use crate::limits::Limits;
use crate::session::Route;
use crate::time::Time;
use crate::wire::{Position, Reason, RoomId};

/// What one read of one connection brought for a shard, or its end.
#[derive(Debug)]
pub(super) enum Mail {
    /// Commands, in order.
    Chunk {
        /// Whose.
        session: SessionId,
        /// Where answers go.
        outbox: Arc<Outbox>,
        /// What to tell the outbox when it is done.
        ticket: u64,
        /// Mostly one; a read of several messages has more.
        commands: SmallVec<[Command; 1]>,
    },
    /// A session's connection is gone, and may come back.
    Away {
        /// Whose.
        session: SessionId,
    },
    /// A session is over.
    Ended {
        /// Whose place it was. It is given back when every shard has read this, so that mail of
        /// sessions that are over counts in [`size`] too.
        place: Arc<Place>,
        /// Its last will.
        reason: Reason,
    },
    /// Somebody wants to know what was counted.
    Observe(Asked),
    /// The server is going away: rooms send what they have, and who receives learns where they end.
    GoAway(oneshot::Sender<Finals>),
    /// Somebody asks something of the rooms.
    Ask(Question),
    /// There are other rules.
    Rules(Arc<Rules>),
    /// Something is to run where the shard does.
    Run(Arc<Errand>),
}

/// Who receives which room, and the room's last position.
pub(super) type Finals = Vec<(SessionId, RoomId, Position)>;

/// The mailboxes of all shards. A pointer: every connection has one.
#[derive(Clone, Debug)]
pub(super) struct Mailboxes(Arc<Doors>);

#[derive(Debug)]
struct Doors {
    doors: Arc<[Door]>,
    /// What a message of a tick may wait for its shard to wake: the period that all rooms have. Zero
    /// where they have several, or flush at once.
    patience: Duration,
}

/// A shard's mailbox.
#[derive(Debug)]
pub(super) enum Door {
    /// It is a task.
    Task(mpsc::Sender<Mail>),
    /// A worker runs it.
    Worker(Arc<Hub>),
}

/// A shard is gone, and its rooms with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShardGone;

impl Mailboxes {
    pub(super) fn new(doors: Arc<[Door]>, classes: &RoomClasses) -> Self {
        Self(Arc::new(Doors { doors, patience: patience(classes) }))
    }

    /// The same, where new rooms are of other classes. Rooms that are there may be of the old ones, which a longer
    /// patience would make late.
    pub(super) fn with_classes(&self, classes: &RoomClasses) -> Self {
        let patience = self.0.patience.min(patience(classes));
        Self(Arc::new(Doors { doors: Arc::clone(&self.0.doors), patience }))
    }

    /// The same rooms, behind other doors.
    pub(super) fn with_doors(&self, doors: Arc<[Door]>) -> Self {
        Self(Arc::new(Doors { doors, patience: self.0.patience }))
    }

    /// How many shards there are.
    pub(super) fn len(&self) -> usize {
        self.0.doors.len()
    }

    /// The shard of a room.
    pub(super) fn shard(&self, route: Route) -> usize {
        // The remainder is below the number of shards.
        usize::try_from(route.0 % self.0.doors.len() as u64).unwrap_or_default()
    }

    /// When commands should be with their shard at the latest.
    pub(super) fn due(&self, commands: &[Command], now: Time) -> Time {
        let waits =
            |command: &Command| matches!(command, Command::Publish(publish) if !publish.urgent && !publish.acknowledge);
        if commands.iter().all(waits) { now.after(self.0.patience) } else { Time::ZERO }
    }

    /// How much mail waits for a shard.
    pub(super) fn depth(&self, shard: usize) -> usize {
        match self.0.doors.get(shard) {
            Some(Door::Task(sender)) => sender.max_capacity() - sender.capacity(),
            Some(Door::Worker(hub)) => hub.waiting(),
            None => 0,
        }
    }

    /// Puts mail into a shard's mailbox, to be read by the time `by`. There is room: see [`size`].
    pub(super) fn send(&self, shard: usize, mail: Mail, by: Time) -> Result<(), ShardGone> {
        match self.0.doors.get(shard).ok_or(ShardGone)? {
            Door::Task(sender) => sender.try_send(mail).map_err(|_| ShardGone),
            Door::Worker(hub) => hub.post(mail, by),
        }
    }
}

/// The period that all rooms have, if they do.
fn patience(classes: &RoomClasses) -> Duration {
    let period = classes.default.period;
    let even = classes.by_pattern.iter().all(|(_, class)| class.period == period);
    if even { period } else { Duration::ZERO }
}

/// Every session's own bound, those that wait for their clients included, and its end, for all of them: so a mailbox is never full, and a
/// reader that sends too much is stopped by its own bound and by nobody else's. Between two times
/// that a session is away there is a chunk of it.
pub(super) const fn size(limits: &Limits) -> usize {
    let sessions = limits.max_connections.saturating_add(limits.max_away);
    // Four more: a scrape asks, rules change, and something is to run, each never twice at a time; and the server goes
    // away once.
    // Operators ask too.
    let each = limits.connection_chunks.saturating_add(2).saturating_mul(2);
    sessions.saturating_mul(each).saturating_add(4 + QUESTIONS)
}
