//! The numbers on the wire, a type each, so that none is taken for another.

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(
            /// The number; below 2^53.
            pub u64,
        );

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A client's own number for a room it joined (PROTOCOL 6.3).
    Handle
}
number! {
    /// The server's number for a room, shared by all its members (PROTOCOL 6.4).
    RoomId
}
number! {
    /// A member's number in its room; 0 is the room itself (PROTOCOL 1).
    MemberNumber
}
number! {
    /// The running number of a batch with presence or events (PROTOCOL 8.3).
    Position
}
number! {
    /// A client's number for a command, repeated by its answer; 0 where nobody asked (PROTOCOL 6).
    RequestId
}

impl MemberNumber {
    /// The room itself.
    pub const ROOM: Self = Self(0);
}

impl Position {
    /// The position of the next batch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One life of a room's name: random at creation (PROTOCOL 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epoch(
    /// Opaque bytes.
    pub [u8; 8],
);

/// A value's key and its scope, as one number (PROTOCOL 7.2): `key * 2 + scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of a value that belongs to its sender; `key` must be below 2^52.
    #[must_use]
    pub const fn member(key: u64) -> Self {
        debug_assert!(key < 1 << 52);
        Self(key * 2)
    }

    /// The key of a value that belongs to the room; `key` must be below 2^52.
    #[must_use]
    pub const fn room(key: u64) -> Self {
        debug_assert!(key < 1 << 52);
        Self(key * 2 + 1)
    }

    /// A key as it travels.
    #[must_use]
    pub const fn from_wire(number: u64) -> Self {
        Self(number)
    }

    /// The number that travels.
    #[must_use]
    pub const fn wire(self) -> u64 {
        self.0
    }

    /// The key without its scope.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0 >> 1
    }

    /// Whether the value belongs to the room.
    #[must_use]
    pub const fn is_room(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Bits that say what a side supports (PROTOCOL 10.3). Unknown bits are kept and mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(
    /// The bits; below 2^53.
    pub u64,
);

impl Capabilities {
    /// Sessions can be resumed.
    pub const RESUME: Self = Self(1);
    /// A join can replay what was missed.
    pub const HISTORY: Self = Self(1 << 1);
    /// Data frames can be compressed.
    pub const DEFLATE: Self = Self(1 << 2);
    /// A member can ask for less.
    pub const RECEIVE: Self = Self(1 << 3);
    /// A token can be renewed on the connection.
    pub const TOKEN: Self = Self(1 << 4);
    /// Accepted data frames are told.
    pub const ACCEPTED: Self = Self(1 << 5);
    /// Member lists come in pages.
    pub const PAGES: Self = Self(1 << 6);

    /// What this library can do in any case, as a server and as a client: each needs code on both sides.
    /// Clients can do [`TOKEN`](Self::TOKEN) too, and so can servers that verify tokens.
    pub const IMPLEMENTED: Self =
        Self::RESUME.with(Self::HISTORY).with(Self::DEFLATE).with(Self::RECEIVE).with(Self::ACCEPTED).with(Self::PAGES);

    /// Whether every bit of `other` is here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits that either has.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits that both have.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
