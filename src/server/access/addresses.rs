//! What each address has and does: connections, how often it connects, how often a login fails.
//!
//! ```text
//! address ──/64 of IPv6──> entry: connections, without hello, buckets
//! ```

use std::net::{IpAddr, Ipv6Addr};

use super::table::Table;
use super::{Denied, LATER};
use crate::bucket::Bucket;
use crate::limits::Limits;
use crate::rejections::Rejected;
use crate::time::Time;

/// Every address that is known.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    table: Table<IpAddr, Entry>,
}

#[derive(Debug)]
struct Entry {
    greeting: usize,
    connects: Bucket,
    failures: Bucket,
}

impl Addresses {
    /// A connection came. It is there, and without hello, until that is taken back.
    pub(super) fn arrive(&mut self, address: IpAddr, limits: &Limits, now: Time) -> Result<(), Denied> {
        let make = || Entry {
            greeting: 0,
            connects: Bucket::full(limits.address_connects_burst, now),
            failures: Bucket::full(limits.address_failures_burst, now),
        };
        let Some(slot) = self.table.slot(&owner(address), limits.max_addresses, make) else { return Ok(()) };
        let entry = &mut slot.entry;
        let deny = |rejected, after| Err(Denied { rejected, after });
        let (burst, per_sec) = (limits.address_failures_burst.into(), limits.address_failures_per_sec.into());
        if entry.failures.left(burst, per_sec, now) == 0 {
            let missing = entry.failures.take_many(1, burst, per_sec, now).err();
            return deny(Rejected::AddressFailures, missing.map_or(LATER, |missing| missing.wait()));
        }
        if slot.connections >= limits.address_connections {
            return deny(Rejected::AddressConnections, LATER);
        }
        if entry.greeting >= limits.address_greetings {
            return deny(Rejected::AddressGreetings, LATER);
        }
        let (burst, per_sec) = (limits.address_connects_burst.into(), limits.address_connects_per_sec.into());
        if let Err(missing) = entry.connects.take_many(1, burst, per_sec, now) {
            return deny(Rejected::AddressConnects, missing.wait());
        }
        slot.connections += 1;
        entry.greeting += 1;
        Ok(())
    }

    /// One of its connections has said hello.
    pub(super) fn greeted(&mut self, address: IpAddr) {
        if let Some(entry) = self.table.get(&owner(address)) {
            entry.greeting = entry.greeting.saturating_sub(1);
        }
    }

    /// One of its connections is gone.
    pub(super) fn leave(&mut self, address: IpAddr) {
        self.table.leave(&owner(address));
    }

    /// A login of it has failed.
    pub(super) fn failed_login(&mut self, address: IpAddr, limits: &Limits, now: Time) {
        if let Some(entry) = self.table.get(&owner(address)) {
            entry.failures.take(limits.address_failures_burst, limits.address_failures_per_sec, now);
        }
    }
}

/// Who owns one IPv6 address owns all that share its first 64 bits.
pub(in crate::server) fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
        let mut limits = Limits::default();
        (limits.address_connects_burst, limits.address_connects_per_sec) = (3, 1);
        (limits.address_failures_burst, limits.address_failures_per_sec) = (2, 1);
        change(&mut limits);
        limits
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const START: Time = Time::ZERO;

    #[test]
    fn an_address_connects_so_often() {
        let (mut addresses, limits) = (Addresses::default(), limits(|_| {}));
        let mut came = |address, millis: u64| {
            addresses.arrive(ip(address), &limits, Time::from_micros(millis * 1000)).map_err(|denied| denied.rejected)
        };
        let denied = Err(Rejected::AddressConnects);
        assert_eq!([came("192.0.2.1", 0), came("192.0.2.1", 0), came("::ffff:192.0.2.1", 0)], [Ok(()); 3]);
        assert_eq!((came("192.0.2.1", 0), came("192.0.2.2", 0)), (denied, Ok(())));
        assert_eq!((came("192.0.2.1", 1000), came("192.0.2.1", 1000)), (Ok(()), denied));
        // The first 64 bits of IPv6 are one.
        assert_eq!([came("2001:db8::1", 0), came("2001:db8::2", 0), came("2001:db8::ffff:3", 0)], [Ok(()); 3]);
        assert_eq!((came("2001:db8::4", 0), came("2001:db8:0:1::4", 0)), (denied, Ok(())));
    }

    #[test]
    fn an_address_has_so_many_connections() {
        let limits = limits(|limits| {
            (limits.address_connections, limits.address_greetings, limits.address_connects_burst) = (2, 1, 100);
        });
        let mut addresses = Addresses::default();
        let one = ip("192.0.2.1");
        assert_eq!(addresses.arrive(one, &limits, START), Ok(()));
        let denied = addresses.arrive(one, &limits, START).unwrap_err();
        assert_eq!((denied.rejected, denied.after), (Rejected::AddressGreetings, LATER));
        addresses.greeted(one);
        assert_eq!(addresses.arrive(one, &limits, START), Ok(()));
        addresses.greeted(one);
        assert_eq!(addresses.arrive(one, &limits, START).unwrap_err().rejected, Rejected::AddressConnections);
        addresses.leave(one);
        assert_eq!(addresses.arrive(one, &limits, START), Ok(()));
    }

    #[test]
    fn who_fails_to_log_in_waits() {
        let (mut addresses, limits) = (Addresses::default(), limits(|_| {}));
        let one = ip("192.0.2.1");
        assert_eq!(addresses.arrive(one, &limits, START), Ok(()));
        addresses.failed_login(one, &limits, START);
        addresses.failed_login(one, &limits, START);
        let denied = addresses.arrive(one, &limits, START).unwrap_err();
        assert_eq!((denied.rejected, denied.after), (Rejected::AddressFailures, Duration::from_micros(1_000_001)));
        assert_eq!(addresses.arrive(ip("192.0.2.2"), &limits, START), Ok(()));
        assert_eq!(addresses.arrive(one, &limits, START.after(denied.after)), Ok(()));
    }

    #[test]
    fn the_table_forgets_whoever_was_idle_for_longest() {
        let limits = limits(|limits| (limits.max_addresses, limits.address_connects_burst) = (3, 1));
        let mut addresses = Addresses::default();
        let [busy, first, second, third] = [1, 2, 3, 4].map(|last| IpAddr::from([192, 0, 2, last]));
        for address in [busy, first, second] {
            assert_eq!(addresses.arrive(address, &limits, START), Ok(()));
        }
        addresses.leave(second);
        addresses.leave(first);
        assert_eq!(addresses.arrive(third, &limits, START), Ok(()));
        assert_eq!(addresses.table.sizes().0, 3);
        // The others are known: their buckets are empty.
        let denied = |result: Result<(), Denied>| result.is_err();
        assert!(denied(addresses.arrive(first, &limits, START)) && denied(addresses.arrive(busy, &limits, START)));
        assert_eq!(addresses.arrive(second, &limits, START), Ok(()), "it was forgotten, and first for it");
        // All have connections: the table grows with these.
        assert_eq!(addresses.arrive(first, &limits, START), Ok(()));
        assert_eq!(addresses.table.sizes().0, 4);
    }

    #[test]
    fn coming_and_going_does_not_grow_it() {
        let limits = limits(|limits| (limits.max_addresses, limits.address_connects_burst) = (50, 1_000_000));
        let mut addresses = Addresses::default();
        for turn in 0..10_000_u32 {
            let address = IpAddr::from((turn % 100).to_be_bytes());
            assert_eq!(addresses.arrive(address, &limits, START), Ok(()));
            addresses.greeted(address);
            addresses.leave(address);
        }
        assert_eq!(addresses.table.sizes().0, 50);
        assert!(addresses.table.sizes().1 <= 2 * 50 + 65);
    }

    #[test]
    fn who_is_denied_at_once_is_forgotten_like_others() {
        let limits = limits(|limits| (limits.max_addresses, limits.address_connections) = (2, 0));
        let mut addresses = Addresses::default();
        for last in 0..9 {
            assert!(addresses.arrive(IpAddr::from([192, 0, 2, last]), &limits, START).is_err());
        }
        assert_eq!(addresses.table.sizes().0, 2);
    }
}
