//! Who may ask a server over HTTP, and how many questions wait.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper::header::HeaderMap;
use tokio::sync::Semaphore;

use super::ask::QUESTIONS;
use super::guesses::Guesses;
use super::keys::{self, ApiKey, Scope};
use crate::server::credential;
use crate::server::swap::Swap;
use crate::time::Time;

#[expect(clippy::disallowed_types, reason = "taken for a wrong key, and where an address has said one")]
type Lock<T> = std::sync::Mutex<T>;

/// What a server knows of its operators.
#[derive(Debug)]
pub(in crate::server) struct Operators {
    keys: Swap<Vec<ApiKey>>,
    guesses: Lock<Guesses>,
    /// Wrong keys so far.
    failures: AtomicU64,
    /// Places for questions, by shard.
    places: Box<[Arc<Semaphore>]>,
}

/// Why somebody may not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Denied {
    /// The server has no keys.
    NoKeys,
    /// No key was said.
    Missing,
    /// It is none of ours.
    Wrong,
    /// It is for something else than this.
    Scope(Scope),
    /// Its address has said wrong ones too often.
    TooOften(Duration),
}

impl Operators {
    pub(in crate::server) fn new(keys: Vec<ApiKey>, shards: u32) -> Arc<Self> {
        Arc::new(Self {
            keys: Swap::new(keys),
            guesses: Lock::new(Guesses::new()),
            failures: AtomicU64::new(0),
            places: (0..shards).map(|_| Arc::new(Semaphore::new(QUESTIONS))).collect(),
        })
    }

    /// From now on there are these keys. Who has come with one that is gone stays.
    pub(in crate::server) fn replace(&self, keys: Vec<ApiKey>) {
        self.keys.store(keys);
    }

    /// Wrong keys so far.
    pub(in crate::server) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The key of a request's `Authorization: Bearer`, where it is for this.
    #[cfg_attr(not(feature = "api"), expect(dead_code, reason = "HTTP asks"))]
    pub(in crate::server) fn may(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        from: IpAddr,
        now: Time,
    ) -> Result<ApiKey, Denied> {
        self.may_with(credential::bearer(headers).as_deref(), scope, from, now)
    }

    /// As [`may`](Self::may), with what was said somewhere else than in that header. `from` is who says it.
    pub(in crate::server) fn may_with(
        &self,
        said: Option<&[u8]>,
        scope: Scope,
        from: IpAddr,
        now: Time,
    ) -> Result<ApiKey, Denied> {
        let keys = self.keys.load();
        if keys.is_empty() {
            return Err(Denied::NoKeys);
        }
        let said = said.ok_or(Denied::Missing)?;
        self.guesses().check(from, now).map_err(Denied::TooOften)?;
        let Some(key) = keys::find(&keys, said) else {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.guesses().failed(from, now);
            return Err(Denied::Wrong);
        };
        if key.has(scope) { Ok(key.clone()) } else { Err(Denied::Scope(scope)) }
    }

    /// The places for questions to a shard.
    pub(super) fn places(&self, shard: usize) -> Option<&Arc<Semaphore>> {
        self.places.get(shard)
    }

    /// Nothing under this lock panics; should it, what it holds is still whole.
    fn guesses(&self) -> std::sync::MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_key_is_for_what_it_is_for() {
        let key = ApiKey::new("ci", "0123456789abcdef", &[Scope::Read, Scope::Manage]).unwrap();
        let operators = Operators::new(vec![key], 1);
        let name = |key: ApiKey| key.name().to_owned();
        let may = |said: Option<&[u8]>, scope| operators.may_with(said, scope, HERE, Time::ZERO).map(name);
        let right = Some(&b"0123456789abcdef"[..]);
        assert_eq!((may(right, Scope::Read), may(right, Scope::Manage)), (Ok("ci".into()), Ok("ci".into())));
        assert_eq!(
            (may(right, Scope::Publish), may(None, Scope::Read)),
            (Err(Denied::Scope(Scope::Publish)), Err(Denied::Missing))
        );
        assert_eq!((may(Some(b"x"), Scope::Read), operators.failures()), (Err(Denied::Wrong), 1));
        for _ in 1..10 {
            assert_eq!(may(Some(b"x"), Scope::Read), Err(Denied::Wrong));
        }
        assert!(matches!(may(right, Scope::Read), Err(Denied::TooOften(_))), "the right one too, or guessing goes on");
        assert_eq!(operators.failures(), 10);
        let none = Operators::new(Vec::new(), 1);
        assert_eq!(none.may_with(right, Scope::Read, HERE, Time::ZERO).map(name), Err(Denied::NoKeys));
        // Others come, and those before are gone.
        none.replace(vec![ApiKey::new("ops", "fedcba9876543210", &[Scope::Read]).unwrap()]);
        let may = |said: &[u8]| none.may_with(Some(said), Scope::Read, HERE, Time::ZERO).map(name);
        assert_eq!((may(b"fedcba9876543210"), may(b"0123456789abcdef")), (Ok("ops".into()), Err(Denied::Wrong)));
    }
}
