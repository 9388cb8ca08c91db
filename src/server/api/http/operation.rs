//! What a method and a path ask for.
//!
//! ```text
//! GET /v1/rooms/game/7/values/3  ──>  Operation { verb: Get, place: Value(game/7, 3) }
//! ```
//!
//! `/` in a room's name may stand as it is: what a path ends in decides first, and a room whose name ends so is
//! reached with `%2F`.

use percent_encoding::percent_decode_str;

use super::refused::Refused;
use crate::name::RoomName;
use crate::server::api::Scope;

/// A request, before its query and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The document that describes all of this.
    OpenApi,
    /// The first rooms of an order.
    Rooms,
    /// A room at a glance.
    Room(RoomName),
    /// Members end, and the room.
    Close(RoomName),
    /// Who is there.
    Members(RoomName),
    /// The latest values.
    Values(RoomName),
    /// A value of the room.
    Value(RoomName, u64),
    /// Sets it.
    Set(RoomName, u64),
    /// Deletes it.
    Delete(RoomName, u64),
    /// What was sent.
    History(RoomName),
    /// One event.
    Event(RoomName),
    /// Members are removed.
    Kick(RoomName),
    /// Many messages.
    Publish,
    /// A message to a subject.
    Direct,
    /// A subject or a token does not count any more.
    Revoke,
    /// The server goes away.
    Drain,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    OpenApi,
    Rooms,
    Room(RoomName),
    Members(RoomName),
    Values(RoomName),
    Value(RoomName, u64),
    History(RoomName),
    Events(RoomName),
    Kick(RoomName),
    Publish,
    Direct,
    Revoke,
    Drain,
}

impl Operation {
    /// Reads a method and a path.
    ///
    /// # Errors
    /// Where there is no such path, or it does not know the method.
    pub(crate) fn read(method: &str, path: &str) -> Result<Self, Refused> {
        let place = Place::read(path)?;
        // As everywhere, who only wants the head gets what GET would.
        let method = if method == "HEAD" { "GET" } else { method };
        Ok(match (place, method) {
            (Place::OpenApi, "GET") => Self::OpenApi,
            (Place::Rooms, "GET") => Self::Rooms,
            (Place::Room(room), "GET") => Self::Room(room),
            (Place::Room(room), "DELETE") => Self::Close(room),
            (Place::Members(room), "GET") => Self::Members(room),
            (Place::Values(room), "GET") => Self::Values(room),
            (Place::Value(room, key), "GET") => Self::Value(room, key),
            (Place::Value(room, key), "PUT") => Self::Set(room, key),
            (Place::Value(room, key), "DELETE") => Self::Delete(room, key),
            (Place::History(room), "GET") => Self::History(room),
            (Place::Events(room), "POST") => Self::Event(room),
            (Place::Kick(room), "POST") => Self::Kick(room),
            (Place::Publish, "POST") => Self::Publish,
            (Place::Direct, "POST") => Self::Direct,
            (Place::Revoke, "POST") => Self::Revoke,
            (Place::Drain, "POST") => Self::Drain,
            (place, _) => return Err(Refused::Method(place.methods())),
        })
    }

    /// What a key must be for.
    pub(crate) const fn scope(&self) -> Scope {
        match self {
            Self::OpenApi
            | Self::Rooms
            | Self::Room(_)
            | Self::Members(_)
            | Self::Values(_)
            | Self::Value(..)
            | Self::History(_) => Scope::Read,
            Self::Set(..) | Self::Delete(..) | Self::Event(_) | Self::Publish | Self::Direct => Scope::Publish,
            Self::Close(_) | Self::Kick(_) | Self::Revoke | Self::Drain => Scope::Manage,
        }
    }

    /// Whether it is about the whole server, so that a key for some rooms cannot do it.
    pub(crate) const fn is_about_the_server(&self) -> bool {
        matches!(self, Self::Revoke | Self::Drain)
    }

    /// What its body is, where it has one.
    pub(crate) const fn body(&self) -> Body {
        match self {
            Self::Set(..) | Self::Event(_) => Body::Payload,
            Self::Kick(_) | Self::Publish | Self::Direct | Self::Revoke => Body::Json,
            _ => Body::None,
        }
    }
}

/// What is behind a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nothing that is looked at.
    None,
    /// What is asked, as JSON.
    Json,
    /// A payload.
    Payload,
}

impl Place {
    fn read(path: &str) -> Result<Self, Refused> {
        let rest = path.strip_prefix("/v1/").ok_or(Refused::Path)?;
        let rest = match rest {
            "openapi.json" => return Ok(Self::OpenApi),
            "rooms" => return Ok(Self::Rooms),
            "publish" => return Ok(Self::Publish),
            "direct" => return Ok(Self::Direct),
            "revoke" => return Ok(Self::Revoke),
            "drain" => return Ok(Self::Drain),
            _ => rest.strip_prefix("rooms/").ok_or(Refused::Path)?,
        };
        let Some((before, last)) = rest.rsplit_once('/') else { return room(rest).map(Self::Room) };
        match last {
            "members" => room(before).map(Self::Members),
            "values" => room(before).map(Self::Values),
            "history" => room(before).map(Self::History),
            "events" => room(before).map(Self::Events),
            "kick" => room(before).map(Self::Kick),
            _ => match before.strip_suffix("/values") {
                Some(before) => Ok(Self::Value(room(before)?, key(last)?)),
                None => room(rest).map(Self::Room),
            },
        }
    }

    /// The methods that it knows.
    const fn methods(&self) -> &'static str {
        match self {
            Self::OpenApi | Self::Rooms | Self::Members(_) | Self::Values(_) | Self::History(_) => "GET, HEAD",
            Self::Room(_) => "GET, HEAD, DELETE",
            Self::Value(..) => "GET, HEAD, PUT, DELETE",
            // Watching is looked at elsewhere.
            Self::Events(_) => "GET, HEAD, POST",
            Self::Kick(_) | Self::Publish | Self::Direct | Self::Revoke | Self::Drain => "POST",
        }
    }
}

/// A room's name in a path.
fn room(encoded: &str) -> Result<RoomName, Refused> {
    let name: Vec<u8> = percent_decode_str(encoded).collect();
    RoomName::new(&name).ok_or(Refused::RoomName)
}

/// The key of a room's value (PROTOCOL 7.2).
fn key(encoded: &str) -> Result<u64, Refused> {
    let wrong = Refused::Parameter("A key is a number from 0 to 2^52 - 1");
    let text = percent_decode_str(encoded).decode_utf8().map_err(|_| wrong)?;
    super::ask::number(&text).filter(|key| *key < 1 << 52).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use serde_json::Value;

    use super::*;

    /// Methods that requests come with.
    const METHODS: [&str; 6] = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];

    #[test]
    fn the_document_has_every_operation_and_no_other() {
        let document: Value = serde_json::from_str(super::super::OPENAPI).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let paths = document["paths"].as_object().unwrap();
        let mut seen = HashSet::new();
        for (template, item) in paths {
            let path = template.replace("{room}", "game/7").replace("{key}", "3");
            let described: BTreeSet<String> = item
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| *key != "parameters")
                .map(|key| key.to_uppercase())
                .collect();
            let mut allowed = None;
            for method in METHODS {
                // Watching a room is for clients' tokens, and described all the same.
                let watches = template.ends_with("/events") && method == "GET";
                match Operation::read(method, &path) {
                    Ok(operation) => {
                        assert!(described.contains(method), "{method} {template} is not described");
                        let of = &item[method.to_lowercase()];
                        assert_eq!(of["x-scope"], operation.scope().name(), "{method} {template}");
                        let has_body = of.get("requestBody").is_some();
                        assert_eq!(has_body, operation.body() != Body::None, "{method} {template}");
                        seen.insert(std::mem::discriminant(&operation));
                    }
                    Err(Refused::Method(methods)) => {
                        assert!(watches || !described.contains(method), "{method} {template} does not exist");
                        allowed = Some(methods);
                    }
                    Err(other) => panic!("{template}: {other:?}"),
                }
            }
            // What a 405 says is what there is.
            let methods: BTreeSet<String> = allowed.unwrap().split(", ").map(str::to_owned).collect();
            let heads = described.contains("GET").then(|| "HEAD".to_owned());
            assert_eq!(methods, described.into_iter().chain(heads).collect(), "{template}");
        }
        // One for each variant; a new one is added to `scope` too, which the compiler sees to.
        assert_eq!((seen.len(), paths.len()), (16, 13));
    }

    #[test]
    fn paths_are_taken_apart_from_the_end() {
        let read = |path: &str| Operation::read("GET", path);
        let name = |name: &str| RoomName::new(name.as_bytes()).unwrap();
        assert_eq!(read("/v1/rooms/a/b/members"), Ok(Operation::Members(name("a/b"))));
        assert_eq!(read("/v1/rooms/a%2Fmembers"), Ok(Operation::Room(name("a/members"))));
        assert_eq!(read("/v1/rooms/a/values/7"), Ok(Operation::Value(name("a"), 7)));
        assert_eq!(read("/v1/rooms/a/values%2F7"), Ok(Operation::Room(name("a/values/7"))));
        assert_eq!(read("/v1/rooms/members"), Ok(Operation::Room(name("members"))));
        assert_eq!(read("/v1/rooms/a/values/4503599627370495"), Ok(Operation::Value(name("a"), (1 << 52) - 1)));
        for wrong in ["x", "-1", "+1", "4503599627370496", ""] {
            let path = format!("/v1/rooms/a/values/{wrong}");
            assert!(matches!(read(&path), Err(Refused::Parameter(_))), "{path}");
        }
        assert_eq!(read("/v1/rooms//members"), Err(Refused::RoomName));
        for nowhere in ["/v1", "/v1/", "/v2/rooms", "/v1/Rooms", "rooms", ""] {
            assert_eq!(read(nowhere), Err(Refused::Path), "{nowhere}");
        }
    }
}
