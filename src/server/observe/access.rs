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

// The formats are those of the command line.
#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::super::{Lock, lock};
    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Lock<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What stands in the log after so many ends, as `tickwire serve` writes it.
    fn logged(json: bool, every: u64, ends: usize) -> String {
        let log = Log::default();
        let writer = log.clone();
        let builder = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        let access = Access::new(every);
        let leaving = Leaving {
            session: SessionId(7),
            subject: b"evil\n{\"level\":\"ERROR\"}\x1b[2J\xff",
            transport: "tcp",
            reason: Some(Reason::FINISHED),
            duration: Duration::from_millis(1234),
            flow: Flow { bytes_in: 1, frames_in: 2, bytes_out: 3, frames_out: 4 },
        };
        let tell = || (0..ends).for_each(|_| access.tell(&leaving));
        if json {
            tracing::subscriber::with_default(builder.json().finish(), tell);
        } else {
            tracing::subscriber::with_default(builder.finish(), tell);
        }
        String::from_utf8(lock(&log.0).clone()).unwrap()
    }

    #[test]
    fn what_a_peer_says_of_itself_stays_on_its_line_in_both_forms() {
        for json in [false, true] {
            let text = logged(json, 1, 1);
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.trim_end().contains(char::is_control), "{text:?}");
            assert!(text.contains("tickwire::access") && text.contains("evil"), "{text}");
        }
        let line: serde_json::Value = serde_json::from_str(&logged(true, 1, 1)).unwrap();
        let fields = &line["fields"];
        assert_eq!(fields["subject"], "evil\\n{\\\"level\\\":\\\"ERROR\\\"}\\u{1b}[2J\\xff");
        assert_eq!(
            (&fields["reason"], &fields["duration_ms"], &fields["frames_out"]),
            (&200.into(), &1234.into(), &4.into())
        );
    }

    #[test]
    fn one_end_in_so_many_is_told() {
        let lines = |every, ends| logged(false, every, ends).lines().count();
        assert_eq!([lines(0, 9), lines(1, 9), lines(3, 9), lines(3, 10)], [0, 9, 3, 4]);
    }
}
