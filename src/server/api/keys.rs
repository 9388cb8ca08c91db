//! Keys of operators: who may ask over HTTP, and what for.
//!
//! ```text
//! Authorization: Bearer <key> ──compared with all, in constant time──> ApiKey: scopes, rooms
//! ```

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use crate::dispatcher::operate::Operator;
use crate::grants::{Grants, Verbs};
use crate::identity::Identity;
use crate::name::Pattern;

/// What a key is for: one of three kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Looking: rooms, members, values, history.
    Read,
    /// Publishing, and messages to one subject.
    Publish,
    /// Removing members, closing rooms, revoking tokens, draining the server.
    Manage,
}

impl Scope {
    /// Every scope by its name.
    pub const NAMES: [(&'static str, Self); 3] =
        [("read", Self::Read), ("publish", Self::Publish), ("manage", Self::Manage)];

    /// The scope of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, scope)| *scope)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Manage => "manage",
        }
    }

    /// What it comes to in a room, as for a client's token.
    const fn verbs(self) -> Verbs {
        match self {
            Self::Read => {
                Verbs::JOIN.with(Verbs::RECEIVE).with(Verbs::VALUES).with(Verbs::HISTORY).with(Verbs::PRESENCE)
            }
            Self::Publish => {
                Verbs::JOIN.with(Verbs::PUBLISH).with(Verbs::VALUES).with(Verbs::DIRECT).with(Verbs::URGENT)
            }
            Self::Manage => Verbs::JOIN,
        }
    }
}

/// A key, and what whoever has it may do. The key itself is never shown.
#[derive(Clone)]
pub struct ApiKey {
    key: Box<str>,
    scopes: Box<[Scope]>,
    operator: Operator,
    /// Whether it is for some rooms only.
    is_limited: bool,
}

/// Why a key, or a list of them, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadKey {
    /// Its name is empty, longer than [`ApiKey::MAX_NAME`], or has characters other than letters, digits, `_`, `.` and `-`.
    Name,
    /// It is shorter than [`ApiKey::MIN_LEN`].
    Short,
    /// It is longer than [`ApiKey::MAX_LEN`].
    Long,
    /// It has characters that a header cannot carry as a bearer's token.
    Characters,
    /// It is for nothing.
    NoScope,
    /// It has more patterns of rooms than [`Grants::MOST`], or none.
    Rooms,
    /// There are more than [`ApiKey::MOST`].
    TooMany,
    /// Two have the same name, or are the same.
    Twice,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "a key's name is 1 to {} bytes of A-Z a-z 0-9 _ . and -", ApiKey::MAX_NAME),
            Self::Short => {
                write!(f, "a key has at least {} characters; best are 32 that chance has chosen", ApiKey::MIN_LEN)
            }
            Self::Long => write!(f, "a key has at most {} characters", ApiKey::MAX_LEN),
            Self::Characters => f.write_str("a key is of A-Z a-z 0-9 - . _ ~ + / and ="),
            Self::NoScope => f.write_str("a key may something: read, publish or manage"),
            Self::Rooms => write!(f, "a key has 1 to {} patterns of rooms, or none are given at all", Grants::MOST),
            Self::TooMany => write!(f, "there are at most {} keys", ApiKey::MOST),
            Self::Twice => f.write_str("two keys have the same name, or are the same"),
        }
    }
}

impl std::error::Error for BadKey {}

impl ApiKey {
    /// How many there may be. 64: each is compared at every request.
    pub const MOST: usize = 64;

    /// The shortest key, in bytes. 16: even of letters alone nobody guesses it.
    pub const MIN_LEN: usize = 16;

    /// The longest key, in bytes. 256: it is part of a request's head.
    pub const MAX_LEN: usize = 256;

    /// The longest name, in bytes. 64: it is in logs.
    pub const MAX_NAME: usize = 64;

    /// A key for all rooms.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(name: &str, key: &str, scopes: &[Scope]) -> Result<Self, BadKey> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(1..=Self::MAX_NAME).contains(&name.len()) || !name.bytes().all(is_name) {
            return Err(BadKey::Name);
        }
        if key.len() < Self::MIN_LEN {
            return Err(BadKey::Short);
        }
        if key.len() > Self::MAX_LEN {
            return Err(BadKey::Long);
        }
        // RFC 6750 2.1.
        if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)) {
            return Err(BadKey::Characters);
        }
        if scopes.is_empty() {
            return Err(BadKey::NoScope);
        }
        let every = Pattern::new("**").ok_or(BadKey::Rooms)?;
        let operator = operator(name, scopes, vec![every])?;
        Ok(Self { key: key.into(), scopes: scopes.into(), operator, is_limited: false })
    }

    /// The same key, for rooms only whose names fit one of these patterns. What is not about one room, such as
    /// draining, it may not do any more.
    ///
    /// # Errors
    /// [`BadKey::Rooms`] where there are none, or more than [`Grants::MOST`].
    pub fn in_rooms(self, patterns: Vec<Pattern>) -> Result<Self, BadKey> {
        if patterns.is_empty() {
            return Err(BadKey::Rooms);
        }
        let operator = operator(self.name(), &self.scopes, patterns)?;
        Ok(Self { operator, is_limited: true, ..self })
    }

    /// The name it goes by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.operator.key().unwrap_or_default()
    }

    /// Whether it is for requests of this kind.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether it is for some rooms only.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.is_limited
    }

    pub(in crate::server) const fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Whether somebody has said this key. It takes as long as what was said is long, wherever they differ.
    fn is(&self, said: &[u8]) -> bool {
        let key = self.key.as_bytes().iter().copied().chain(std::iter::repeat(0));
        let differs = said.iter().zip(key).fold(0, |differs, (said, key)| black_box(differs | (said ^ key)));
        (black_box(differs) == 0) & (said.len() == self.key.len())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scopes, is_limited, .. } = self;
        f.debug_struct("ApiKey")
            .field("name", &self.name())
            .field("scopes", scopes)
            .field("is_limited", is_limited)
            .finish_non_exhaustive()
    }
}

/// A key counts as what it is for, whatever it is.
fn operator(name: &str, scopes: &[Scope], patterns: Vec<Pattern>) -> Result<Operator, BadKey> {
    let verbs = scopes.iter().fold(Verbs::NONE, |verbs, scope| verbs.with(scope.verbs()));
    let grants = Grants::new(patterns.into_iter().map(|pattern| (pattern, verbs)).collect()).ok_or(BadKey::Rooms)?;
    Ok(Operator::new(name, Arc::new(Identity { grants: Arc::new(grants), ..Identity::default() })))
}

/// Whether these keys can be told apart.
pub(in crate::server) fn check(keys: &[ApiKey]) -> Result<(), BadKey> {
    if keys.len() > ApiKey::MOST {
        return Err(BadKey::TooMany);
    }
    let twice = |(index, key): (usize, &ApiKey)| {
        keys.iter().skip(index + 1).any(|other| other.name() == key.name() || other.key == key.key)
    };
    if keys.iter().enumerate().any(twice) { Err(BadKey::Twice) } else { Ok(()) }
}

/// The key that was said. All are compared, so that the time does not tell which came close.
pub(super) fn find<'a>(keys: &'a [ApiKey], said: &[u8]) -> Option<&'a ApiKey> {
    keys.iter().fold(None, |found, key| if key.is(said) { Some(key) } else { found })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "correct-horse-battery";

    fn key(name: &str, key: &str) -> ApiKey {
        ApiKey::new(name, key, &[Scope::Read]).unwrap()
    }

    #[test]
    fn keys_are_checked() {
        let check = |name, key: &str, expected| {
            assert_eq!(ApiKey::new(name, key, &[Scope::Read]).map(|_| ()).unwrap_err(), expected, "{name} {key}");
        };
        check("", KEY, BadKey::Name);
        check("a b", KEY, BadKey::Name);
        check("ci", "fifteen-letters", BadKey::Short);
        check("ci", &"x".repeat(257), BadKey::Long);
        check("ci", "sixteen letters!", BadKey::Characters);
        assert_eq!(ApiKey::new("ci", KEY, &[]).map(|_| ()), Err(BadKey::NoScope));
        assert_eq!(key("ci", KEY).in_rooms(Vec::new()).map(|_| ()), Err(BadKey::Rooms));
        let many = vec![Pattern::new("a").unwrap(); Grants::MOST + 1];
        assert_eq!(key("ci", KEY).in_rooms(many).map(|_| ()), Err(BadKey::Rooms));
    }

    #[test]
    fn a_key_is_found_whole_and_nothing_else() {
        let keys = [key("one", KEY), key("two", "another-long-enough-key")];
        let found = |said: &str| find(&keys, said.as_bytes()).map(ApiKey::name);
        assert_eq!((found(KEY), found("another-long-enough-key")), (Some("one"), Some("two")));
        for wrong in
            ["", "correct-horse-batter", "correct-horse-battery\0", "correct-horse-battery1", "Correct-horse-battery"]
        {
            assert_eq!(found(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn keys_are_told_apart() {
        let other = "another-long-enough-key";
        assert_eq!(check(&[key("one", KEY), key("two", other)]), Ok(()));
        assert_eq!(check(&[key("one", KEY), key("one", other)]), Err(BadKey::Twice));
        assert_eq!(check(&[key("one", KEY), key("two", KEY)]), Err(BadKey::Twice));
        let many: Vec<ApiKey> = (0..=ApiKey::MOST).map(|n| key(&n.to_string(), &format!("{KEY}{n}"))).collect();
        assert_eq!((check(&many), check(&many[1..])), (Err(BadKey::TooMany), Ok(())));
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = key("ci", KEY);
        assert!(!format!("{key:?}").contains("horse") && format!("{key:?}").contains("ci"));
    }
}
