//! Tickwire, version 1 of its protocol, over TCP or WebSocket: the minimal client of PROTOCOL.md. It echoes.
//!
//! It reads with its own few lines and not with the library's decoder: a generator that is slower than it must be
//! would hide what the server costs, and two readings of the document find more than one.

use std::io;

use super::super::ledger::is_urgent;
use super::super::websocket;
use super::super::workload::Who;
use super::{Dialect, Setup, Sink};

/// Tickwire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tickwire {
    pub(crate) ws: bool,
    pub(crate) messages: Messages,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Messages {
    Events,
    /// Events of which one in a hundred is urgent.
    Urgent,
    /// Values of 64 keys in turns, so that none replaces another within a tick.
    Values,
    /// Values of one key: of those that a sender writes within a tick, the last is delivered.
    Latest,
}

impl Dialect for Tickwire {
    fn echoes(&self) -> bool {
        true
    }

    fn join(&self, setup: &mut Setup, who: Who) -> io::Result<()> {
        if self.ws {
            setup.upgrade("/ws", Some("tickwire.v1"))?;
        } else {
            setup.write(&[0xd7, 0x54, 0x57, 1])?;
        }
        let mut out = Vec::new();
        self.carry(&greeting(who), &mut out);
        setup.write(&out)?;
        // Until the join is answered; what follows belongs to the run.
        loop {
            let frames = self.receive(setup)?;
            let mut rest = &frames[..];
            while let Some((kind, _, payload, len)) = frame(rest) {
                match (kind, payload.first()) {
                    (CONTROL, Some(&JOINED)) => return Ok(()),
                    (CONTROL, Some(&(REFUSED | CLOSE))) => return Err(io::Error::other("the join was refused")),
                    _ => rest = &rest[len..],
                }
            }
        }
    }

    fn message(&self, _who: Who, payload: &[u8], out: &mut Vec<u8>) {
        let keyed = matches!(self.messages, Messages::Values | Messages::Latest);
        let urgent = self.messages == Messages::Urgent && is_urgent(payload);
        let len = 1 + usize::from(keyed) + payload.len();
        out.push(DATA);
        out.extend_from_slice(&(len as u16).to_be_bytes());
        // PROTOCOL 7.1 and 7.2: the kind in the flags, then handle 1, then the key of this member.
        out.push(if keyed { 2 } else { 0 } | if urgent { URGENT } else { 0 });
        out.push(1);
        match self.messages {
            Messages::Events | Messages::Urgent => {}
            Messages::Values => out.push((payload[SEQUENCE] & 63) << 1),
            Messages::Latest => out.push(0),
        }
        out.extend_from_slice(payload);
    }

    fn carry(&self, messages: &[u8], out: &mut Vec<u8>) {
        if self.ws { websocket::put(websocket::BINARY, messages, out) } else { out.extend_from_slice(messages) }
    }

    fn walk<S: Sink>(&self, _carried: &mut Vec<u8>, bytes: &[u8], sink: &mut S) -> usize {
        if !self.ws {
            return self.frames(bytes, sink);
        }
        websocket::walk(bytes, sink, |_, _, payload, sink| {
            if self.frames(payload, sink) != payload.len() {
                sink.bad("a frame is cut by its message");
            }
        })
    }
}

impl Tickwire {
    /// Walks whole frames; returns the bytes used.
    fn frames<S: Sink>(&self, bytes: &[u8], sink: &mut S) -> usize {
        let mut at = 0;
        while let Some((kind, flags, payload, len)) = frame(&bytes[at..]) {
            match (kind, payload.first()) {
                (DATA, _) => {
                    if records(flags, payload, sink).is_none() {
                        sink.bad("a record cannot be read");
                    }
                }
                (CONTROL, Some(&REFUSED)) => sink.bad("refused"),
                (CONTROL, Some(&CLOSE)) => sink.bad("closed"),
                (CONTROL, Some(&GOING_AWAY)) => sink.bad("the server goes away"),
                (CONTROL, _) => {}
                (PING, _) if flags & 1 == 0 => self.pong(payload, sink),
                (PING, _) => {}
                _ => sink.bad("frame type"),
            }
            at += len;
        }
        at
    }

    /// The asker's time, repeated; nothing reported.
    #[cold]
    fn pong<S: Sink>(&self, asked: &[u8], sink: &mut S) {
        let Some((_, rest)) = varint(asked) else { return sink.bad("ping") };
        let time = &asked[..asked.len() - rest.len()];
        let mut answer = vec![PING, 0, time.len() as u8 + 2, 1];
        answer.extend_from_slice(time);
        answer.extend_from_slice(&[0, 0]);
        let mut out = Vec::new();
        self.carry(&answer, &mut out);
        sink.reply(&out);
    }

    /// Some whole frames.
    fn receive(&self, setup: &mut Setup) -> io::Result<Vec<u8>> {
        if self.ws {
            return setup.frame();
        }
        loop {
            if let Some((_, _, _, len)) = frame(&setup.rest) {
                return Ok(setup.rest.drain(..len).collect());
            }
            setup.more()?;
        }
    }
}

/// PROTOCOL 6.1 and 6.3: hello without a token, then join as handle 1.
fn greeting(who: Who) -> Vec<u8> {
    let room = format!("r{}", who.room);
    let mode = u8::from(who.sends) | u8::from(who.receives) << 1;
    let mut greeting = vec![CONTROL, 0, 5, 0, 1, 1, 0, 0, 0];
    greeting.extend_from_slice(&[CONTROL, 0, 5 + room.len() as u8, 0, 3, 2, 1, mode, room.len() as u8]);
    greeting.extend_from_slice(room.as_bytes());
    greeting
}

/// The frame at the front: type, flags, payload, and its whole length.
fn frame(bytes: &[u8]) -> Option<(u8, u8, &[u8], usize)> {
    let [kind, high, low, flags] = *bytes.first_chunk()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    Some((kind, flags, bytes.get(4..4 + len)?, 4 + len))
}

/// Hands every event or value of a data frame to the sink; nothing where it cannot be read.
fn records<S: Sink>(flags: u8, payload: &[u8], sink: &mut S) -> Option<()> {
    let keyed = match (flags >> 1) & 7 {
        0 => false,
        1 => true,
        _ => return Some(()),
    };
    let (_room, rest) = varint(payload)?;
    let (_position, rest) = varint(rest)?;
    let mut rest = rest.get(2..)?;
    while !rest.is_empty() {
        let (len, after) = varint(rest)?;
        let (_member, mut after) = varint(after)?;
        if keyed {
            after = varint(after)?.1;
        }
        let len = usize::try_from(len).ok()?;
        sink.delivery(after.get(..len)?);
        rest = &after[len..];
    }
    Some(())
}

/// Reads a varint; returns it and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(8) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

const DATA: u8 = 1;
const CONTROL: u8 = 2;
const PING: u8 = 3;

const JOINED: u8 = 4;
const REFUSED: u8 = 7;
const CLOSE: u8 = 8;
const GOING_AWAY: u8 = 9;

/// Where a payload has the lowest byte of its sequence number.
/// PROTOCOL 7.1: the flag of what does not wait for the tick.
const URGENT: u8 = 0x10;
const SEQUENCE: usize = 12;

#[cfg(test)]
mod tests {
    use tickwire::wire::control::{Command, Mode};
    use tickwire::wire::header::{Sender, flags};
    use tickwire::wire::{
        ClientData, Control, FrameType, Handle, Head, Key, Kind, MemberNumber, Ping, PingBody, Position, Record,
        RoomId, ServerData, Target, split_frame,
    };

    use super::super::Heard;
    use super::super::tests::{check_walk, sent};
    use super::*;

    const LIMIT: usize = 16 * 1024;

    #[test]
    fn the_library_reads_what_is_sent() {
        let mut payload = [7; 32];
        payload[SEQUENCE] = 200;
        let cases = [
            (Messages::Events, Target::Event),
            (Messages::Values, Target::Value(Key::from_wire((200 & 63) << 1))),
            (Messages::Latest, Target::Value(Key::from_wire(0))),
        ];
        for (messages, target) in cases {
            let bytes = sent(&Tickwire { ws: false, messages }, &payload);
            let (frame, rest) = split_frame(&bytes, LIMIT, Sender::Client).unwrap().unwrap();
            assert_eq!((frame.header.frame_type, rest.len()), (FrameType::Data, 0));
            let data = ClientData::decode(frame.header.flags, frame.payload).unwrap();
            assert_eq!(data, ClientData { handle: Handle(1), target, options: 0, payload: &payload });
        }
    }

    #[test]
    fn the_library_reads_the_greeting() {
        let bytes = greeting(Who { index: 3, room: 12, receives: false, sends: true });
        let (hello, rest) = split_frame(&bytes, LIMIT, Sender::Client).unwrap().unwrap();
        assert!(matches!(Control::decode(hello.payload).unwrap().command, Command::Hello(_)));
        let (join, rest) = split_frame(rest, LIMIT, Sender::Client).unwrap().unwrap();
        let Command::Join(join) = Control::decode(join.payload).unwrap().command else { panic!("not a join") };
        assert_eq!((join.handle, join.name, join.mode), (Handle(1), &b"r12"[..], Mode::PUBLISH));
        assert!(rest.is_empty());
    }

    #[test]
    fn what_the_library_sends_is_read() {
        let (one, two) = (Vec::from_iter(0..32), vec![9; 200]);
        let head = Head { room: RoomId(300), position: Position(70_000), tick: 500 };
        let mut stream = Vec::new();
        for (kind, options) in [(Kind::Event, 0), (Kind::Value, flags::MORE)] {
            let mut records = Vec::new();
            for payload in [&one, &two] {
                let key = (kind == Kind::Value).then_some(126);
                Record { member: MemberNumber(1000), key, payload }.encode(&mut records);
            }
            ServerData { kind, options, head, records: &records }.encode(&mut stream);
        }
        let payloads = [&one[..], &two, &one, &two];
        check_walk(&Tickwire { ws: false, messages: Messages::Events }, &stream, &payloads);
        let mut framed = Vec::new();
        websocket::put_head(websocket::BINARY, stream.len(), false, &mut framed);
        framed.extend_from_slice(&stream);
        check_walk(&Tickwire { ws: true, messages: Messages::Values }, &framed, &payloads);
    }

    #[test]
    fn a_ping_is_answered_as_the_library_expects() {
        let mut ask = Vec::new();
        let body = PingBody::ServerAsk { accepted: 4 };
        Ping { time: 123_456, body, extensions: tickwire::wire::Extensions::default() }.encode(&mut ask);
        let mut heard = Heard::default();
        Tickwire { ws: false, messages: Messages::Events }.walk(&mut Vec::new(), &ask, &mut heard);
        let (frame, _) = split_frame(&heard.replies, LIMIT, Sender::Client).unwrap().unwrap();
        let answer = Ping::decode(frame.header.flags, frame.payload, Sender::Client).unwrap();
        assert_eq!(answer.time, 123_456);
        assert_eq!(answer.body, PingBody::Client { answer: true, consumed: 0, directs: 0 });
    }
}
