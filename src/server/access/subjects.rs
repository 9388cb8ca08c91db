//! What each subject has and does (PROTOCOL 15.1): connections, and how often it connects.
//!
//! ```text
//! token ──> subject ──> has a limit? ──> its connections, its bucket ──> a seat, until the connection ends
//! ```
//!
//! Logins that fail are nobody's: a token that is not valid proves no subject, so they count against an
//! address alone.

use bytes::Bytes;

use super::table::Table;
use super::{Denied, LATER};
use crate::bucket::Bucket;
use crate::limits::Limits;
use crate::rejections::Rejected;
use crate::time::Time;

/// Every subject that is known; nobody where subjects have no limits.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    table: Table<Bytes, Bucket>,
}

impl Subjects {
    /// Whether subjects have limits at all.
    pub(super) const fn are_limited(limits: &Limits) -> bool {
        limits.subject_connections > 0 || limits.subject_connects_per_sec > 0
    }

    /// A connection has proved to be a subject's. It is there until that is taken back. One that `returns` takes the
    /// seat of one that may still be there: there may be one too many until [`is_beyond`](Self::is_beyond) is asked.
    pub(super) fn arrive(&mut self, subject: &Bytes, returns: bool, limits: &Limits, now: Time) -> Result<(), Denied> {
        let full = || Bucket::full(limits.subject_connects_burst, now);
        let Some(slot) = self.table.slot(subject, limits.max_addresses, full) else { return Ok(()) };
        let most = limits.subject_connections.saturating_add(usize::from(returns));
        if limits.subject_connections > 0 && slot.connections >= most {
            return Err(Denied { rejected: Rejected::SubjectConnections, after: LATER });
        }
        let (burst, per_sec) = (limits.subject_connects_burst.into(), limits.subject_connects_per_sec.into());
        if per_sec > 0
            && let Err(missing) = slot.entry.take_many(1, burst, per_sec, now)
        {
            return Err(Denied { rejected: Rejected::SubjectConnects, after: missing.wait() });
        }
        slot.connections += 1;
        Ok(())
    }

    /// Whether a subject has more connections than it may.
    pub(super) fn is_beyond(&mut self, subject: &Bytes, limits: &Limits) -> bool {
        limits.subject_connections > 0
            && self
                .table
                .slot(subject, limits.max_addresses, || Bucket::full(0, Time::ZERO))
                .is_some_and(|slot| slot.connections > limits.subject_connections)
    }

    /// One of its connections is gone.
    pub(super) fn leave(&mut self, subject: &Bytes) {
        self.table.leave(subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize, burst: u32, per_sec: u32) -> Limits {
        Limits {
            subject_connections: connections,
            subject_connects_burst: burst,
            subject_connects_per_sec: per_sec,
            max_addresses: 2,
            ..Limits::default()
        }
    }

    const ANN: Bytes = Bytes::from_static(b"ann");
    const BOB: Bytes = Bytes::from_static(b"bob");

    #[test]
    fn a_subject_has_so_many_connections() {
        let (mut subjects, limits) = (Subjects::default(), limits(1, 0, 0));
        let came = |subjects: &mut Subjects, who| {
            subjects.arrive(&who, false, &limits, Time::ZERO).map_err(|denied| denied.rejected)
        };
        assert_eq!(came(&mut subjects, ANN), Ok(()));
        assert_eq!(came(&mut subjects, ANN), Err(Rejected::SubjectConnections));
        assert_eq!(came(&mut subjects, BOB), Ok(()));
        subjects.leave(&ANN);
        assert_eq!(came(&mut subjects, ANN), Ok(()));
        // Who returns takes a seat that is still taken, and only one.
        assert!(!subjects.is_beyond(&ANN, &limits));
        assert!(subjects.arrive(&ANN, true, &limits, Time::ZERO).is_ok() && subjects.is_beyond(&ANN, &limits));
        assert!(subjects.arrive(&ANN, true, &limits, Time::ZERO).is_err());
        subjects.leave(&ANN);
        assert!(!subjects.is_beyond(&ANN, &limits));
    }

    #[test]
    fn a_subject_connects_so_often() {
        let (mut subjects, limits) = (Subjects::default(), limits(0, 2, 1));
        let mut came = |who, millis: u64| subjects.arrive(&who, false, &limits, Time::from_micros(millis * 1000));
        assert!(came(ANN, 0).is_ok() && came(ANN, 0).is_ok());
        let denied = came(ANN, 0).unwrap_err();
        assert_eq!((denied.rejected, denied.after.as_millis()), (Rejected::SubjectConnects, 1000));
        assert!(came(BOB, 0).is_ok() && came(ANN, 1001).is_ok() && came(ANN, 1001).is_err());
    }

    #[test]
    fn subjects_without_connections_make_room() {
        let (mut subjects, limits) = (Subjects::default(), limits(1, 0, 0));
        for number in 0..1000_u32 {
            let subject = Bytes::copy_from_slice(&number.to_be_bytes());
            assert!(subjects.arrive(&subject, false, &limits, Time::ZERO).is_ok());
            subjects.leave(&subject);
        }
        let (known, idle) = subjects.table.sizes();
        assert!(known == 2 && idle <= 2 * 2 + 65);
    }
}
