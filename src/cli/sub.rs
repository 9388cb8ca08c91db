//! `tickwire sub`: what happens in rooms, one line each.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tickwire::client::link::{
    self, Changed, Content, Link, LinkConfig, LinkError, LinkEvent, LinkState, Message, Outcome, PresenceChange, Room,
    RoomOptions, RoomState,
};
use tickwire::client::{Sample, Url};
use tickwire::name::RoomName;
use tickwire::wire::{Key, Kind, MemberNumber, Position, Presence, Reason, Record};

use super::reach::ReachArguments;
use super::{Failure, no_connection, output, run_until_interrupted};

/// Where a server listens that was started without flags.
pub(super) const DEFAULT_URL: &str = "ws://127.0.0.1:7070/ws";

/// What to print, and how.
#[derive(Debug, Args)]
pub(crate) struct SubArguments {
    /// The rooms
    #[arg(required = true, value_name = "ROOM")]
    rooms: Vec<String>,
    /// The server: ws://host:port/ws or tcp://host:port
    #[arg(long, default_value = DEFAULT_URL)]
    url: Url,
    #[command(flatten)]
    reach: ReachArguments,
    /// End after so many messages: events, values (also those set before) and directs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print a JSON object for each, with the microseconds it was late after its tick; the first tells
    /// the clock
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print only payloads, as they are, each with a newline
    #[arg(long)]
    raw: bool,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Human,
    Json,
    Raw,
}

/// Prints until it is interrupted, the count is reached, or the session ends.
pub(crate) fn run(arguments: SubArguments) -> Result<(), Failure> {
    run_until_interrupted(subscribe(arguments))
}

async fn subscribe(arguments: SubArguments) -> Result<(), Failure> {
    let config = arguments.reach.config(&arguments.url)?;
    let (link, mut events) = Link::new(LinkConfig::new(config));
    let mut rooms = HashMap::new();
    for name in arguments.rooms {
        // The members are told as they come and go; the list of them is not printed.
        let joined = link.join(&name, RoomOptions::receiver().members(false));
        let room =
            joined.map_err(|error| Failure::Runtime(format!("{}: {error}", output::escaped(name.as_bytes()))))?;
        rooms.insert(name, Watched { room, has_values: false });
    }
    let format = match (arguments.json, arguments.raw) {
        (true, _) => Format::Json,
        (_, true) => Format::Raw,
        _ => Format::Human,
    };
    let mut printer = Printer { out: io::stdout(), format, rooms, left: arguments.count };
    link.connect();
    let mut watch = Watch { url: arguments.url, has_connected: false };
    while printer.left != Some(0) {
        let Some(event) = events.next().await else { break };
        watch.handle_event(&link, event, &mut printer)?;
    }
    // Enough was printed; a server that does not say goodbye changes nothing.
    let _none_waits = link.close();
    while events.next().await.is_some() {}
    Ok(())
}

/// What is said of the connection, on standard error.
struct Watch {
    url: Url,
    has_connected: bool,
}

impl Watch {
    fn handle_event<W: Write>(
        &mut self,
        link: &Link,
        event: LinkEvent,
        printer: &mut Printer<W>,
    ) -> Result<(), Failure> {
        let now = link.server_time().map(|millis| (millis * 1000.0) as u64);
        match event {
            LinkEvent::State(changed) => self.handle_state(link, &changed, printer)?,
            // Who starts it wants to know that there is no server; later, it comes back.
            LinkEvent::Error(LinkError::Connect(error)) if !self.has_connected => {
                return Err(no_connection(&self.url, &error));
            }
            LinkEvent::Error(error @ (LinkError::Protocol(_) | LinkError::TooMuch(_) | LinkError::Version(_))) => {
                eprintln!("tickwire: {}", output::escaped(error.to_string().as_bytes()));
            }
            LinkEvent::Message(message) => printer.message(&message, now)?,
            LinkEvent::Snapshot { room, tick, position, values } => {
                if let Some(notice) = printer.snapshot(&room, tick, position, &values)? {
                    eprintln!("tickwire: {notice}");
                }
            }
            LinkEvent::Presence(change) => printer.presence(&change)?,
            LinkEvent::Outcome(room, outcome) => {
                if let Some(notice) = printer.outcome(&room, outcome) {
                    eprintln!("tickwire: {notice}");
                }
            }
            LinkEvent::Room(room, Changed { after: RoomState::Left, reason, text, .. }) => {
                let why = left_room(&room, reason, &text);
                printer.rooms.remove(room.as_str());
                if printer.rooms.is_empty() {
                    return Err(Failure::Runtime(why));
                }
                eprintln!("tickwire: {why}");
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_state<W: Write>(
        &mut self,
        link: &Link,
        changed: &Changed<LinkState>,
        printer: &mut Printer<W>,
    ) -> Result<(), Failure> {
        match changed.after {
            LinkState::Connected => {
                if std::mem::replace(&mut self.has_connected, true) {
                    eprintln!("tickwire: connected again");
                }
                link.sample().map_or(Ok(()), |sample| printer.clock(sample))?;
            }
            LinkState::Connecting if self.has_connected => {
                eprintln!("tickwire: the connection was lost, and is tried again: {}", changed.text);
            }
            LinkState::Closed => return Err(Failure::Runtime(format!("the session has ended: {}", changed.text))),
            _ => {}
        }
        Ok(())
    }
}

fn left_room(room: &RoomName, reason: Reason, text: &str) -> String {
    let says = if text.is_empty() || text == reason.sentence() { String::new() } else { format!(" It says: {text}") };
    format!("{room} was left, {reason}{says}")
}

/// Writes lines, and counts messages.
struct Printer<W> {
    out: W,
    format: Format,
    rooms: HashMap<String, Watched>,
    left: Option<u64>,
}

/// A room that is printed.
struct Watched {
    room: Room,
    /// Whether a snapshot has come.
    has_values: bool,
}

/// What is printed of a message or a value.
struct Line<'a> {
    room: &'a str,
    kind: Kind,
    position: Position,
    tick: u64,
    record: Record<'a>,
    lateness: Option<Duration>,
}

impl<W: Write> Printer<W> {
    /// How well the server's clock is known: what lateness is measured by.
    fn clock(&mut self, Sample { round_trip, offset }: Sample) -> io::Result<()> {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        match self.format {
            Format::Raw => Ok(()),
            Format::Human => {
                eprintln!("tickwire: round trip {micros} us, clock offset {offset} us");
                Ok(())
            }
            Format::Json => {
                let line = json!({ "type": "clock", "round_trip_us": micros, "offset_us": offset });
                self.write(format!("{line}\n").as_bytes())
            }
        }
    }

    /// `now` is server time, in microseconds.
    fn message(&mut self, message: &Message, now: Option<u64>) -> io::Result<()> {
        let (kind, key) = match message.content {
            Content::Event => (Kind::Event, None),
            Content::Value(key) => (Kind::Value, Some(key.wire())),
            Content::Direct(_) => (Kind::Direct, Some(0)),
        };
        let room = self.rooms.get(message.room.as_str()).filter(|_| kind != Kind::Direct);
        let membership = room.and_then(|watched| watched.room.membership());
        let lateness = membership.zip(now);
        let lateness = lateness.and_then(|(membership, now)| membership.lateness_of(message.tick, message.early, now));
        let (position, tick) = (message.position, message.tick);
        let record = Record { member: message.member, key, payload: &message.payload };
        self.line(&Line { room: message.room.as_str(), kind, position, tick, record, lateness })
    }

    /// Prints the values of a snapshot; what to say where it replaces values that were known.
    fn snapshot(
        &mut self,
        room: &RoomName,
        tick: u64,
        position: Position,
        values: &[link::Value],
    ) -> io::Result<Option<String>> {
        for value in values {
            let record = Record { member: value.member, key: Some(value.key.wire()), payload: &value.payload };
            let (room, kind, lateness) = (room.as_str(), Kind::Snapshot, None);
            self.line(&Line { room, kind, position, tick, record, lateness })?;
        }
        let watched = self.rooms.get_mut(room.as_str());
        let had_values = watched.is_some_and(|watched| std::mem::replace(&mut watched.has_values, true));
        Ok(had_values.then(|| format!("the snapshot replaces all values of {room}")))
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        match &mut self.left {
            Some(0) => return Ok(()),
            Some(left) => *left -= 1,
            None => {}
        }
        let mut bytes = match self.format {
            Format::Human => human(line.room, line.kind, &line.record).into_bytes(),
            Format::Json => json(line).to_string().into_bytes(),
            Format::Raw => line.record.payload.to_vec(),
        };
        bytes.push(b'\n');
        self.write(&bytes)
    }

    fn presence(&mut self, change: &PresenceChange) -> io::Result<()> {
        let name = &change.room;
        let (member, presence) = match &change.change {
            link::Presence::Here(member) => {
                (member.number, Presence::Here { subject: &member.subject, data: &member.data })
            }
            link::Presence::Away(member) => (*member, Presence::Away),
            link::Presence::Left(member, reason) => (*member, Presence::Left(*reason)),
            link::Presence::Count(members) => (MemberNumber::ROOM, Presence::Count(*members)),
            _ => return Ok(()),
        };
        let line = match self.format {
            Format::Raw => return Ok(()),
            Format::Human => match human_presence(&presence) {
                (what, None) => format!("{name}  {what}\n"),
                (what, Some(rest)) => format!("{name}  member {member} {what}{rest}\n"),
            },
            Format::Json => {
                let mut object = json_presence(&presence);
                object.insert("room".into(), json!(name.as_str()));
                object.insert("position".into(), json!(change.position.0));
                object.insert("tick".into(), json!(change.tick));
                object.insert("member".into(), json!(member.0));
                format!("{}\n", Value::Object(object))
            }
        };
        self.write(line.as_bytes())
    }

    /// What to say of a room that comes back.
    fn outcome(&self, room: &RoomName, outcome: Outcome) -> Option<String> {
        match outcome {
            Outcome::Recovered => Some(format!("nothing of {room} was missed")),
            Outcome::Gap(from, to) => Some(format!("batches {from} to {to} of {room} are lost")),
            // The first one of a room is no news.
            _ => self.rooms.get(room.as_str())?.has_values.then(|| format!("what {room} has sent meanwhile is lost")),
        }
    }

    /// Writes and flushes: whoever reads a pipe wants to see it now.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.out.write_all(lines)?;
        self.out.flush()
    }
}

fn human(room: &str, kind: Kind, record: &Record<'_>) -> String {
    let member = record.member;
    let payload = output::escaped(record.payload);
    match (kind, record.key) {
        (Kind::Value | Kind::Snapshot, Some(key)) => {
            let (key, action) = (Key::from_wire(key), if record.payload.is_empty() { "deleted" } else { "=" });
            let space = if payload.is_empty() { "" } else { " " };
            let owner = if key.is_room() { "room".to_owned() } else { format!("member {member}") };
            format!("{room}  {owner} value {} {action}{space}{payload}", key.number())
        }
        (Kind::Direct, _) => format!("{room}  member {member} to you: {payload}"),
        _ => format!("{room}  member {member}: {payload}"),
    }
}

/// What a member did; without a rest, what the room tells of itself.
fn human_presence(presence: &Presence<'_>) -> (String, Option<String>) {
    match presence {
        Presence::Here { subject, data } => {
            let subject = if subject.is_empty() { String::new() } else { format!(" {}", output::escaped(subject)) };
            let data = if data.is_empty() { String::new() } else { format!(": {}", output::escaped(data)) };
            ("is here".into(), Some(subject + &data))
        }
        Presence::Away => ("is away".into(), Some(String::new())),
        Presence::Left(Reason::FINISHED) => ("left".into(), Some(String::new())),
        Presence::Left(reason) => ("left".into(), Some(format!(", {reason}"))),
        Presence::Count(members) => (format!("{members} members"), None),
        _ => ("changed".into(), Some(String::new())),
    }
}

fn json(line: &Line<'_>) -> Value {
    let record = &line.record;
    let kind = match line.kind {
        Kind::Value => "value",
        Kind::Snapshot => "snapshot",
        Kind::Direct => "direct",
        _ => "event",
    };
    let mut object = Map::new();
    object.insert("room".into(), json!(line.room));
    object.insert("type".into(), json!(kind));
    object.insert("position".into(), json!(line.position.0));
    object.insert("tick".into(), json!(line.tick));
    object.insert("member".into(), json!(record.member.0));
    if let Some(lateness) = line.lateness {
        object.insert("lateness_us".into(), json!(u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX)));
    }
    if let (Kind::Value | Kind::Snapshot, Some(key)) = (line.kind, record.key) {
        let key = Key::from_wire(key);
        object.insert("key".into(), json!(key.number()));
        object.insert("scope".into(), json!(if key.is_room() { "room" } else { "member" }));
    }
    insert_bytes(&mut object, "payload", record.payload);
    Value::Object(object)
}

fn json_presence(presence: &Presence<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    let state = match presence {
        Presence::Here { subject, data } => {
            insert_bytes(&mut object, "subject", subject);
            insert_bytes(&mut object, "data", data);
            "here"
        }
        Presence::Away => "away",
        Presence::Left(reason) => {
            object.insert("reason".into(), json!(reason.0));
            "left"
        }
        Presence::Count(members) => {
            object.insert("members".into(), json!(members));
            "count"
        }
        _ => "unknown",
    };
    object.insert("type".into(), json!("presence"));
    object.insert("state".into(), json!(state));
    object
}

/// Text as a string; what is not UTF-8 as hexadecimal digits, under a name that says so.
fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.into(), json!(text)),
        Err(_) => object.insert(format!("{name}_hex"), json!(output::hex(bytes))),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire::client::ClientConfig;

    fn printer(format: Format) -> Printer<Vec<u8>> {
        Printer { out: Vec::new(), format, rooms: HashMap::new(), left: None }
    }

    #[tokio::test]
    async fn what_is_lost_or_replaced_is_told() {
        let (link, _events) = Link::new(LinkConfig::new(ClientConfig::new("tcp://127.0.0.1:1".parse().unwrap())));
        let room = link.join("demo", RoomOptions::receiver()).unwrap();
        let (demo, mut printer) = (room.name().clone(), printer(Format::Human));
        printer.rooms.insert("demo".into(), Watched { room, has_values: false });
        let gap = Outcome::Gap(Position(4), Position(6));
        assert_eq!(printer.outcome(&demo, gap).unwrap(), "batches 4 to 6 of demo are lost");
        assert_eq!(printer.outcome(&demo, Outcome::Recovered).unwrap(), "nothing of demo was missed");
        assert_eq!(printer.outcome(&demo, Outcome::Snapshot), None, "the first one loses nothing");
        assert_eq!(printer.snapshot(&demo, 0, Position(0), &[]).unwrap(), None, "and replaces nothing");
        assert_eq!(printer.outcome(&demo, Outcome::Snapshot).unwrap(), "what demo has sent meanwhile is lost");
        let replaced = printer.snapshot(&demo, 0, Position(0), &[]).unwrap();
        assert_eq!(replaced.as_deref(), Some("the snapshot replaces all values of demo"));
    }

    #[test]
    fn messages_are_lines_until_there_were_enough() {
        let mut printer = printer(Format::Raw);
        printer.left = Some(2);
        let (room, kind, position, tick, lateness) = ("demo", Kind::Event, Position(1), 4, None);
        for payload in [&b"a"[..], b"b", b"c"] {
            let record = Record { member: MemberNumber(2), key: None, payload };
            printer.line(&Line { room, kind, position, tick, record, lateness }).unwrap();
        }
        assert_eq!((printer.left, &printer.out[..]), (Some(0), &b"a\nb\n"[..]));
        let record = Record { member: MemberNumber(2), key: Some(7), payload: b"\xff" };
        let lateness = Some(Duration::from_micros(9));
        let line = Line { room, kind: Kind::Value, position, tick, record, lateness };
        let expected = json!({
            "room": "demo", "type": "value", "position": 1, "tick": 4, "member": 2, "lateness_us": 9, "key": 3,
            "scope": "room", "payload_hex": "ff",
        });
        assert_eq!(json(&line), expected);
    }

    #[test]
    fn the_clock_is_told_to_programs() {
        let sample = Sample { round_trip: Duration::from_micros(250), offset: -3 };
        for (format, expected) in [
            (Format::Json, "{\"offset_us\":-3,\"round_trip_us\":250,\"type\":\"clock\"}\n"),
            (Format::Raw, ""),
            (Format::Human, ""),
        ] {
            let mut printer = printer(format);
            printer.clock(sample).unwrap();
            assert_eq!(String::from_utf8(printer.out).unwrap(), expected);
        }
    }

    #[test]
    fn lines_tell_what_a_record_is() {
        let check = |kind, key: Option<Key>, payload: &[u8], expected: &str| {
            let record = Record { member: MemberNumber(2), key: key.map(Key::wire), payload };
            assert_eq!(human("demo", kind, &record), expected);
        };
        check(Kind::Event, None, b"a\x1b", "demo  member 2: a\\u{1b}");
        check(Kind::Value, Some(Key::member(5)), b"on", "demo  member 2 value 5 = on");
        check(Kind::Value, Some(Key::room(5)), b"", "demo  room value 5 deleted");
        check(Kind::Snapshot, Some(Key::room(0)), b"x", "demo  room value 0 = x");
        check(Kind::Direct, Some(Key::from_wire(0)), b"psst", "demo  member 2 to you: psst");
    }

    #[test]
    fn presence_is_told() {
        let check = |presence: &Presence<'_>, expected: (&str, Option<&str>)| {
            let (what, rest) = human_presence(presence);
            assert_eq!((what.as_str(), rest.as_deref()), expected);
        };
        check(&Presence::Here { subject: b"ann", data: b"{}" }, ("is here", Some(" ann: {}")));
        check(&Presence::Left(Reason::FINISHED), ("left", Some("")));
        check(&Presence::Count(7), ("7 members", None));
    }
}
