//! The access log: a line for every so many connections that ended.
//!
//! ```text
//! INFO tickwire::access: connection ended session=7 transport="tcp" reason=200 .. duration_ms=1234 ..
//! ```
//!
//! Off unless asked for: strangers decide how often connections end, and nothing they do may fill a log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::info;

use super::escaped::Escaped;
use super::tally::Flow;
use crate::command::SessionId;
use crate::wire::Reason;

/// Which ends are told.
#[derive(Debug)]
pub(in crate::server) struct Access {
    /// One in so many; 0 for none.
    every: u64,
    ended: AtomicU64,
}

/// A connection that has ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Leaving<'a> {
    pub(in crate::server) session: SessionId,
    /// Who the peer is; empty where it is anonymous. In the peer's own bytes.
    pub(in crate::server) subject: &'a [u8],
    pub(in crate::server) transport: &'static str,
    /// Why; `None` where the connection broke, or the peer left without a word.
    pub(in crate::server) reason: Option<Reason>,
    pub(in crate::server) duration: Duration,
    pub(in crate::server) flow: Flow,
}

impl Access {
    pub(super) const fn new(every: u64) -> Self {
        Self { every, ended: AtomicU64::new(0) }
    }

    /// Tells of a connection that has ended, where it is its turn. Counted and not drawn: two lines are
    /// always so many ends apart.
    pub(in crate::server) fn tell(&self, leaving: &Leaving<'_>) {
        if self.every == 0 {
            return;
        }
        let before = self.ended.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(self.every) {
            write(leaving);
        }
    }
}

fn write(leaving: &Leaving<'_>) {
    let Leaving { session, subject, transport, reason, duration, flow } = *leaving;
    info!(
        target: "tickwire::access",
        session = session.0,
        subject = %Escaped(subject),
        transport,
        reason = reason.map_or(0, |reason| reason.0),
        sentence = reason.map_or("The connection broke.", Reason::sentence),
        duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        frames_in = flow.frames_in,
        bytes_in = flow.bytes_in,
        frames_out = flow.frames_out,
        bytes_out = flow.bytes_out,
        "connection ended",
    );
}
