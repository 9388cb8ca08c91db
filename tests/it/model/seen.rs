//! A frame from the server as plain data, and as a line of text that tests compare.

use std::fmt;

use tickwire::wire::control::Command;
use tickwire::wire::extension::kind::LOST;
use tickwire::wire::header::flags;
use tickwire::wire::{
    Control, FrameType, Kind, Ping, PingBody, Presence, Reader, Record, Records, RequestId, Sender, ServerData,
    split_frame,
};

/// What a client reads out of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Welcome { request: u64, capabilities: u64 },
    Joined { request: u64, handle: u64, room: u64, member: u64, mode: u8, epoch: [u8; 8], position: u64, since: Since },
    Left { request: u64, handle: u64, reason: u64 },
    Refused { request: u64, number: u64, reason: u64 },
    Done { request: u64 },
    Close { request: u64, reason: u64 },
    GoingAway { reconnect: u64, closes: u64 },
    Gap { room: u64, epoch: [u8; 8], from: u64, to: u64 },
    Page { request: u64, handle: u64, position: u64, next: u64, records: Vec<Told> },
    Accepted { number: u64 },
    Ask { time: u64 },
    Answer { time: u64 },
    Data { kind: Kind, more: bool, urgent: bool, room: u64, position: u64, tick: u16, records: Vec<Told> },
}

/// What JOINED says of what was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Fresh,
    Recovered,
    Gap(Option<(u64, u64)>),
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub member: u64,
    pub key: Option<u64>,
    pub payload: Vec<u8>,
}

/// Reads whole frames that a server sent.
///
/// # Panics
/// Where they cannot be read, or would not be written the same again.
pub fn see(mut bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = split_frame(bytes, 65_535, Sender::Server).expect("a header").expect("a whole frame");
        seen.push(match frame.header.frame_type {
            FrameType::Control => see_control(frame.payload),
            FrameType::Ping => see_ping(frame.header.flags, frame.payload),
            FrameType::Data => see_data(frame.header.flags, frame.payload),
        });
        bytes = rest;
    }
    seen
}

fn see_control(payload: &[u8]) -> Seen {
    let Control { request: RequestId(request), command, .. } = Control::decode(payload).expect("a command");
    match command {
        Command::Welcome(told) => Seen::Welcome { request, capabilities: told.capabilities.0 },
        Command::Joined(told) => Seen::Joined {
            request,
            handle: told.handle.0,
            room: told.room.0,
            member: told.member.0,
            mode: told.mode.0,
            epoch: told.epoch.0,
            position: told.position.0,
            since: match told.outcome.0 {
                0 => Since::Fresh,
                1 => Since::Recovered,
                _ => Since::Gap(told.extensions.get(LOST).map(|lost| {
                    let mut reader = Reader::new(lost);
                    (reader.varint().expect("the first position"), reader.varint().expect("the last position"))
                })),
            },
        },
        Command::Left(told) => Seen::Left { request, handle: told.handle.0, reason: told.reason.0 },
        Command::Refused(told) => Seen::Refused { request, number: told.number, reason: told.reason.0 },
        Command::Done(_) => Seen::Done { request },
        Command::Close(told) => Seen::Close { request, reason: told.reason.0 },
        Command::GoingAway(told) => Seen::GoingAway { reconnect: told.reconnect, closes: told.closes },
        Command::Gap(told) => Seen::Gap { room: told.room.0, epoch: told.epoch.0, from: told.from.0, to: told.to.0 },
        Command::Page(told) => Seen::Page {
            request,
            handle: told.handle.0,
            position: told.position.0,
            next: told.next.0,
            records: Records::new(Kind::Members, told.records).map(|record| tell(record.expect("a record"))).collect(),
        },
        Command::Accepted(told) => Seen::Accepted { number: told.number },
        other => panic!("no test expects {other:?}"),
    }
}

fn see_ping(flags: u8, payload: &[u8]) -> Seen {
    let ping = Ping::decode(flags, payload, Sender::Server).expect("a ping");
    match ping.body {
        PingBody::ServerAsk { .. } => Seen::Ask { time: ping.time },
        _ => Seen::Answer { time: ping.time },
    }
}

fn see_data(flags: u8, payload: &[u8]) -> Seen {
    let data = ServerData::decode(flags, payload).expect("a head").expect("a kind of this version");
    Seen::Data {
        kind: data.kind,
        more: data.options & flags::MORE != 0,
        urgent: data.options & flags::URGENT != 0,
        room: data.head.room.0,
        position: data.head.position.0,
        tick: data.head.tick,
        records: data.records().map(|record| tell(record.expect("a record"))).collect(),
    }
}

fn tell(record: Record<'_>) -> Told {
    Told { member: record.member.0, key: record.key, payload: record.payload.to_vec() }
}

/// `events #1 @2 t3 more: 1="hi"`: room 1, position 2, tick 3, member 1. Keys stand behind the
/// member, `k` for its own and `r` for the room's.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome { request, capabilities } => write!(f, "welcome r{request} capabilities {capabilities}"),
            Self::Joined { request, handle, room, member, position, since, .. } => {
                write!(f, "joined r{request} h{handle} #{room} me {member} @{position} {since:?}")
            }
            Self::Left { request, handle, reason } => write!(f, "left r{request} h{handle} {reason}"),
            Self::Refused { request, number: 0, reason } => write!(f, "refused r{request} {reason}"),
            Self::Refused { number, reason, .. } => write!(f, "refused n{number} {reason}"),
            Self::Done { request } => write!(f, "done r{request}"),
            Self::Close { request, reason } => write!(f, "close r{request} {reason}"),
            Self::GoingAway { reconnect, closes } => write!(f, "going away {reconnect} {closes}"),
            Self::Gap { room, from, to, .. } => write!(f, "gap #{room} {from}..{to}"),
            Self::Page { request, handle, position, next, records } => {
                write!(f, "page r{request} h{handle} @{position} next {next}:")?;
                records.iter().try_for_each(|record| write_record(f, Kind::Members, record))
            }
            Self::Accepted { number } => write!(f, "accepted {number}"),
            Self::Ask { time } => write!(f, "ask {time}"),
            Self::Answer { time } => write!(f, "answer {time}"),
            Self::Data { kind, more, urgent, room, position, tick, records } => {
                let name = ["events", "values", "presence", "direct", "snapshot", "members"][*kind as usize];
                write!(f, "{name} #{room} @{position} t{tick}")?;
                f.write_str(if *urgent { " urgent" } else { "" })?;
                f.write_str(if *more { " more" } else { "" })?;
                f.write_str(":")?;
                records.iter().try_for_each(|record| write_record(f, *kind, record))
            }
        }
    }
}

fn write_record(f: &mut fmt::Formatter<'_>, kind: Kind, record: &Told) -> fmt::Result {
    write!(f, " {}", record.member)?;
    match (kind, record.key) {
        (Kind::Value | Kind::Snapshot, Some(key)) => write!(f, "{}{}", ['k', 'r'][key as usize & 1], key >> 1)?,
        (_, Some(answers)) => write!(f, "a{answers}")?,
        (_, None) => {}
    }
    let text = String::from_utf8_lossy(&record.payload);
    match Presence::decode(&record.payload) {
        Ok(presence) if matches!(kind, Kind::Presence | Kind::Members) => match presence {
            Presence::Here { data, .. } => write!(f, " here {:?}", String::from_utf8_lossy(data)),
            Presence::Left(reason) => write!(f, " left {}", reason.0),
            Presence::Away => f.write_str(" away"),
            Presence::Count(members) => write!(f, " count {members}"),
            other => write!(f, " {other:?}"),
        },
        _ => write!(f, "={text:?}"),
    }
}
