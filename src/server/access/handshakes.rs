//! Places among the TLS handshakes: so many in all, and so many for each address.
//!
//! ```text
//! address ──in turn──> one of its own places ──in turn──> one of all ──> handshake
//! ```
//!
//! Who waits for a place of its own address takes nobody else's turn. Only addresses that shake hands or
//! wait for it are remembered, so there are no more of them than connections without hello.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::addresses;
use crate::limits::Limits;

#[expect(clippy::disallowed_types, reason = "taken when a handshake begins or ends, never per message")]
type Lock<T> = std::sync::Mutex<T>;

/// The TLS handshakes of a server.
#[derive(Debug)]
pub(in crate::server) struct Handshakes {
    all: Arc<Semaphore>,
    /// Places of each address.
    each: usize,
    by_address: Lock<HashMap<IpAddr, Own>>,
}

/// The places of one address.
#[derive(Debug)]
struct Own {
    places: Arc<Semaphore>,
    /// Who holds one, or waits.
    users: usize,
}

/// A place among the handshakes. Dropping it gives it back.
#[derive(Debug)]
pub(in crate::server) struct Handshake {
    // Given back in this order: whoever is next at this address waits for both.
    _all: OwnedSemaphorePermit,
    _own: Option<(OwnedSemaphorePermit, User)>,
}

/// Somebody whose address is remembered.
#[derive(Debug)]
struct User {
    handshakes: Arc<Handshakes>,
    key: IpAddr,
}

impl Handshakes {
    pub(in crate::server) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(limits.max_handshakes.min(Semaphore::MAX_PERMITS))),
            each: limits.address_handshakes.min(Semaphore::MAX_PERMITS),
            by_address: Lock::default(),
        })
    }

    /// A place, in turn. Without an address only the bound on all counts: a proxy shakes hands for others.
    /// Cancel safe, but for the turn.
    pub(in crate::server) async fn begin(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Handshake> {
        let own = match address {
            Some(address) => {
                let (places, user) = self.enter(addresses::owner(address));
                Some((places.acquire_owned().await.ok()?, user))
            }
            None => None,
        };
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Handshake { _all: all, _own: own })
    }

    /// How many may begin.
    #[cfg(test)]
    pub(in crate::server) fn free(&self) -> usize {
        self.all.available_permits()
    }

    fn enter(self: &Arc<Self>, key: IpAddr) -> (Arc<Semaphore>, User) {
        let mut by_address = self.lock();
        let own =
            by_address.entry(key).or_insert_with(|| Own { places: Arc::new(Semaphore::new(self.each)), users: 0 });
        own.users += 1;
        (Arc::clone(&own.places), User { handshakes: Arc::clone(self), key })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Own>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut by_address = self.handshakes.lock();
        let Some(own) = by_address.get_mut(&self.key) else { return };
        own.users = own.users.saturating_sub(1);
        if own.users == 0 {
            by_address.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// The place, where there is one at once.
    fn at_once(handshakes: &Arc<Handshakes>, address: Option<IpAddr>) -> Option<Handshake> {
        match pin!(handshakes.begin(address)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => place,
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_address_holds_its_own_places_and_others_find_one() {
        let limits = Limits { max_handshakes: 6, address_handshakes: 2, ..Limits::default() };
        let handshakes = Handshakes::new(&limits);
        let mut held: Vec<_> = (0..2).map(|_| at_once(&handshakes, ip("192.0.2.1")).unwrap()).collect();
        assert!(
            at_once(&handshakes, ip("192.0.2.1")).is_none() && at_once(&handshakes, ip("::ffff:192.0.2.1")).is_none()
        );
        held.extend([ip("2001:db8::1"), ip("2001:db8::2")].map(|address| at_once(&handshakes, address).unwrap()));
        assert!(at_once(&handshakes, ip("2001:db8::3")).is_none(), "the first 64 bits are one");
        // Who speaks for others is bounded by the places of all.
        held.extend([None, None].map(|address| at_once(&handshakes, address).unwrap()));
        assert!(at_once(&handshakes, None).is_none() && at_once(&handshakes, ip("192.0.2.2")).is_none());
        held.clear();
        assert!(at_once(&handshakes, ip("192.0.2.1")).is_some());
        assert!(handshakes.lock().is_empty() && handshakes.free() == 6, "nobody is remembered");
    }

    #[tokio::test]
    async fn who_waits_has_its_turn_and_who_gives_up_is_forgotten() {
        let limits = Limits { max_handshakes: 6, address_handshakes: 1, ..Limits::default() };
        let handshakes = Handshakes::new(&limits);
        let first = at_once(&handshakes, ip("192.0.2.1")).unwrap();
        let waiting = tokio::spawn({
            let handshakes = Arc::clone(&handshakes);
            async move { handshakes.begin(ip("192.0.2.1")).await }
        });
        while handshakes.lock().values().all(|own| own.users < 2) {
            tokio::task::yield_now().await;
        }
        assert!(at_once(&handshakes, ip("192.0.2.1")).is_none(), "and gives up");
        drop(first);
        let second = waiting.await.unwrap();
        assert!(second.is_some() && at_once(&handshakes, ip("192.0.2.1")).is_none());
        drop(second);
        assert!(handshakes.lock().is_empty());
    }
}
