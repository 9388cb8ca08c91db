//! Who has said wrong keys lately, so that guessing is slow.
//!
//! ```text
//! wrong key ──> bucket of its address, or of all others where too many are known ──empty──> not now
//! ```

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::bucket::Bucket;
use crate::server::access::owner;
use crate::time::Time;

/// Addresses that have said wrong keys.
#[derive(Debug)]
pub(super) struct Guesses {
    by_address: HashMap<IpAddr, Bucket>,
    /// Everybody for whom there is no place.
    others: Bucket,
}

/// Wrong keys of an address at once. 10: a script with an old key is found before it is shut out.
const BURST: u32 = 10;

/// And a second later. 1: a year of that finds no key of 16 characters.
const PER_SEC: u32 = 1;

/// Addresses that are known. 1,024: below 64 KiB.
const MOST: usize = 1024;

impl Guesses {
    pub(super) fn new() -> Self {
        Self { by_address: HashMap::new(), others: Bucket::full(BURST, Time::ZERO) }
    }

    /// Whether this address may try a key.
    ///
    /// # Errors
    /// When it may.
    pub(super) fn check(&mut self, from: IpAddr, now: Time) -> Result<(), Duration> {
        let from = owner(from);
        let is_full = self.by_address.len() >= MOST;
        let bucket = match self.by_address.get_mut(&from) {
            Some(bucket) => bucket,
            None if is_full => &mut self.others,
            None => return Ok(()),
        };
        if bucket.left(BURST.into(), PER_SEC.into(), now) > 0 {
            return Ok(());
        }
        let missing = bucket.take_many(1, BURST.into(), PER_SEC.into(), now).err();
        Err(missing.map_or(Duration::ZERO, crate::bucket::Missing::wait))
    }

    /// It was a wrong one.
    pub(super) fn failed(&mut self, from: IpAddr, now: Time) {
        let from = owner(from);
        if !self.by_address.contains_key(&from) && self.by_address.len() >= MOST {
            // Whoever has all its tries again is as good as unknown.
            self.by_address.retain(|_, bucket| bucket.left(BURST.into(), PER_SEC.into(), now) < BURST.into());
        }
        let is_full = self.by_address.len() >= MOST;
        let bucket = match self.by_address.get_mut(&from) {
            Some(bucket) => bucket,
            None if is_full => &mut self.others,
            None => self.by_address.entry(from).or_insert_with(|| Bucket::full(BURST, now)),
        };
        bucket.take(BURST, PER_SEC, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Time {
        Time::from_micros(secs * 1_000_000)
    }

    #[test]
    fn an_address_may_err_so_often() {
        let mut guesses = Guesses::new();
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        for _ in 0..BURST {
            assert_eq!(guesses.check(one, Time::ZERO), Ok(()));
            guesses.failed(one, Time::ZERO);
        }
        assert!(guesses.check(one, Time::ZERO).unwrap_err() <= Duration::from_millis(1001));
        assert_eq!((guesses.check(two, Time::ZERO), guesses.check(one, secs(2))), (Ok(()), Ok(())));
        // Who owns an IPv6 address owns its /64.
        for last in 0..BURST {
            guesses.failed(format!("2001:db8::{last}").parse().unwrap(), Time::ZERO);
        }
        assert!(guesses.check("2001:db8::ffff".parse().unwrap(), Time::ZERO).is_err());
    }

    #[test]
    fn many_addresses_share_what_is_left_and_are_forgotten() {
        let mut guesses = Guesses::new();
        for n in 0..2 * MOST {
            guesses.failed(IpAddr::from(u32::try_from(n).unwrap().to_be_bytes()), Time::ZERO);
        }
        assert_eq!(guesses.by_address.len(), MOST);
        let stranger = "192.0.2.1".parse().unwrap();
        assert!(guesses.check(stranger, Time::ZERO).is_err(), "for those without a place there is one bucket");
        guesses.failed(stranger, secs(60));
        assert_eq!((guesses.by_address.len(), guesses.check(stranger, secs(60))), (1, Ok(())));
    }
}
