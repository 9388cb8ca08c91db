//! What a runner may ask of the control port: a path and a JSON object to an order, or what is wrong with them.
//!
//! ```text
//! POST /fault {"do": "cut"} ──read──> Order::Fault(Fault::Cut)        a field too many, or of another kind: wrong
//! ```
//!
//! `clients/conformance/README.md` lists them all. What is not known is refused: a misspelt field would else be
//! a check that holds.

use std::time::Duration;

use serde_json::{Map, Value};
use tickwire::name::RoomName;

/// What is to be done, or looked at.
#[derive(Debug, PartialEq)]
pub(super) enum Order {
    /// Everything anew.
    Reset(Setting),
    /// The relay misbehaves.
    Fault(Fault),
    /// The server goes away, and another one is in its place.
    Restart,
    /// Sessions of a subject are removed.
    KickSubject(String),
    /// All members of a room are removed.
    KickRoom(RoomName),
    /// Events of the room itself, each in a batch of its own.
    Publish(RoomName, Vec<String>),
    /// A value of the room itself; `None` deletes it.
    Set(RoomName, u64, Option<String>),
    /// So many events, of so many bytes.
    Flood(RoomName, u64, usize),
    /// A token is made.
    Token(Claims),
    /// Something should hold.
    Check(Check),
}

/// What a server is reset to: what is not said is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Setting {
    /// Silence after which the server pings.
    pub(super) ping: Option<Duration>,
    /// How long a session waits for its client.
    pub(super) grace: Option<Duration>,
    /// Whether clients need a token.
    pub(super) tokens: bool,
    /// Batches that a room keeps.
    pub(super) history_batches: Option<usize>,
    /// Bytes queued for a connection.
    pub(super) outbox_bytes: Option<usize>,
}

/// What goes wrong on the way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Every connection is reset.
    Cut,
    /// Every connection is reset when so many more bytes have gone to its client.
    CutAfter(usize),
    /// Every connection is reset, and so are those that come for so long.
    Down(Duration),
    /// Connections pass nothing more.
    Stall,
    /// Nothing is read from the server.
    Hold,
    /// It is again.
    Release,
    /// Bytes for every client, between two frames.
    Inject(Vec<u8>),
    /// Bytes that answer the next connection's HELLO.
    Greet(Vec<u8>),
    /// A status that answers the next WebSocket request, and when to come again, in seconds.
    Http(u16, Option<u64>),
}

/// What a token says.
#[derive(Debug, PartialEq)]
pub(super) struct Claims {
    /// Whose it is.
    pub(super) subject: String,
    /// Seconds until it expires; negative where it has.
    pub(super) expires_in: i64,
    /// Patterns and verbs (PROTOCOL 15.1); `None` allows everything.
    pub(super) rooms: Option<Map<String, Value>>,
}

/// What should hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Clients have published these events, in this order.
    Seen(RoomName, Vec<String>),
    /// Some member's value of the key is this; `None`: no member has one.
    Value(RoomName, u64, Option<String>),
    /// So many members are there, and so many away, where that is asked.
    Count { room: RoomName, members: usize, away: Option<usize> },
    /// So many tokens have expired, and their sessions have ended.
    Outlived(usize),
    /// So many connections have come.
    Connections(usize),
    /// Between the end of this connection and the next one was a time within these.
    Waits { of: usize, least: Duration, most: Duration },
    /// The last connection came within this of the slot that was told.
    Slot { early: Duration, late: Duration },
}

/// What is wrong with an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// There is nothing at this path.
    Path,
    /// The body is not a JSON object.
    Body,
    /// A field is needed, or is not what it should be.
    Field(&'static str),
    /// Fields that this order does not have.
    Unknown(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path => f.write_str("there is nothing here: see clients/conformance/README.md"),
            Self::Body => f.write_str("the body is not a JSON object"),
            Self::Field(name) => write!(f, "the field {name:?} is needed here, and must be of its kind and range"),
            Self::Unknown(names) => write!(f, "this is not known here: {names}"),
        }
    }
}

/// Bytes that a fault may send. 64 KiB: a frame.
const MAX_BYTES: usize = 65_539;

/// The longest time that may be asked for. An hour: a scenario has 30 s.
const LONGEST: u64 = 3_600_000;

/// Events of a flood. 10,000: far beyond every bound of a connection.
const MAX_FLOOD: u64 = 10_000;

impl Order {
    /// Reads one.
    pub(super) fn read(path: &str, body: &[u8]) -> Result<Self, Wrong> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return Err(Wrong::Body) };
        let mut fields = Fields(fields);
        let order = match path {
            "/reset" => Self::Reset(Setting::read(&mut fields)?),
            "/fault" => Self::Fault(Fault::read(&mut fields)?),
            "/server" => Self::read_server(&mut fields)?,
            "/publish" => Self::read_publish(&mut fields)?,
            "/flood" => {
                let messages = fields.number("messages", MAX_FLOOD)?;
                Self::Flood(fields.room()?, messages, fields.size("bytes", MAX_BYTES)?)
            }
            "/token" => Self::Token(Claims::read(&mut fields)?),
            _ => Self::Check(Check::read(path, &mut fields)?),
        };
        fields.finish().map(|()| order)
    }

    fn read_server(fields: &mut Fields) -> Result<Self, Wrong> {
        match fields.text("do")?.as_str() {
            "restart" => Ok(Self::Restart),
            "kick" if fields.has("subject") => Ok(Self::KickSubject(fields.text("subject")?)),
            "kick" => Ok(Self::KickRoom(fields.room()?)),
            _ => Err(Wrong::Field("do")),
        }
    }

    fn read_publish(fields: &mut Fields) -> Result<Self, Wrong> {
        let room = fields.room()?;
        if fields.has("texts") {
            return Ok(Self::Publish(room, fields.texts("texts")?));
        }
        Ok(Self::Set(room, fields.number("key", (1 << 52) - 1)?, fields.value_text()?))
    }
}

impl Setting {
    fn read(fields: &mut Fields) -> Result<Self, Wrong> {
        Ok(Self {
            ping: fields.optional("ping_ms", Fields::time)?,
            grace: fields.optional("grace_ms", Fields::time)?,
            tokens: fields.optional("tokens", Fields::truth)?.unwrap_or_default(),
            history_batches: fields.optional("history_batches", |fields, name| fields.size(name, 1 << 20))?,
            outbox_bytes: fields.optional("outbox_bytes", |fields, name| fields.size(name, 1 << 24))?,
        })
    }
}

impl Fault {
    fn read(fields: &mut Fields) -> Result<Self, Wrong> {
        Ok(match fields.text("do")?.as_str() {
            "cut" if fields.has("after_bytes") => Self::CutAfter(fields.size("after_bytes", 1 << 30)?),
            "cut" => Self::Cut,
            "down" => Self::Down(fields.time("ms")?),
            "stall" => Self::Stall,
            "hold" => Self::Hold,
            "release" => Self::Release,
            "inject" => Self::Inject(fields.hex()?),
            "greet" => Self::Greet(fields.hex()?),
            "http" => {
                let status = fields.number("status", 599)?;
                let status = u16::try_from(status).ok().filter(|status| *status >= 200);
                let again = fields.optional("retry_after", |fields, name| fields.number(name, LONGEST))?;
                Self::Http(status.ok_or(Wrong::Field("status"))?, again)
            }
            _ => return Err(Wrong::Field("do")),
        })
    }
}

impl Claims {
    fn read(fields: &mut Fields) -> Result<Self, Wrong> {
        let expires_in = fields.take("expires_in_s")?.as_i64().filter(|seconds| seconds.abs() <= 1 << 32);
        let rooms = fields.optional("rooms", |fields, name| match fields.take(name)? {
            Value::Object(rooms) => Ok(rooms),
            _ => Err(Wrong::Field(name)),
        })?;
        Ok(Self {
            subject: fields.text("subject")?,
            expires_in: expires_in.ok_or(Wrong::Field("expires_in_s"))?,
            rooms,
        })
    }
}

impl Check {
    fn read(path: &str, fields: &mut Fields) -> Result<Self, Wrong> {
        Ok(match path {
            "/seen" => Self::Seen(fields.room()?, fields.texts("texts")?),
            "/value" => Self::Value(fields.room()?, fields.number("key", (1 << 52) - 1)?, fields.value_text()?),
            "/count" => {
                let members = fields.size("members", usize::MAX)?;
                let away = fields.optional("away", |fields, name| fields.size(name, usize::MAX))?;
                Self::Count { room: fields.room()?, members, away }
            }
            "/outlived" => Self::Outlived(fields.size("tokens", usize::MAX)?),
            "/connections" => Self::Connections(fields.size("count", usize::MAX)?),
            "/waits" => {
                let (least, most) = (fields.time("min_ms")?, fields.time("max_ms")?);
                Self::Waits { of: fields.size("of", 1 << 20)?, least, most }
            }
            "/slot" => Self::Slot { early: fields.time("early_ms")?, late: fields.time("late_ms")? },
            _ => return Err(Wrong::Path),
        })
    }
}

/// What of a body has not been read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn take(&mut self, name: &'static str) -> Result<Value, Wrong> {
        self.0.remove(name).ok_or(Wrong::Field(name))
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        // Languages differ in whether what is left out is null.
        if self.0.get(name).is_some_and(Value::is_null) {
            self.0.remove(name);
        }
        self.has(name).then(|| read(self, name)).transpose()
    }

    fn text(&mut self, name: &'static str) -> Result<String, Wrong> {
        match self.take(name)? {
            Value::String(text) => Ok(text),
            _ => Err(Wrong::Field(name)),
        }
    }

    /// What a value is: `null` is none.
    fn value_text(&mut self) -> Result<Option<String>, Wrong> {
        match self.take("text")? {
            Value::String(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Value::Null => Ok(None),
            _ => Err(Wrong::Field("text")),
        }
    }

    fn texts(&mut self, name: &'static str) -> Result<Vec<String>, Wrong> {
        let Value::Array(texts) = self.take(name)? else { return Err(Wrong::Field(name)) };
        let texts = texts.into_iter().map(|text| match text {
            Value::String(text) => Ok(text),
            _ => Err(Wrong::Field(name)),
        });
        texts.collect()
    }

    fn number(&mut self, name: &'static str, most: u64) -> Result<u64, Wrong> {
        self.take(name)?.as_u64().filter(|number| *number <= most).ok_or(Wrong::Field(name))
    }

    fn size(&mut self, name: &'static str, most: usize) -> Result<usize, Wrong> {
        let number = self.number(name, u64::MAX)?;
        usize::try_from(number).ok().filter(|size| *size <= most).ok_or(Wrong::Field(name))
    }

    fn time(&mut self, name: &'static str) -> Result<Duration, Wrong> {
        self.number(name, LONGEST).map(Duration::from_millis)
    }

    fn truth(&mut self, name: &'static str) -> Result<bool, Wrong> {
        self.take(name)?.as_bool().ok_or(Wrong::Field(name))
    }

    fn room(&mut self) -> Result<RoomName, Wrong> {
        RoomName::new(self.text("room")?.as_bytes()).ok_or(Wrong::Field("room"))
    }

    fn hex(&mut self) -> Result<Vec<u8>, Wrong> {
        let text = self.text("hex")?;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || pairs.len() > MAX_BYTES {
            return Err(Wrong::Field("hex"));
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        bytes.collect::<Option<_>>().ok_or(Wrong::Field("hex"))
    }

    fn finish(self) -> Result<(), Wrong> {
        let unknown: Vec<String> = self.0.into_iter().map(|(name, _)| name).collect();
        if unknown.is_empty() { Ok(()) } else { Err(Wrong::Unknown(unknown.join(", "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let room = RoomName::new(b"r").unwrap();
        for (path, body, order) in [
            ("/reset", "{}", Order::Reset(Setting::default())),
            ("/fault", r#"{"do": "cut", "after_bytes": 7}"#, Order::Fault(Fault::CutAfter(7))),
            ("/fault", r#"{"do": "inject", "hex": "00fF"}"#, Order::Fault(Fault::Inject(vec![0, 255]))),
            ("/fault", r#"{"do": "http", "status": 404}"#, Order::Fault(Fault::Http(404, None))),
            ("/server", r#"{"do": "kick", "subject": "ann"}"#, Order::KickSubject("ann".into())),
            ("/server", r#"{"do": "kick", "room": "r"}"#, Order::KickRoom(room.clone())),
            ("/publish", r#"{"room": "r", "texts": ["a"]}"#, Order::Publish(room.clone(), vec!["a".into()])),
            ("/publish", r#"{"room": "r", "key": 1, "text": null}"#, Order::Set(room.clone(), 1, None)),
            ("/value", r#"{"room": "r", "key": 1, "text": "x"}"#, {
                Order::Check(Check::Value(room.clone(), 1, Some("x".into())))
            }),
            ("/connections", r#"{"count": 2}"#, Order::Check(Check::Connections(2))),
        ] {
            assert_eq!(Order::read(path, body.as_bytes()), Ok(order), "{path} {body}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (path, body, wrong) in [
            ("/nowhere", "{}", Wrong::Path),
            ("/reset", "[]", Wrong::Body),
            ("/reset", r#"{"tokens": 1}"#, Wrong::Field("tokens")),
            ("/reset", r#"{"tocens": true}"#, Wrong::Unknown("tocens".into())),
            ("/fault", r#"{"do": "burn"}"#, Wrong::Field("do")),
            ("/fault", r#"{"do": "inject", "hex": "0"}"#, Wrong::Field("hex")),
            ("/fault", r#"{"do": "inject", "hex": "+1"}"#, Wrong::Field("hex")),
            ("/fault", r#"{"do": "http", "status": 70000}"#, Wrong::Field("status")),
            ("/seen", r#"{"room": "", "texts": []}"#, Wrong::Field("room")),
            ("/seen", r#"{"room": "r", "texts": [1]}"#, Wrong::Field("texts")),
            ("/waits", r#"{"of": 0, "min_ms": -1, "max_ms": 1}"#, Wrong::Field("min_ms")),
        ] {
            assert_eq!(Order::read(path, body.as_bytes()), Err(wrong), "{path} {body}");
        }
    }
}
