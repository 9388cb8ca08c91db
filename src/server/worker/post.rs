//! A worker's shard and its mail, and the shard as a connection of the same worker sees it.
//!
//! ```text
//! hub ──mail──> Post ──> shard <── OurShard ── a connection that has its turn
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use crate::command::{Command, SessionId};
use crate::server::connection::Here;
use crate::server::hub::Hub;
use crate::server::mailbox::Mail;
use crate::server::outbox::Outbox;
use crate::server::shard::Shard;
use crate::time::Time;

/// A worker's shard and its mail.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) hub: Arc<Hub>,
    pub(super) index: usize,
    pub(super) shard: Shard,
    /// What was taken of the mailbox. Kept for its memory.
    mail: VecDeque<Mail>,
    /// Something was handled since the shard's last turn ended.
    pub(super) touched: bool,
}

/// Places for mail that are kept. 256: more than a tick of a busy room brings.
const KEPT_MAIL: usize = 256;

/// Mail that is handled before the clock is looked at. 8: some thousand commands at worst.
const MAIL: usize = 8;

impl Post {
    pub(super) const fn new(hub: Arc<Hub>, index: usize, shard: Shard) -> Self {
        Self { hub, index, shard, mail: VecDeque::new(), touched: false }
    }

    /// Handles all the mail that has come so far.
    pub(super) fn receive(&mut self, now: Time) {
        // What was taken before came before.
        while self.handle_some(now) {}
        self.take_mail();
        while self.handle_some(now) {}
    }

    /// Takes what is in the mailbox, where all that was taken before has been handled.
    pub(super) fn take_mail(&mut self) {
        if self.mail.is_empty() {
            // The places of a flood are given back.
            if self.mail.capacity() > KEPT_MAIL {
                self.mail = VecDeque::new();
            }
            self.hub.take_mail(&mut self.mail);
        }
    }

    /// Handles the mail that was taken, up to a bound. False where there was none.
    pub(super) fn handle_some(&mut self, now: Time) -> bool {
        let count = self.mail.len().min(MAIL);
        for mail in self.mail.drain(..count) {
            self.shard.handle(mail, now);
        }
        self.touched |= count > 0;
        count > 0
    }
}

/// The worker's shard, for a connection that has its turn.
pub(super) struct OurShard<'a> {
    post: &'a mut Post,
    now: Time,
    /// Whether the shard is at work, so that a panic is its own.
    pub(super) busy: bool,
}

impl<'a> OurShard<'a> {
    pub(super) const fn new(post: &'a mut Post, now: Time) -> Self {
        Self { post, now, busy: false }
    }

    fn work(&mut self, work: impl FnOnce(&mut Shard, Time)) {
        self.busy = true;
        // What another connection of this session posted before came by the mailbox.
        self.post.receive(self.now);
        work(&mut self.post.shard, self.now);
        self.post.touched = true;
        self.busy = false;
    }
}

impl Here for OurShard<'_> {
    fn is(&self, shard: usize) -> bool {
        shard == self.post.index
    }

    fn handle(&mut self, session: SessionId, outbox: &Arc<Outbox>, command: Command) {
        self.work(|shard, now| shard.handle_command(session, outbox, command, now));
    }

    fn receive(&mut self, mail: Mail) {
        self.work(|shard, now| shard.handle(mail, now));
    }
}
