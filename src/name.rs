//! Names of rooms, and the patterns that choose classes for them (PROTOCOL 1).

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A checked room name: 1 to 64 bytes of `A-Z a-z 0-9 _ . : / @ -`.
// In place, since a room keeps its name for long: on the heap it would lie between what goes sooner.
#[derive(Clone)]
pub struct RoomName {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl RoomName {
    /// The longest name, in bytes. 64: names are in maps, logs and metrics.
    pub const MAX_LEN: usize = 64;

    /// Checks a name.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let valid = (1..=Self::MAX_LEN).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/@-".contains(byte));
        if !valid {
            return None;
        }
        let mut name = Self { len: u8::try_from(bytes.len()).ok()?, bytes: [0; Self::MAX_LEN] };
        name.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(name)
    }

    /// What names of the server's own rooms begin with (PROTOCOL 15.2).
    pub const RESERVED: &str = "@tickwire/";

    /// Whether it names a room of the server's own, which only operators may join.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.as_bytes().starts_with(Self::RESERVED.as_bytes())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when it was made, so that there is always one.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

impl PartialEq for RoomName {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for RoomName {}

impl PartialOrd for RoomName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoomName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for RoomName {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.as_bytes().hash(state);
    }
}

impl std::fmt::Debug for RoomName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RoomName").field(&self.as_str()).finish()
    }
}

impl std::fmt::Display for RoomName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pattern of room names: `*` stands for anything within a `/` part, `**` crosses parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Checks a pattern: characters of names, and stars.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        let plain: Vec<u8> = pattern.bytes().filter(|byte| *byte != b'*').collect();
        let valid = pattern.len() <= RoomName::MAX_LEN && (plain.is_empty() || RoomName::new(&plain).is_some());
        (valid && !pattern.is_empty()).then(|| Self(pattern.into()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` fits.
    #[must_use]
    pub fn matches(&self, name: &RoomName) -> bool {
        matches(self.0.as_bytes(), name.as_str().as_bytes())
    }
}

/// Two cursors with one place to come back to for each kind of star, so that the time is bounded
/// by the product of the lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // reachable[i]: the pattern so far matches the first i bytes of the name.
    let mut reachable = vec![false; name.len() + 1];
    reachable[0] = true;
    let mut rest = pattern;
    while let Some((first, tail)) = rest.split_first() {
        let crosses = tail.first() == Some(&b'*');
        if *first == b'*' {
            for end in 1..=name.len() {
                reachable[end] |= reachable[end - 1] && (crosses || name[end - 1] != b'/');
            }
            rest = if crosses { &tail[1..] } else { tail };
        } else {
            for end in (1..=name.len()).rev() {
                reachable[end] = reachable[end - 1] && name[end - 1] == *first;
            }
            reachable[0] = false;
            rest = tail;
        }
    }
    reachable[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, name: &str, expected: bool) {
        let name = RoomName::new(name.as_bytes()).unwrap();
        assert_eq!(Pattern::new(pattern).unwrap().matches(&name), expected, "{pattern} {name}");
    }

    #[test]
    fn stars_stay_within_a_part_and_double_stars_cross() {
        check("arena", "arena", true);
        check("arena", "arena1", false);
        check("game/*", "game/1", true);
        check("game/*", "game/", true);
        check("game/*", "game/1/chat", false);
        check("game/**", "game/1/chat", true);
        check("**/chat", "game/1/chat", true);
        check("*/*/chat", "game/1/chat", true);
        check("*", "game/1", false);
        check("**", "game/1", true);
        check("a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false);
    }

    #[test]
    fn names_are_checked() {
        assert!(RoomName::new(b"").is_none());
        assert!(RoomName::new(&[b'a'; 65]).is_none());
        assert!(RoomName::new(b"a b").is_none());
        assert!(RoomName::new(b"\x1b[2J").is_none());
        assert!(RoomName::new("\u{202e}".as_bytes()).is_none());
        assert!(RoomName::new(b"user@host:7/a-b_c.d").is_some());
        assert_eq!(RoomName::new(&[b'a'; 64]).unwrap().as_str(), "a".repeat(64));
    }

    #[test]
    fn names_are_in_the_order_of_their_text() {
        let mut names = ["b", "a", "ab", "a/b", "aa"].map(|name| RoomName::new(name.as_bytes()).unwrap());
        names.sort();
        assert_eq!(names.each_ref().map(RoomName::as_str), ["a", "a/b", "aa", "ab", "b"]);
        assert_eq!(format!("{} {:?}", names[1], names[1]), "a/b RoomName(\"a/b\")");
    }
}
