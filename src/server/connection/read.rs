//! From the socket to the shards: when it is read, how long, and who gets the commands.
//!
//! ```text
//! socket ──inbound──> session ──commands──> the shard that runs us, at once
//!    └── not while too many chunks wait        └──> mailboxes of others
//! ```

use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::command::{Command, SessionId};
use crate::server::inbound::{Progress, Stopped};
use crate::server::mailbox::{Mail, ShardGone};
use crate::server::outbox::Outbox;
use crate::session::Ending;
use crate::time::Time;
use crate::wire::{Capabilities, Reason};

/// Whether the socket is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    On,
    /// As many of our chunks wait in mailboxes as may.
    Backlogged,
    /// It was too quick.
    Delayed,
}

/// The shard that runs a connection, if one does.
pub(in crate::server) trait Here {
    /// Whether it is this one.
    fn is(&self, shard: usize) -> bool;

    /// Does at once what a session asks for.
    fn handle(&mut self, session: SessionId, outbox: &Arc<Outbox>, command: Command);

    /// As mail that came.
    fn receive(&mut self, mail: Mail);
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// Whether as many of our chunks wait in mailboxes as may. Whoever lives with all its rooms has none there,
    /// and need not ask.
    pub(super) fn is_backlogged(&mut self) -> bool {
        if !self.mailed {
            return false;
        }
        let chunks = self.outbox.chunks();
        self.mailed = chunks > 0;
        chunks >= self.surroundings.facts.limits.connection_chunks
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, now: Time) -> Result<(), Stopped> {
        if !self.poll_identify(cx, now)? || !self.poll_resume(cx, now)? {
            return Ok(());
        }
        let pauses = match () {
            () if self.is_backlogged() => Reading::Backlogged,
            () if self.session.is_delayed(now) => Reading::Delayed,
            () => Reading::On,
        };
        if pauses != Reading::On {
            self.reading = pauses;
            self.session.handle_paused(now);
            return Ok(());
        }
        if self.reading != Reading::On {
            self.reading = Reading::On;
            self.session.handle_resumed(now);
        }
        let Self { io, inbound, session, writer, output, .. } = self;
        match inbound.poll_read(io, cx, session, now, writer, output) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(progress)) => {
                if progress == Progress::All {
                    // The socket knows whether a read has taken everything, and asks again only where
                    // it has not.
                    self.read_again(cx, now)?;
                } else {
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Ready(Err(stopped)) => return Err(stopped),
        }
        self.handle_greeted();
        // Hello may have asked for another session, or brought a token.
        if self.session.is_waiting() {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Where hello was accepted, and that is new.
    pub(super) fn handle_greeted(&mut self) {
        if !self.session.is_open() || std::mem::replace(&mut self.greeted, true) {
            return;
        }
        self.guest.iter_mut().for_each(|guest| guest.greeted());
        if self.session.capabilities().has(Capabilities::RESUME) {
            self.outbox.keep_directs();
        }
    }

    /// Reads until the socket has no more, so that it will wake us, or until it is another's turn.
    fn read_again(&mut self, cx: &mut Context<'_>, now: Time) -> Result<(), Stopped> {
        /// Reads in a turn. 8: 128 KiB, after which other connections have their turn.
        const READS: usize = 8;
        /// Commands in a chunk, about. 256: what a shard handles in a fraction of a millisecond.
        const COMMANDS: usize = 256;
        for _ in 1..READS {
            if self.output.commands.len() >= COMMANDS || self.session.is_delayed(now) {
                break;
            }
            let Self { io, inbound, session, writer, output, .. } = self;
            match inbound.poll_read(io, cx, session, now, writer, output) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(stopped)) => return Err(stopped),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Commands go to their shards: at once to the one that runs us, and as one chunk of mail to each
    /// of the others that is meant.
    pub(super) fn post(&mut self, here: &mut impl Here, now: Time) -> Result<(), Stopped> {
        if self.output.commands.is_empty() {
            return Ok(());
        }
        let tracks = self.session.capabilities().has(Capabilities::ACCEPTED);
        let mut by_shard: SmallVec<[(usize, SmallVec<[Command; 1]>); 1]> = SmallVec::new();
        for (route, command) in self.output.commands.drain(..) {
            let shard = self.surroundings.mailboxes.shard(route);
            // Where somebody asks what is accepted, chunks are counted.
            if here.is(shard) && !tracks {
                self.rooms.visit(shard);
                here.handle(self.rooms.session(), &self.outbox, command);
                continue;
            }
            match by_shard.iter_mut().find(|(other, _)| *other == shard) {
                Some((_, list)) => list.push(command),
                None => by_shard.push((shard, SmallVec::from_buf([command]))),
            }
        }
        for (shard, commands) in by_shard {
            let by = self.surroundings.mailboxes.due(&commands, now);
            let mail = self.rooms.address(shard, &self.outbox, tracks, commands);
            let delivered = if here.is(shard) {
                here.receive(mail);
                Ok(())
            } else {
                // A sender that may send no more until its mail is read does not wait for a tick.
                self.mailed = true;
                let by = if self.is_backlogged() { Time::ZERO } else { by };
                self.surroundings.mailboxes.send(shard, mail, by)
            };
            delivered.map_err(|ShardGone| Ending::because(Reason::INTERNAL))?;
        }
        Ok(())
    }
}
