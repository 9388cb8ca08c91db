//! What was turned away, counted by why: one number for each bound that somebody has met.
//!
//! Rooms count what they refuse in [`Counters`](crate::dispatcher::Counters), which belong to one shard.
//! What is here is shared by all connections of a server, and is touched only where something is rejected.

use core::sync::atomic::{AtomicU64, Ordering};

macro_rules! rejected {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Why somebody, or something, was turned away.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Rejected {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rejected {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// A name for metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

rejected! {
    /// A connection: as many as may be there are.
    Full = "full",
    /// A connection: as many without hello as may be there are.
    Greetings = "greetings",
    /// A connection: memory is short.
    Memory = "memory",
    /// A connection: its address connects too often.
    AddressConnects = "address_connects",
    /// A connection: its address has as many as it may.
    AddressConnections = "address_connections",
    /// A connection: its address has as many without hello as it may.
    AddressGreetings = "address_greetings",
    /// A connection: its address has failed to log in too often.
    AddressFailures = "address_failures",
    /// A connection: its subject has as many as it may.
    SubjectConnections = "subject_connections",
    /// A connection: its subject connects too often.
    SubjectConnects = "subject_connects",
    /// A connection of a listed proxy, without a PROXY header that can be read, or not in time.
    ProxyHeader = "proxy_header",
    /// A request of a page whose origin is not allowed.
    Origin = "origin",
    /// A request that is no WebSocket request as it must be.
    Handshake = "handshake",
    /// A request whose head is larger than it may be.
    HeadTooLarge = "head_too_large",
    /// A request that did not come in time.
    HeadTimeout = "head_timeout",
    /// Messages beyond their rate.
    Messages = "messages",
    /// Messages beyond the rate of their bytes.
    Bytes = "bytes",
    /// Joins beyond their rate.
    Joins = "joins",
    /// Pings beyond their rate.
    Pings = "pings",
    /// Refusals beyond their rate.
    Refusals = "refusals",
}

/// So many of each.
#[derive(Debug, Default)]
pub struct Rejections {
    counts: [AtomicU64; Rejected::ALL.len()],
}

impl Rejections {
    /// One more.
    pub fn count(&self, rejected: Rejected) {
        if let Some(count) = self.counts.get(rejected as usize) {
            // It only grows, and orders nothing.
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// So many so far.
    #[must_use]
    pub fn get(&self, rejected: Rejected) -> u64 {
        self.counts.get(rejected as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Names and numbers, in a fixed order.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Rejected::ALL.iter().map(|rejected| (rejected.name(), self.get(*rejected)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_number() {
        let rejections = Rejections::default();
        for (index, rejected) in Rejected::ALL.iter().enumerate() {
            assert_eq!(*rejected as usize, index);
            (0..index).for_each(|_| rejections.count(*rejected));
        }
        let counts: Vec<u64> = rejections.entries().map(|(_, count)| count).collect();
        assert!(counts.iter().copied().eq(0..Rejected::ALL.len() as u64));
        let mut names: Vec<_> = rejections.entries().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), counts.len());
    }
}
