//! `tickwire sub`: what happens in rooms, one line each.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tickwire::client::{Batch, Client, Event, Membership, Sample, Url};
use tickwire::wire::control::Mode;
use tickwire::wire::{Handle, Key, Kind, Position, Presence, Reason, Record};
use tokio::time::Instant;

use super::reach::ReachArguments;
use super::{Failure, connect, output, run_until_interrupted};

/// Where a server listens that was started without flags.
pub(super) const DEFAULT_URL: &str = "ws://127.0.0.1:7070/ws";

/// Pings before anything is printed. 4: one of them is quick.
const CLOCK_PINGS: usize = 4;

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
    let mut client = connect(&arguments.reach.config(&arguments.url)?).await?;
    let mut rooms = HashMap::new();
    for room in arguments.rooms {
        let shown = output::escaped(room.as_bytes());
        let joined = client.join(&room, Mode::RECEIVE).await;
        let membership = joined.map_err(|error| Failure::Runtime(format!("{shown}: {}", output::error(&error))))?;
        rooms.insert(membership.handle, Room { name: room, membership, has_values: false });
    }
    let format = match (arguments.json, arguments.raw) {
        (true, _) => Format::Json,
        (_, true) => Format::Raw,
        _ => Format::Human,
    };
    let mut printer = Printer { out: io::stdout(), format, rooms, left: arguments.count };
    printer.clock(measure_clock(&mut client).await?)?;
    print_all(&mut client, &mut printer).await?;
    // Enough was printed; a server that does not say goodbye changes nothing.
    let _ = client.close().await;
    Ok(())
}

/// The server's clock from here, by the best of a few pings. What comes meanwhile is kept.
async fn measure_clock(client: &mut Client) -> Result<Sample, Failure> {
    let mut sample = client.ping().await?;
    for _ in 1..CLOCK_PINGS {
        client.ping().await?;
        sample = client.clock().best().unwrap_or(sample);
    }
    Ok(sample)
}

async fn print_all<W: Write>(client: &mut Client, printer: &mut Printer<W>) -> Result<(), Failure> {
    while printer.left != Some(0) {
        let event = client.next().await?;
        let now = client.clock().server_time(Instant::now());
        match event {
            Event::Batch(batch) | Event::Direct(batch) => printer.messages(&batch, now)?,
            Event::Snapshot(batch) => {
                printer.messages(&batch, now)?;
                if let Some(notice) = printer.snapshot(batch.room(), batch.has_more()) {
                    eprintln!("tickwire: {notice}");
                }
            }
            Event::Gap { handle, from, to, .. } => eprintln!("tickwire: {}", printer.gap(handle, from, to)),
            Event::Presence(batch) => printer.presence(&batch)?,
            Event::Left { handle, reason, .. } => {
                printer.left_room(handle, reason)?;
                if printer.rooms.is_empty() {
                    return Err(Failure::Runtime("no room is left".into()));
                }
            }
            Event::GoingAway { closes, .. } => {
                eprintln!("tickwire: the server is going away in at most {} s", closes.as_secs());
            }
            Event::Closed(closing) => {
                let why = closing.reason.map(|reason| output::reason(reason, &closing.text));
                let why = why.unwrap_or_else(|| "the connection ended without a reason".into());
                return Err(Failure::Runtime(format!("the session has ended: {why}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes lines, and counts messages.
struct Printer<W> {
    out: W,
    format: Format,
    rooms: HashMap<Handle, Room>,
    left: Option<u64>,
}

/// A room that is printed.
struct Room {
    name: String,
    membership: Membership,
    /// Whether a snapshot has come whole.
    has_values: bool,
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
    fn messages(&mut self, batch: &Batch, now: Option<u64>) -> io::Result<()> {
        let room = self.rooms.get(&batch.room());
        let lateness = room.zip(now).and_then(|(room, now)| room.membership.lateness(batch, now));
        let name = self.name(batch.room());
        let mut lines = Vec::new();
        for record in batch.records() {
            match &mut self.left {
                Some(0) => break,
                Some(left) => *left -= 1,
                None => {}
            }
            match self.format {
                Format::Human => lines.extend(human(&name, batch.kind(), &record).as_bytes()),
                Format::Json => lines.extend(json(&name, batch, &record, lateness).to_string().as_bytes()),
                Format::Raw => lines.extend(record.payload),
            }
            lines.push(b'\n');
        }
        self.write(&lines)
    }

    fn presence(&mut self, batch: &Batch) -> io::Result<()> {
        let name = self.name(batch.room());
        for (member, presence) in batch.changes() {
            let line = match self.format {
                Format::Raw => continue,
                Format::Human => match human_presence(&presence) {
                    (what, None) => format!("{name}  {what}\n"),
                    (what, Some(rest)) => format!("{name}  member {member} {what}{rest}\n"),
                },
                Format::Json => {
                    let mut object = json_presence(&presence);
                    object.insert("room".into(), json!(name));
                    object.insert("position".into(), json!(batch.position().0));
                    object.insert("tick".into(), json!(batch.tick()));
                    object.insert("member".into(), json!(member.0));
                    format!("{}\n", Value::Object(object))
                }
            };
            self.write(line.as_bytes())?;
        }
        Ok(())
    }

    fn left_room(&mut self, handle: Handle, reason: Reason) -> io::Result<()> {
        let Some(Room { name, .. }) = self.rooms.remove(&handle) else { return Ok(()) };
        eprintln!("tickwire: the server ended the membership of {name}, {reason}");
        Ok(())
    }

    /// What to say when a snapshot is whole that replaces values which were known.
    fn snapshot(&mut self, handle: Handle, has_more: bool) -> Option<String> {
        let room = self.rooms.get_mut(&handle).filter(|_| !has_more)?;
        let had_values = std::mem::replace(&mut room.has_values, true);
        had_values.then(|| format!("the snapshot replaces all values of {}", room.name))
    }

    /// What to say of batches that will never come.
    fn gap(&self, handle: Handle, from: Position, to: Position) -> String {
        let name = self.name(handle);
        if to < from {
            format!("values of {name} were skipped")
        } else {
            format!("batches {from} to {to} of {name} are lost")
        }
    }

    fn name(&self, handle: Handle) -> String {
        self.rooms.get(&handle).map(|room| room.name.clone()).unwrap_or_default()
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

fn json(room: &str, batch: &Batch, record: &Record<'_>, lateness: Option<Duration>) -> Value {
    let kind = match batch.kind() {
        Kind::Value => "value",
        Kind::Snapshot => "snapshot",
        Kind::Direct => "direct",
        _ => "event",
    };
    let mut object = Map::new();
    object.insert("room".into(), json!(room));
    object.insert("type".into(), json!(kind));
    object.insert("position".into(), json!(batch.position().0));
    object.insert("tick".into(), json!(batch.tick()));
    object.insert("member".into(), json!(record.member.0));
    if let Some(lateness) = lateness {
        object.insert("lateness_us".into(), json!(u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX)));
    }
    if let (Kind::Value | Kind::Snapshot, Some(key)) = (batch.kind(), record.key) {
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
    use tickwire::wire::MemberNumber;
    use tickwire::wire::control::Joined;

    fn printer(format: Format) -> Printer<Vec<u8>> {
        let membership = Membership::new(&Joined::default());
        let room = Room { name: "demo".into(), membership, has_values: false };
        Printer { out: Vec::new(), format, rooms: HashMap::from([(Handle(1), room)]), left: None }
    }

    #[test]
    fn gaps_and_replaced_values_are_told() {
        let mut printer = printer(Format::Human);
        assert_eq!(printer.gap(Handle(1), Position(4), Position(6)), "batches 4 to 6 of demo are lost");
        assert_eq!(printer.gap(Handle(1), Position(4), Position(3)), "values of demo were skipped");
        assert_eq!(printer.snapshot(Handle(1), false), None, "the first one replaces nothing");
        assert_eq!(printer.snapshot(Handle(1), true), None, "more of it follows");
        let replaced = printer.snapshot(Handle(1), false);
        assert_eq!(replaced.as_deref(), Some("the snapshot replaces all values of demo"));
        assert_eq!(printer.snapshot(Handle(2), false), None);
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
