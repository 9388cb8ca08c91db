//! What a token allows: patterns of room names, each with verbs (PROTOCOL 15.1).
//!
//! ```text
//! game/*   join publish receive values   ─┐ all that fit
//! game/7   join presence urgent          ─┴────────────> Rights in game/7
//! ```

use crate::name::{Pattern, RoomName};
use crate::rights::{Publishing, Rights};
use crate::wire::Reason;

/// What somebody may do in rooms whose names fit a pattern: a set of verbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbs(u8);

impl Verbs {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Be in the room. Without it the others count for nothing.
    pub const JOIN: Self = Self(1);
    /// Publish events, and with [`VALUES`](Self::VALUES) values.
    pub const PUBLISH: Self = Self(1 << 1);
    /// Receive events.
    pub const RECEIVE: Self = Self(1 << 2);
    /// Receive values, and with [`PUBLISH`](Self::PUBLISH) publish them.
    pub const VALUES: Self = Self(1 << 3);
    /// Send directs, and requests to the room.
    pub const DIRECT: Self = Self(1 << 4);
    /// Receive what came before the join.
    pub const HISTORY: Self = Self(1 << 5);
    /// See who is there, who comes and who goes.
    pub const PRESENCE: Self = Self(1 << 6);
    /// Mark as urgent what may be published.
    pub const URGENT: Self = Self(1 << 7);
    /// Everything.
    pub const ALL: Self = Self(u8::MAX);

    /// Every verb by its name.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("join", Self::JOIN),
        ("publish", Self::PUBLISH),
        ("receive", Self::RECEIVE),
        ("values", Self::VALUES),
        ("direct", Self::DIRECT),
        ("history", Self::HISTORY),
        ("presence", Self::PRESENCE),
        ("urgent", Self::URGENT),
    ];

    /// The verb of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, verb)| *verb)
    }

    /// The names of the verbs in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, verb)| self.has(*verb)).map(|(name, _)| name)
    }

    /// Whether all of `other` are here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that either has.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What they come to in a room.
    ///
    /// # Errors
    /// [`Reason::NOT_ALLOWED`] without `join`.
    pub fn rights(self) -> Result<Rights, Reason> {
        if !self.has(Self::JOIN) {
            return Err(Reason::NOT_ALLOWED);
        }
        let publishing = [
            (Self::PUBLISH, Publishing::EVENTS),
            (Self::PUBLISH.with(Self::VALUES), Publishing::VALUES),
            (Self::DIRECT, Publishing::DIRECTS),
            (Self::URGENT, Publishing::URGENT),
        ];
        let publish = publishing.into_iter().filter(|(verbs, _)| self.has(*verbs)).map(|(_, what)| what);
        Ok(Rights {
            presence: self.has(Self::PRESENCE),
            events: self.has(Self::RECEIVE),
            values: self.has(Self::VALUES),
            history: self.has(Self::HISTORY),
            publish: publish.fold(Publishing::NONE, Publishing::with),
        })
    }
}

/// Patterns with their verbs, at most [`Grants::MOST`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    by_pattern: Box<[(Pattern, Verbs)]>,
    /// Whether rooms of the server's own are meant too. No token says so.
    operator: bool,
}

impl Grants {
    /// How many patterns there may be. 64: each is tried at every join.
    pub const MOST: usize = 64;

    /// Takes patterns with their verbs; `None` where there are too many.
    #[must_use]
    pub fn new(grants: Vec<(Pattern, Verbs)>) -> Option<Self> {
        (grants.len() <= Self::MOST).then(|| Self { by_pattern: grants.into(), operator: false })
    }

    /// Everything in every room.
    #[must_use]
    pub fn all() -> Self {
        let by_pattern = Pattern::new("**").map(|every| (every, Verbs::ALL)).into_iter().collect();
        Self { by_pattern, operator: false }
    }

    /// The same for somebody who operates the server and looks on: where the patterns fit, rooms of the
    /// server's own too ([`RoomName::is_reserved`]), and nothing may be published anywhere.
    #[must_use]
    pub fn for_operator(self) -> Self {
        Self { operator: true, ..self }
    }

    /// Whether they are those of an operator.
    #[must_use]
    pub const fn is_operators(&self) -> bool {
        self.operator
    }

    /// What may be done in a room: what all patterns that fit allow together.
    #[must_use]
    pub fn verbs(&self, room: &RoomName) -> Verbs {
        let fitting = self.by_pattern.iter().filter(|(pattern, _)| pattern.matches(room));
        fitting.fold(Verbs::NONE, |verbs, (_, more)| verbs.with(*more))
    }

    /// Each pattern with its verbs.
    pub fn iter(&self) -> impl Iterator<Item = (&Pattern, Verbs)> {
        self.by_pattern.iter().map(|(pattern, verbs)| (pattern, *verbs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(list: &[(&str, Verbs)]) -> Grants {
        Grants::new(list.iter().map(|(pattern, verbs)| (Pattern::new(pattern).unwrap(), *verbs)).collect()).unwrap()
    }

    #[test]
    fn patterns_that_fit_add_up() {
        let grants = grants(&[("game/*", Verbs::JOIN.with(Verbs::RECEIVE)), ("game/7", Verbs::URGENT)]);
        let verbs = |room: &str| grants.verbs(&RoomName::new(room.as_bytes()).unwrap());
        assert_eq!(verbs("game/7"), Verbs::JOIN.with(Verbs::RECEIVE).with(Verbs::URGENT));
        assert_eq!(verbs("game/8"), Verbs::JOIN.with(Verbs::RECEIVE));
        assert_eq!((verbs("game/7/x"), verbs("lobby")), (Verbs::NONE, Verbs::NONE));
        assert_eq!(Grants::all().verbs(&RoomName::new(b"a/b").unwrap()), Verbs::ALL);
    }

    #[test]
    fn each_verb_gives_what_it_says() {
        let rights = |verbs: Verbs| Verbs::JOIN.with(verbs).rights().unwrap();
        let none = rights(Verbs::NONE);
        assert_eq!((none.presence, none.events, none.values, none.history), (false, false, false, false));
        assert_eq!(none.publish, Publishing::NONE);
        assert_eq!(rights(Verbs::PUBLISH).publish, Publishing::EVENTS);
        assert_eq!(rights(Verbs::VALUES), Rights { values: true, ..none });
        let both = rights(Verbs::PUBLISH.with(Verbs::VALUES));
        assert_eq!(both.publish, Publishing::EVENTS.with(Publishing::VALUES));
        assert_eq!(rights(Verbs::DIRECT).publish, Publishing::DIRECTS);
        assert_eq!(rights(Verbs::RECEIVE), Rights { events: true, ..none });
        assert_eq!(rights(Verbs::PRESENCE), Rights { presence: true, ..none });
        assert_eq!(rights(Verbs::HISTORY), Rights { history: true, ..none });
        assert_eq!(Verbs::ALL.rights(), Ok(Rights::ALL));
        assert_eq!(Verbs::PUBLISH.rights(), Err(Reason::NOT_ALLOWED), "without join there is nothing");
    }

    #[test]
    fn verbs_have_names_and_grants_a_bound() {
        for (name, verb) in Verbs::NAMES {
            assert_eq!(Verbs::named(name), Some(verb));
        }
        assert_eq!(Verbs::named("admin"), None);
        assert_eq!(Verbs::JOIN.with(Verbs::DIRECT).names().collect::<Vec<_>>(), ["join", "direct"]);
        let many = |count| Grants::new(vec![(Pattern::new("a").unwrap(), Verbs::ALL); count]);
        assert!(many(Grants::MOST).is_some() && many(Grants::MOST + 1).is_none());
    }
}
