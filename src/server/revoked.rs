//! Whose tokens do not count any more, although they have not expired.
//!
//! ```text
//! revoke ──> sessions of that identity end ──> remembered until its tokens have expired
//!                                login ──> revoked? ──> refused
//! ```

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::identify::Identified;
use crate::identity::Identity;

/// Whom to revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoke<'a> {
    /// Everything that a subject has been given so far. A token that was made later (claim `iat`) counts: later
    /// by more than clocks may be off, which is what a [`Verifier`](crate::auth::Verifier) allows as leeway.
    /// So a new token works as soon as that time has passed, twice as long where its issuer's clock is behind.
    Subject(&'a [u8]),
    /// The token of that name (claim `jti`).
    Token(&'a [u8]),
}

/// As many revocations are remembered as may be: [`Revoked::MOST`], of tokens that have not expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRevoked;

impl std::fmt::Display for TooManyRevoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} revocations are remembered, and no more may be: replace the key instead", Revoked::MOST)
    }
}

impl std::error::Error for TooManyRevoked {}

/// What is revoked now.
#[derive(Debug, Default)]
pub struct Revoked {
    subjects: HashMap<Bytes, Entry>,
    tokens: HashMap<Bytes, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: SystemTime,
    until: SystemTime,
}

impl Revoked {
    /// How many are remembered. 16,384: with the longest names 8 MB.
    pub const MOST: usize = 16_384;

    /// Remembers one for so long.
    pub(super) fn add(&mut self, who: Revoke<'_>, hold: Duration, now: SystemTime) -> Result<(), TooManyRevoked> {
        let (Revoke::Subject(name) | Revoke::Token(name)) = who;
        // Nobody has such a name.
        if name.is_empty() || name.len() > Identity::MAX_NAME {
            return Ok(());
        }
        let known = match who {
            Revoke::Subject(_) => self.subjects.contains_key(name),
            Revoke::Token(_) => self.tokens.contains_key(name),
        };
        if !known && self.len() >= Self::MOST {
            self.subjects.retain(|_, entry| now < entry.until);
            self.tokens.retain(|_, entry| now < entry.until);
            if self.len() >= Self::MOST {
                return Err(TooManyRevoked);
            }
        }
        let far = Duration::from_secs(100 * 365 * 24 * 3600);
        let until = now.checked_add(hold.min(far)).unwrap_or(now);
        let names = match who {
            Revoke::Subject(_) => &mut self.subjects,
            Revoke::Token(_) => &mut self.tokens,
        };
        let entry = names.entry(Bytes::copy_from_slice(name)).or_insert(Entry { at: now, until });
        *entry = Entry { at: now, until: entry.until.max(until) };
        Ok(())
    }

    /// Whether what was identified is revoked.
    pub(super) fn has(&self, identified: &Identified, now: SystemTime) -> bool {
        let Identity { subject, token, .. } = &*identified.identity;
        let holds =
            |names: &HashMap<Bytes, Entry>, name: &Bytes| names.get(name).copied().filter(|entry| now < entry.until);
        let newer = |entry: Entry| identified.issued.is_some_and(|issued| issued > entry.at);
        let by_subject = !subject.is_empty() && holds(&self.subjects, subject).is_some_and(|entry| !newer(entry));
        by_subject || !token.is_empty() && holds(&self.tokens, token).is_some()
    }

    fn len(&self) -> usize {
        self.subjects.len() + self.tokens.len()
    }
}

impl Revoke<'_> {
    /// Whether a session of this identity is meant.
    pub(super) fn means(self, identity: &Identity) -> bool {
        match self {
            Self::Subject(subject) => !subject.is_empty() && identity.subject == subject,
            Self::Token(token) => !token.is_empty() && identity.token == token,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(secs: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
    }

    fn identified(subject: &'static str, token: &'static str, issued: Option<u64>) -> Identified {
        let identity = Identity { subject: subject.into(), token: token.into(), ..Identity::default() };
        Identified { identity: Arc::new(identity), expires: None, issued: issued.map(at) }
    }

    #[test]
    fn what_is_revoked_stays_so_for_as_long_as_it_was_said() {
        let mut revoked = Revoked::default();
        revoked.add(Revoke::Subject(b"ann"), Duration::from_secs(10), at(100)).unwrap();
        revoked.add(Revoke::Token(b"t1"), Duration::from_secs(10), at(100)).unwrap();
        let has = |who, now| revoked.has(&who, at(now));
        assert!(has(identified("ann", "", None), 109) && !has(identified("ann", "", None), 110));
        assert!(has(identified("ann", "", Some(100)), 101), "made in the same second");
        assert!(!has(identified("ann", "", Some(101)), 102), "made later");
        assert!(has(identified("bob", "t1", Some(105)), 106), "a token is one, whenever it was made");
        assert!(!has(identified("bob", "t2", None), 101) && !has(identified("", "", None), 101));
    }

    #[test]
    fn memory_is_bounded_and_what_has_expired_makes_room() {
        let mut revoked = Revoked::default();
        for index in 0..Revoked::MOST {
            let name = index.to_string();
            revoked.add(Revoke::Token(name.as_bytes()), Duration::from_secs(10), at(0)).unwrap();
        }
        let more = |revoked: &mut Revoked, now| revoked.add(Revoke::Subject(b"ann"), Duration::from_secs(10), at(now));
        assert_eq!(more(&mut revoked, 9), Err(TooManyRevoked));
        assert!(revoked.add(Revoke::Token(b"7"), Duration::from_secs(10), at(9)).is_ok(), "it is there already");
        assert_eq!(more(&mut revoked, 10), Ok(()));
        assert_eq!(revoked.len(), 2);
    }
}
