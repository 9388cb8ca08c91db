//! A session's part in the shards: what it posts, and that it leaves.
//!
//! ```text
//! chunk ──> mailbox      connection gone ──> away, at each shard      dropped ──> ended, at each shard
//! ```

use std::sync::Arc;

use smallvec::SmallVec;

use super::mailbox::{Mail, Mailboxes};
use super::outbox::Outbox;
use super::registry::Place;
use crate::command::{Command, SessionId};
use crate::time::Time;
use crate::wire::Reason;

/// The shards where this session may be in rooms. Dropping it, also in a panic, leaves them all.
#[derive(Debug)]
pub(super) struct Rooms {
    mailboxes: Mailboxes,
    place: Arc<Place>,
    /// The place's. Here it is where every command passes anyway.
    session: SessionId,
    /// Every shard that was ever sent something, and whether that was after it was told that the
    /// session is away. There are fewer than 2^32 shards.
    shards: SmallVec<[(u32, bool); 2]>,
    pub(super) last_will: Reason,
}

impl Rooms {
    /// No rooms yet.
    pub(super) fn new(mailboxes: Mailboxes, place: Arc<Place>) -> Self {
        let session = place.session;
        Self { mailboxes, place, session, shards: SmallVec::new(), last_will: Reason::FINISHED }
    }

    /// A shard is about to be told something.
    pub(super) fn visit(&mut self, shard: usize) {
        let shard = u32::try_from(shard).unwrap_or(u32::MAX);
        match self.shards.iter_mut().find(|(other, _)| *other == shard) {
            Some((_, here)) => *here = true,
            None => self.shards.push((shard, true)),
        }
    }

    pub(super) const fn session(&self) -> SessionId {
        self.session
    }

    /// A chunk of commands as mail for a shard, which the caller delivers. `tracks` says whether the
    /// outbox is to know when it is done.
    pub(super) fn address(
        &mut self,
        shard: usize,
        outbox: &Arc<Outbox>,
        tracks: bool,
        commands: SmallVec<[Command; 1]>,
    ) -> Mail {
        self.visit(shard);
        let mut numbers = commands.iter().filter_map(|command| match command {
            Command::Publish(publish) => Some(publish),
            _ => None,
        });
        let first = if tracks { numbers.next() } else { None };
        let acknowledge = first.is_some_and(|first| first.acknowledge) || numbers.any(|publish| publish.acknowledge);
        let ticket = outbox.chunk_sent(first.map(|publish| publish.number), acknowledge);
        Mail::Chunk { session: self.session, outbox: Arc::clone(outbox), ticket, commands }
    }

    /// The session's connection is gone, and may come back.
    pub(super) fn away(&mut self) {
        let (mailboxes, session) = (&self.mailboxes, self.session);
        for (shard, here) in self.shards.iter_mut().filter(|(_, here)| *here) {
            *here = false;
            // A shard that is gone has no rooms to be away from.
            let _gone = mailboxes.send(index(*shard), Mail::Away { session }, Time::ZERO);
        }
    }
}

fn index(shard: u32) -> usize {
    usize::try_from(shard).unwrap_or(usize::MAX)
}

impl Drop for Rooms {
    fn drop(&mut self) {
        for (shard, _) in &self.shards {
            let ended = Mail::Ended { place: Arc::clone(&self.place), reason: self.last_will };
            // A shard that is gone has no rooms to leave.
            let _gone = self.mailboxes.send(index(*shard), ended, Time::ZERO);
        }
    }
}
