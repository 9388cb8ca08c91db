//! A room as server-sent events: what a watcher hears, as text (`docs/http.md`).
//!
//! ```text
//! event frame, three records ──> event: event   event: event   id: <epoch>-<position>, event: event
//! ```
//!
//! The id comes with the last record of a position, so that whoever comes back with it has that position
//! whole (PROTOCOL 8.3).

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::json::Object;
use super::watch::{Next, Watch};
use crate::wire::control::{Command, GoingAway, Joined, Outcome};
use crate::wire::extension::kind;
use crate::wire::header::flags;
use crate::wire::{
    Control, Epoch, Frame, FrameType, Key, Kind, Position, Presence, Reader, Reason, Record, Records, ServerData,
};

/// Silence before a comment is sent. 15 s: what proxies cut off is mostly silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Milliseconds after which a browser comes back by itself. 2 s.
const RETRY: u64 = 2000;

/// Text that is handed on at once, about, in bytes.
const CHUNK: usize = 16 * 1024;

/// The text of a watched room.
#[derive(Debug)]
pub(super) struct Events {
    watch: Watch,
    epoch: Epoch,
    /// What was written and not handed on.
    text: String,
    over: bool,
}

impl Events {
    /// Of a watch, whose JOIN was answered with this frame.
    pub(super) fn new(watch: Watch, joined: &Frame) -> Self {
        let mut events = Self { watch, epoch: Epoch::default(), text: String::new(), over: false };
        events.put_frame(joined);
        events
    }

    /// The next piece of text; `None` at the end. Not cancel safe.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        while !self.over && (self.text.is_empty() || self.watch.has_frame() && self.text.len() < CHUNK) {
            match self.watch.next(KEEP_ALIVE).await {
                Next::Frame(frame) => self.put_frame(&frame),
                Next::Silence => self.text.push_str(":\n\n"),
                Next::End => self.over = true,
            }
        }
        let text = std::mem::take(&mut self.text);
        (!text.is_empty()).then(|| text.into())
    }

    fn put_frame(&mut self, frame: &Frame) {
        match frame.header.frame_type {
            FrameType::Data => {
                if let Ok(Some(data)) = ServerData::decode(frame.header.flags, &frame.payload) {
                    self.put_data(&data);
                }
            }
            FrameType::Control => {
                if let Ok(control) = Control::decode(&frame.payload) {
                    self.put_control(&control.command);
                }
            }
            FrameType::Ping => {}
        }
    }

    fn put_control(&mut self, command: &Command<'_>) {
        match command {
            Command::Joined(joined) => self.put_joined(joined),
            Command::Gap(gap) => {
                self.epoch = gap.epoch;
                let data = Object::new().plain("from", gap.from.0).plain("to", gap.to.0);
                self.put("gap", Some(gap.to), &data.finish());
            }
            Command::GoingAway(away) => self.put_going_away(away),
            Command::Left(left) => self.put_end("left", left.reason),
            Command::Close(close) => self.put_end("closed", close.reason),
            _ => {}
        }
    }

    fn put_joined(&mut self, joined: &Joined<'_>) {
        self.epoch = joined.epoch;
        // Writing to a string does not fail.
        let _written = writeln!(self.text, "retry: {RETRY}");
        let outcome = match joined.outcome {
            Outcome::RECOVERED => "recovered",
            Outcome::GAP => "gap",
            _ => "fresh",
        };
        let lost = joined.extensions.get(kind::LOST).and_then(|lost| {
            let mut reader = Reader::new(lost);
            Some((reader.varint().ok()?, reader.varint().ok()?))
        });
        let data = Object::new()
            .plain("member", joined.member.0)
            .string("outcome", outcome)
            .plain("position", joined.position.0)
            .plain("period_us", joined.period)
            .plain("tick", joined.tick);
        self.put("joined", Some(joined.position), &data.finish());
        if joined.outcome == Outcome::GAP {
            // Without numbers it is another life of the room: all that was known of it is void.
            let data = match lost {
                Some((from, to)) => Object::new().plain("from", from).plain("to", to),
                None => Object::new().plain("from", 0).plain("to", joined.position.0).plain("reset", true),
            };
            self.put("gap", Some(joined.position), &data.finish());
        }
    }

    /// The stream ends with this: whoever watches comes back when the server, or another one, is there.
    fn put_going_away(&mut self, away: &GoingAway<'_>) {
        let _written = writeln!(self.text, "retry: {}", away.reconnect);
        let data = Object::new().plain("reconnect_ms", away.reconnect).plain("closes_ms", away.closes);
        self.put("going_away", None, &data.finish());
        self.over = true;
    }

    fn put_end(&mut self, event: &str, reason: Reason) {
        let data = Object::new().plain("reason", reason.0).string("sentence", reason.sentence());
        self.put(event, None, &data.finish());
        self.over = true;
    }

    fn put_data(&mut self, data: &ServerData<'_>) {
        let whole = data.options & flags::MORE == 0;
        let records = Records::new(data.kind, data.records).map_while(Result::ok);
        match data.kind {
            Kind::Snapshot => self.put_snapshot(records, whole),
            Kind::Event | Kind::Presence => {
                let complete = whole.then_some(data.head.position);
                let event = if data.kind == Kind::Event { "event" } else { "presence" };
                let mut records = records.peekable();
                // Who may not see them has its positions whole too.
                if let (None, Some(position)) = (records.peek(), complete) {
                    self.put_id(position);
                    self.text.push('\n');
                }
                while let Some(record) = records.next() {
                    let object = Object::new().plain("tick", data.head.tick).plain("member", record.member.0);
                    let object = if data.kind == Kind::Event {
                        object.payload(record.payload)
                    } else {
                        put_presence(object, record.payload)
                    };
                    let id = complete.filter(|_| records.peek().is_none());
                    self.put(event, id, &object.finish());
                }
            }
            Kind::Value | Kind::Direct => {
                let event = if data.kind == Kind::Value { "value" } else { "direct" };
                for record in records {
                    let object = Object::new().plain("tick", data.head.tick);
                    let object = match data.kind {
                        Kind::Value => put_value(object, &record),
                        _ => object.plain("member", record.member.0).payload(record.payload),
                    };
                    self.put(event, None, &object.finish());
                }
            }
            Kind::Members => {}
        }
    }

    /// A part of the latest values.
    fn put_snapshot<'a>(&mut self, records: impl Iterator<Item = Record<'a>>, last: bool) {
        let values: Vec<String> = records.map(|record| put_value(Object::new(), &record).finish()).collect();
        let data = Object::new().raw("values", &format!("[{}]", values.join(","))).plain("last", last);
        self.put("snapshot", None, &data.finish());
    }

    fn put(&mut self, event: &str, id: Option<Position>, data: &str) {
        if let Some(position) = id {
            self.put_id(position);
        }
        // The data is on one line: JSON has its line ends escaped.
        let _written = write!(self.text, "event: {event}\ndata: {data}\n\n");
    }

    fn put_id(&mut self, position: Position) {
        let epoch = u64::from_be_bytes(self.epoch.0);
        let _written = writeln!(self.text, "id: {epoch:016x}-{}", position.0);
    }
}

/// Where to go on: `<epoch>-<position>`, as ids have it.
pub(in crate::server) fn read_id(id: &str) -> Option<(Epoch, Position)> {
    let (epoch, position) = id.split_once('-')?;
    let is_hex = epoch.len() == 16 && epoch.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_number = !position.is_empty() && position.bytes().all(|digit| digit.is_ascii_digit());
    if !(is_hex && is_number) {
        return None;
    }
    let position: u64 = position.parse().ok().filter(|position| *position < crate::wire::VARINT_END)?;
    Some((Epoch(u64::from_str_radix(epoch, 16).ok()?.to_be_bytes()), Position(position)))
}

fn put_value(object: Object, record: &Record<'_>) -> Object {
    let key = Key::from_wire(record.key.unwrap_or_default());
    let object = object.plain("member", record.member.0).plain("key", key.number()).plain("room", key.is_room());
    if record.payload.is_empty() { object.plain("deleted", true) } else { object.payload(record.payload) }
}

fn put_presence(object: Object, payload: &[u8]) -> Object {
    match Presence::decode(payload) {
        Ok(Presence::Here { subject, data }) => {
            object.string("state", "here").bytes("subject", "subject_base64", subject).payload(data)
        }
        Ok(Presence::Away) => object.string("state", "away"),
        Ok(Presence::Left(reason)) => object.string("state", "left").plain("reason", reason.0),
        Ok(Presence::Count(members)) => object.string("state", "count").plain("members", members),
        Ok(Presence::Unknown(_)) | Err(_) => object.string("state", "unknown"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::watch::Wanted;
    use super::*;
    use crate::name::RoomName;
    use crate::server::Server;

    /// A server without sockets, so that time can stand still.
    #[tokio::test(start_paused = true)]
    async fn silence_is_a_comment_every_fifteen_seconds() {
        let server = Server::builder().shards(1).detached().unwrap();
        let handle = server.handle();
        tokio::spawn(server.run(std::future::pending()));
        let room = RoomName::new(b"target").unwrap();
        let wanted = Wanted { room, since: None, token: Vec::new() };
        let (watch, joined) = Watch::join(&handle, &wanted, Arc::default()).await.unwrap();
        let mut events = Events::new(watch, &joined);
        let mut heard = String::new();
        while !heard.contains("event: presence") {
            heard.push_str(std::str::from_utf8(&events.next().await.unwrap()).unwrap());
        }
        assert!(heard.starts_with("retry: 2000\nid: ") && heard.contains("\nevent: joined\n"), "{heard}");
        // Longer than a ping may be left without an answer.
        for _ in 0..10 {
            let before = tokio::time::Instant::now();
            assert_eq!(events.next().await.unwrap(), ":\n\n");
            assert_eq!(before.elapsed().as_secs(), 15);
        }
        assert_eq!(handle.connections(), 1);
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = "0102030405060708-9007199254740991";
        assert_eq!(read_id(id), Some((Epoch([1, 2, 3, 4, 5, 6, 7, 8]), Position(9_007_199_254_740_991))));
        for wrong in ["", "-", "0102030405060708", "102030405060708-1", "+102030405060708-1", "0102030405060708-"] {
            assert_eq!(read_id(wrong), None, "{wrong}");
        }
        for wrong in ["0102030405060708-+1", "0102030405060708-9007199254740992", "0102030405060708-1 "] {
            assert_eq!(read_id(wrong), None, "{wrong}");
        }
    }
}
