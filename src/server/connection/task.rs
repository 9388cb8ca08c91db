//! A connection that is a task of its own: one that an application hands over.
//!
//! ```text
//! waker ──> poll: read, post, write ──> timer ──> asleep
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep_until, timeout};

use super::{Connection, Here};
use crate::command::{Command, SessionId};
use crate::server::inbound::Stopped;
use crate::server::mailbox::Mail;
use crate::server::outbox::Outbox;

/// Runs a connection to its end, the closing included, as a task of its own.
pub(in crate::server) async fn run<T: AsyncRead + AsyncWrite + Unpin>(mut connection: Connection<T>) {
    connection.count(|connection, tally| connection.tell_came(tally));
    let stopped = match connection.open().await {
        Stopped::Deaf => connection.hear_out().await,
        stopped => stopped,
    };
    let now = connection.surroundings.clock.now();
    connection.count(|_, tally| Connection::<T>::tell_ended(&stopped, tally));
    connection.log_ended(&stopped, now);
    connection.close(stopped).await;
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// Until the session ends.
    async fn open(&mut self) -> Stopped {
        let timer = sleep_until(tokio::time::Instant::now());
        tokio::pin!(timer);
        poll_fn(|cx| match self.poll(cx, timer.as_mut()) {
            Ok(()) => Poll::Pending,
            Err(stopped) => Poll::Ready(stopped),
        })
        .await
    }

    /// The last of what a peer says that takes nothing more, and why it ends.
    async fn hear_out(&mut self) -> Stopped {
        let patience = self.surroundings.facts.limits.discard_timeout;
        let end = poll_fn(|cx| {
            let (now, mark) = (self.surroundings.clock.now(), self.mark());
            let heard = self.poll_hear(cx, now, &mut Abroad);
            if self.has_news_since(mark) {
                self.count(|connection, tally| connection.tell(mark, tally));
            }
            heard.map_or_else(Poll::Ready, |()| Poll::Pending)
        });
        timeout(patience, end).await.unwrap_or(Stopped::Gone)
    }

    /// Everything that can be done now. The tasks that have more to give will wake us.
    fn poll(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Result<(), Stopped> {
        let (now, mark) = (self.surroundings.clock.now(), self.mark());
        let polled = self.poll_io(cx, true, now, &mut Abroad).and_then(|()| self.poll_time(cx, timer));
        if self.has_news_since(mark) {
            self.count(|connection, tally| connection.tell(mark, tally));
        }
        polled
    }

    fn poll_time(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Result<(), Stopped> {
        let clock = self.surroundings.clock;
        loop {
            let now = clock.now();
            // A delay that has ended since the socket was looked at is no deadline any more.
            self.wake_delayed(cx, now);
            let Some(deadline) = clock.instant(self.session.deadline(now)) else { return Ok(()) };
            // A deadline moves with every frame. The timer is left alone while it fires earlier: it
            // then finds nothing to do, and is set again.
            if timer.is_elapsed() || timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            let now = clock.now();
            self.session.handle_timeout(self.writer.total(), now, &mut self.output)?;
            self.poll_write(cx, now)?;
        }
    }
}

/// No shard: the connection is a task.
struct Abroad;

impl Here for Abroad {
    fn is(&self, _: usize) -> bool {
        false
    }

    fn handle(&mut self, _: SessionId, _: &Arc<Outbox>, _: Command) {}

    fn receive(&mut self, _: Mail) {}
}
