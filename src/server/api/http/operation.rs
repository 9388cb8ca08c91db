//! What a method and a path ask for.
//!
//! ```text
//! GET /v1/rooms/game/7/values/3  ──>  Operation::Value(game/7, 3)
//! ```
//!
//! `/` in a room's name may stand as it is: what a path ends in decides first, and a room whose name ends so is
//! reached with `%2F`.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::refused::Refused;
use crate::name::RoomName;
use crate::server::api::Scope;

/// A request, before its query and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The first rooms of an order.
    Rooms,
    /// A room at a glance.
    Room(RoomName),
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Rooms,
    Room(RoomName),
}

impl Operation {
    /// Every operation's method, its path as the document has it, and what it needs.
    #[cfg(test)]
    pub(super) const ALL: &'static [(&'static str, &'static str, Scope)] =
        &[("GET", "/v1/rooms", Scope::Read), ("GET", "/v1/rooms/{room}", Scope::Read)];

    /// Reads a method and a path.
    ///
    /// # Errors
    /// Where there is no such path, or it does not know the method.
    pub(crate) fn read(method: &str, path: &str) -> Result<Self, Refused> {
        let place = Place::read(path)?;
        match (place, method) {
            (Place::Rooms, "GET" | "HEAD") => Ok(Self::Rooms),
            (Place::Room(room), "GET" | "HEAD") => Ok(Self::Room(room)),
            (place, _) => Err(Refused::Method(place.methods())),
        }
    }

    /// What a key must be for.
    pub(crate) const fn scope(&self) -> Scope {
        match self {
            Self::Rooms | Self::Room(_) => Scope::Read,
        }
    }

    /// Whether it is about rooms, so that a key for some of them can do it.
    pub(crate) const fn is_about_rooms(&self) -> bool {
        true
    }

    /// Whether it has a body.
    pub(crate) const fn has_body(&self) -> bool {
        false
    }

    /// Whether it takes a body of this type.
    pub(crate) fn takes(&self, _content_type: Option<&str>) -> Result<(), Refused> {
        Ok(())
    }
}

impl Place {
    fn read(path: &str) -> Result<Self, Refused> {
        let rest = path.strip_prefix("/v1/").ok_or(Refused::Path)?;
        if rest == "rooms" {
            return Ok(Self::Rooms);
        }
        let rest = rest.strip_prefix("rooms/").ok_or(Refused::Path)?;
        room(rest).map(Self::Room)
    }

    /// The methods that it knows.
    const fn methods(&self) -> &'static str {
        match self {
            Self::Rooms | Self::Room(_) => "GET, HEAD",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rooms => f.write_str("list rooms"),
            Self::Room(room) => write!(f, "look at {room}"),
        }
    }
}

/// A room's name in a path.
fn room(encoded: &str) -> Result<RoomName, Refused> {
    let name: Vec<u8> = percent_decode_str(encoded).collect();
    RoomName::new(&name).ok_or(Refused::RoomName)
}
