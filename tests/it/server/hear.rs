//! What a server said, taken apart: frames of both layers, records, and how a session ended.

use bytes::{Buf, Bytes, BytesMut};
use tickwire::wire::control::Command;
use tickwire::wire::header::flags;
use tickwire::wire::{
    Control, Frame, FrameType, Header, Kind, Ping, PingBody, Reader, Reason, Sender, ServerData, extension,
};

use crate::support::inflated;

/// One record of a data frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub kind: Kind,
    pub room: u64,
    pub position: u64,
    pub member: u64,
    pub key: Option<u64>,
    pub payload: Bytes,
}

/// What a JOINED says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    pub room: u64,
    pub member: u64,
    pub position: u64,
    pub epoch: [u8; 8],
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub reason: Reason,
    pub request: u64,
    /// Milliseconds after which to reconnect.
    pub reconnect: Option<u64>,
    pub close_code: Option<u16>,
    pub reset: bool,
}

pub fn command(frame: &Frame) -> Command<'_> {
    Control::decode(&frame.payload).unwrap().command
}

/// The records of a data frame.
pub fn records(frame: &Frame) -> Vec<Said> {
    if frame.header.flags & flags::COMPRESSED != 0 {
        let plain = inflated(frame.header.flags, &frame.payload, Sender::Server).unwrap();
        let (header, payload) = (Header { flags: plain[3], ..frame.header }, Bytes::from(plain).slice(Header::LEN..));
        return records(&Frame { header, payload });
    }
    let data = ServerData::decode(frame.header.flags, &frame.payload).unwrap().unwrap();
    let said = |record: tickwire::wire::Record<'_>| Said {
        kind: data.kind,
        room: data.head.room.0,
        position: data.head.position.0,
        member: record.member.0,
        key: record.key,
        payload: frame.payload.slice_ref(record.payload),
    };
    data.records().map(|record| said(record.unwrap())).collect()
}

/// What a JOINED says.
pub fn joined(frame: &Frame) -> Membership {
    let Command::Joined(joined) = command(frame) else { panic!("not joined: {:?}", command(frame)) };
    Membership { room: joined.room.0, member: joined.member.0, position: joined.position.0, epoch: joined.epoch.0 }
}

/// Request, reason and reconnect time of a CLOSE.
pub fn closing(frame: &Frame) -> Option<(u64, Reason, Option<u64>)> {
    if frame.header.frame_type != FrameType::Control {
        return None;
    }
    let control = Control::decode(&frame.payload).unwrap();
    let Command::Close(close) = control.command else { return None };
    let after = close.extensions.get(extension::kind::AFTER);
    Some((control.request.0, close.reason, after.map(|after| Reader::new(after).varint().unwrap())))
}

/// Request, number and reason of a REFUSED.
pub fn refusal(frame: &Frame) -> Option<(u64, u64, Reason)> {
    if frame.header.frame_type != FrameType::Control {
        return None;
    }
    let control = Control::decode(&frame.payload).unwrap();
    let Command::Refused(refused) = control.command else { return None };
    Some((control.request.0, refused.number, refused.reason))
}

/// The time of a ping that wants an answer.
pub fn asked(frame: &Frame) -> Option<u64> {
    if frame.header.frame_type != FrameType::Ping || frame.header.flags & flags::ANSWER != 0 {
        return None;
    }
    let ping = Ping::decode(frame.header.flags, &frame.payload, Sender::Server).unwrap();
    assert!(matches!(ping.body, PingBody::ServerAsk { .. }));
    Some(ping.time)
}

/// The time that an answer to a ping repeats.
pub fn answered(frame: &Frame) -> Option<u64> {
    if frame.header.frame_type != FrameType::Ping || frame.header.flags & flags::ANSWER == 0 {
        return None;
    }
    Some(Ping::decode(frame.header.flags, &frame.payload, Sender::Server).unwrap().time)
}

/// One frame of the WebSocket layer: its first byte and its payload.
pub fn take_message(raw: &mut BytesMut) -> Option<(u8, BytesMut)> {
    let (first, head, len) = match *raw.as_ref() {
        [first, len @ 0..=125, ..] => (first, 2, usize::from(len)),
        [first, 126, high, low, ..] => (first, 4, usize::from(u16::from_be_bytes([high, low]))),
        [_, 127..=255, ..] => panic!("a server neither masks nor sends 64 KiB"),
        _ => return None,
    };
    if raw.len() < head + len {
        return None;
    }
    raw.advance(head);
    Some((first, raw.split_to(len)))
}

/// PROTOCOL 4.2: whole frames, and at most 16 KiB together unless one is larger.
pub fn check_message(payload: &[u8]) {
    let (mut rest, mut frames) = (payload, 0);
    while let [_, high, low, _, ..] = *rest {
        rest = rest.get(4 + usize::from(u16::from_be_bytes([high, low]))..).expect("a message of whole frames");
        frames += 1;
    }
    assert!(rest.is_empty() && (frames == 1 || payload.len() <= 16 * 1024));
}
