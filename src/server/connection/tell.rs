//! What a connection tells whoever counts for it.
//!
//! ```text
//! mark ──turn──> tell: what the turn has brought ──> tally
//! ```

use std::sync::Arc;

use super::Connection;
use crate::server::inbound::Stopped;
use crate::server::observe::tally::ByTransport;
use crate::server::observe::{Flow, Leaving, Tally};
use crate::server::writer::Framing;
use crate::time::Time;
use crate::wire::Reason;

/// How a connection stood before a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Mark {
    flow: Flow,
    greeted: bool,
}

impl<T> Connection<T> {
    /// How it stands now.
    pub(in crate::server) const fn mark(&self) -> Mark {
        let (bytes_in, frames_in) = self.inbound.counts();
        let (bytes_out, frames_out) = self.writer.counts();
        Mark { flow: Flow { bytes_in, frames_in, bytes_out, frames_out }, greeted: self.greeted }
    }

    /// Whether there is something to tell since `mark`.
    pub(super) fn has_news_since(&self, mark: Mark) -> bool {
        self.mark() != mark || self.output.refused.is_some()
    }

    /// Counts what came since `mark`.
    pub(in crate::server) fn tell(&mut self, mark: Mark, tally: &mut Tally) {
        let now = self.mark();
        tally.flow += now.flow - mark.flow;
        if now.greeted && !mark.greeted {
            *self.of_its_transport(&mut tally.greeted) += 1;
        }
        if let Some(refused) = self.output.refused.take() {
            refused.into_iter().for_each(|reason| tally.refused.add(reason));
        }
    }

    /// Counts it as one that came.
    pub(in crate::server) const fn tell_came(&self, tally: &mut Tally) {
        *self.of_its_transport(&mut tally.came) += 1;
    }

    /// Counts its end.
    pub(in crate::server) fn tell_ended(stopped: &Stopped, tally: &mut Tally) {
        match reason(stopped) {
            Some(reason) => tally.ended.add(reason),
            None => tally.gone += 1,
        }
    }

    /// Has the access log tell its end.
    pub(in crate::server) fn log_ended(&self, stopped: &Stopped, now: Time) {
        self.place.observe().access.tell(&Leaving {
            session: self.place.session,
            subject: self.session.subject(),
            transport: if self.writer.framing() == Framing::Tcp { "tcp" } else { "websocket" },
            reason: reason(stopped),
            duration: now.since(self.connected),
            flow: self.mark().flow,
        });
    }

    /// For a connection that is a task: counts in its row.
    pub(super) fn count(&mut self, count: impl FnOnce(&mut Self, &mut Tally)) {
        let observe = Arc::clone(self.place.observe());
        observe.count(self.place.session.0, |tally| count(self, tally));
    }

    const fn of_its_transport<'a>(&self, counts: &'a mut ByTransport) -> &'a mut u64 {
        match self.writer.framing() {
            Framing::Tcp => &mut counts.tcp,
            Framing::WebSocket => &mut counts.websocket,
        }
    }
}

/// Why it ends; `None` where nobody has said so.
const fn reason(stopped: &Stopped) -> Option<Reason> {
    match stopped {
        Stopped::Ending(ending) | Stopped::WebSocket(ending, _) => Some(ending.reason),
        Stopped::Left(_) | Stopped::Deaf | Stopped::Gone => None,
    }
}
